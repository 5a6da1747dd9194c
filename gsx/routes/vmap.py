"""The general route and its oracle: one estimate, mapped over noise that was drawn before."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.models.base import Params
from gsx.noise import Block, replay
from gsx.program import flatten, gradient
from gsx.routes.base import Materialising, implement


class Vmap(Materialising):
    """`vmap(grad)` of one estimate over noise drawn outside: the general route."""

    name = "vmap"
    budget = 2**20

    def gradients(self, block: Block, start: int, stop: int) -> Tensor:
        def one(numbers: dict[tuple[str, int], Tensor]) -> Params:
            gradients: Params = torch.func.grad(self.program.mean_loss)(self.program.leaves, implement(self.estimator, replay(numbers)))
            return gradients

        return flatten(torch.func.vmap(one)(self._numbers(block, start, stop)), 1)

    def _numbers(self, block: Block, start: int, stop: int) -> dict[tuple[str, int], Tensor]:
        return {(site, draw): block.draw(site, draw, shape, start, stop) for site, draw, shape in self.seen.draws}


class Loop(Vmap):
    """One backward pass for each replicate: the oracle of the tests, and the route for a cost that torch cannot see into."""

    name = "loop"

    def gradients(self, block: Block, start: int, stop: int) -> Tensor:
        numbers = self._numbers(block, start, stop)
        replicates = range(stop - start)
        ones = ({address: drawn[r] for address, drawn in numbers.items()} for r in replicates)
        return torch.stack([gradient(self.program, implement(self.estimator, replay(one)), again=self.tuning) for one in ones])
