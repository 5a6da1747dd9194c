"""The variance of one estimator relative to another's."""

from __future__ import annotations

import math

import numpy as np

from gsx.records import Interval, Segments
from gsx.statistics.jackknife import CONFIDENCE, jackknife_se
from gsx.statistics.pool import Pool
from gsx.statistics.tails import student_t_quantile


def relative_variance(a: Segments, b: Segments, paired: bool) -> Interval:
    """trace of a's covariance / trace of b's, on the log scale; NaN without error bars where b has no variance.

    ``paired``: both saw the same noise block by block, so a segment is left out of both at once; ValueError where their counts differ.
    Otherwise the two errors add, with the fewer degrees of freedom.
    """
    if paired and not np.array_equal(a.count, b.count):
        raise ValueError("paired segments must hold the same replicates")
    with np.errstate(all="ignore"):
        pool_a, pool_b = (Pool.of(s, np.zeros(s.layout.size), np.zeros(s.layout.size)) for s in (a, b))
        ratio = float(pool_a.trace[0] / pool_b.trace[0]) if pool_b.trace[0] > 0 else math.nan
        if ratio == 0:
            return Interval(0.0, 0.0, (0.0, 0.0))
        log_a, log_b = np.log(pool_a.trace), np.log(pool_b.trace)
        if paired:
            log_se = float(jackknife_se(pool_a.count, log_a - log_b))
        else:
            log_se = math.hypot(float(jackknife_se(pool_a.count, log_a)), float(jackknife_se(pool_b.count, log_b)))
        if not math.isfinite(ratio) or not math.isfinite(log_se):
            return Interval(ratio, None, None)
        degrees = min(len(pool_a.deviation), len(pool_b.deviation)) - 1
        factor = float(np.exp(student_t_quantile((1 + CONFIDENCE) / 2, degrees) * log_se))
        return Interval(ratio, ratio * log_se, (ratio / factor, ratio * factor))
