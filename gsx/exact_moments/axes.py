"""What an estimate draws, as independent axes: each a few of its uniforms, and the cells in which what is drawn from them is the same."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gsx.distributions import Bernoulli, Categorical, Distribution
from gsx.estimators.arms import ARMS
from gsx.estimators.base import Estimator
from gsx.noise import Shape


@dataclass(frozen=True)
class Request:
    """One call of ``noise.uniform``: where it was made, for which distribution, and the shape of the answer."""

    site: str
    draw: int
    shape: Shape
    q: Distribution  # detached, float64


class Axis(ABC):
    """Uniforms that are drawn together, at ``positions`` among the d numbers of an estimate."""

    positions: np.ndarray
    #: In how many ways, from coarse to fine, the axis can be cut into cells.
    depths: int = 1

    @abstractmethod
    def cells(self, depth: int) -> np.ndarray:
        """The probability of each cell, ``[K]``."""

    @abstractmethod
    def inside(self, depth: int, cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random point of each of these cells ``[n]``: uniforms ``[n, len(positions)]``."""


class Interval(Axis):
    """One uniform, cut where a draw jumps: a cell of depth k knows of the first k jumps only.

    A point inside hits the finest cells alike, lest what happens in a small one goes unseen.
    """

    def __init__(self, position: int, jumps: list[float]) -> None:
        self.positions = np.array([position])
        inner = list(dict.fromkeys(u for u in jumps if 0 < u < 1))
        self.depths = max(1, len(inner))
        self._edges = [np.array([0.0, *sorted(inner[:depth]), 1.0]) for depth in range(min(1, len(inner)), len(inner) + 1)]
        self.edges = self._edges[-1]

    def cut(self, depth: int) -> np.ndarray:
        """The edges of the cells."""
        return self._edges[min(depth, self.depths) - 1]

    def cells(self, depth: int) -> np.ndarray:
        return np.diff(self.cut(depth))

    def inside(self, depth: int, cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        first, last = (np.searchsorted(self.edges, self.cut(depth)[end]) for end in (cell, cell + 1))
        finest = rng.integers(first, last)
        return np.asarray((self.edges[finest] + np.diff(self.edges)[finest] * rng.uniform(1e-9, 1 - 1e-9, len(cell)))[:, None])


class Ranking(Axis):
    """The Gumbel noise of a categorical variable: a cell of depth k is the order of the first k outcomes (Plackett 1975, Luce 1959)."""

    def __init__(self, positions: np.ndarray, log_p: np.ndarray) -> None:
        self.positions, self.log_p = positions, log_p
        self.possible = np.flatnonzero(np.isfinite(log_p))
        self.depths = max(1, len(self.possible) - 1)

    def _orders(self, depth: int) -> np.ndarray:
        return np.array(list(itertools.permutations(self.possible, min(depth, len(self.possible)))))

    def count(self, depth: int) -> int:
        return math.perm(len(self.possible), min(depth, len(self.possible)))

    def cells(self, depth: int) -> np.ndarray:
        first = np.exp(self.log_p - np.logaddexp.reduce(self.log_p))[self._orders(depth)]  # [K, depth]
        left = np.cumsum(first, 1) - first
        return np.asarray((first / (1 - left)).prod(1))

    def inside(self, depth: int, cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        # A race of exponentials: outcome c arrives at a rate p_c, and u_c = exp(-p_c t_c).
        rate = np.exp(self.log_p - np.logaddexp.reduce(self.log_p))
        orders = self._orders(depth)[cell]
        first = rate[orders]  # [n, depth]
        arrival = np.cumsum(rng.exponential(size=orders.shape) / (1 + first - np.cumsum(first, 1)), 1)
        hazard = arrival[:, -1:] * rate + rng.exponential(size=(len(cell), len(rate)))  # of those who come later, or never
        np.put_along_axis(hazard, orders, first * arrival, 1)
        return np.asarray(np.exp(-np.maximum(hazard, 2.0**-52)))


class DirichletCopula(Axis):
    """The n uniforms that `arms` couples in one coordinate: a cell is the set of samples in the rarer state.

    That is where the share of a sample in the sum of exponentials is above x = 1 - r^(1/(n-1)); all of a set of j samples are with
    probability max(1 - j x, 0)^(n-1).
    """

    def __init__(self, positions: np.ndarray, logit: float) -> None:
        self.positions, n = positions, len(positions)
        self.threshold = -math.expm1(-np.logaddexp(0.0, abs(logit)) / (n - 1))
        sets = itertools.chain.from_iterable(itertools.combinations(range(n), j) for j in range(n + 1))
        weighted = [(chosen, self._probability(len(chosen))) for chosen in sets]
        self.sets = [(chosen, weight) for chosen, weight in weighted if weight > 0]

    def _probability(self, size: int) -> float:
        """That just these samples are in the rarer state."""
        n = len(self.positions)
        all_of = [max(1 - j * self.threshold, 0.0) ** (n - 1) for j in range(n + 1)]
        total = math.fsum((-1) ** k * math.comb(n - size, k) * all_of[size + k] for k in range(n - size + 1))
        return total if total > 1e-14 else 0.0

    def cells(self, depth: int) -> np.ndarray:
        return np.array([weight for _, weight in self.sets])

    def inside(self, depth: int, cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n = len(self.positions)
        share = np.zeros((len(cell), n))
        for row, k in enumerate(cell):
            chosen = list(self.sets[k][0])
            above = 1 - rng.uniform(0.01, 0.1) * max(0.0, 1 - len(chosen) * self.threshold) if chosen else 0.0
            others = [i for i in range(n) if i not in chosen]
            if others:
                share[row, others] = (1 - above) / len(others)
            else:
                above = 1.0
            share[row, chosen] = above / max(1, len(chosen))
        return np.asarray(np.exp(-share * rng.uniform(1, 5, (len(cell), 1))))


def count_cells(axis: Axis, depth: int) -> int:
    """Without writing them down."""
    return axis.count(depth) if isinstance(axis, Ranking) else len(axis.cells(depth))


def anywhere(axes: Sequence[Axis], count: int, size: int, rng: np.random.Generator, base: np.ndarray | None = None) -> np.ndarray:
    """Points ``[count, size]`` that hit each cell of these axes alike; all other numbers are those of ``base [d]``, or ``[count, d]``."""
    at = np.empty((count, size)) if base is None else np.broadcast_to(base, (count, size)).copy()
    for axis in axes:
        at[:, axis.positions] = axis.inside(1, rng.integers(0, len(axis.cells(1)), count), rng)
    return at


def axes_of(requests: list[Request], estimator: Estimator) -> Iterator[Axis]:
    """The axes of all requests, positions counted through."""
    start = 0
    for request in requests:
        positions = start + np.arange(math.prod(request.shape)).reshape(request.shape)
        start += positions.size
        if isinstance(estimator, ARMS):
            logits = request.q.parameters["logits"].numpy(force=True).ravel()
            columns = positions.reshape(len(positions), -1).T
            yield from (DirichletCopula(column, float(logit)) for column, logit in zip(columns, logits, strict=True))
        elif isinstance(request.q, Categorical):
            log_p = torch.log_softmax(request.q.logits, -1).numpy(force=True)
            rows = np.broadcast_to(log_p, request.shape).reshape(-1, request.shape[-1])
            yield from (Ranking(*row) for row in zip(positions.reshape(rows.shape), rows, strict=True))
        elif isinstance(request.q, Bernoulli):
            p = np.broadcast_to(request.q.mean.numpy(force=True), request.shape).ravel()
            # A draw jumps at 1 - p, that from the mirrored number at p.
            yield from (Interval(int(position), [1 - at, at]) for position, at in zip(positions.ravel(), p, strict=True))
        else:
            yield from (Interval(int(position), []) for position in positions.ravel())
