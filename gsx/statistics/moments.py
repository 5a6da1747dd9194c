"""Centred moments of sets of replicates, and how sets are merged; nothing is ever subtracted from a set."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gsx.records import Segments


@dataclass(frozen=True)
class Moments:
    """Centred moments of a set of replicates: ``count``, then [P] arrays; ``third`` is None where it is not wanted or not known."""

    count: int
    mean: np.ndarray
    second: np.ndarray  # sum of (g - mean)^2
    third: np.ndarray | None  # sum of (g - mean)^3


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of the union of two disjoint, non-empty sets (Chan, Golub & LeVeque 1983; Pebay 2008, eq. 2.1).

    With n = n_a + n_b and d = mean_b - mean_a::

        mean = mean_a + d n_b / n
        M2   = M2_a + M2_b + d^2 n_a n_b / n
        M3   = M3_a + M3_b + d^3 n_a n_b (n_a - n_b) / n^2 + 3 d (n_a M2_b - n_b M2_a) / n
    """
    count = a.count + b.count
    share_a, share_b = a.count / count, b.count / count
    gap = b.mean - a.mean
    between = gap**2 * (a.count * share_b)
    third = None
    if a.third is not None and b.third is not None:
        third = a.third + b.third + gap * (between * (share_a - share_b) + 3 * (share_a * b.second - share_b * a.second))
    return Moments(count, a.mean + gap * share_b, a.second + b.second + between, third)


def parts(segments: Segments) -> list[Moments]:
    """The moments of each segment that holds replicates, in order."""
    return [
        Moments(int(segments.count[g]), segments.mean[g], segments.second[g], None if segments.third is None else segments.third[g])
        for g in np.flatnonzero(segments.count)
    ]


def pooled(segments: Segments) -> Moments:
    """The moments of all replicates: the segments, merged in order."""
    return functools.reduce(merge, parts(segments))


def leave_one_out(sets: Sequence[Moments]) -> list[Moments]:
    """For each of G >= 2 sets, the moments of all the others; merged from both ends, so that nothing is ever subtracted. 3 G merges."""
    before = list(itertools.accumulate(sets[:-1], merge))  # before[g] = sets 0 .. g
    after = list(itertools.accumulate(reversed(sets[1:]), merge))[::-1]  # after[g] = sets g+1 .. G-1
    return [after[0], *map(merge, before[:-1], after[1:]), before[-1]]


def skewness(segments: Segments) -> np.ndarray | None:
    """[P]: skewness of the replicates, M3 / R over (M2 / R)^1.5; NaN without variance, None where the route keeps no third moments."""
    if segments.third is None:
        return None
    moments = pooled(segments)
    assert moments.third is not None
    return moments.third / moments.count / (moments.second / moments.count) ** 1.5
