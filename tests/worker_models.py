"""Models of the tests of worker processes, a plug-in: they know whether they are at home, in the process of the test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from gsx.costs import Expect
from gsx.distributions import Bernoulli, Distribution
from gsx.models.base import Model, Params
from gsx.noise import Noise

#: Numbers that the cost is asked about at once where whole blocks are computed, and not where a model is looked at.
MANY = 16


class Elsewhere(Model):
    """A cost that is another one in another process: what a forgotten setting of a notebook's would do."""

    def __init__(self, *, home: int, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self.at_home = os.getpid() == home

    def init(self, noise: Noise) -> Params:
        return {"logits": torch.tensor([0.3, -0.8])}

    def cost(self, z: Tensor, q: Distribution) -> Tensor:
        return (1.0 if self.at_home else 1.0 + 1e-6) * (z - 0.2).square().sum(-1)

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Bernoulli(params["logits"]), self.cost)


class Fails(Elsewhere):
    """A cost that fails in another process, after so many blocks."""

    def __init__(self, *, home: int, blocks: int, seed: int = 0) -> None:
        super().__init__(home=home, seed=seed)
        self.left = blocks

    def cost(self, z: Tensor, q: Distribution) -> Tensor:
        self.left -= not self.at_home and z.numel() > MANY
        if self.left < 0:
            raise ZeroDivisionError("the model's own")
        return (z - 0.2).square().sum(-1)


class FailsOnceAsked(Fails):
    """And at home as soon as a process has been asked for something."""

    asked: ClassVar[Sequence[tuple[int, ...]]] = ()

    def cost(self, z: Tensor, q: Distribution) -> Tensor:
        if self.at_home and self.asked:
            self.left = -1
        return super().cost(z, q)
