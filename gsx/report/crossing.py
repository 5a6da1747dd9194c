"""Where one curve passes another, measured on a grid: by a straight line of the log ratio between two settings, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Crossing:
    """`low` and `high` are the ends of its interval: how the curves bend between two settings is not known, so that it reaches from the one
    to the other, and as far beyond as the 95 % intervals of the two log ratios do."""

    at: float
    low: float
    high: float
    grid: tuple[float, float]
    share: float  # of the way from one setting to the other


def logarithmic(grid: Sequence[float]) -> bool:
    """Whether settings, in ascending order, are drawn and interpolated on a log axis: they are positive and span a factor of four."""
    return grid[0] > 0 and grid[-1] / grid[0] >= 4


def between(a: float, b: float, one: tuple[float, float], other: tuple[float, float], log: bool) -> Crossing:
    """``one`` and ``other``: the log ratio at a and at b, a below b, of opposite signs, each with half its 95 % interval.

    The share u / (u - v) has the derivatives -v / (u - v)^2 and u / (u - v)^2.
    """
    (u, du), (v, dv) = one, other
    share = u / (u - v)
    half = math.hypot(v * du, u * dv) / (u - v) ** 2

    def place(part: float) -> float:
        return a * (b / a) ** part if log else a + part * (b - a)

    return Crossing(place(share), min(place(share - half), a), max(place(share + half), b), (a, b), share)
