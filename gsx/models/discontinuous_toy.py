"""A cost that jumps, under a Gaussian."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsx.costs import Expect
from gsx.distributions import Normal
from gsx.models.base import Model, Params
from gsx.noise import Noise
from gsx.records import ConfigurationError


class DiscontinuousToy(Model):
    """L(loc, log_scale) = E_{x ~ N(loc, diag(scale^2))} height 1[w'x > threshold] + |x|^2 / 2.

    The mean is height Phi(t) + (|loc|^2 + |scale|^2) / 2 with t = (w'loc - threshold) / s, s^2 = sum_d w_d^2 scale_d^2. The pathwise
    gradient sees the second term alone. Parameters: `loc` [D], `log_scale` [D].
    """

    cost_is = "discontinuous"
    start_loc: Tensor
    start_log_scale: Tensor
    direction: Tensor

    def __init__(
        self,
        *,
        loc: list[float] = [0.4, -0.6],  # noqa: B006 - read, never written
        log_scale: list[float] = [-0.5, -0.3],  # noqa: B006
        w: list[float] = [1.0, -0.7],  # noqa: B006
        threshold: float = 0.3,
        height: float = 2.0,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if not loc:
            raise ConfigurationError("loc=[]: must hold at least one number")
        for key, value in (("log_scale", log_scale), ("w", w)):
            if len(value) != len(loc):
                raise ConfigurationError(f"{key}={value}: must hold as many numbers as loc, {len(loc)}")
        if not any(w):
            raise ConfigurationError(f"w={w}: must hold a number that is not zero")
        self.register_buffer("start_loc", torch.tensor(loc, dtype=torch.float64))
        self.register_buffer("start_log_scale", torch.tensor(log_scale, dtype=torch.float64))
        self.register_buffer("direction", torch.tensor(w, dtype=torch.float64))
        self.threshold, self.height = threshold, height

    def init(self, noise: Noise) -> Params:
        return {"loc": self.start_loc.clone(), "log_scale": self.start_log_scale.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Normal(params["loc"], params["log_scale"].exp()), lambda x, q: self._cost(x))

    def _cost(self, x: Tensor) -> Tensor:
        jump = ((x * self.direction).sum(-1) > self.threshold).to(x.dtype)
        return self.height * jump + (x**2).sum(-1) / 2

    def closed_form(self, params: Params) -> Params:
        loc, variance, w = params["loc"], (2 * params["log_scale"]).exp(), self.direction
        s_squared = (w**2 * variance).sum()
        t = ((w * loc).sum() - self.threshold) / s_squared.sqrt()
        density = self.height * torch.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
        return {"loc": density * w / s_squared.sqrt() + loc, "log_scale": -density * t * w**2 * variance / s_squared + variance}
