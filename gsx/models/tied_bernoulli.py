"""Bernoullis that share one logit."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Expect, Separable
from gsx.distributions import Bernoulli
from gsx.models.base import Model, Params
from gsx.noise import Noise
from gsx.records import ConfigurationError


class TiedBernoulli(Model):
    """L(eta) = E sum_d (b_d - target_d)^2, every b_d ~ Bernoulli(sigmoid(eta)).

    Parameter: `eta` []. The gradient is p (1 - p) sum_d (1 - 2 target_d).
    References: Liu, Regier, Tripuraneni, Jordan & McAuliffe (2019), arXiv 1810.04777; Kool, van Hoof & Welling (2020), arXiv 2002.06043.
    """

    targets: Tensor

    def __init__(
        self,
        *,
        eta: float = 0.0,
        targets: list[float] = [0.6, 0.51, 0.48],  # noqa: B006 - read, never written
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if not targets:
            raise ConfigurationError("targets=[]: must hold at least one number")
        self.eta = eta
        self.register_buffer("targets", torch.tensor(targets, dtype=torch.float64))

    def init(self, noise: Noise) -> Params:
        return {"eta": torch.tensor(self.eta, dtype=torch.float64)}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Bernoulli(params["eta"].expand(len(self.targets))), Separable(lambda b: (b - self.targets) ** 2))

    def closed_form(self, params: Params) -> Params:
        p = torch.sigmoid(params["eta"])
        return {"eta": p * (1 - p) * (1 - 2 * self.targets).sum()}
