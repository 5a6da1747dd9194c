"""The jackknife: the standard error and the interval of any statistic that was computed for every row of a pool."""

from __future__ import annotations

import math

import numpy as np

from gsx.records import Interval
from gsx.statistics.tails import student_t_quantile

CONFIDENCE = 0.95


def jackknife_se(count: np.ndarray, statistic: np.ndarray) -> np.ndarray:
    """[...]: standard error of row 0 of ``statistic`` [1 + G, ...], whose row g leaves out segment g; NaN for fewer than two segments.

    The delete-m_j jackknife (Busing, Meijer & van der Leeden 1999), because the segments of an unfinished run differ in size. With
    h_j = R / m_j, pseudo-values theta + p_j, p_j = (h_j - 1)(theta - theta_(-j)), and their centre sum_j p_j / h_j::

        se^2 = mean_j (p_j - centre)^2 / (h_j - 1)

    For equal segments this is the textbook (G - 1) / G sum_j (theta_(-j) - mean)^2.
    """
    if len(count) < 3:
        return np.full(statistic.shape[1:], np.nan)
    h = (count[0] / (count[0] - count[1:])).reshape(-1, *[1] * (statistic.ndim - 1))
    pseudo = (h - 1) * (statistic[0] - statistic[1:])
    centre = (pseudo / h).sum(0)
    return np.asarray(np.sqrt(((pseudo - centre) ** 2 / (h - 1)).mean(0)))


def interval(count: np.ndarray, statistic: np.ndarray, *, log: bool, extra: float = 0.0) -> Interval | None:
    """Row 0 of ``statistic`` [1 + G] with its jackknife error and Student's t of G - 1 degrees of freedom; None where it is not finite.

    ``log``: the interval is symmetric in the logarithm, unless a row is not positive. ``extra``: variance from elsewhere, to be added.
    """
    value = float(statistic[0])
    if not math.isfinite(value):
        return None
    se = math.hypot(float(jackknife_se(count, statistic)), math.sqrt(extra))
    if not math.isfinite(se):
        return Interval(value, None, None)
    t = student_t_quantile((1 + CONFIDENCE) / 2, len(count) - 2)
    if log and bool((statistic > 0).all()):
        log_se = math.hypot(float(jackknife_se(count, np.log(statistic))), math.sqrt(extra) / value)
        factor = float(np.exp(t * log_se))  # numpy's overflows to an infinite, honest interval
        return Interval(value, se, (value / factor, value * factor))
    return Interval(value, se, (value - t * se, value + t * se))
