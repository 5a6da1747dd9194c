"""A measured number that can be compared with another: as a ratio or a difference, paired where both saw the same noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gsx.records import Interval
from gsx.statistics import jackknife_se, student_t_quantile

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """`rows` [1 + G]: the number, and the number without each group in turn (a segment of a run, or a seed of a training).

    Two estimates with the same `pairing` lose the same groups together, so that what they have in common cancels. `positive`: of a kind
    that is compared by ratio (a variance), not by difference (a loss). `grid`: of a place between two settings that were measured, the two.
    """

    interval: Interval
    positive: bool
    rows: np.ndarray | None = None
    count: np.ndarray | None = None
    pairing: str | None = None
    grid: tuple[float, float] | None = None

    @classmethod
    def exactly(cls, value: float, positive: bool, error: float = 0.0) -> Estimate:
        """Known but for a relative error."""
        return cls(Interval(value, 0.0, (value - error * abs(value), value + error * abs(value))), positive)

    @property
    def value(self) -> float:
        return self.interval.value

    def scaled(self, factor: float) -> Estimate:
        """`factor` is positive."""
        return self if factor == 1 else self._mapped(lambda x: x * factor, factor, self.positive)

    def logarithm(self) -> Estimate | None:
        """None where there is none."""
        if self.value <= 0:
            return None
        return self._mapped(lambda x: math.log(x) if x > 0 else -math.inf, 1 / self.value, False)

    def _mapped(self, function: Callable[[float], float], slope: float, positive: bool) -> Estimate:
        value, se, ci = self.interval.value, self.interval.se, self.interval.ci
        interval = Interval(function(value), None if se is None else se * slope, None if ci is None else (function(ci[0]), function(ci[1])))
        rows = None if self.rows is None else np.array([function(x) for x in self.rows.tolist()])
        grid = None if self.grid is None else (function(self.grid[0]), function(self.grid[1]))
        return dataclasses.replace(self, interval=interval, rows=rows, positive=positive, grid=grid)


def paired(a: Estimate, b: Estimate) -> bool:
    if a.pairing is None or a.pairing != b.pairing or a.rows is None or b.rows is None or a.count is None or b.count is None:
        return False
    return bool(np.array_equal(a.count, b.count) and np.isfinite(a.rows).all() and np.isfinite(b.rows).all())


def difference(a: Estimate, b: Estimate) -> Interval:
    """a - b: by the jackknife of the difference where paired, else from the ends of both intervals.

    The latter is MOVER (Zou & Donner 2008): the distance of each end from its estimate is an error of that side, and the errors add in
    squares. It needs no standard errors and keeps asymmetric intervals asymmetric.
    """
    value = a.value - b.value
    if paired(a, b):
        assert a.rows is not None and b.rows is not None and a.count is not None
        paired_se = float(jackknife_se(a.count, a.rows - b.rows))
        if math.isfinite(paired_se):
            half = student_t_quantile((1 + CONFIDENCE) / 2, len(a.count) - 2) * paired_se
            return Interval(value, paired_se, (value - half, value + half))
    if a.interval.ci is None or b.interval.ci is None:
        return Interval(value, None, None)
    (low_a, high_a), (low_b, high_b) = a.interval.ci, b.interval.ci
    se = None if a.interval.se is None or b.interval.se is None else math.hypot(a.interval.se, b.interval.se)
    return Interval(
        value, se, (value - math.hypot(a.value - low_a, high_b - b.value), value + math.hypot(high_a - a.value, b.value - low_b))
    )


def ratio(a: Estimate, b: Estimate) -> Interval:
    """a / b of two numbers that are not negative, on the log scale; an exact zero is a ratio of 0, of infinity, or of 1."""
    if a.value == 0 or b.value == 0:
        value = 1.0 if a.value == b.value else 0.0 if a.value == 0 else math.inf
        return Interval(value, 0.0 if value <= 1 else None, (value, value))
    logs = difference(_log(a), _log(b))
    value = _exp(logs.value)
    ends = None if logs.ci is None else (_exp(logs.ci[0]), _exp(logs.ci[1]))
    return Interval(value, None if logs.se is None else value * logs.se, ends)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


def _log(a: Estimate) -> Estimate:
    found = a.logarithm()
    assert found is not None
    return found


def by_ratio(a: Estimate, b: Estimate) -> bool:
    return a.positive and b.positive and a.value >= 0 and b.value >= 0
