"""The moments of an estimate over independent rows of data, where the gradient passes through the parameters theta of one distribution.

The gradient in row r of theta asks for the noise of row r alone, so that all rows go through their states at once, side by side. With its
mean m_r, its covariance C_r and the Jacobian J_r of theta_r in the leaves, the gradient in the leaves has the mean sum_r J_r' m_r and the
variances diag(sum_r J_r' C_r J_r), but for a term without noise.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gsx.exact_moments.axes import Axis, anywhere, count_cells
from gsx.exact_moments.estimate import Estimate
from gsx.exact_moments.integral import ROUNDING, Function, Integral
from gsx.probe import probe
from gsx.program import flatten
from gsx.routes.batched import can_batch

#: How many points are held at once, and the most numbers in a Jacobian.
AT_ONCE, MOST_NUMBERS = 2**13, 2**25
#: Points at which what is assumed is tried; other uniforms that are kept of each cell for it.
TRIES, AGAIN = 1024, 16
#: Relative to the largest gradient: below it a difference is rounding.
SAME = 1e-9
#: Rows and columns that a matrix is put together from, and the singular value, relative to the largest, below which it has none.
PIVOTS, NO_MORE = 10, 1e-11


def by_rows(estimate: Estimate, most_states: int) -> Integral | None:
    """None where the rows are not independent, or their states too many, or the gradient is not constant in each.

    What differs in a row with a probability below about 1e-2 may go unseen.
    """
    program, estimator = estimate.program, estimate.estimator
    if not program.model.independent_rows or not can_batch(program, estimate.seen):
        return None
    inner = program.at(program.params, wrt="distribution")
    in_theta = Estimate(inner, estimator, probe(inner, copy.deepcopy(estimator)))
    axes = in_theta.axes()
    if axes is None or len(inner.leaves) > 1 or not all(len(axis.cells(1)) > 1 for axis in axes):
        return None
    (theta,) = inner.leaves.values()
    if theta.numel() * program.layout.size > MOST_NUMBERS:
        return None
    rows = len(theta)

    def gradients(at: np.ndarray) -> np.ndarray:
        return in_theta(at).reshape(len(at), rows, -1)

    by_row, by_sample = _row_and_sample(in_theta)
    split = [[axis for axis in axes if by_row[axis.positions[0]] == row] for row in range(rows)]
    jacobian = _jacobian(estimate, rows)
    at = anywhere(axes, 64, in_theta.size, np.random.default_rng(7))
    constant = _constant(estimate(at), np.einsum("nrd,rdp->np", gradients(at), jacobian))
    if constant is None or not _independent(gradients, split, at):
        return None
    found = _over_all(gradients, split, in_theta.size, most_states) or _over_pairs(gradients, split, by_sample, in_theta.size, most_states)
    if found is None:
        return None
    mean = constant + np.einsum("rd,rdp->p", found.mean, jacobian)
    variance = np.einsum("rdp,rdp->p", jacobian, found.covariance @ jacobian)
    return Integral(mean, np.maximum(variance, 0.0), ROUNDING, found.points, f"{rows} independent rows, each a {found.how}")


@dataclass(frozen=True)
class _Moments:
    mean: np.ndarray  # [rows, D]
    covariance: np.ndarray  # [rows, D, D]
    points: int
    how: str


def _row_and_sample(estimate: Estimate) -> tuple[np.ndarray, np.ndarray]:
    """Of which row, and of which sample, each of the uniforms is."""
    rows, samples = [], []
    for request in estimate.requests:
        place = np.indices(request.shape)
        lead = len(request.shape) - next(iter(request.q.parameters.values())).ndim
        rows.append(place[lead].ravel())
        samples.append(place[0].ravel() if lead else np.zeros(math.prod(request.shape), dtype=int))
    return np.concatenate(rows), np.concatenate(samples)


def _jacobian(estimate: Estimate, rows: int) -> np.ndarray:
    """Of theta in the leaves, ``[rows, D, P]``."""
    program = estimate.program
    found = torch.func.jacrev(lambda at: next(iter(program.outermost(at).parameters.values())))(program.leaves)
    theta = next(iter(program.outermost(program.leaves).parameters.values()))
    return np.asarray(flatten(found, theta.ndim).numpy(force=True).reshape(rows, -1, program.layout.size))


def _constant(whole: np.ndarray, pulled: np.ndarray) -> np.ndarray | None:
    """What the gradient has besides what passes through theta; None where that is not the same everywhere."""
    beside = whole - pulled
    return beside[0] if (np.abs(beside - beside[0]) <= SAME * np.abs(whole).max()).all() else None


def _independent(gradients: Function, split: list[list[Axis]], at: np.ndarray) -> bool:
    """Whether noise of one row leaves the gradients in all others as they are."""
    still, rng = gradients(at), np.random.default_rng(8)
    for row, axes in enumerate(split):
        moved = np.abs(gradients(anywhere(axes, len(at), at.shape[1], rng, at)) - still)
        moved[:, row] = 0.0
        if moved.max() > SAME * np.abs(still).max():
            return False
    return True


class _States:
    """The states of some axes of each row, one cell for each axis, numbered alike in all rows."""

    def __init__(self, split: list[list[Axis]], depth: int, rng: np.random.Generator) -> None:
        self._sizes = [count_cells(axis, depth) for axis in split[0]]
        self._split = [[(axis, axis.cells(depth), _points(axis, depth, rng)) for axis in axes] for axes in split]
        self.count = math.prod(self._sizes)

    def weights(self, states: np.ndarray) -> np.ndarray:
        """The probabilities ``[n, rows]``."""
        cells = np.unravel_index(states, self._sizes)
        each = [np.prod([weight[cell] for (_, weight, _), cell in zip(axes, cells, strict=True)], 0) for axes in self._split]
        return np.stack(each, 1)

    def put(self, at: np.ndarray, states: np.ndarray, which: np.ndarray | int = 0) -> np.ndarray:
        """Uniforms of these states, in every row, written into ``at [n, d]``; ``which`` of those there are for each."""
        cells = np.unravel_index(states, self._sizes)
        for axes in self._split:
            for (axis, _, points), cell in zip(axes, cells, strict=True):
                at[:, axis.positions] = points[cell, which]
        return at


def _points(axis: Axis, depth: int, rng: np.random.Generator) -> np.ndarray:
    """``[K, AGAIN, positions]``."""
    count = count_cells(axis, depth)
    return axis.inside(depth, np.repeat(np.arange(count), AGAIN), rng).reshape(count, AGAIN, -1)


def _states(split: list[list[Axis]], depth: int, most: int) -> _States | None:
    """None where they are too many, or not the same in all rows."""
    sizes = {tuple(count_cells(axis, depth) for axis in axes) for axes in split}
    if len(sizes) > 1 or math.prod(sizes.pop()) * len(split) > most:
        return None
    return _States(split, depth, np.random.default_rng(9))


def _constant_in(states: Sequence[_States], gradients: Function, size: int) -> bool:
    """Whether the gradients are the same everywhere in a state, tried in random ones."""
    rng = np.random.default_rng(10)
    one, other = np.empty((TRIES, size)), np.empty((TRIES, size))
    for group in states:
        chosen = rng.integers(0, group.count, TRIES)
        for at in (one, other):
            group.put(at, chosen, rng.integers(0, AGAIN, TRIES))
    there = gradients(one)
    return bool(np.abs(gradients(other) - there).max() <= ROUNDING * np.abs(there).max())


def _over_all(gradients: Function, split: list[list[Axis]], size: int, most_states: int) -> _Moments | None:
    """Every state of a row."""
    for depth in range(1, max(axis.depths for axes in split for axis in axes) + 1):
        states = _states(split, depth, most_states)
        if states is None:
            return None
        if _constant_in([states], gradients, size):
            return _summed(states, gradients, size)
    return None


def _summed(states: _States, gradients: Function, size: int) -> _Moments:
    first: np.ndarray | float = 0.0
    second: np.ndarray | float = 0.0
    shift = gradients(states.put(np.empty((1, size)), np.zeros(1, dtype=int)))
    for start in range(0, states.count, AT_ONCE):
        chosen = np.arange(start, min(start + AT_ONCE, states.count))
        values = (gradients(states.put(np.empty((len(chosen), size)), chosen)) - shift).transpose(1, 0, 2)  # [rows, n, D]
        weighted = values * states.weights(chosen).T[..., None]
        first = first + weighted.sum(1)
        second = second + weighted.transpose(0, 2, 1) @ values
    mean = np.asarray(first)
    covariance = second - mean[..., :, None] * mean[..., None, :]
    return _Moments(mean + shift[0], covariance, states.count, f"sum over {states.count} states")


def _over_pairs(gradients: Function, split: list[list[Axis]], by_sample: np.ndarray, size: int, most_states: int) -> _Moments | None:
    """Every pair of states of two samples: a matrix of low rank, M = C G R, from a few of its columns C and of its rows R.

    The pseudo-inverse G is that of where they meet. Leave-one-out of two samples is (f - f')(s - s') / 2, of rank four at most.
    """
    if set(by_sample) != {0, 1}:
        return None
    halves = [[[axis for axis in axes if by_sample[axis.positions[0]] == sample] for axes in split] for sample in (0, 1)]
    pair = [_states(half, 1, most_states // (2 * PIVOTS)) for half in halves]
    left, right = pair
    if left is None or right is None or not _constant_in([left, right], gradients, size):
        return None
    rng = np.random.default_rng(11)

    def values(at_left: np.ndarray, at_right: np.ndarray) -> np.ndarray:
        """``[rows, D, left, right]``."""
        one, other = (one.ravel() for one in np.meshgrid(at_left, at_right, indexing="ij"))
        found = []
        for start in range(0, len(one), AT_ONCE):
            chosen = slice(start, start + AT_ONCE)
            at = left.put(np.empty((len(one[chosen]), size)), one[chosen])
            found.append(gradients(right.put(at, other[chosen])))
        return np.moveaxis(np.concatenate(found), 0, -1).reshape(*found[0].shape[1:], len(at_left), len(at_right))

    pivots = [rng.choice(states.count, min(PIVOTS, states.count), replace=False) for states in (left, right)]
    every = [np.arange(states.count) for states in (left, right)]
    columns, rows = values(every[0], pivots[1]), values(pivots[0], every[1])
    columns = columns @ np.linalg.pinv(columns[..., pivots[0], :], rcond=NO_MORE)
    tried = [rng.integers(0, states.count, 32) for states in (left, right)]
    there = values(*tried)
    if np.abs(columns[..., tried[0], :] @ rows[..., tried[1]] - there).max() > SAME * np.abs(there).max():
        return None
    weights = [states.weights(all_of) for states, all_of in zip((left, right), every, strict=True)]
    mean = np.einsum("rn,rdnk,rdkm,rm->rd", weights[0].T, columns, rows, weights[1].T, optimize=True)
    of_columns = np.einsum("rn,rdnk,renl->rdekl", weights[0].T, columns, columns, optimize=True)
    of_rows = np.einsum("rm,rdkm,relm->rdekl", weights[1].T, rows, rows, optimize=True)
    covariance = (of_columns * of_rows).sum((-1, -2)) - mean[..., :, None] * mean[..., None, :]
    return _Moments(mean, covariance, left.count * right.count, f"sum over {left.count} x {right.count} states of two samples")
