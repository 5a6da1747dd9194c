"""The variance of one estimator relative to another's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gsx.records import Interval, Segments
from gsx.statistics.jackknife import CONFIDENCE, jackknife_se
from gsx.statistics.pool import NO_VARIANCE
from gsx.statistics.tails import student_t_quantile


@dataclass(frozen=True, eq=False)
class Traces:
    """All that a relative variance or error needs of a run's moments: three numbers a segment, whatever the number of coordinates."""

    coordinates: int
    held: np.ndarray  # [all segments]: the replicates in each
    count: np.ndarray  # [1 + G], as a `Pool` has it
    trace: np.ndarray  # [1 + G]
    bias_sq: np.ndarray | None = None  # [1 + G], where the true gradient is given

    @classmethod
    def of(cls, segments: Segments, truth: np.ndarray | None = None) -> Traces:
        """As ``Pool.of(segments, truth, 0)`` has them, for a tenth of the time where coordinates are few: a report asks for ten thousand.

        About the mean of all, the second moments of the others are sums, less (n_g d_g)^2 / (n - n_g) for where their own mean lies.
        """
        kept = np.flatnonzero(segments.count)
        if not len(kept):
            raise ValueError("no replicates: there is nothing to analyse")
        with np.errstate(all="ignore"):
            n = segments.count[kept, None].astype(np.float64)
            total, mean = n.sum(), segments.mean[kept]
            centre = (n / total * mean).sum(0)
            gap = mean - centre
            second = segments.second[kept] + n * gap**2
            others = _sums_of_others(second) - (n * gap) ** 2 / (total - n)
            variance = np.vstack((second.sum(0) / (total - 1), np.maximum(others, 0.0) / (total - n - 1)))[
                : 1 + len(kept) * (len(kept) > 1)
            ]
            variance[:, ~np.isfinite(centre + variance[0])] = np.nan
            variance[:, variance[0] <= NO_VARIANCE * np.nansum(centre**2)] = 0.0
            count, trace = np.concatenate(([total], (total - n[:, 0])[: len(variance) - 1])), variance.sum(-1)
            bias_sq = None
            if truth is not None:
                means = np.vstack((centre, centre - n * gap / (total - n)))[: len(variance)]
                bias_sq = ((means - truth) ** 2).sum(-1) - trace / count
        return cls(segments.layout.size, segments.count, count, trace, bias_sq)


def _sums_of_others(values: np.ndarray) -> np.ndarray:
    """``[G, P]``: of each column the sum without each row in turn, from both ends: no sum of all, from which one large row is taken."""
    sums = np.zeros_like(values)
    sums[1:] += np.cumsum(values[:-1], 0)
    sums[:-1] += np.cumsum(values[:0:-1], 0)[::-1]
    return sums


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
