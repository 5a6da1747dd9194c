"""D independent exponential variables."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsx.distributions.continuous import Continuous
from gsx.distributions.gamma import Gamma


class Exponential(Continuous):
    """z > 0 with density rate exp(-rate z); rate and events are ``[*batch, D]``. The coordinate is s = log z."""

    parameter_names = ("rate",)

    def __init__(self, rate: Tensor, context: Tensor | None = None) -> None:
        super().__init__(rate=rate, context=context)

    @property
    def rate(self) -> Tensor:
        return self.parameters["rate"]

    def log_prob(self, z: Tensor) -> Tensor:
        return (torch.log(self.rate) - self.rate * z).sum(-1)

    def score(self, z: Tensor) -> dict[str, Tensor]:
        return {"rate": 1 / self.rate.detach() - z}

    def quantile(self, u: Tensor) -> Tensor:
        return torch.log(-torch.log1p(-u)) - torch.log(self.rate.detach())

    def decode(self, s: Tensor) -> Tensor:
        return torch.exp(s)

    def inside(self, s: Tensor) -> Tensor:
        return s.clamp(min=math.log(torch.finfo(s.dtype).tiny))

    def slopes(self, s: Tensor) -> dict[str, Tensor]:
        return {"rate": (-1 / self.rate.detach()).expand_as(s)}

    def grid(self, nodes: int) -> tuple[Tensor, Tensor]:
        return Gamma(torch.ones_like(self.rate), self.rate).grid(nodes)
