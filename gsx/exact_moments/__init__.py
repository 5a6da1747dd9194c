"""The exact mean and variance of an estimator: its noise replayed at nodes, with weights, instead of at random numbers.

An estimate is a function of the d uniforms it draws, so that its moments are integrals over a cube. Which of these numbers act together is
found by trying, not declared: where the mixed second differences of the function in two of them vanish, it is a sum of functions of the
parts, and a variance is the sum of theirs. A separable cost falls apart like this, an average of N independent estimates has one N-th of
the variance of one, and where no three numbers act together they are taken two by two. Rows of data that are independent go through
their states side by side.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gsx.estimators.base import Estimator
from gsx.exact_moments.axes import Axis, anywhere
from gsx.exact_moments.copies import copies
from gsx.exact_moments.estimate import Estimate
from gsx.exact_moments.gaps import by_gaps
from gsx.exact_moments.integral import Function, Integral, by_cells, by_quadrature
from gsx.exact_moments.pairs import by_pairs
from gsx.exact_moments.rows import by_rows
from gsx.probe import Probe, probe
from gsx.process import one_thread_each
from gsx.program import Program

__all__ = ["ExactMoments", "exact_moments"]

#: Axes above which what acts together is not looked for, and how often a pair of them is tried.
MOST_AXES, TRIES = 64, 64
#: A second difference below this, relative to the largest gradient, is rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class ExactMoments:
    """Of the gradient of one N-sample estimate, per coordinate ``[P]`` float64."""

    mean: np.ndarray
    variance: np.ndarray
    error: float  # relative: what the last refinement still changed, or rounding
    how: str

    @property
    def total_variance(self) -> float:
        """The trace of the covariance, which is what a result calls its variance."""
        return float(self.variance.sum())


@one_thread_each()
def exact_moments(
    program: Program,
    estimator: Estimator,
    seen: Probe | None = None,
    known: dict[int, ExactMoments | None] | None = None,
    most_states: int = 2**24,
) -> ExactMoments | None:
    """The moments in float64, at the program's numbers as they are rounded; None where they are out of reach.

    ``seen`` is the probe of an estimator that has been prepared already, and tuned: its own parameters are then taken as they are.
    ``known`` is what was found of the same estimator with other numbers of samples, by these numbers; it is added to.
    ``most_states`` of all rows of data are gone through, a million of them in a few seconds.
    Raises ConfigurationError where the estimator does not support the model.
    """
    program, estimator = program.in_float64(), copy.deepcopy(estimator)
    seen = probe(program, estimator) if seen is None else seen
    estimator.double()
    for parameter in estimator.parameters():
        parameter.requires_grad_(False)
    estimate = Estimate(program, estimator, seen)
    if not estimate.replays():
        return None
    one = copy.deepcopy(estimator)
    one.num_samples = estimator.least_samples
    of_one = Estimate(program, one, probe(program, copy.deepcopy(one)))
    count = copies(estimate, of_one)
    known, part = {} if known is None else known, estimate if count == 1 else of_one
    samples = part.estimator.num_samples
    if samples not in known:
        known[samples] = _integrated(part, most_states)
    found = known[samples]
    if found is None or count == 1:
        return found
    how = f"average of {count} independent estimates, each a {found.how}"
    return dataclasses.replace(found, variance=found.variance / count, how=how)


def _integrated(gradients: Estimate, most_states: int) -> ExactMoments | None:
    """Each coordinate of the gradient as a sum over the parts its numbers fall into."""
    axes, size = gradients.axes(), gradients.size
    if axes is None:
        return None
    if len(axes) > MOST_AXES:
        base = anywhere(axes, 1, size, np.random.default_rng(1))[0]
        whole = by_rows(gradients, most_states) or by_pairs(gradients, axes, base)
        return None if whole is None else ExactMoments(whole.mean, whole.variance, whole.error, whole.how)
    base, together = _interactions(gradients, axes, size)
    at_base = gradients(base[None])[0]
    mean, variance, error, hows = at_base.copy(), np.zeros_like(at_base), 0.0, [(1, "no random numbers")]
    integrals: dict[tuple[int, ...], Integral] = {}
    for i in range(len(at_base)):
        for part in _parts(together[i]):
            if part not in integrals:
                found = _integral(gradients, [axes[a] for a in part], base)
                if found is None:
                    return None
                integrals[part] = found
            integral = integrals[part]
            mean[i] += integral.mean[i] - at_base[i]
            variance[i] += integral.variance[i]
            error = max(error, integral.error)
            hows.append((integral.points, integral.how))
    parts = f"{len(integrals)} independent parts, the largest a " if len(integrals) > 1 else ""
    return ExactMoments(mean, variance, error, parts + max(hows)[1])


def _integral(gradients: Function, axes: Sequence[Axis], base: np.ndarray) -> Integral | None:
    rules = by_cells, by_gaps, by_quadrature, by_pairs
    return next((found for rule in rules if (found := rule(gradients, axes, base)) is not None), None)


def _interactions(gradients: Function, axes: list[Axis], size: int) -> tuple[np.ndarray, np.ndarray]:
    """A point ``[d]`` to start from, and which axes act together on each coordinate of the gradient, ``[P, A, A]``.

    Tried at points that hit each cell alike, lest what happens in a rare state goes unseen.
    """
    rng = np.random.default_rng(1)
    one, other = (anywhere(axes, TRIES, size, rng) for _ in range(2))

    def moved(*which: Axis) -> np.ndarray:
        at = one.copy()
        for axis in which:
            at[:, axis.positions] = other[:, axis.positions]
        return gradients(at)

    still, single = moved(), [moved(axis) for axis in axes]
    scale = np.abs([still, *single]).max((0, 1))
    together = np.zeros((still.shape[1], len(axes), len(axes)), dtype=bool)
    for a in range(len(axes)):
        for b in range(a):
            mixed = np.abs(moved(axes[a], axes[b]) - single[a] - single[b] + still).max(0)
            together[:, a, b] = together[:, b, a] = mixed > ROUNDING * scale
    return one[0], together


def _parts(together: np.ndarray) -> Iterator[tuple[int, ...]]:
    """The connected components of a graph ``[A, A]``."""
    left = set(range(len(together)))
    while left:
        part, reached = set(), {min(left)}
        while reached:
            a = reached.pop()
            part.add(a)
            reached |= {int(b) for b in np.flatnonzero(together[a])} - part
        left -= part
        yield tuple(sorted(part))
