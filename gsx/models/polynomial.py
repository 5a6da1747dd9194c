"""Polynomial programming, where straight-through estimators stall."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Expect, Separable
from gsx.distributions import Categorical
from gsx.models.base import Model, Params
from gsx.noise import Noise
from gsx.records import ConfigurationError


class Polynomial(Model):
    """L(logits) = E mean_d |z_d,0 - target|^power, z_d one-hot of two categories.

    Parameter: `logits` [dimensions, 2] ~ U(-0.01, 0.01). The gradient is p_0 p_1 (|1 - target|^power - |target|^power) / dimensions in the
    first logit of each variable, and minus that in the second.
    References: Liu, Dong, Liu, Yu & Gao (2023), arXiv 2304.08612, with power 1.5, 2 and 3.
    """

    def __init__(self, *, dimensions: int = 128, target: float = 0.45, power: float = 1.5, seed: int = 0) -> None:
        super().__init__(seed=seed)
        if dimensions < 1:
            raise ConfigurationError(f"dimensions={dimensions}: must be at least 1")
        if power <= 0:
            raise ConfigurationError(f"power={power:g}: must be positive")
        self.dimensions, self.target, self.power = dimensions, target, power

    def init(self, noise: Noise) -> Params:
        centre = torch.zeros(self.dimensions, 2, dtype=torch.float64)
        return {"logits": centre + 0.02 * (noise.uniform((), Categorical(centre)) - 0.5)}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Categorical(params["logits"]), Separable(lambda z: (z[..., 0] - self.target).abs() ** self.power, mean=True))

    def closed_form(self, params: Params) -> Params:
        p = torch.softmax(params["logits"], -1)
        slope = p.prod(-1) * (abs(1 - self.target) ** self.power - abs(self.target) ** self.power) / len(p)
        return {"logits": torch.stack((slope, -slope), -1)}
