"""The mean and the variance of a sum of functions of at most two axes each, however many axes there are.

A cost that is a sum over the coordinates, times a score, is of this kind, and so is leave-one-out of any number of samples on it. The
parts are those of Hoeffding (1948): f = E f + sum_i u_i + sum_ij u_ij, all of them uncorrelated, where u_i is what is left of f once all
but x_i is averaged out. They follow from the values of f where two numbers at most are moved from one point.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gsx.exact_moments import integral
from gsx.exact_moments.axes import Axis, Interval, anywhere
from gsx.exact_moments.integral import Function, Integral

#: Numbers of all points, or of all gradients there, above which it takes minutes: of cells, which are tried once, and of nodes, which are
#: refined. And how many are held at once.
MOST_OF_CELLS, MOST_OF_NODES, AT_ONCE = 2**27, 2**25, 2**19
#: Points at which the sum is compared with the function itself, and triples of axes that are tried first.
TRIES, TRIPLES = 16, 64
#: Relative to the largest gradient: below the one a mixed difference is rounding, and by the other the sum may miss the function.
ROUNDING, MISSED = 1e-11, 1e-8


def by_pairs(function: Function, axes: Sequence[Axis], base: np.ndarray) -> Integral | None:
    """Over these axes, all other numbers at ``base [d]``; None where three of them act together, or no rule settles."""
    intervals = [axis for axis in axes if isinstance(axis, Interval)]
    if not 3 <= len(axes) == len(intervals) or _three_act_together(function, intervals, base):
        return None
    rng = np.random.default_rng(3)
    whole = all(len(axis.edges) == 2 for axis in intervals)
    depths = range(1, max(axis.depths for axis in intervals) + 1)
    for depth in () if whole else depths:
        found = _summed(function, _Grid.of_cells(intervals, depth, rng), base, "cells", MOST_OF_CELLS)
        if found is not None:
            return found
    for orders, depth in itertools.product((integral.POLYNOMIAL, integral.GAUSSIAN if whole else [], integral.GRADED), depths):
        previous: Integral | None = None
        for rule in orders:
            current = _summed(function, _Grid.of_nodes(intervals, depth, rule), base, "nodes", MOST_OF_NODES)
            if current is None:
                return None
            error = math.inf if previous is None else integral.difference(current, previous)
            if error <= integral.AGREEMENT and not integral.refuted(function, axes, base, current):
                return dataclasses.replace(current, error=error)
            previous = current
    return None


def _three_act_together(function: Function, intervals: list[Interval], base: np.ndarray) -> bool:
    """Whether a third mixed difference is seen: soon, where most triples act together, or most neighbours."""
    rng = np.random.default_rng(4)
    stride = np.where(np.arange(TRIPLES) % 2, 1, rng.integers(1, (len(intervals) - 1) // 2 + 1, TRIPLES))
    chosen = (rng.integers(0, len(intervals), TRIPLES)[:, None] + stride[:, None] * np.arange(3)) % len(intervals)
    positions = np.array([axis.positions[0] for axis in intervals])[chosen]
    one, other = (anywhere(intervals, TRIPLES, len(base), rng, base) for _ in range(2))
    mixed, largest = 0.0, 0.0
    for moved in np.ndindex(2, 2, 2):
        at = one.copy()
        for which in np.flatnonzero(moved):
            at[np.arange(TRIPLES), positions[:, which]] = other[np.arange(TRIPLES), positions[:, which]]
        values = function(at)
        mixed, largest = mixed + (-1) ** sum(moved) * values, np.maximum(largest, np.abs(values).max(0))
    return bool((np.abs(mixed) > MISSED * largest).any())


@dataclass(frozen=True)
class _Grid:
    """Points of each axis ``[A, K + 1]`` with their weights; the last is the heaviest, and there may be several of it with no weight.

    ``again [A, K + 1, TRIES]``: other points at which the function must be the same.
    """

    positions: np.ndarray
    points: np.ndarray
    weights: np.ndarray
    again: np.ndarray

    @classmethod
    def of_cells(cls, intervals: list[Interval], depth: int, rng: np.random.Generator) -> _Grid:
        rows = []
        for axis in intervals:
            weights = axis.cells(depth)
            inside = axis.inside(depth, np.repeat(np.arange(len(weights)), TRIES + 1), rng).reshape(len(weights), -1)
            rows.append((inside[:, 0], weights, inside[:, 1:]))
        return cls._of(intervals, rows)

    @classmethod
    def of_nodes(cls, intervals: list[Interval], depth: int, rule: integral.Rule) -> _Grid:
        rows = []
        for axis in intervals:
            points, weights = rule(axis.cut(depth))
            rows.append((points, weights / weights.sum(), np.repeat(points[:, None], TRIES, 1)))
        return cls._of(intervals, rows)

    @classmethod
    def _of(cls, intervals: list[Interval], rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> _Grid:
        most = max(len(points) for points, _, _ in rows)
        laid = []
        for points, weights, again in rows:
            heaviest = int(weights.argmax())
            order = np.append(np.delete(np.arange(len(points)), heaviest), heaviest)
            order = np.concatenate([np.full(most - len(points), heaviest), order])
            laid.append((points[order], np.where(np.arange(most) < most - len(points), 0.0, weights[order]), again[order]))
        points, weights, again = (np.stack(part) for part in zip(*laid, strict=True))
        return cls(np.array([axis.positions[0] for axis in intervals]), points, weights, again)


def _summed(function: Function, grid: _Grid, base: np.ndarray, kind: str, most_numbers: int) -> Integral | None:
    """None where the function is not the sum, or the points are too many."""
    size, most = grid.points.shape[0], grid.points.shape[1] - 1
    positions, points, weights = grid.positions, grid.points[:, :-1], grid.weights[:, :-1]
    anchor = base.copy()
    anchor[positions] = grid.points[:, -1]
    at_anchor = function(anchor[None])[0]
    count, width = size * (size - 1) // 2 * most**2, max(len(base), len(at_anchor))
    if count * width > most_numbers:
        return None
    rng = np.random.default_rng(5)
    chosen = rng.integers(0, most + 1, (TRIES, size))
    at = np.tile(base, (TRIES, 1))
    at[:, positions] = grid.again[np.arange(size), chosen, np.arange(TRIES)[:, None]]
    there = function(at)
    largest = np.maximum(np.abs(there).max(0), np.abs(at_anchor))

    at = np.tile(anchor, (size, most, 1))
    at[np.arange(size)[:, None], np.arange(most), positions[:, None]] = points
    alone = _values(function, at) - at_anchor  # [A, K, P]
    main = alone.copy()
    mean = at_anchor + np.einsum("akp,ak->p", alone, weights)
    variance = np.zeros_like(mean)
    predicted = at_anchor + np.pad(alone, ((0, 0), (0, 1), (0, 0)))[np.arange(size), chosen].sum(1)
    step = max(1, AT_ONCE // max(1, most**2 * width))
    for i in range(size):
        for start in range(i + 1, size, step):
            others = np.arange(start, min(start + step, size))
            at = np.tile(anchor, (len(others), most, most, 1))
            at[..., positions[i]] = points[i][:, None]
            place = np.ix_(np.arange(len(others)), np.arange(most), np.arange(most))
            at[(*place, positions[others][:, None, None])] = points[others][:, None]
            both = _values(function, at) - at_anchor - alone[i][:, None] - alone[others][:, None]  # [m, K, K, P]
            both[np.abs(both) < ROUNDING * largest] = 0.0  # many times nothing would be something
            over_other = np.einsum("mklp,ml->mkp", both, weights[others])
            over_one = np.einsum("mklp,k->mlp", both, weights[i])
            over_both = np.einsum("mkp,k->mp", over_other, weights[i])
            main[i] += over_other.sum(0)
            main[others] += over_one
            mean += over_both.sum(0)
            variance += np.einsum("mklp,k,ml->p", both**2, weights[i], weights[others]) + (over_both**2).sum(0)
            variance -= np.einsum("mkp,k->p", over_other**2, weights[i]) + np.einsum("mlp,ml->p", over_one**2, weights[others])
            padded = np.pad(both, ((0, 0), (0, 1), (0, 1), (0, 0)))
            predicted += padded[np.arange(len(others)), chosen[:, i, None], chosen[:, others]].sum(1)
    if (np.abs(there - predicted) > MISSED * largest).any():
        return None
    of_main = np.einsum("akp,ak->ap", main, weights)
    variance += np.einsum("akp,ak->p", (main - of_main[:, None]) ** 2, weights) + grid.weights[:, -1] @ of_main**2
    how = f"sum over all pairs of {size} random numbers, {most + 1} {kind} of each"
    return Integral(mean, np.maximum(variance, 0.0), MISSED, count, how)


def _values(function: Function, at: np.ndarray) -> np.ndarray:
    """At points ``[..., d]``: ``[..., P]``."""
    return function(at.reshape(-1, at.shape[-1])).reshape(*at.shape[:-1], -1)
