"""A dry run of one estimate: what it draws, what it costs, what structure the engine may use, and whether it is possible at all."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from gsx.costs import Cost, MultiSample, Separable
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Block, Shape, record
from gsx.program import Program, gradient_of
from gsx.records import BrokenContract, ConfigurationError


@dataclass
class Site:
    """One place where the loss takes an expectation."""

    q: Distribution  # detached
    separable: bool  # the cost is a sum over coordinates
    nested: bool  # the expectation is taken inside the cost of another
    closes_over_leaves: bool  # the cost depends on measured parameters other than through the q it is handed
    calls: int = 1


@dataclass
class Probe:
    """What the dry run saw. All of it follows from shapes, so it is the same on every machine."""

    sites: dict[str, Site]
    draws: list[tuple[str, int, Shape]] = field(default_factory=list)
    evaluations: int = 0
    gradient_evaluations: int = 0
    saved: int = 0  # numbers that autograd holds for one backward pass, the parameters aside

    @property
    def random_numbers(self) -> int:
        return sum(math.prod(shape) for _, _, shape in self.draws)

    @property
    def counts(self) -> Counts:
        return Counts(self.evaluations, self.gradient_evaluations, self.random_numbers)


class Counts(NamedTuple):
    """What some estimates cost in all."""

    evaluations: int = 0
    gradient_evaluations: int = 0
    random_numbers: int = 0

    def times(self, estimates: int) -> Counts:
        return Counts(*(estimates * count for count in self))

    def plus(self, other: Counts) -> Counts:
        return Counts(*map(operator.add, self, other))


def sites(program: Program) -> dict[str, Site]:
    """The sites of a program, in the order in which they are met, at one point of each distribution.

    BrokenContract where the model, which may be anybody's, does not do what is asked of one.
    """
    found: dict[str, Site] = {}
    of = f"model={program.model.name}"
    leaves = program.free_leaves()
    around: list[Cost] = []

    def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
        if any(isinstance(outer, MultiSample) for outer in around):
            raise BrokenContract(f"{of}: a cost that is combined cannot take an expectation itself")
        if not isinstance(q, Distribution):
            raise BrokenContract(f"{of}: expect(q, cost) takes a distribution first, and was given a {type(q).__name__}")
        free = q.map(torch.Tensor.detach)
        if site in found:
            found[site].calls += 1
        else:
            found[site] = Site(free, isinstance(cost, Separable), bool(around), closes_over_leaves=False)
        median = torch.full((1, *q.batch_shape, *q.event_shape), 0.5, dtype=program.dtype, device=program.device)
        around.append(cost)
        value = cost(free.sample(median), free)
        if not isinstance(value, Tensor) or value.shape != (1, *q.batch_shape):
            wanted = f"one number for each point, a tensor [{', '.join(map(str, ('S', *q.batch_shape)))}]"
            raise BrokenContract(f"{of}: a cost returns {wanted}, and this one returned {_shown(value)}")
        around.pop()
        found[site].closes_over_leaves |= value.requires_grad
        return value[0]

    loss = program.loss(leaves, implementation)
    if not found:
        raise BrokenContract(f"{of}: its loss takes no expectation; loss(params, expect) calls expect(q, cost)")
    if not isinstance(loss, Tensor):
        raise BrokenContract(f"{of}: its loss is a tensor, a number for each row, and this one returned {_shown(loss)}")
    return found


def _shown(value: object) -> str:
    return f"one of {list(value.shape)} for S = 1" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def probe(program: Program, estimator: Estimator) -> Probe:
    """Run one estimate on the stream `probe`, after preparing the estimator's own parameters for each site.

    Raises ConfigurationError where the estimator does not support a distribution or the cost.
    """
    seen = Probe(sites(program))
    noise = record(Block(0, "probe", 0, program.dtype, program.device).one(), seen.draws)
    for name, site in seen.sites.items():
        reason = estimator.supports(site.q, program.model)
        if reason is not None:
            raise ConfigurationError(f"estimator={estimator.name}: {reason}")
        estimator.prepare(name, site.q, noise.at(name))
    seen.draws.clear()  # what preparing drew is no part of an estimate
    rows = max(math.prod(site.q.batch_shape) for site in seen.sites.values() if not site.nested)
    leaves = program.free_leaves()
    parameters = {leaf.data_ptr() for leaf in (*leaves.values(), *program.params.values())}

    def hold(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            seen.saved += tensor.numel()
        return tensor

    def estimate() -> None:
        noise = record(Block(0, "probe", 1, program.dtype, program.device).one(), seen.draws)

        def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
            value = estimator.expect(q, _counted(cost, math.prod(q.event_shape), rows, seen), noise.at(site))
            if not isinstance(value, Tensor):
                raise BrokenContract(f"estimator={estimator.name}: expect returns a tensor, and this one returned {_shown(value)}")
            return value

        program.mean_loss(leaves, implementation)

    try:
        with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            estimate()
    except RuntimeError as error:
        if "saved tensor hooks" not in str(error):
            raise
        # A transform of torch.func does not let us see what is held: the estimate is made again, and tiles follow from the noise alone.
        seen = Probe(seen.sites)
        estimate()
    return seen


def _counted(cost: Cost, event: int, rows: int, seen: Probe) -> Cost:
    """The same cost, each call of which is counted: a point of ``event`` numbers for each row of the minibatch is one evaluation.

    Of a cost of K samples, each of the K is one.
    """
    if isinstance(cost, MultiSample):
        return MultiSample(_counted(cost.cost, event // cost.combine.k, rows, seen), cost.combine)

    def count(z: Tensor) -> None:
        points = z.numel() // (event * rows)
        seen.evaluations += points
        seen.gradient_evaluations += points if z.requires_grad else 0

    if isinstance(cost, Separable):

        def terms(z: Tensor) -> Tensor:
            count(z)
            return cost.terms(z)

        return Separable(terms, mean=cost.mean)

    def counted(z: Tensor, q: Distribution) -> Tensor:
        before = seen.evaluations
        value = cost(z, q)
        if seen.evaluations == before:  # a cost that takes an expectation evaluates f in there
            count(z)
        return value

    return counted


def has_one_site(seen: Probe) -> bool:
    """Whether the loss takes just one expectation."""
    return len(seen.sites) == 1 and all(site.calls == 1 for site in seen.sites.values())


def weighs_by_constants(program: Program) -> bool:
    """Whether the weight that the loss gives to each expectation is free of the measured parameters."""
    return torch.equal(direct(program, 0.0), direct(program, 1.0))


def direct(program: Program, value: float) -> Tensor:
    """The gradient ``[P]`` of the loss in the parameters outside every expectation, each of which is set to ``value``."""
    leaves = program.free_leaves()
    loss = program.mean_loss(leaves, lambda q, cost, site: torch.full(q.batch_shape, value, dtype=program.dtype, device=program.device))
    return gradient_of(loss, leaves)
