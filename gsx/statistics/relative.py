"""The variance of one estimator relative to another's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gsx.records import Interval, Segments
from gsx.statistics.jackknife import CONFIDENCE, jackknife_se
from gsx.statistics.pool import Pool
from gsx.statistics.tails import student_t_quantile


@dataclass(frozen=True, eq=False)
class Traces:
    """All that a relative variance needs of a run's moments: two numbers a segment, whatever the number of coordinates."""

    coordinates: int
    held: np.ndarray  # [all segments]: the replicates in each
    count: np.ndarray  # [1 + G], as a `Pool` has it
    trace: np.ndarray  # [1 + G]

    @classmethod
    def of(cls, segments: Segments) -> Traces:
        size = segments.layout.size
        with np.errstate(all="ignore"):
            pool = Pool.of(segments, np.zeros(size), np.zeros(size))
            return cls(size, segments.count, pool.count, pool.trace)


def relative_variance(a: Traces, b: Traces, paired: bool) -> Interval:
    """trace of a's covariance / trace of b's, on the log scale; NaN without error bars where b has no variance.

    ``paired``: both saw the same noise block by block, so a segment is left out of both at once; ValueError where their counts differ.
    Otherwise the two errors add, with the fewer degrees of freedom.
    """
    if paired and not np.array_equal(a.held, b.held):
        raise ValueError("paired segments must hold the same replicates")
    with np.errstate(all="ignore"):
        ratio = float(a.trace[0] / b.trace[0]) if b.trace[0] > 0 else math.nan
        if ratio == 0:
            return Interval(0.0, 0.0, (0.0, 0.0))
        log_a, log_b = np.log(a.trace), np.log(b.trace)
        if paired:
            log_se = float(jackknife_se(a.count, log_a - log_b))
        else:
            log_se = math.hypot(float(jackknife_se(a.count, log_a)), float(jackknife_se(b.count, log_b)))
        if not math.isfinite(ratio) or not math.isfinite(log_se):
            return Interval(ratio, None, None)
        segments = min(np.count_nonzero(a.held), np.count_nonzero(b.held))
        factor = float(np.exp(student_t_quantile((1 + CONFIDENCE) / 2, segments - 1) * log_se))
        return Interval(ratio, ratio * log_se, (ratio / factor, ratio * factor))
