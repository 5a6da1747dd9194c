"""Where one exact curve passes another between two settings: by a cubic through those around it, and how far that may be off."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gsx.records import Interval

#: Settings that the curve is drawn through: the nearest ones.
MOST = 4


def between(a: float, b: float, gaps: Mapping[float, float], log: bool) -> Interval | None:
    """The root of ``gaps``, which has opposite signs at the neighbours a and b; its error is the distance from the root of a curve through
    one setting less. None where there are no more than these two."""
    points = [(math.log(x) if log else x, gap) for x, gap in gaps.items()]
    low, high = (math.log(x) if log else x for x in (a, b))
    nearest = sorted(points, key=lambda point: abs(point[0] - (low + high) / 2))[:MOST]
    if len(nearest) < 3:
        return None
    at, rougher = (math.exp(x) if log else x for x in (_root(nearest, low, high), _root(nearest[:-1], low, high)))
    error = abs(at - rougher)
    return Interval(at, error, (at - error, at + error))


def _root(points: Sequence[tuple[float, float]], low: float, high: float) -> float:
    """By bisection, to the last bit."""
    rising = _through(points, low) < 0
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if (_through(points, middle) < 0) == rising else (low, middle)
    return middle


def _through(points: Sequence[tuple[float, float]], x: float) -> float:
    """The polynomial through the points, at x (Neville)."""
    values = [y for _, y in points]
    for order in range(1, len(points)):
        for i in range(len(points) - order):
            (left, _), (right, _) = points[i], points[i + order]
            values[i] = ((x - right) * values[i] + (left - x) * values[i + 1]) / (left - right)
    return values[0]
