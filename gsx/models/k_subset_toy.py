"""Which k of D numbers sum to a target?"""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Expect
from gsx.distributions import KSubset
from gsx.models.base import Model, Params
from gsx.noise import Noise
from gsx.records import ConfigurationError


class KSubsetToy(Model):
    """L(logits) = E_{z ~ KSubset(logits, k)} (values'z - target)^2: every pair of elements interacts.

    Parameter: `logits` [D].
    """

    start: Tensor
    values: Tensor

    def __init__(
        self,
        *,
        logits: list[float] = [-0.8, 0.3, 1.1, -0.2, 0.6],  # noqa: B006 - read, never written
        values: list[float] = [1.0, -0.5, 2.0, 0.7, -1.3],  # noqa: B006
        k: int = 2,
        target: float = 0.8,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if not 1 <= k < len(logits):
            raise ConfigurationError(f"k={k}: must be at least 1 and below the {len(logits)} logits")
        if len(values) != len(logits):
            raise ConfigurationError(f"values={values}: must hold as many numbers as logits, {len(logits)}")
        self.k, self.target = k, target
        self.register_buffer("start", torch.tensor(logits, dtype=torch.float64))
        self.register_buffer("values", torch.tensor(values, dtype=torch.float64))

    def init(self, noise: Noise) -> Params:
        return {"logits": self.start.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(KSubset(params["logits"], self.k), lambda z, q: (z @ self.values - self.target) ** 2)
