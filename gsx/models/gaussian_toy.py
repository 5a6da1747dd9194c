"""The three cost functions of Mohamed et al. under a Gaussian."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gsx.costs import Expect, Separable
from gsx.distributions import Normal
from gsx.models.base import Model, Params
from gsx.noise import Noise
from gsx.records import ConfigurationError


class GaussianToy(Model):
    """L(loc, log_scale) = E_{x ~ N(loc, diag(scale^2))} sum_d f(x_d), with f one of

    - `quadratic`: (x - k)^2, of mean (loc - k)^2 + scale^2;
    - `exp`: exp(-k x^2), k > 0, of mean s^(-1/2) exp(-k loc^2 / s) with s = 1 + 2 k scale^2;
    - `cos`: cos(k x), of mean cos(k loc) exp(-k^2 scale^2 / 2).

    Parameters: `loc` [D], `log_scale` [D].
    References: Mohamed, Rosca, Figurnov & Mnih (2020), arXiv 1906.10652, section 3.
    """

    start_loc: Tensor
    start_log_scale: Tensor

    def __init__(
        self,
        *,
        loc: list[float] = [1.0, -0.5],  # noqa: B006 - read, never written
        log_scale: list[float] = [0.0, -0.7],  # noqa: B006
        cost: Literal["quadratic", "exp", "cos"] = "quadratic",
        k: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if not loc or len(loc) != len(log_scale):
            raise ConfigurationError(f"log_scale={log_scale}: must hold as many numbers as loc, and at least one")
        if cost == "exp" and k <= 0:
            raise ConfigurationError(f"k={k:g}: must be positive where cost=exp")
        self.register_buffer("start_loc", torch.tensor(loc, dtype=torch.float64))
        self.register_buffer("start_log_scale", torch.tensor(log_scale, dtype=torch.float64))
        self.cost, self.k = cost, k

    def init(self, noise: Noise) -> Params:
        return {"loc": self.start_loc.clone(), "log_scale": self.start_log_scale.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Normal(params["loc"], params["log_scale"].exp()), Separable(self._terms))

    def _terms(self, x: Tensor) -> Tensor:
        if self.cost == "quadratic":
            return (x - self.k) ** 2
        return torch.exp(-self.k * x**2) if self.cost == "exp" else torch.cos(self.k * x)

    def closed_form(self, params: Params) -> Params:
        loc, variance, k = params["loc"], params["log_scale"].exp() ** 2, self.k
        if self.cost == "quadratic":
            return {"loc": 2 * (loc - k), "log_scale": 2 * variance}
        if self.cost == "exp":
            s = 1 + 2 * k * variance
            mean = s**-0.5 * torch.exp(-k * loc**2 / s)
            return {"loc": -2 * k * loc / s * mean, "log_scale": 2 * k * variance / s * (2 * k * loc**2 / s - 1) * mean}
        decay = torch.exp(-(k**2) * variance / 2)
        return {"loc": -k * torch.sin(k * loc) * decay, "log_scale": -(k**2) * variance * torch.cos(k * loc) * decay}
