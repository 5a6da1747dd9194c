"""The interval of a number, drawn in its cell: a dot and a line on a log scale that the runs of one model share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gsx.records import Interval

WIDTH, HEIGHT, MARGIN = 80, 12, 5


@dataclass(frozen=True)
class Bar:
    """Positions in a drawing WIDTH wide; `dot` is None where the value is not positive, `open` where the line goes on beyond the edge."""

    dot: float | None
    left: float
    right: float
    open: bool
    decades: tuple[float, ...]


class Scale:
    """From the smallest to the largest positive number of the intervals, in whole decades."""

    def __init__(self, intervals: Iterable[Interval | None]) -> None:
        positive = [x for i in intervals if i for x in (i.value, *(i.ci or ())) if 0 < x < math.inf]
        self.low = math.floor(math.log10(min(positive))) if positive else 0
        self.high = max(math.ceil(math.log10(max(positive))), self.low + 1) if positive else 1

    def _at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return round(MARGIN + (WIDTH - 2 * MARGIN) * share, 1)

    def bar(self, interval: Interval | None) -> Bar | None:
        """None where there is nothing to draw: no number, or nothing positive."""
        if interval is None or not math.isfinite(interval.value):
            return None
        low, high = interval.ci or (interval.value, interval.value)
        if not 0 < high < math.inf:
            return None
        dot = self._at(interval.value) if interval.value > 0 else None
        left = self._at(low) if low > 0 else 0.0
        steps = self.high - self.low
        decades = tuple(self._at(10.0**power) for power in range(self.low, self.high + 1)) if steps <= 16 else ()
        return Bar(dot, left, self._at(high), low <= 0, decades)
