"""What every problem is: parameters that are written down, and a cost."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gsx.costs import Combine, Expect
from gsx.distributions import Bernoulli, Categorical, Distribution, Normal
from gsx.models.base import Model, Params
from gsx.noise import Noise


class Table(Model):
    """A cost written as a function of z and q; `start` are the parameters."""

    start: ClassVar[dict[str, Any]]
    combine: ClassVar[Combine | None] = None

    def init(self, noise: Noise) -> Params:
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in self.start.items()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(self.posterior(params), self.cost, combine=self.combine)

    def posterior(self, params: Params) -> Distribution:
        if "loc" in params:
            return Normal(params["loc"], params["log_scale"].exp())
        return Bernoulli(params["logits"]) if params["logits"].ndim == 1 else Categorical(params["logits"])

    def cost(self, z: Tensor, q: Any) -> Tensor:
        raise NotImplementedError
