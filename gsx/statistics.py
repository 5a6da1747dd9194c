"""From segment moments to numbers a reader can trust: pooled statistics, their error bars, and the verdict on bias.

The one idea: a `Pool` holds the moments of all replicates in row 0 and, in each further row, the moments without one segment. A statistic
is then one formula applied to all rows at once: row 0 is its value, the others are its delete-one-segment jackknife.

Everything is float64 and centred; a variance is never E[g^2] - E[g]^2. Here P is the number of coordinates, G the number of segments that
hold replicates, R the number of replicates. Gradients, and so means and biases, are in nats per unit of their parameter.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from gsx.records import Analysis, Coordinates, Cost, Interval, Layout, Reference, Segments, Verdict

CONFIDENCE = 0.95
FAMILY_WISE_ERROR = 1e-3  # the chance that a right estimator is rejected at all, over all its coordinates and projections
POWER = 0.999  # the chance that a bias of delta_min is seen
RARE_EVENT = 7.0  # an event of probability 7/R is missed by all R replicates with probability exp(-7) < 1e-3
NO_VARIANCE = 1e-24  # relative to the squared norm of the gradient: (1e-12)^2, beyond what float64 sums can resolve
ROUNDING = {"float32": 1e-5, "float64": 1e-10}  # how far a deterministic gradient may lie from the reference, relative to its norm
MANY_COORDINATES = 1000  # above this, projections are tested too
SIGN_VECTORS = 16  # per tensor
SIGN_KEY = 0x677378  # "gsx": tensor number i takes its signs from the raw bits of numpy's Philox under the key (SIGN_KEY, i)


# ------------------------------------------------------------------------------------------------------------------ distribution functions


def incomplete_beta(a: float, b: float, x: float, complement: float) -> float:
    """The regularised incomplete beta function I_x(a, b), to relative precision; ``complement`` is 1 - x, free of cancellation.

    The continued fraction of Abramowitz & Stegun 26.5.8 by Lentz's method; it needs O(sqrt(max(a, b))) terms on its own side of the mean.
    """
    if x <= 0.0 or complement <= 0.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, complement, x)
    tiny = 1e-300
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1) or tiny)
    fraction = d
    for m in range(1, 100_000):
        step = 1.0
        for term in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d = 1.0 / (1.0 + term * d or tiny)
            c = 1.0 + term / c or tiny
            step *= c * d
        fraction *= step
        if abs(step - 1.0) < 1e-15:
            break
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log(complement) - log_beta) * fraction / a


def f_tail(x: float, numerator: float, denominator: float) -> float:
    """P(F > x) for Snedecor's F with real degrees of freedom, x >= 0."""
    total = denominator + numerator * x
    return incomplete_beta(denominator / 2, numerator / 2, denominator / total, numerator * x / total)


def student_t_tail(t: float, degrees: float) -> float:
    """P(T > t) for Student's t; T^2 is F(1, degrees)."""
    tail = f_tail(t * t, 1.0, degrees) / 2
    return tail if t >= 0 else 1.0 - tail


def _solve_tail(tail: Callable[[float], float], probability: float) -> float:
    """The x >= 0 at which a falling ``tail`` reaches ``probability``, by bisection to 1e-10 of x."""
    low, high = 0.0, 1.0
    while tail(high) > probability:
        low, high = high, 2 * high
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) > probability else (low, middle)
    return (low + high) / 2


@functools.lru_cache(maxsize=256)
def f_quantile(p: float, numerator: float, denominator: float) -> float:
    """The x with P(F <= x) = p, 0 < p < 1."""
    return _solve_tail(lambda x: f_tail(x, numerator, denominator), 1.0 - p)


@functools.lru_cache(maxsize=256)
def student_t_quantile(p: float, degrees: float) -> float:
    """The t with P(T <= t) = p, 0 < p < 1."""
    if p < 0.5:
        return -student_t_quantile(1.0 - p, degrees)
    return _solve_tail(lambda t: student_t_tail(t, degrees), 1.0 - p)


# --------------------------------------------------------------------------------------------------------------------------------- moments


