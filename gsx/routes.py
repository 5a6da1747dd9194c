"""How the gradients of many replicates are computed. Every route gives replicate r the same numbers, so the same gradient to rounding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.models.base import Params
from gsx.noise import Block, Noise, replay
from gsx.probe import Probe, can_batch, direct
from gsx.program import Implementation, Program, flatten, gradient, gradient_of
from gsx.records import ConfigurationError


class Route(ABC):
    """``gradients(block, start, stop) -> [stop - start, P]``: the gradients of these replicates of a block."""

    name: ClassVar[str]
    #: How many numbers autograd may hold for one tile.
    budget: ClassVar[int]

    def __init__(self, program: Program, estimator: Estimator, seen: Probe) -> None:
        self.program, self.estimator, self.seen = program, estimator, seen

    @abstractmethod
    def gradients(self, block: Block, start: int, stop: int) -> Tensor: ...

    def tile(self, block_size: int) -> int:
        """How many replicates are computed at once: a power of two that follows from shapes alone, lest bits depend on the machine."""
        footprint = max(1, self.seen.saved, self.seen.random_numbers, self.program.layout.size)
        fitting = 1 << (self.budget // footprint).bit_length() >> 1
        return min(block_size, max(16, fitting))


class Batched(Route):
    """The replicates as a leading axis of the distribution's batch: one backward pass gives the gradient of each in its parameters.

    What lies between the measured parameters and the distribution's is the same for every replicate: one vector-Jacobian product each.
    """

    name = "batched"
    budget = 2**17

    def __init__(self, program: Program, estimator: Estimator, seen: Probe) -> None:
        super().__init__(program, estimator, seen)
        self._direct = None if program.wrt == "distribution" else direct(program, 0.0)
        if self._direct is not None and not self._direct.any():
            self._direct = None
        parameters = program.leaves if program.wrt == "distribution" else program.outermost(program.params).parameters
        self._leaves_are_parameters = list(map(id, parameters.values())) == list(map(id, program.leaves.values()))

    def gradients(self, block: Block, start: int, stop: int) -> Tensor:
        replicas: Params = {}

        def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
            replicated = q.map(lambda value: value.detach().expand(stop - start, *value.shape).requires_grad_())
            replicas.update(replicated.parameters)
            return self.estimator.expect(replicated, cost, block.tile(start, stop).at(site))

        loss = self.program.loss(self.program.leaves, implementation)
        total = loss.flatten(1).mean(1).sum() if loss.ndim > 1 else loss.sum()
        found = torch.autograd.grad(total, tuple(replicas.values()), allow_unused=True, materialize_grads=True)
        at_leaves = self._pull_back(dict(zip(replicas, found, strict=True)))
        return at_leaves if self._direct is None else at_leaves + self._direct

    def _pull_back(self, gradients: Params) -> Tensor:
        """From gradients in the distribution's parameters ``[n, *batch, *event]`` to gradients in the leaves ``[n, P]``."""
        if self._leaves_are_parameters:
            return flatten(gradients, 1)
        pull_back = torch.func.vjp(lambda at: self.program.outermost(self.program.params | at).parameters, self.program.leaves)[1]
        (pulled,) = torch.func.vmap(pull_back)(gradients)
        return flatten(pulled, 1)


class Vmap(Route):
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
        return torch.stack([gradient(self.program, implement(self.estimator, replay(one))) for one in ones])


def implement(estimator: Estimator, noise: Noise) -> Implementation:
    """An estimator with its noise, as what a program takes expectations by."""
    return lambda q, cost, site: estimator.expect(q, cost, noise.at(site))


ROUTES: dict[str, type[Route]] = {route.name: route for route in (Batched, Vmap, Loop)}


def choose(engine: str, program: Program, estimator: Estimator, seen: Probe) -> Route:
    """The fastest route that the model and the estimator allow, or the one asked for."""
    batches = can_batch(program, seen)
    if engine == "auto":
        engine = "batched" if batches else "loop" if program.model.cost_is == "black_box" else "vmap"
    elif engine not in ROUTES:
        raise ConfigurationError(f"engine={engine}: must be auto or one of {', '.join(ROUTES)}")
    elif engine == "batched" and not batches:
        raise ConfigurationError(
            f"engine=batched: the gradient of {program.model.name} in wrt={program.wrt} does not only pass through one distribution"
        )
    elif engine == "vmap" and program.model.cost_is == "black_box":
        raise ConfigurationError(f"engine=vmap: the cost of {program.model.name} is a black box")
    return ROUTES[engine](program, estimator, seen)


def plain_step(program: Program, estimator: Estimator, block: Block, replicates: int) -> None:
    """The yardstick of time: one ordinary training step on ``replicates`` times the rows, forward and backward, without statistics."""
    leaves = {name: leaf.detach().requires_grad_() for name, leaf in program.leaves.items()}
    noise = block.one()
    outside = True

    def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
        nonlocal outside
        if outside:
            outside = False
            q = q.map(lambda value: value.expand(replicates, *value.shape))
        return estimator.expect(q, cost, noise.at(site))

    gradient_of(program.mean_loss(leaves, implementation), leaves)
