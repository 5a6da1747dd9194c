"""Where one curve passes another, measured on a grid: by a straight line of the log ratio between two settings, with its errors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Crossing:
    """`low` and `high` are the 95 % interval that the errors of the curves give, widened by what the straight line may miss where `between`
    was told; otherwise a crossing is known no better than to lie between the two settings of `grid`."""

    at: float
    low: float
    high: float
    grid: tuple[float, float]
    share: float  # of the way from one setting to the other

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


def logarithmic(grid: Sequence[float]) -> bool:
    """Whether settings, in ascending order, are drawn and interpolated on a log axis: they are positive and span a factor of four."""
    return grid[0] > 0 and grid[-1] / grid[0] >= 4


def between(a: float, b: float, one: tuple[float, float], other: tuple[float, float], log: bool, missed: float = 0.0) -> Crossing:
    """``one`` and ``other``: the log ratio at a and at b, of opposite signs, each with half its 95 % interval; ``missed`` is `bend`.

    The share u / (u - v) has the derivatives -v / (u - v)^2 and u / (u - v)^2.
    """
    (u, du), (v, dv) = one, other
    share = u / (u - v)
    half = math.hypot(v * du, u * dv) / (u - v) ** 2 + missed / abs(u - v)

    def place(part: float) -> float:
        return a * (b / a) ** part if log else a + part * (b - a)

    low, high = sorted((place(share - half), place(share + half)))
    return Crossing(place(share), low, high, (a, b), share)


def bend(ratios: Mapping[float, float], a: float, b: float, log: bool) -> float | None:
    """How far the log ratio between the neighbouring settings a and b may lie from a straight line: (b - a)^2 / 8 of its second derivative,
    the larger of those that the settings on either side show. None where there are no others."""
    at = {x: math.log(x) if log else x for x in sorted(ratios)}
    second = []
    for x, y, z in zip(at, itertools.islice(at, 1, None), itertools.islice(at, 2, None), strict=False):
        if {a, b} < {x, y, z}:
            left, right = ((ratios[q] - ratios[p]) / (at[q] - at[p]) for p, q in ((x, y), (y, z)))
            second.append(abs(right - left) / ((at[z] - at[x]) / 2))
    return max(second) * (at[b] - at[a]) ** 2 / 8 if second else None
