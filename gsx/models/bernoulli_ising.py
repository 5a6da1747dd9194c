"""A Bernoulli model whose cost does not separate."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Expect
from gsx.distributions import Bernoulli
from gsx.models.base import Model, Params
from gsx.noise import Block, Noise
from gsx.records import ConfigurationError


class BernoulliIsing(Model):
    """L(logits) = E_{b ~ Bernoulli(sigmoid(logits))} [b'Ab + c'b], A and c random tables of the model's seed.

    A_ij ~ N(0, coupling^2 / D) above the diagonal and 0 elsewhere, c_i ~ N(0, 1). Every pair of coordinates interacts, so that an estimator
    which only works one coordinate at a time is found out. Parameter: `logits` [D].
    """

    start: Tensor
    interaction: Tensor
    field: Tensor

    def __init__(
        self,
        *,
        logits: list[float] = [-1.5, -0.9, -0.3, 0.2, 0.7, 1.3],  # noqa: B006 - read, never written
        coupling: float = 2.0,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if not logits:
            raise ConfigurationError("logits=[]: must hold at least one number")
        self.register_buffer("start", torch.tensor(logits, dtype=torch.float64))
        table = Block(seed, "table", 0, torch.float64, torch.device("cpu")).one()
        size = len(logits)
        self.register_buffer("interaction", torch.triu(table.standard_normal((size, size)), diagonal=1) * coupling / size**0.5)
        self.register_buffer("field", table.standard_normal((size,)))

    def init(self, noise: Noise) -> Params:
        return {"logits": self.start.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Bernoulli(params["logits"]), lambda b, q: ((b @ self.interaction) * b).sum(-1) + b @ self.field)
