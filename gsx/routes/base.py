"""What a route is: a way to compute the moments of a block's gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.moments import Moments, merge, moments
from gsx.noise import FEW, Block, Noise
from gsx.probe import Probe
from gsx.program import Implementation, Program


class Route(ABC):
    """``moments(block, replicates, direction)``: of the first replicates of a block, always in the same tiles."""

    name: ClassVar[str]
    #: Whether each replicate's gradient exists at some time: only then are there third moments and cosines of single gradients.
    materialises: ClassVar[bool] = True
    #: How many numbers autograd may hold for one tile: what fits a cache.
    budget: ClassVar[int]

    def __init__(self, program: Program, estimator: Estimator, seen: Probe) -> None:
        self.program, self.estimator, self.seen = program, estimator, seen

    @abstractmethod
    def moments(self, block: Block, replicates: int, direction: Tensor | None) -> Moments: ...

    @property
    def footprint(self) -> int:
        """Numbers held for one replicate."""
        return max(1, self.seen.saved, self.seen.random_numbers)

    def tile(self, replicates: int) -> int:
        """How many replicates are computed at once: a power of two that follows from shapes alone, lest bits depend on the machine.

        At least two, because some routes compare pairs.
        """
        fitting = 1 << (self.budget // self.footprint).bit_length() >> 1
        return min(replicates, max(2, fitting))

    def tiles(self, replicates: int) -> list[tuple[int, int]]:
        """``(start, stop)`` of each tile."""
        tile = self.tile(replicates)
        return [(start, min(start + tile, replicates)) for start in range(0, replicates, tile)]


class Materialising(Route):
    """``gradients(block, start, stop) -> [stop - start, P]``: the gradients of these replicates of a block.

    Every such route gives replicate r the same numbers, and so the same gradient to rounding.
    """

    @abstractmethod
    def gradients(self, block: Block, start: int, stop: int) -> Tensor: ...

    @property
    def tuning(self) -> bool:
        """Whether gradients are to be differentiated in turn: in what the estimator tunes."""
        return any(parameter.requires_grad for parameter in self.estimator.parameters())

    @property
    def footprint(self) -> int:
        return max(super().footprint, self.program.layout.size)

    def moments(self, block: Block, replicates: int, direction: Tensor | None) -> Moments:
        total: Moments | None = None
        for start, stop in self.tiles(replicates):
            of_tile = moments(self.gradients(block, start, stop), direction)
            total = of_tile if total is None else merge(total, of_tile)
        assert total is not None
        return total


def implement(estimator: Estimator, noise: Noise) -> Implementation:
    """An estimator with its noise, as what a program takes expectations by."""
    return lambda q, cost, site: estimator.expect(q, cost, noise.at(site))


def replicating(estimate: Callable[[Distribution, Cost, Noise], Tensor], block: Block, replicates: int) -> Implementation:
    """An implementation by which replicates enter: as a leading axis of the batch of every distribution that is not met inside a cost.

    What a cost is handed has them among its axes, and so has whatever it takes an expectation under.
    """
    outside, inside, depth = block.tile(0, replicates), block.one(), 0

    def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
        nonlocal depth
        noise = inside
        if depth == 0:
            q, noise = q.map(lambda value: spread(value, replicates)), outside
        depth += 1
        value = estimate(q, cost, noise.at(site))
        depth -= 1
        return value

    return implementation


def spread(value: Tensor, replicates: int) -> Tensor:
    """``[replicates, *shape]`` of equal rows, copied out and laid as `Noise` lays its numbers: expanded ones are five times slower."""
    if value.numel() <= FEW:
        return value.unsqueeze(-1).expand(*value.shape, replicates).contiguous().movedim(-1, 0)
    return value.expand(replicates, *value.shape).contiguous()


def replicate(value: Tensor, replicates: int) -> Tensor:
    """The same as a leaf, each row with a gradient of its own."""
    return spread(value.detach(), replicates).requires_grad_()
