"""The statistics of one gradient, or of one parameter of it: each a formula on the rows of a pool, and its interval."""

from __future__ import annotations

import math

import numpy as np

from gsx.records import Interval, Segments
from gsx.statistics.ball import error_radius, error_shape, squared_length, squared_length_se
from gsx.statistics.jackknife import interval, jackknife_se
from gsx.statistics.pool import Pool


def variance(pool: Pool) -> Interval | None:
    """Trace of the covariance of one N-sample estimate; [0, 0] where it is deterministic."""
    return interval(pool.count, pool.trace, log=True)


def bias_sq(pool: Pool) -> Interval | None:
    """|mean - reference|^2 - trace / R - sum of reference_se^2, unbiased and so perhaps negative; interval by `squared_length`."""
    found = interval(pool.count, pool.bias_sq, log=False, extra=pool.reference_error)
    if found is None or found.se is None:
        return found
    total = float(pool.trace[0] / pool.count[0] + (pool.reference_se**2).sum())
    c = error_radius(pool.deviation, pool.reference_se, total=total)
    se = squared_length_se(found.se, *error_shape(pool.deviation, pool.reference_se, total=total)[:2])
    return Interval(found.value, se, squared_length(pool.mean[0] - pool.reference, c))


def mean_squared_error(pool: Pool) -> Interval | None:
    """variance + bias_sq: E |g - truth|^2 of one N-sample estimate."""
    return interval(pool.count, pool.trace + pool.bias_sq, log=True, extra=pool.reference_error)


def signal_is_clear(pool: Pool, errors: float) -> bool:
    """Whether |mean|^2 - trace / R is at least so many of its standard errors above zero."""
    return bool(pool.signal[0] >= errors * jackknife_se(pool.count, pool.signal))


def signal_to_noise(pool: Pool) -> Interval | None:
    """(|mean|^2 - trace / R) / trace; None without noise.

    Within five errors of zero, where a logarithm would shut zero out, the interval is that of |mean|^2 by `squared_length`.
    """
    found = interval(pool.count, pool.signal / pool.trace, log=True)
    if found is None or found.se is None or signal_is_clear(pool, 5):
        return found
    trace = float(pool.trace[0])
    exactly = np.zeros_like(pool.reference_se)
    c = error_radius(pool.deviation, exactly, total=trace / float(pool.count[0]))
    low, high = squared_length(pool.mean[0], c)
    shape = error_shape(pool.deviation, exactly, total=trace / float(pool.count[0]))
    return Interval(found.value, squared_length_se(found.se * trace, *shape[:2]) / trace, (low / trace, high / trace))


def length(vector: np.ndarray) -> float:
    """Euclidean, from the plain sum of squares: infinite where that leaves the range, though every number lies within it."""
    with np.errstate(over="ignore"):
        return float(np.linalg.norm(vector))


def cosine(pool: Pool) -> Interval | None:
    """mean . reference / sqrt((|mean|^2 - trace / R) |reference|^2), clipped to [-1, 1]; None where that square is not clear of zero.

    Clear is two standard errors. Where the signal barely is, being reported at all is luck of the draw, and coverage falls to 90 %.

    A right estimator sits on the boundary 1, where arctanh has no room, so the interval is that of the angle, built like that of `bias_sq`:
    the angle between mean and reference +- c, with sin c the radius of the errors across the two vectors, relative to their lengths. It
    covers at least 95 %, and just 95 % where the truth is 1; with one coordinate there is no angle to be wrong about, and it is [1, 1].
    """
    norm = length(pool.reference)
    if norm == 0 or not signal_is_clear(pool, 2):
        return None
    found = interval(pool.count, pool.mean @ pool.reference / (np.sqrt(pool.signal) * norm), log=False)
    if found is None:
        return None
    value = min(max(found.value, -1.0), 1.0)
    if found.se is None:
        return Interval(value, None, None)
    ahead, mean = pool.reference / norm, pool.mean[0]
    along = float(mean @ ahead)
    angle = math.atan2(float(np.linalg.norm(mean - along * ahead)), along)  # arccos would lose half the digits near 0
    heading = mean / np.linalg.norm(mean)
    sideways = (pool.deviation - np.outer(pool.deviation @ heading, heading)) / np.linalg.norm(mean)
    c = math.asin(min(1.0, error_radius(sideways, pool.reference_se / norm, across=ahead)))
    low, high = math.cos(min(angle + c, math.pi)), math.cos(max(angle - c, 0.0))
    # The value is corrected for noise, the angle is not: they may part by a hair.
    return Interval(value, found.se, (min(low, value), max(high, value)))


def cosine_single(pool: Pool, segments: Segments) -> Interval | None:
    """Average over replicates of cos(g, reference), interval clipped to [-1, 1].

    None where replicates are not materialised, or are so large that their squares are not finite: then their lengths are not either.
    """
    if segments.cosine_mean is None or not math.isfinite(pool.trace[0]):
        return None
    held = segments.count > 0
    total = segments.count[held] * segments.cosine_mean[held]
    rows = np.concatenate([[total.sum()], total.sum() - total]) if len(total) > 1 else total
    found = interval(pool.count, rows / pool.count, log=False)
    if found is None or found.ci is None:
        return found
    return Interval(found.value, found.se, (max(found.ci[0], -1.0), min(found.ci[1], 1.0)))
