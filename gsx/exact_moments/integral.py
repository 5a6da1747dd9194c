"""The mean and the variance of a function of a few axes: by cells where it is constant in each, else by quadrature."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gsx.exact_moments.axes import Axis, Interval, Ranking, count_cells

#: Points at which a function of some axes is evaluated; and at least so many show that it is constant in cells, two or more in each.
MOST_POINTS, WITNESSES = 2**18, 4096
#: And the numbers that all of these points may be: what is held at once is several times as much.
MOST_NUMBERS = 2**22
#: Relative: what two evaluations of one number may differ by, and what two orders of a quadrature may.
ROUNDING, AGREEMENT = 1e-10, 1e-7

#: Random numbers that a quadrature must agree with, to so many standard errors.
SAMPLE, DOUBT = 2**16, 6.0

#: Gradients ``[n, P]`` at points ``[n, d]``.
Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Integral:
    mean: np.ndarray  # [P]
    variance: np.ndarray  # [P]
    error: float  # relative
    points: int
    how: str


def by_cells(function: Function, axes: Sequence[Axis], base: np.ndarray) -> Integral | None:
    """Over these axes, all other numbers at ``base [d]``: every cell with its probability, where the function is constant in each.
    That is tried at random points of it; None where it is not so.

    What differs with a probability below about 1e-3 may go unseen.
    """
    rng = np.random.default_rng(0)
    for depth in range(1, max(axis.depths for axis in axes) + 1):
        count = math.prod(count_cells(axis, depth) for axis in axes)
        if count > MOST_POINTS or count * len(base) > MOST_NUMBERS:
            return None
        each = [axis.cells(depth) for axis in axes]
        cell = np.indices([len(weights) for weights in each]).reshape(len(axes), -1)
        weight = np.prod([weights[k] for weights, k in zip(each, cell, strict=True)], 0)
        tries = max(2, WITNESSES // count)
        at = np.tile(base, (tries * count, 1))
        for axis, k in zip(axes, np.tile(cell, tries), strict=True):
            at[:, axis.positions] = axis.inside(depth, k, rng)
        values = function(at).reshape(tries, count, -1)
        if np.abs(values - values[0]).max() <= ROUNDING * np.abs(values).max():
            return moments(values[0], weight, ROUNDING, f"sum over {count} cells of {_numbers(axes)}")
    return None


def by_quadrature(function: Function, axes: Sequence[Axis], base: np.ndarray) -> Integral | None:
    """The same by a product of rules in one dimension, refined until two orders agree and random numbers do not contradict.

    A jump that no axis knows of, and that matters with a probability below about 1e-2, may go unseen.
    """
    intervals: list[Interval] = []
    for axis in axes:
        if isinstance(axis, Ranking):  # its noise is smooth in every number
            intervals += [Interval(position, []) for position in axis.positions]
        elif isinstance(axis, Interval):
            intervals.append(axis)
        else:
            return None
    positions = np.concatenate([axis.positions for axis in intervals])
    whole = all(len(axis.edges) == 2 for axis in intervals)
    for orders in (POLYNOMIAL, GAUSSIAN, LOGISTIC):
        if orders is GAUSSIAN and not whole:
            continue
        previous: Integral | None = None
        for rule in orders:
            each = [rule(axis.edges) for axis in intervals]
            points = math.prod(len(u) for u, _ in each)
            if points > MOST_POINTS or points * len(base) > MOST_NUMBERS:
                break
            at = np.tile(base, (points, 1))
            at[:, positions] = np.stack([x.ravel() for x in np.meshgrid(*(u for u, _ in each), indexing="ij")], 1)
            weight = functools.reduce(np.multiply.outer, [w for _, w in each]).ravel()
            how = f"quadrature over {_numbers(axes)}, {' x '.join(str(len(u)) for u, _ in each)} nodes"
            current = moments(function(at), weight / weight.sum(), 0.0, how)
            error = math.inf if previous is None else difference(current, previous)
            if error <= AGREEMENT and not refuted(function, axes, base, current):
                return dataclasses.replace(current, error=error)
            previous = current
    return None


def refuted(function: Function, axes: Sequence[Axis], base: np.ndarray, found: Integral) -> bool:
    """Whether random numbers contradict: a jump that no rule was told of can lie between the nodes of two orders alike."""
    rng = np.random.default_rng(0)
    at = np.tile(base, (SAMPLE, 1))
    for axis in axes:
        at[:, axis.positions] = rng.random((SAMPLE, len(axis.positions)))
    off = function(at) - found.mean
    size = float((found.mean**2 + found.variance).max())
    for errors in (off, off**2 - found.variance):
        slack = 10 * AGREEMENT * (math.sqrt(size) if errors is off else size)
        if (np.abs(errors.mean(0)) > DOUBT * errors.std(0) / math.sqrt(SAMPLE) + slack).any():
            return True
    return False


def _numbers(axes: Sequence[Axis]) -> str:
    count = sum(len(axis.positions) for axis in axes)
    return f"{count} random number{'s' if count > 1 else ''}"


def moments(values: np.ndarray, weight: np.ndarray, error: float, how: str) -> Integral:
    mean = weight @ values
    return Integral(mean, weight @ (values - mean) ** 2, error, len(weight), how)


def difference(a: Integral, b: Integral) -> float:
    """Relative to the size of the gradient for the means, to the largest variance for the variances; infinite where one is not finite."""
    size = math.sqrt(float((a.mean**2 + a.variance).max()))
    of_mean, of_variance = float(np.abs(a.mean - b.mean).max()), float(np.abs(a.variance - b.variance).max())
    if size == 0 or not math.isfinite(size + of_mean + of_variance):
        return 0.0 if size == 0 and of_mean == of_variance == 0 else math.inf
    largest = max(float(a.variance.max()), 1e-20 * size**2)
    return max(of_mean / size, of_variance / largest)


# ----------------------------------------------------------------------------------------------------------- rules in one dimension

#: From edges in (0, 1) to nodes and weights.
Rule = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _panels(edges: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre in each panel."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    middle, half = (edges[1:, None] + edges[:-1, None]) / 2, np.diff(edges)[:, None] / 2
    return (middle + half * x).ravel(), (half * w).ravel()


def _polynomial(nodes: int) -> Rule:
    """In the number itself: exact for what is a polynomial in each cell."""
    return lambda edges: _panels(edges, nodes)


def _gaussian(nodes: int) -> Rule:
    """Gauss-Hermite, in the normal number that a uniform is turned into."""
    eps, weight = np.polynomial.hermite_e.hermegauss(nodes)
    u = torch.special.ndtr(torch.from_numpy(eps)).numpy()
    return lambda edges: (np.clip(u, 2.0**-1000, 1 - 2.0**-53), weight / math.sqrt(2 * math.pi))


#: A uniform beyond this logit is 1 in float64.
_FURTHEST = 36.0
#: From where on panels widen, as the law falls off.
_MIDDLE = 4.0


def _logistic(width: float, least: int) -> Rule:
    """In the logit of the number, in panels of about this width, and at least so many between jumps: for what is smooth in a latent.

    That no panel stays as it was is what makes two orders' agreement say something.
    """

    def rule(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        jumps = np.log(edges[1:-1]) - np.log1p(-edges[1:-1])
        # The median is a place to jump at, too: where a number gives a sign.
        at = _narrowed(np.unique([-_FURTHEST, 0.0, *jumps[np.abs(jumps) < _FURTHEST], _FURTHEST]))
        pieces = [np.linspace(low, high, max(least, math.ceil((high - low) / width)) + 1) for low, high in itertools.pairwise(at)]
        node, weight = _panels(_widened(np.unique(np.concatenate(pieces))), 8)
        u = np.exp(-np.logaddexp(0.0, -node))
        return u, weight * u * np.exp(-np.logaddexp(0.0, node))

    return rule


def _graded(width: float, nodes: int) -> Rule:
    """In the logit of the number, in panels of this width beside each jump that double away from it: for what is steep there, and jumps
    nowhere else."""

    def rule(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        jumps = np.log(edges[1:-1]) - np.log1p(-edges[1:-1])
        jumps = jumps[np.abs(jumps) < _FURTHEST] if len(jumps) else np.zeros(1)
        steps = width * (2.0 ** np.arange(math.ceil(math.log2(2 * _FURTHEST / width)) + 1) - 1)
        at = jumps[:, None] + np.concatenate((-steps, steps))
        nearest = np.abs(at - jumps[:, None]) <= np.abs(at[..., None] - jumps).min(-1)
        node, weight = _panels(np.unique([-_FURTHEST, *at[nearest & (np.abs(at) < _FURTHEST)], _FURTHEST]), nodes)
        u = np.exp(-np.logaddexp(0.0, -node))
        return u, weight * u * np.exp(-np.logaddexp(0.0, node))

    return rule


def _narrowed(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.sign(x) * _MIDDLE * np.log1p(np.abs(x) / _MIDDLE))


def _widened(s: np.ndarray) -> np.ndarray:
    return np.asarray(np.sign(s) * _MIDDLE * np.expm1(np.abs(s) / _MIDDLE))


POLYNOMIAL = [_polynomial(nodes) for nodes in (2, 3, 4)]
# Even and odd by turns: two even orders have no node in the middle, and would not see a jump near it.
GAUSSIAN = [_gaussian(nodes) for nodes in (4, 7, 10, 15, 20, 27, 36, 49, 64, 91, 128)]
LOGISTIC = [_logistic(2 * 0.7**order, order + 1) for order in range(11)]
GRADED = [_graded(2 * 0.6**order, order + 5) for order in range(12)]
