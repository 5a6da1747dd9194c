"""The analysis: all that is said about one set of segments, in one call."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from gsx.records import Analysis, Coordinates, Cost, Interval, Layout, Reference, Segments
from gsx.statistics.jackknife import interval, jackknife_se
from gsx.statistics.moments import skewness
from gsx.statistics.pool import Pool
from gsx.statistics.projections import projections
from gsx.statistics.summary import bias_sq, cosine, cosine_single, mean_squared_error, signal_to_noise, variance
from gsx.statistics.verdict import verdict


def coordinates(pool: Pool, layout: Layout) -> Coordinates:
    """The table of coordinates; a deterministic one has variance 0 and neither z nor a standard error of its bias."""
    mean, variance = pool.mean[0], pool.variance[0]
    broken = np.isnan(mean)
    reference, reference_se = (np.where(broken, np.nan, column) for column in (pool.reference, pool.reference_se))
    bias = mean - reference
    bias_se = np.where(variance > 0, np.sqrt(variance / pool.count[0] + reference_se**2), np.nan)
    return Coordinates(
        layout=layout,
        mean=mean,
        mean_se=np.sqrt(variance / pool.count[0]),
        variance=variance,
        variance_se=jackknife_se(pool.count, pool.variance),
        reference=reference,
        reference_se=reference_se,
        bias=bias,
        bias_se=bias_se,
        z=bias / bias_se,
    )


def analyse(
    segments: Segments,
    reference: Reference,
    cost: Cost,
    *,
    dtype: str,
    self_referenced: bool,
    biased_because: str | None = None,
    deterministic_by_construction: bool = False,
    rarest_draws: float | None = None,
) -> Analysis:
    """Everything the statistics say about one set of segments; ValueError where it holds no replicate.

    Args:
        segments: moments of the replicates; segments without any are passed over.
        reference: the true gradient, [P] in the order of the layout.
        cost: counts and times of one N-sample estimate.
        dtype: "float32" or "float64", in which the replicates were computed.
        self_referenced: the reference is a long run of the estimator measured, and says nothing about its bias.
        biased_because: why the estimator is biased in this cell ("biased here: the cost is discontinuous"), for the verdict's reason.
        deterministic_by_construction: the estimator draws nothing (`exact`) and was evaluated once: count 1, in segment 0.
        rarest_draws: how often the least probable state of any discrete coordinate is expected in all draws of the run; None without one.
    """
    if deterministic_by_construction:
        # Evaluated again it would say the same: two equal segments give the variance, and every error bar, of 0.
        measured = dataclasses.replace(
            segments,
            count=np.array([1, 1]),
            mean=segments.mean[[0, 0]],
            second=np.zeros_like(segments.mean[[0, 0]]),
            third=None,
            cosine_mean=None if segments.cosine_mean is None else segments.cosine_mean[[0, 0]],
        )
    else:
        measured = segments
    layout = segments.layout
    with np.errstate(all="ignore"):  # what is not finite is looked for, and reported, by name
        pool = Pool.of(measured, reference.gradient, reference.se)
        trace = pool.trace
        ratio, ratio_log_se = cost.time_ratio, cost.time_ratio_log_se or 0.0
        summary: dict[str, Interval | None] = {
            **_vector_statistics(pool),
            "cosine_single": cosine_single(pool, measured),
            "variance_times_evaluations": interval(pool.count, trace * cost.evaluations, log=True),
            "variance_times_time_ratio": None
            if ratio is None or not math.isfinite(trace[0])
            else interval(pool.count, trace * ratio, log=True, extra=float(trace[0] * ratio * ratio_log_se) ** 2),
        }
        parameters: dict[str, dict[str, Any]] = {
            name: {"shape": list(shape), **_vector_statistics(pool.restricted(columns))} for name, shape, columns in layout.slices()
        }
        table = coordinates(pool, layout)
        largest = None if segments.largest is None else segments.largest[segments.count > 0].max(0)
        judgement = verdict(
            table,
            replicates=int(segments.count.sum()),
            skewness=skewness(measured),
            largest=largest,
            along=projections(pool, layout, largest),
            dtype=dtype,
            self_referenced=self_referenced,
            biased_because=biased_because,
            deterministic_by_construction=deterministic_by_construction,
            rarest_draws=rarest_draws,
        )
    first = segments.nonfinite_first_block[segments.nonfinite_first_block >= 0]
    nonfinite: dict[str, int | None] = {
        "replicates": int(segments.nonfinite_replicates.sum()),
        "coordinates": int(np.isnan(table.mean).sum()),
        "first_block": int(first.min()) if first.size else None,
    }
    return Analysis(summary, parameters, judgement, table, nonfinite)


def _vector_statistics(pool: Pool) -> dict[str, Interval | None]:
    """The statistics that make sense for the whole gradient and for one parameter alike."""
    return {
        "variance": variance(pool),
        "bias_sq": bias_sq(pool),
        "mse": mean_squared_error(pool),
        "snr": signal_to_noise(pool),
        "cosine": cosine(pool),
    }
