"""A quadratic form under a Dirichlet variable."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Expect
from gsx.distributions import Dirichlet
from gsx.models.base import Model, Params
from gsx.noise import Noise
from gsx.records import ConfigurationError


class DirichletToy(Model):
    """L(log_concentration) = E_{z ~ Dirichlet(a)} (weights'z - target)^2.

    With A = sum_c a_c, m = sum_c a_c weights_c / A and m2 the same of weights^2, the mean is (m - target)^2 + (m2 - m^2) / (A + 1).
    Parameter: `log_concentration` [C]; D = 1.
    """

    start: Tensor
    weights: Tensor

    def __init__(
        self,
        *,
        concentration: list[float] = [0.7, 1.5, 3.0],  # noqa: B006 - read, never written
        weights: list[float] = [2.0, -1.0, 0.5],  # noqa: B006
        target: float = 0.3,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if len(concentration) < 2:
            raise ConfigurationError(f"concentration={concentration}: must hold at least two numbers")
        if min(concentration) <= 0:
            raise ConfigurationError(f"concentration={concentration}: must hold positive numbers")
        if len(weights) != len(concentration):
            raise ConfigurationError(f"weights={weights}: must hold as many numbers as concentration, {len(concentration)}")
        self.register_buffer("start", torch.tensor(concentration, dtype=torch.float64))
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float64))
        self.target = target

    def init(self, noise: Noise) -> Params:
        return {"log_concentration": self.start.log()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = Dirichlet(params["log_concentration"].exp().unsqueeze(-2))
        return expect(q, lambda z, q: ((z * self.weights).sum((-2, -1)) - self.target) ** 2)

    def closed_form(self, params: Params) -> Params:
        a, w = params["log_concentration"].exp(), self.weights
        total = a.sum()
        m, m2 = (a * w).sum() / total, (a * w**2).sum() / total
        spread = ((w**2 - m2) - 2 * m * (w - m)) / (total * (total + 1)) - (m2 - m**2) / (total + 1) ** 2
        return {"log_concentration": a * (2 * (m - self.target) * (w - m) / total + spread)}