@dataclass(frozen=True)
class Moments:
    """Centred moments of a set of replicates: ``count``, then [P] arrays; ``third`` is None where it is not wanted or not known."""

    count: int
    mean: np.ndarray
    second: np.ndarray  # sum of (g - mean)^2
    third: np.ndarray | None  # sum of (g - mean)^3


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of the union of two disjoint, non-empty sets (Chan, Golub & LeVeque 1983; Pebay 2008, eq. 2.1).

    With n = n_a + n_b and d = mean_b - mean_a::

        mean = mean_a + d n_b / n
        M2   = M2_a + M2_b + d^2 n_a n_b / n
        M3   = M3_a + M3_b + d^3 n_a n_b (n_a - n_b) / n^2 + 3 d (n_a M2_b - n_b M2_a) / n
    """
    count = a.count + b.count
    share_a, share_b = a.count / count, b.count / count
    gap = b.mean - a.mean
    between = gap**2 * (a.count * share_b)
    third = None
    if a.third is not None and b.third is not None:
        third = a.third + b.third + gap * (between * (share_a - share_b) + 3 * (share_a * b.second - share_b * a.second))
    return Moments(count, a.mean + gap * share_b, a.second + b.second + between, third)


def parts(segments: Segments) -> list[Moments]:
    """The moments of each segment that holds replicates, in order."""
    return [
        Moments(int(segments.count[g]), segments.mean[g], segments.second[g], None if segments.third is None else segments.third[g])
        for g in np.flatnonzero(segments.count)
    ]


def pooled(segments: Segments) -> Moments:
    """The moments of all replicates: the segments, merged in order."""
    return functools.reduce(merge, parts(segments))


def leave_one_out(sets: Sequence[Moments]) -> list[Moments]:
    """For each of G >= 2 sets, the moments of all the others; merged from both ends, so that nothing is ever subtracted. 3 G merges."""
    before = list(itertools.accumulate(sets[:-1], merge))  # before[g] = sets 0 .. g
    after = list(itertools.accumulate(reversed(sets[1:]), merge))[::-1]  # after[g] = sets g+1 .. G-1
    return [after[0], *map(merge, before[:-1], after[1:]), before[-1]]


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


# ------------------------------------------------------------------------------------------------------------------------------ error bars


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


def error_radius(deviation: np.ndarray, known_se: np.ndarray, *, total: float | None = None, across: np.ndarray | None = None) -> float:
    """The radius c of a ball around a vector's estimate that holds the truth with probability 0.95.

    The error's squared length is a sum of lambda_i chi^2_1 over the eigenvalues of its covariance; with two moments matched
    (Satterthwaite 1946) it is V chi^2_nu / nu, where V = sum lambda, nu = V^2 / sum lambda^2, so that::

        c^2 = V F_{0.95; nu, (G - 1) nu}

    For one coordinate F is Student's t^2 of G - 1 degrees of freedom; for many, c^2 tends to V, where t^2 V would be four times too large.

    Args:
        deviation: [G, P], see `Pool`: what the error's covariance is estimated from.
        known_se: [P], the standard deviations of a further error, independent of it and between coordinates.
        total: V, where it is known better than from these two.
        across: [P], a unit vector: only the part of the further error that is orthogonal to it counts (``deviation`` comes so already).
    """
    degrees = max(len(deviation) - 1, 1)
    gram = deviation @ deviation.T  # [G, G], with the non-zero eigenvalues of the covariance; P x P would not fit
    trace, square = float(np.trace(gram)), float((gram**2).sum())
    if degrees > 1:  # tr(S^2) overshoots tr(Sigma^2) by the noise of S; for normal means this takes it away
        square = (square - trace**2 / degrees) * degrees**2 / ((degrees - 1) * (degrees + 2))
    known = known_se**2
    lost = np.zeros_like(known) if across is None else known * across**2
    trace += float(known.sum() - lost.sum())
    square += float((known**2).sum() - 2 * (lost * known).sum() + lost.sum() ** 2 + 2 * ((deviation**2).sum(0) * known).sum())
    total = trace if total is None else total
    if total <= 0:
        return 0.0
    size = deviation.shape[1]
    dimension = min(max(trace**2 / square, 1.0), size) if square > 0 else size
    return math.sqrt(total * f_quantile(CONFIDENCE, dimension, degrees * dimension))


# ------------------------------------------------------------------------------------------------------------------------------ statistics


def variance(pool: Pool) -> Interval | None:
    """Trace of the covariance of one N-sample estimate; [0, 0] where it is deterministic."""
    return interval(pool.count, pool.trace, log=True)


def squared_length(vector: np.ndarray, c: float) -> tuple[float, float]:
    """The interval [max(0, b - c)^2, (b + c)^2] of a squared length, b = |vector|, c the radius of its error.

    By the triangle inequality it covers at least 95 %, and just 95 % where the true length is 0: it holds 0 exactly if b <= c.
    """
    b = float(np.linalg.norm(vector))
    return max(0.0, b - c) ** 2, (b + c) ** 2


def bias_sq(pool: Pool) -> Interval | None:
    """|mean - reference|^2 - trace / R - sum of reference_se^2, unbiased and so perhaps negative; interval by `squared_length`."""
    found = interval(pool.count, pool.bias_sq, log=False, extra=pool.reference_error)
    if found is None or found.se is None:
        return found
    total = float(pool.trace[0] / pool.count[0] + (pool.reference_se**2).sum())
    c = error_radius(pool.deviation, pool.reference_se, total=total)
    return Interval(found.value, found.se, squared_length(pool.mean[0] - pool.reference, c))


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
    c = error_radius(pool.deviation, np.zeros_like(pool.reference_se), total=trace / float(pool.count[0]))
    low, high = squared_length(pool.mean[0], c)
    return Interval(found.value, found.se, (low / trace, high / trace))


def cosine(pool: Pool) -> Interval | None:
    """mean . reference / sqrt((|mean|^2 - trace / R) |reference|^2), clipped to [-1, 1]; None where that square is not clear of zero.

    Clear is two standard errors. Where the signal barely is, being reported at all is luck of the draw, and coverage falls to 90 %.

    A right estimator sits on the boundary 1, where arctanh has no room, so the interval is that of the angle, built like that of `bias_sq`:
    the angle between mean and reference +- c, with sin c the radius of the errors across the two vectors, relative to their lengths. It
    covers at least 95 %, and just 95 % where the truth is 1; with one coordinate there is no angle to be wrong about, and it is [1, 1].
    """
    length = float(np.linalg.norm(pool.reference))
    if length == 0 or not signal_is_clear(pool, 2):
        return None
    found = interval(pool.count, pool.mean @ pool.reference / (np.sqrt(pool.signal) * length), log=False)
    if found is None:
        return None
    value = min(max(found.value, -1.0), 1.0)
    if found.se is None:
        return Interval(value, None, None)
    ahead, mean = pool.reference / length, pool.mean[0]
    along = float(mean @ ahead)
    angle = math.atan2(float(np.linalg.norm(mean - along * ahead)), along)  # arccos would lose half the digits near 0
    heading = mean / np.linalg.norm(mean)
    sideways = (pool.deviation - np.outer(pool.deviation @ heading, heading)) / np.linalg.norm(mean)
    c = math.asin(min(1.0, error_radius(sideways, pool.reference_se / length, across=ahead)))
    low, high = math.cos(min(angle + c, math.pi)), math.cos(max(angle - c, 0.0))
    # The value is corrected for noise, the angle is not: they may part by a hair.
    return Interval(value, found.se, (min(low, value), max(high, value)))


def cosine_single(pool: Pool, segments: Segments) -> Interval | None:
    """Average over replicates of cos(g, reference), interval clipped to [-1, 1]; None where replicates are not materialised."""
    if segments.cosine_mean is None:
        return None
    held = segments.count > 0
    total = segments.count[held] * segments.cosine_mean[held]
    rows = np.concatenate([[total.sum()], total.sum() - total]) if len(total) > 1 else total
    found = interval(pool.count, rows / pool.count, log=False)
    if found is None or found.ci is None:
        return found
    return Interval(found.value, found.se, (max(found.ci[0], -1.0), min(found.ci[1], 1.0)))


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


# --------------------------------------------------------------------------------------------------------------------------------- verdict


@dataclass(frozen=True)
class Projections:
    """The bias along K fixed directions w, seen through the segment means only."""

    t: np.ndarray  # [K]: w . (mean - reference) / its standard error, Student's t
    bias: np.ndarray  # [K]
    largest: np.ndarray  # [K]: sum_j |w_j| max |g_j|, no less than any |w . g|; 0 where the route keeps no maxima
    degrees: int  # G - 1


def sign_vectors(tensor: int, size: int) -> np.ndarray:
    """[16, size] of +-1, the same for ever: bits of Philox under the key (SIGN_KEY, tensor number), lowest bit first."""
    raw = np.random.Philox(key=np.array([SIGN_KEY, tensor], dtype=np.uint64)).random_raw(-(-SIGN_VECTORS * size // 64))
    bits = np.unpackbits(raw.astype("<u8").view(np.uint8), count=SIGN_VECTORS * size, bitorder="little")
    return 2.0 * bits.reshape(SIGN_VECTORS, size) - 1.0


def projections(pool: Pool, layout: Layout, largest: np.ndarray | None) -> Projections:
    """Projections on reference / |reference| and on 16 random sign vectors per tensor; none up to 1000 coordinates or with one segment.

    A bias spread so thinly that no coordinate shows it adds up along a direction: by sqrt(P) along the right one.
    """
    if layout.size <= MANY_COORDINATES or len(pool.deviation) < 2:
        return Projections(np.zeros(0), np.zeros(0), np.zeros(0), 1)
    bias, error, bound = [], [], []

    def project(directions: np.ndarray, columns: slice) -> None:
        bias.append(directions @ (pool.mean[0] - pool.reference)[columns])
        spread = ((pool.deviation[:, columns] @ directions.T) ** 2).sum(0)
        error.append(np.sqrt(spread + directions**2 @ pool.reference_se[columns] ** 2))
        bound.append(np.abs(directions) @ (np.zeros(layout.size) if largest is None else largest)[columns])

    length = float(np.linalg.norm(pool.reference))
    if length > 0:
        project(pool.reference[None] / length, slice(None))
    for tensor, (_, _, columns) in enumerate(layout.slices()):
        project(sign_vectors(tensor, columns.stop - columns.start), columns)
    biases, errors = np.concatenate(bias), np.concatenate(error)
    # Where every coordinate is deterministic there is no error to divide by, and nothing that the coordinates do not say.
    t = np.divide(biases, errors, out=np.zeros_like(biases), where=errors > 0)
    return Projections(t, biases, np.concatenate(bound), len(pool.deviation) - 1)


def verdict(
    table: Coordinates,
    *,
    replicates: int,
    skewness: np.ndarray | None,
    largest: np.ndarray | None,
    along: Projections,
    dtype: str,
    self_referenced: bool = False,
    biased_because: str | None = None,
    deterministic_by_construction: bool = False,
) -> Verdict:
    """One look at the end: is the bias of any coordinate more than chance?

    The family is the D coordinates and projections together. A coordinate rejects where |z| > z* = z_{1 - alpha/2D}, alpha = 1e-3; a
    projection where |t| passes Student's quantile of the same probability. ``p_value`` is the smallest Holm-adjusted p, D min p. A bias of
    delta_min = max_j delta_j would have been seen with probability 0.999, delta_j = max((z* + z_.999) SE_j, 7 max|g_j| / R).

    Which gate guards what:

    * *Rejection* says "biased" only if one rejecting coordinate passes both gates, because each gate excludes an innocent explanation:
      |bias_j| > 7 max|g_j| / R (else an event of seen size, too rare to be drawn, explains it), and R >= (|skew_j| z*^3 / 3)^2 (else the
      normal tail at z* is wrong). A rejecting projection must pass the first, with max|w . g| bounded by sum_j |w_j| max|g_j|; a mean over
      thousands of coordinates and Student's t need no second. Rejections that pass no gate, or that a route without third moments and
      maxima cannot put to them, are ``inconclusive``, with the reason.
    * *Acceptance* has no gate: it claims only that nothing above delta_min was seen. A rare event enters that claim through 7 max|g_j| / R;
      where the route keeps no maxima the reason says that delta_min leaves rare events out.
    * A *deterministic* coordinate has no z; it must lie within 1e-5 (float32) or 1e-10 (float64) of |reference|, plus z* reference_se, or
      it is ``biased``. One exception: where every replicate was exactly zero and the reference is not, the first gate has no max|g| to go
      by, and an event never drawn looks just the same; it is ``inconclusive``, unless ``deterministic_by_construction`` or
      ``biased_because`` rules that explanation out.

    Honest limits: the normal tail needs a few hundred replicates; an event both unseen and larger than anything seen deceives any test.

    Args:
        table: the coordinates; variance 0 marks a deterministic one, NaN in the mean a non-finite one.
        skewness, largest: [P], or None where the route does not keep them.
    """
    if not np.isfinite(table.mean).all():
        return Verdict("nonfinite", None, None, None, None, _join(biased_because, "some replicates are not finite"))

    size, normal = table.layout.size, NormalDist()
    each = FAMILY_WISE_ERROR / (2 * (size + len(along.t)))  # error of one side of one member of the family
    z_threshold = -normal.inv_cdf(each)
    t_threshold = student_t_quantile(1 - each, along.degrees)
    moving, deterministic = np.isfinite(table.z), table.variance == 0
    abs_z, abs_bias, abs_t = np.where(moving, np.abs(table.z), 0.0), np.abs(table.bias), np.abs(along.t)

    max_abs_z = p_value = None
    if moving.any():
        max_abs_z, max_abs_t = float(abs_z.max()), float(abs_t.max(initial=0.0))
        smallest = min(math.erfc(max_abs_z / math.sqrt(2)) / 2, student_t_tail(max_abs_t, along.degrees))
        p_value = min(1.0, smallest * FAMILY_WISE_ERROR / each)
    if self_referenced:
        return Verdict("self_referenced", max_abs_z, p_value, None, None, _join(biased_because, "the reference is a run of this estimator"))

    length = float(np.linalg.norm(table.reference))
    tolerance = ROUNDING[dtype] * length + z_threshold * table.reference_se
    off = deterministic & (abs_bias > tolerance)
    unseen = off & (table.mean == 0) & (not deterministic_by_construction and biased_because is None)

    rare = np.zeros(size) if largest is None else RARE_EVENT * largest / replicates
    visible = np.where(deterministic, tolerance, np.maximum((z_threshold + normal.inv_cdf(POWER)) * table.bias_se, rare))
    visible[unseen] = abs_bias[unseen]
    delta_min = float(visible.max()) if np.isfinite(visible).all() else None
    relative = delta_min / float(np.abs(table.reference).max()) if delta_min is not None and length > 0 else None

    def say(status: str, reason: str | None = None) -> Verdict:
        return Verdict(status, max_abs_z, p_value, delta_min, relative, _join(biased_because, reason))

    gates = largest is not None and skewness is not None
    needed = np.zeros(size) if skewness is None else (np.abs(skewness) * z_threshold**3 / 3) ** 2
    rejects, rejects_along = abs_z > z_threshold, abs_t > t_threshold
    proves = rejects & (abs_bias > rare) & (replicates >= needed)
    proves_along = rejects_along & (np.abs(along.bias) > RARE_EVENT * along.largest / replicates)

    if (off & ~unseen).any() or (gates and proves.any()):
        return say("biased")
    if gates and proves_along.any():
        return say("biased", "along a projection, by more than any coordinate shows")
    if not gates and (rejects.any() or rejects_along.any()):
        return say("inconclusive", "no third moments: this route does not materialise replicates")
    if rejects.any():
        j = int(np.argmax(np.where(rejects, abs_z, 0.0)))
        if replicates < needed[j]:
            return say("inconclusive", f"skewness gate: needs R >= {needed[j]:.0f} at {_name(table.layout, j)}")
        return say("inconclusive", f"rare events: the bias at {_name(table.layout, j)} is below 7 max|g| / R")
    if rejects_along.any():
        return say("inconclusive", "rare events: the bias along a projection is below 7 max|w.g| / R")
    if unseen.any():
        return say("inconclusive", f"every replicate is zero at {unseen.sum()} coordinates: a bias, or an event rarer than 1/R")
    if not (moving | deterministic).all():
        return say("inconclusive", "one replicate has no variance")
    if deterministic.all():
        return say("deterministic")
    return say("unbiased", None if gates else "no third moments: delta_min leaves rare events out")


def _name(layout: Layout, coordinate: int) -> str:
    """``parameter[index]``, with the index that `coordinates.csv` uses."""
    name, _, columns = next(entry for entry in layout.slices() if coordinate < entry[2].stop)
    return f"{name}[{coordinate - columns.start}]"


def _join(*reasons: str | None) -> str | None:
    return "; ".join(reason for reason in reasons if reason) or None


# -------------------------------------------------------------------------------------------------------------------------------- analysis


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
            skewness=_skewness(measured),
            largest=largest,
            along=projections(pool, layout, largest),
            dtype=dtype,
            self_referenced=self_referenced,
            biased_because=biased_because,
            deterministic_by_construction=deterministic_by_construction,
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


def _skewness(segments: Segments) -> np.ndarray | None:
    """[P]: skewness of the replicates, M3 / R over (M2 / R)^1.5; NaN without variance, None where the route keeps no third moments."""
    if segments.third is None:
        return None
    moments = pooled(segments)
    assert moments.third is not None
    return moments.third / moments.count / (moments.second / moments.count) ** 1.5
