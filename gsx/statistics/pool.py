"""The pool: the moments of all replicates, and the moments without each segment in turn."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

from gsx.records import Segments
from gsx.statistics.moments import leave_one_out, merge, parts

NO_VARIANCE = 1e-24  # relative to the squared norm of the gradient: (1e-12)^2, beyond what float64 sums can resolve


@dataclass(frozen=True)
class Pool:
    """Row 0: all replicates; row g: without the g-th segment that holds any. With one such segment, row 0 is alone.

    A coordinate with a non-finite moment is NaN in every row, and so is every statistic that needs it; a deterministic one has variance 0.
    """

    count: np.ndarray  # [1 + G] float64
    mean: np.ndarray  # [1 + G, P]
    variance: np.ndarray  # [1 + G, P], of one N-sample estimate, ddof = 1
    deviation: np.ndarray  # [G, P]; deviation' deviation estimates the covariance of the pooled mean, with G - 1 degrees of freedom
    reference: np.ndarray  # [P]
    reference_se: np.ndarray  # [P]

    @classmethod
    def of(cls, segments: Segments, reference: np.ndarray, reference_se: np.ndarray) -> Pool:
        """The pool of ``segments``; ``reference`` and its standard error are [P]. ValueError where there is not one replicate."""
        sets = [dataclasses.replace(part, third=None) for part in parts(segments)]
        if not sets:
            raise ValueError("no replicates: there is nothing to analyse")
        rows = [functools.reduce(merge, sets), *(leave_one_out(sets) if len(sets) > 1 else [])]
        count = np.array([row.count for row in rows], dtype=np.float64)
        mean = np.stack([row.mean for row in rows])
        variance = np.stack([row.second for row in rows]) / (count - 1)[:, None]  # NaN for a single replicate
        weight = np.sqrt([part.count / (max(len(sets) - 1, 1) * count[0]) for part in sets])
        deviation = weight[:, None] * (np.stack([part.mean for part in sets]) - mean[0])

        broken = ~np.isfinite(mean[0] + rows[0].second + reference + reference_se)
        for array in (mean, variance, deviation):
            array[:, broken] = np.nan
        scale = max(np.nansum(mean[0] ** 2), np.sum(reference[~broken] ** 2))
        # "<=", because a gradient that is zero for ever is deterministic too.
        still = variance[0] <= NO_VARIANCE * scale
        variance[:, still] = 0.0
        deviation[:, still] = 0.0
        return cls(count, mean, variance, deviation, reference, reference_se)

    def restricted(self, columns: slice) -> Pool:
        """The same, for some coordinates only."""
        return Pool(
            self.count,
            self.mean[:, columns],
            self.variance[:, columns],
            self.deviation[:, columns],
            self.reference[columns],
            self.reference_se[columns],
        )

    @property
    def trace(self) -> np.ndarray:
        """[1 + G]: trace of the covariance of one N-sample estimate."""
        return np.asarray(self.variance.sum(-1))

    @property
    def signal(self) -> np.ndarray:
        """[1 + G]: |mean|^2 - trace / R, without bias for |E g|^2; may be negative."""
        return np.asarray((self.mean**2).sum(-1) - self.trace / self.count)

    @property
    def bias_sq(self) -> np.ndarray:
        """[1 + G]: |mean - reference|^2 - trace / R - sum of reference_se^2, without bias for |E g - truth|^2; may be negative."""
        return np.asarray(((self.mean - self.reference) ** 2).sum(-1) - self.trace / self.count - (self.reference_se**2).sum())

    @property
    def reference_error(self) -> float:
        """The variance that the reference's own error adds to ``bias_sq``: sum of se^2 (4 bias^2 + 2 se^2)."""
        return float((self.reference_se**2 * (4 * (self.mean[0] - self.reference) ** 2 + 2 * self.reference_se**2)).sum())
