"""A cost without any structure: a random number for each joint outcome."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Expect
from gsx.distributions import Bernoulli, Categorical, Discrete
from gsx.models.base import Model, Params
from gsx.noise import Block, Noise
from gsx.records import ConfigurationError

#: Joint outcomes, and so numbers in a table.
MOST_OUTCOMES = 2**20


class RandomTable(Model):
    """L(logits) = E f(z), f(z) an independent N(0, 1) for each of the categories^dimensions joint outcomes of z.

    Between the outcomes f is the multilinear extension, sum over outcomes s of f(s) prod_d z_d,s_d, linear in each coordinate.
    Parameter: `logits` ~ N(0, 1), [dimensions, categories] of categoricals, or [dimensions] of Bernoullis where there are two categories.
    """

    table: Tensor

    def __init__(self, *, dimensions: int = 4, categories: int = 2, seed: int = 0) -> None:
        super().__init__(seed=seed)
        if dimensions < 1:
            raise ConfigurationError(f"dimensions={dimensions}: must be at least 1")
        if categories < 2:
            raise ConfigurationError(f"categories={categories}: must be at least 2")
        if categories**dimensions > MOST_OUTCOMES:
            raise ConfigurationError(f"dimensions={dimensions}: {categories}^{dimensions} outcomes are more than 2^20")
        self.dimensions, self.categories = dimensions, categories
        table = Block(seed, "table", 0, torch.float64, torch.device("cpu")).one()
        self.register_buffer("table", table.standard_normal((categories,) * dimensions))

    def init(self, noise: Noise) -> Params:
        event = (self.dimensions,) if self.categories == 2 else (self.dimensions, self.categories)
        return {"logits": noise.standard_normal(event)}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        q: Discrete = Bernoulli(params["logits"]) if self.categories == 2 else Categorical(params["logits"])
        return expect(q, lambda z, q: self.look_up(torch.stack((1 - z, z), -1) if self.categories == 2 else z))

    def look_up(self, z: Tensor) -> Tensor:
        """The table ``[*]`` at one-hot points ``[*, D, C]``: its axes are summed over one by one, weighed by the coordinates."""
        values = z[..., 0, :] @ self.table.reshape(self.categories, -1)
        for d in range(1, self.dimensions):
            values = (z[..., d, :, None] * torch.unflatten(values, -1, (self.categories, -1))).sum(-2)
        return values.squeeze(-1)
