"""Whether an estimator is unbiased, tested in both directions against exact gradients, with power; and that a planted bug would show.

The checks of one family share an error of 1e-3: another seed fails one run of all of them in a thousand. A check refuses to pass where a
bias of 2 % of the largest coordinate of the gradient would not be seen with probability 0.999. Of 5 %, where another look at 2 % stands
beside it: with more samples, and with settings that are not the default, which are looked at once; and on problems whose draws are slow, of
5 % where no three others are, of 10 % where they are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from gsx.costs import Cost, MultiSample
from gsx.distributions import Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.models.base import Model
from gsx.moments import merge
from gsx.noise import Block, Noise
from gsx.probe import probe
from gsx.program import Program
from gsx.reference import ReferenceSettings, reference_gradient
from gsx.routes import materialising
from gsx.surrogate import zero
from gsx.testing.problems import PROBLEMS, Problem
from gsx.testing.problems.continuous import GaussianStep
from gsx.testing.subject import CPU, NotApplicable, Subject, require
from gsx.tune import warm_up

FAMILY_WISE_ERROR, POWER = 1e-3, 0.999
#: The bias that must be visible, relative to max |gradient|; at a second look; and on a slow problem that others make up for.
VISIBLE, VISIBLE_AGAIN, VISIBLE_IF_SPARE = 0.02, 0.05, 0.1
#: A block of replicates, and one of draws that are slow; the fewest and the most of them.
SIZE, SLOW, LEAST, MOST = 2**13, 2**12, 2, 2**10
#: After which parts of the replicates a bias that must be visible may be ruled out already: mostly at the second.
SOONER = (1 / 3, 1 / 2, 2 / 3)


@dataclass(frozen=True)
class Look:
    """One z-test of a mean gradient against the exact one."""

    excess: float  # max of |bias| over its threshold: above 1, a bias is seen
    visible: float  # the bias that would have been seen with probability POWER, relative to max |gradient|
    bias: float  # relative to max |gradient|
    replicates: int

    @property
    def biased(self) -> bool:
        return self.excess > 1


def look(
    problem: Problem,
    estimator: Estimator,
    *,
    tests: int,
    dtype: torch.dtype = torch.float64,
    visible: float = VISIBLE,
    most: int | None = None,
) -> Look:
    """R follows from the variance in a pilot on other noise, so that a bias of ``visible`` is seen; each coordinate of each of ``tests``
    tests gets its share of the family-wise error.

    A bias is found at the end only. That there is none as large may be seen sooner, which costs half of what POWER leaves; given ``most``,
    no size of it matters, and all of them are computed.
    """
    program = Program(problem.model, dtype=dtype)
    truth = _truth(problem.model, dtype)
    seen = probe(program, estimator)
    warm_up(estimator, program, seed=4)
    route = materialising(program, estimator, seen)
    scale = float(np.abs(truth).max())
    threshold = NormalDist().inv_cdf(1 - FAMILY_WISE_ERROR / (2 * tests * len(truth)))
    missed, size = (1 - POWER) / 2, SLOW if problem.slow else SIZE
    power, sooner = NormalDist().inv_cdf(1 - missed), NormalDist().inv_cdf(1 - missed / len(SOONER))
    pilot = route.moments(Block(4, "pilot", 0, dtype, CPU), size, None)
    sd = float((pilot.second / size).sqrt().max())
    wanted = max(LEAST, 1.05 * ((threshold + power) * sd / (visible * scale)) ** 2 / size)
    looks = {max(LEAST, math.ceil(part * wanted)) for part in SOONER}
    total = route.moments(Block(4, "base", 0, dtype, CPU), size, None)
    index, seen_from = 1, math.inf
    # A pilot may miss what is rare: more replicates follow where the power is not there yet.
    while index < most if most else index < MOST and (index < wanted or seen_from >= visible):
        merge(total, route.moments(Block(4, "base", index, dtype, CPU), size, None))
        index += 1
        bias, se = np.abs(total.mean.numpy() - truth), (total.second / total.count).sqrt().numpy() / math.sqrt(total.count)
        seen_from = float((threshold + power) * se.max() / scale)
        if not most and index in looks and (ruled_out := float((bias + sooner * se).max() / scale)) < visible:
            seen_from = ruled_out
            break
    rounding = (1e-8 if dtype == torch.float64 else 1e-5) * scale
    excess = float((bias / (threshold * se + rounding)).max())
    return Look(excess, seen_from, float(bias.max() / scale), total.count)


@functools.cache
def _truth(model: Model, dtype: torch.dtype) -> np.ndarray:
    """Once for all estimators: an integral of three dimensions takes longer than a look."""
    return reference_gradient(Program(model, dtype=dtype), ReferenceSettings(), seed=0).gradient


def _problems(subject: Subject, wanted: Callable[[Problem], bool] = lambda problem: True) -> dict[str, Problem]:
    fitting = {name: problem for name, problem in PROBLEMS.items() if wanted(problem) and subject.is_for(problem.model)}
    return {name: problem for name, problem in fitting.items() if subject.supports(problem.model)}


def unbiased_where_it_says_so(subject: Subject) -> None:
    """On every problem it supports, in float64 with the fewest samples and, of default settings, in float32 with more: at least three, none
    of them separable, one whose cost depends on q."""
    if not subject.kind.unbiased:
        raise NotApplicable("declared biased")
    if subject.is_exact:
        raise NotApplicable("it is the truth that the others are held against")
    fitting = _problems(subject, lambda problem: subject.make(None).biased_because(problem.model) is None)
    if not fitting:
        raise NotApplicable("no problem is known for its distributions")
    require(len(fitting) >= 3, f"it can be tested on {len(fitting)} problems only, and three are wanted")
    require(any(problem.direct for problem in fitting.values()), "no problem it supports has a cost that depends on the parameters")
    tests = 2 * len(fitting) * subject.family
    fast_ones_suffice = sum(not problem.slow for problem in fitting.values()) >= 3
    for name, problem in fitting.items():
        spare = problem.slow and fast_ones_suffice
        if spare and not subject.is_default:
            continue
        first = VISIBLE_IF_SPARE if spare else VISIBLE if subject.is_default and not problem.slow else VISIBLE_AGAIN
        looks = [(torch.float64, first), (torch.float32, VISIBLE_AGAIN)]
        for dtype, visible in looks[:1] if spare or not subject.is_default else looks:
            # The fewest samples in one precision and more in the other: a factor may be right for one number of them only.
            estimator = subject.make(None if dtype == torch.float64 else subject.samples(1))
            seen = look(problem, estimator, tests=tests, dtype=dtype, visible=visible)
            where = f"{name} in {str(dtype).removeprefix('torch.')}, N = {estimator.num_samples}, {seen.replicates} replicates"
            require(not seen.biased, f"declared unbiased, and biased by {seen.bias:.1%} of max|gradient| on {where}")
            require(seen.visible < visible, f"a bias of {visible:.0%} could not be seen on {where}: it varies too much")


def biased_where_it_says_so(subject: Subject) -> None:
    """On at least one of the cubic costs: who is not caught there may be unbiased, and should say so."""
    if subject.kind.unbiased:
        raise NotApplicable("declared unbiased")
    fitting = _problems(subject, lambda problem: problem.cubic)
    if not fitting:
        raise NotApplicable("no problem is known for its distributions")
    caught = any(look(problem, subject.make(None), tests=len(fitting) * subject.family, most=32).biased for problem in fitting.values())
    require(caught, f"declared biased, and no bias is seen on {', '.join(fitting)}: it may be unbiased, and should say so")


def its_condition_is_meant(subject: Subject) -> None:
    """On a cost that jumps, who has a condition is biased and says so, and who has none is not; so is, on some problem, who has one on
    the direct term."""
    step = Problem(GaussianStep())
    estimator = subject.make(None)
    if subject.is_exact or not subject.kind.unbiased or not issubclass(Normal, subject.kind.distributions):
        raise NotApplicable("it is not an unbiased estimator of Gaussians")
    conditional = {name: problem for name, problem in _problems(subject).items() if estimator.biased_because(problem.model) is not None}
    tests = (1 + len(conditional)) * subject.family
    if subject.is_for(step.model) and subject.supports(step.model):
        reason, biased = estimator.biased_because(step.model), look(step, subject.make(None), tests=tests).biased
        require(
            biased == (reason is not None), f"on a cost that jumps it is {'' if biased else 'un'}biased, and says {reason or 'nothing'}"
        )
    for name, problem in conditional.items():
        seen = look(problem, subject.make(None), tests=tests)
        require(seen.biased, f"on {name} it is unbiased, and says {estimator.biased_because(problem.model)}")


class _Planted(Estimator):
    """An estimator with a bug: its gradient scaled, or its direct term lost."""

    unbiased, needs_cost_gradient, distributions, evaluations, citation = True, False, (Distribution,), "as the other", "none"

    def __init__(self, inner: Estimator, factor: float, direct: bool) -> None:
        super().__init__(num_samples=inner.num_samples)
        self.inner, self.factor, self.direct, self.warmup = inner, factor, direct, inner.warmup

    def prepare(self, site: str, q: Distribution, noise: Noise) -> None:
        self.inner.prepare(site, q, noise)

    def update(self, q: Distribution, cost: Cost, noise: Noise) -> None:
        self.inner.update(q, cost, noise)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        value = self.inner.expect(q, cost if self.direct else _deaf(cost), noise)
        return value.detach() + self.factor * zero(value)


def _deaf(cost: Cost) -> Cost:
    """The same cost with q held fixed."""
    if isinstance(cost, MultiSample):
        return MultiSample(_deaf(cost.cost), cost.combine)
    return lambda z, q: cost(z, q.map(Tensor.detach))


def a_planted_bug_shows(subject: Subject) -> None:
    """A gradient with the wrong sign, one 5 % too short, and one without its direct term are each seen on some problem.

    By looks that see a bias as large as the bug's, and so less than those of the test itself.
    """
    if not subject.kind.unbiased or subject.is_exact:
        raise NotApplicable("bugs are planted in unbiased estimators")
    fitting = _problems(subject, lambda problem: subject.make(None).biased_because(problem.model) is None)
    bugs = [("a wrong sign", fitting, -1.0, True, 1.0), ("a gradient 5 % too short", fitting, 0.95, True, 0.05)]
    if "other" in subject.kind.direct_terms:  # who has a condition on the direct term replaces it, and loses nothing
        direct = {name: problem for name, problem in fitting.items() if problem.direct}
        bugs.append(("a lost direct term", direct, 1.0, False, 0.05))
    for bug, problems, factor, keeps, visible in bugs:
        if not problems:
            raise NotApplicable("no problem is known for its distributions")
        caught = any(
            look(problem, _Planted(subject.make(None), factor, keeps), tests=subject.family, visible=visible).biased
            for problem in problems.values()
        )
        require(caught, f"{bug} is not seen on {', '.join(problems)}: the test of bias has no teeth for it")
