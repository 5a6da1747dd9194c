"""One categorical variable against a target vector."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Expect
from gsx.distributions import Categorical
from gsx.models.base import Model, Params
from gsx.noise import Noise
from gsx.records import ConfigurationError


class CategoricalToy(Model):
    """L(logits) = E_{z ~ Categorical(softmax(logits))} sum_k (z_k - target_k)^2, z one-hot.

    Parameter: `logits` [C]; D = 1. With f_c = |e_c - target|^2 the gradient is p_c (f_c - sum_k p_k f_k).
    """

    start: Tensor
    target: Tensor

    def __init__(
        self,
        *,
        logits: list[float] = [0.6, -0.4, 0.1, -1.0],  # noqa: B006 - read, never written
        target: list[float] = [0.5, 0.2, 0.25, 0.05],  # noqa: B006
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if len(logits) < 2:
            raise ConfigurationError(f"logits={logits}: must hold at least two numbers")
        if len(target) != len(logits):
            raise ConfigurationError(f"target={target}: must hold as many numbers as logits, {len(logits)}")
        self.register_buffer("start", torch.tensor(logits, dtype=torch.float64))
        self.register_buffer("target", torch.tensor(target, dtype=torch.float64))

    def init(self, noise: Noise) -> Params:
        return {"logits": self.start.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = Categorical(params["logits"].unsqueeze(-2))
        return expect(q, lambda z, q: ((z - self.target) ** 2).sum((-2, -1)))

    def closed_form(self, params: Params) -> Params:
        p = torch.softmax(params["logits"], -1)
        f = ((torch.eye(p.numel(), dtype=p.dtype, device=p.device) - self.target) ** 2).sum(-1)
        return {"logits": p * (f - (p * f).sum())}
