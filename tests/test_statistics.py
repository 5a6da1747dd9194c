"""The statistics against brute force, scipy, and two thousand repetitions.

Exact tests always pass. Every statistical test fixes its seed, and says how often it would fail for another seed though nothing were wrong.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats

from gsx import statistics
from gsx.records import STATISTICS, VERDICTS, Analysis, Cost, Interval, Layout, Reference, Segments
from gsx.statistics import Moments, Pool

COST = Cost(evaluations=3, gradient_evaluations=0, random_numbers=1, time_ratio=2.0, time_ratio_log_se=0.1)


def segments_of(replicates: np.ndarray, segments: int | list[int] = 64, reference: np.ndarray | None = None) -> Segments:
    """Two-pass moments of ``replicates`` [R, P], cut into equal segments or into those of the given sizes (0 leaves one empty)."""
    size = replicates.shape[1]
    if isinstance(segments, int):
        pieces = list(replicates.reshape(segments, -1, size)[None])  # one array of all of them: 64 times faster
    else:
        pieces = [piece[None] for piece in np.split(replicates, np.cumsum(segments)[:-1])]

    def each(moment: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return np.concatenate([moment(piece) if piece.size else np.zeros((1, size)) for piece in pieces])

    def mean(piece: np.ndarray) -> np.ndarray:
        return piece[:, 0] + (piece - piece[:, :1]).mean(1)  # shifted: a plain sum would lose digits where the mean is large

    def power(piece: np.ndarray, k: int) -> np.ndarray:
        centred = piece - mean(piece)[:, None]
        return functools.reduce(np.multiply, [centred] * k).sum(1)  # numpy's own ** 3 takes ten times as long

    def cosine(piece: np.ndarray) -> np.ndarray:
        return (piece @ reference / np.linalg.norm(piece, axis=-1) / np.linalg.norm(reference)).mean(1, keepdims=True)

    count = np.concatenate([[piece.shape[1]] * len(piece) for piece in pieces])
    broken = each(lambda piece: (~np.isfinite(piece)).any(-1).sum(1, keepdims=True) * np.ones(size))[:, 0].astype(np.int64)
    with np.errstate(invalid="ignore"):
        return Segments(
            layout=Layout(("w",), ((size,),)),
            blocks=count,
            count=count,
            mean=each(mean),
            second=each(lambda piece: power(piece, 2)),
            third=each(lambda piece: power(piece, 3)),
            largest=each(lambda piece: np.abs(piece).max(1)),
            cosine_mean=None if reference is None else each(lambda piece: cosine(piece) * np.ones(size))[:, 0],
            nonfinite_replicates=broken,
            nonfinite_first_block=np.where(broken > 0, np.arange(len(count)), -1),
        )


def truth(gradient: np.ndarray, se: np.ndarray | float = 0.0) -> Reference:
    return Reference(
        "r", "enumeration", None, np.asarray(gradient, float), np.broadcast_to(np.asarray(se, float), np.shape(gradient)).copy()
    )


def analyse(
    replicates: np.ndarray, gradient: np.ndarray, segments: int | list[int] = 64, dtype: str = "float64", **options: object
) -> Analysis:
    return statistics.analyse(
        segments_of(replicates, segments), truth(gradient), COST, **{"dtype": dtype, "self_referenced": False, **options}
    )


def holds(interval: Interval | None, value: float) -> bool:
    assert interval is not None and interval.ci is not None
    return interval.ci[0] <= value <= interval.ci[1]


# --------------------------------------------------------------------------------------------------------------------------------- exact


@pytest.mark.parametrize("degrees", [1, 2, 3, 15, 63, 1000, 126.4])
@pytest.mark.parametrize("p", [0.001, 0.5, 0.9, 0.975, 0.9995, 1 - 5e-7])
def test_student_quantile(p: float, degrees: float) -> None:
    expected = scipy.stats.t.ppf(p, degrees)
    # 1 - 5e-7 itself is known to 1e-10 only.
    assert statistics.student_t_quantile(p, degrees) == pytest.approx(expected, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("degrees", [1, 2, 15, 63, 4095])
@pytest.mark.parametrize("t", [-2.0, 0.0, 0.3, 2.0, 7.0, 40.0])
def test_student_tail_is_precise_far_out(t: float, degrees: int) -> None:
    assert statistics.student_t_tail(t, degrees) == pytest.approx(scipy.stats.t.sf(t, degrees), rel=1e-10)


@pytest.mark.parametrize(("numerator", "denominator"), [(1, 63), (1.5, 94.5), (7.3, 459.9), (1e3, 15e3), (1e5, 6.3e6)])
def test_f_quantile(numerator: float, denominator: float) -> None:
    assert statistics.f_quantile(0.95, numerator, denominator) == pytest.approx(scipy.stats.f.ppf(0.95, numerator, denominator), rel=1e-8)


def test_merge_is_exact_on_ill_conditioned_data() -> None:
    """Mean 1e6, sd 1e-3: E[g^2] - E[g]^2 has no correct digit left here. The truth is computed in rational arithmetic."""
    rng = np.random.default_rng(0)
    replicates = 1e6 + 1e-3 * rng.standard_gamma(1.0, (700, 2))
    sizes = [1, 2, 0, 397, 100, 200]
    moments = statistics.pooled(segments_of(replicates, sizes))
    assert moments.count == 700 and moments.third is not None
    for column in range(2):
        exact = [Fraction(x) for x in replicates[:, column]]
        mean = sum(exact) / 700
        # The data themselves are on a grid of 1e-10, and so is a mean: 1e-7 standard deviations.
        assert float(abs(Fraction(moments.mean[column]) - mean)) < 3e-10
        assert moments.second[column] == pytest.approx(float(sum((x - mean) ** 2 for x in exact)), rel=1e-7)
        assert moments.third[column] == pytest.approx(float(sum((x - mean) ** 3 for x in exact)), rel=1e-6)
    naive = (replicates**2).mean(0) - replicates.mean(0) ** 2
    assert not np.allclose(naive, replicates.var(0), rtol=0.5)  # the control: what this test exists to refuse


def test_leave_one_out_equals_recomputation_without_the_segment() -> None:
    rng = np.random.default_rng(1)
    replicates = 1e4 + rng.standard_normal((60, 3))
    replicates[7] += 1e9  # one segment holds nearly all the variance: un-merging it by subtraction would leave nothing of the others
    sizes = [5, 10, 20, 25]
    edges = np.cumsum([0, *sizes])
    rows = statistics.leave_one_out(statistics.parts(segments_of(replicates, sizes)))
    assert len(rows) == 4
    for g, row in enumerate(rows):
        rest = np.delete(replicates, slice(edges[g], edges[g + 1]), axis=0)
        assert row.count == len(rest)
        np.testing.assert_allclose(row.mean, rest.mean(0), rtol=1e-13)
        np.testing.assert_allclose(row.second, ((rest - rest.mean(0)) ** 2).sum(0), rtol=1e-10)
        assert row.third is not None
        np.testing.assert_allclose(row.third, ((rest - rest.mean(0)) ** 3).sum(0), rtol=1e-8, atol=1e-8 * len(rest))


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    """For a weighted mean of segments the delete-m_j jackknife has a closed form; for equal segments, the textbook's."""
    rng = np.random.default_rng(2)
    values = 1e8 + rng.standard_normal(6)
    for sizes in (np.full(6, 4.0), np.array([1.0, 4, 2, 8, 3, 5])):
        total = sizes.sum()
        mean = (sizes * values).sum() / total
        rows = np.array([mean, *[np.delete(sizes * values, g).sum() / (total - sizes[g]) for g in range(6)]])
        count = np.array([total, *(total - sizes)])
        h = total / sizes
        expected = math.sqrt((((values - mean) ** 2) / (h - 1)).mean())  # pseudo-values are the segments' own values
        assert statistics.jackknife_se(count, rows) == pytest.approx(expected, rel=1e-5)
        if len(set(sizes)) == 1:
            assert expected == pytest.approx(values.std(ddof=1) / math.sqrt(6), rel=1e-6)


def test_values_equal_their_formulas() -> None:
    rng = np.random.default_rng(3)
    gradient, se = np.array([1.0, -2.0, 0.5]), np.array([0.01, 0.0, 0.02])
    replicates = [1.1, -1.0, 1.0] + rng.standard_normal((640, 3)) * [1.0, 0.3, 2.0]
    segments = dataclasses.replace(
        segments_of(replicates, [64, 0, 128, 200, 248], gradient), layout=Layout(("loc", "log_scale"), ((2,), (1, 1)))
    )
    result = statistics.analyse(segments, truth(gradient, se), COST, dtype="float64", self_referenced=False)
    mean, spread = replicates.mean(0), replicates.var(0, ddof=1)
    trace, off = spread.sum(), mean - gradient
    bias_sq = off @ off - trace / 640 - se @ se
    signal = mean @ mean - trace / 640
    expected = {
        "variance": trace,
        "bias_sq": bias_sq,
        "mse": trace + bias_sq,
        "snr": signal / trace,
        "cosine": mean @ gradient / math.sqrt(signal * (gradient @ gradient)),
        "cosine_single": (replicates @ gradient / np.linalg.norm(replicates, axis=1) / np.linalg.norm(gradient)).mean(),
        "variance_times_evaluations": 3 * trace,
        "variance_times_time_ratio": 2 * trace,
    }
    assert set(result.summary) == set(STATISTICS) == set(expected)
    for name, value in expected.items():
        found = result.summary[name]
        assert found is not None and found.value == pytest.approx(value, rel=1e-12), name
        assert found.se is not None and found.se > 0
    assert set(result.parameters) == {"loc", "log_scale"} and result.parameters["log_scale"]["shape"] == [1, 1]
    assert result.parameters["loc"]["variance"].value == pytest.approx(spread[:2].sum(), rel=1e-12)
    assert result.parameters["log_scale"]["bias_sq"].value == pytest.approx(off[2] ** 2 - spread[2] / 640 - se[2] ** 2, rel=1e-12)

    table = result.coordinates
    np.testing.assert_allclose(table.mean_se, np.sqrt(spread / 640))
    np.testing.assert_allclose(table.bias_se, np.sqrt(spread / 640 + se**2))
    np.testing.assert_allclose(table.z, off / table.bias_se, rtol=1e-9)
    # Times have an error of their own: 0.1 in the logarithm, on top of the variance's.
    alone, timed = result.summary["variance"], result.summary["variance_times_time_ratio"]
    assert alone is not None and timed is not None and alone.se is not None and timed.se is not None
    assert (timed.se / timed.value) ** 2 == pytest.approx((alone.se / alone.value) ** 2 + 0.1**2)


def test_delta_min_is_the_formula() -> None:
    rng = np.random.default_rng(4)
    replicates, gradient = 2 + rng.standard_normal((4096, 3)) * [1.0, 0.1, 3.0], np.array([2.0, 2.0, 2.0])
    z = scipy.stats.norm.ppf(1 - 1e-3 / 6) + scipy.stats.norm.ppf(0.999)
    expected = np.maximum(z * replicates.std(0, ddof=1) / 64, 7 * np.abs(replicates).max(0) / 4096).max()
    verdict = analyse(replicates, gradient).verdict
    assert verdict.status == "unbiased" and verdict.reason is None
    assert verdict.delta_min_absolute == pytest.approx(expected) and verdict.delta_min_relative == pytest.approx(expected / 2)
    assert verdict.max_abs_z is not None and verdict.p_value is not None
    assert verdict.p_value == pytest.approx(min(1.0, 3 * 2 * scipy.stats.norm.sf(verdict.max_abs_z)))


def test_fewer_than_two_segments_have_no_error_bars() -> None:
    result = analyse(np.random.default_rng(5).standard_normal((32, 2)) + 1, np.ones(2), [32, 0, 0])
    variance = result.summary["variance"]
    assert variance is not None and variance.se is None and variance.ci is None
    assert np.isnan(result.coordinates.variance_se).all() and np.isfinite(result.coordinates.z).all()
    assert result.verdict.status == "unbiased"
    alone = analyse(np.ones((1, 2)), np.ones(2), [1, 0])
    assert alone.summary["variance"] is None and alone.verdict.status == "inconclusive"
    with pytest.raises(ValueError, match="no replicates"):
        analyse(np.ones((0, 2)), np.ones(2), [0, 0])


def test_a_reference_of_zero_divides_nothing() -> None:
    result = analyse(np.random.default_rng(6).standard_normal((6400, 2)), np.zeros(2))
    assert result.summary["cosine"] is None
    assert result.verdict.delta_min_relative is None and result.verdict.delta_min_absolute is not None
    still = analyse(np.zeros((64, 2)), np.zeros(2))
    assert still.verdict.status == "deterministic" and still.summary["variance"] == Interval(0.0, 0.0, (0.0, 0.0))


# --------------------------------------------------------------------------------------------------------------------- interval coverage

REPETITIONS = 2000
COVERED = (0.93, 0.99)  # 0.95 lies 4 of its standard errors (0.0049) above the lower end, 8 below the upper: failure rate below 1e-4


def coverage(hits: list[bool]) -> float:
    assert len(hits) == REPETITIONS
    return sum(hits) / REPETITIONS


def test_coverage_with_heavy_tails() -> None:
    """Gamma(1/4) coordinates, kurtosis 3 + 6/0.25 = 27: variance, and mse with a real bias, within 2000 repetitions.

    A chi-square interval for the variance, the negative control, covers about half the time. Jackknife intervals cover 0.942 here, 2.3
    standard errors above the lower end: failure rate 1e-2 for each of variance and mse.
    """
    rng = np.random.default_rng(7)
    replicates_each, scale = 4096, np.array([1.0, 0.8])
    mean, variance = 0.25 * scale, float((0.25 * scale**2).sum())
    biased = mean + 0.4
    mse = variance + 2 * 0.4**2
    chi_square = 4095 / scipy.stats.chi2.ppf([0.975, 0.025], 4095)
    hits: dict[str, list[bool]] = {"variance": [], "mse": [], "bias_sq": [], "chi_square": []}
    fourth = 0.0
    for _ in range(REPETITIONS):
        replicates = scale * rng.standard_gamma(0.25, (replicates_each, 2))
        fourth += float((((replicates[:, 0] - mean[0]) ** 2) ** 2).mean()) / REPETITIONS
        pool = Pool.of(segments_of(replicates), mean, np.zeros(2))
        found = statistics.variance(pool)
        hits["variance"].append(holds(found, variance))
        hits["bias_sq"].append(holds(statistics.bias_sq(pool), 0.0))
        hits["mse"].append(holds(statistics.mean_squared_error(dataclasses.replace(pool, reference=biased)), mse))
        column = replicates[:, 0].var(ddof=1)
        hits["chi_square"].append(bool(chi_square[0] * column <= 0.25 <= chi_square[1] * column))
    assert fourth / 0.25**2 > 20
    assert coverage(hits["chi_square"]) < 0.6
    for name in ("variance", "mse", "bias_sq"):
        assert COVERED[0] <= coverage(hits[name]) <= COVERED[1], (name, coverage(hits[name]))


@pytest.mark.parametrize("spread", [(1.0,), (1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.1)], ids=len)
def test_coverage_of_an_unbiased_estimator(spread: tuple[float, ...]) -> None:
    """bias_sq holds 0 and cosine holds 1, in one dimension and in many, with unequal noise, and a reference with its own error.

    The control is c^2 = t^2 V, which is right in one dimension and covers nearly always in ten. A single coordinate has no angle: [1, 1].
    """
    rng = np.random.default_rng(8)
    size, noise = len(spread), np.array(spread)
    mean, se = np.linspace(1.0, 2.0, size), 0.02 * noise
    t = statistics.student_t_quantile(0.975, 31)
    hits: dict[str, list[bool]] = {"bias_sq": [], "cosine": [], "t": []}
    for _ in range(REPETITIONS):
        replicates = mean + noise * rng.standard_normal((512, size))
        pool = Pool.of(segments_of(replicates, 32), mean + se * rng.standard_normal(size), se)
        found = statistics.bias_sq(pool)
        hits["bias_sq"].append(holds(found, 0.0))
        hits["cosine"].append(holds(statistics.cosine(pool), 1.0))
        length = float(((pool.mean[0] - pool.reference) ** 2).sum())
        hits["t"].append(bool(length <= t**2 * (pool.trace[0] / 512 + (se**2).sum())))
    assert COVERED[0] <= coverage(hits["bias_sq"]) <= COVERED[1]
    if size == 1:
        assert coverage(hits["cosine"]) == 1.0
    else:
        assert COVERED[0] <= coverage(hits["cosine"]) <= COVERED[1], coverage(hits["cosine"])
    if size == 10:
        assert coverage(hits["t"]) > COVERED[1]


def test_intervals_of_a_biased_direction_hold_the_truth() -> None:
    """400 repetitions at a real angle and a real bias: at least 0.95 by the triangle inequality. Failure rate (below 0.92) 1e-2 at most."""
    rng = np.random.default_rng(9)
    mean, gradient = np.array([1.0, 0.5, 0.0]), np.array([1.0, -0.5, 0.3])
    cosine = mean @ gradient / np.linalg.norm(mean) / np.linalg.norm(gradient)
    hits = []
    for _ in range(400):
        pool = Pool.of(segments_of(mean + rng.standard_normal((512, 3))), gradient, np.zeros(3))
        hits.append((holds(statistics.cosine(pool), cosine), holds(statistics.bias_sq(pool), float(((mean - gradient) ** 2).sum()))))
    assert (np.mean(hits, axis=0) >= 0.92).all()


def test_cosine_is_null_without_a_signal() -> None:
    assert analyse(np.random.default_rng(10).standard_normal((6400, 5)), np.ones(5)).summary["cosine"] is None


# -------------------------------------------------------------------------------------------------------------------------------- verdict


def test_family_wise_error() -> None:
    """An unbiased estimator with 5 coordinates, 1000 seeds: rejected in 1e-3 of them. More than 5 has probability 6e-4."""
    rng = np.random.default_rng(11)
    gradient = np.arange(5.0)
    statuses = [analyse(gradient + rng.standard_normal((1024, 5)), gradient, 2).verdict.status for _ in range(1000)]
    assert set(statuses) <= set(VERDICTS)
    assert sum(status != "unbiased" for status in statuses) <= 5


def test_a_bias_of_delta_min_is_found() -> None:
    """Planted at 1.2 delta_min of one coordinate of five: missed with probability far below 1e-3 for each of 50 seeds."""
    rng = np.random.default_rng(12)
    gradient = np.arange(1.0, 6.0)
    for _ in range(50):
        replicates = gradient + rng.standard_normal((8192, 5))
        delta = analyse(replicates, gradient).verdict.delta_min_absolute
        assert delta is not None and delta < 0.11  # (3.72 + 3.09) / sqrt(8192) = 0.075, with room: power is not bought by a wide delta
        verdict = analyse(replicates + 1.2 * delta * np.eye(5)[3], gradient).verdict
        assert verdict.status == "biased" and verdict.p_value is not None and verdict.p_value < 1e-3


def test_an_event_never_drawn_is_not_a_bias() -> None:
    """g = 1e4 with probability 1e-6, else 0: mean 1e-2. In 10^4 replicates it is drawn in one run of a hundred."""
    verdict = analyse(np.zeros((6400, 1)), np.array([1e-2])).verdict
    assert verdict.status == "inconclusive" and verdict.reason is not None and "zero" in verdict.reason
    assert verdict.delta_min_relative == pytest.approx(1.0)  # nothing smaller than the whole gradient could have been seen
    # Where the configuration says why it is biased, or nothing was drawn, the innocent explanation is gone.
    assert analyse(np.zeros((6400, 1)), np.array([1e-2]), biased_because="biased here: discontinuous").verdict.status == "biased"
    assert analyse(np.zeros((1, 1)), np.array([1e-2]), [1], deterministic_by_construction=True).verdict.status == "biased"


def test_a_rare_event_drawn_too_seldom_is_inconclusive() -> None:
    """g is +-0.02, or 5 with probability 1e-3, and is unbiased; this run drew the event once in 6400. The plain z-test rejects it (z = -5).

    Without the gates the verdict would be "biased".
    """
    replicates = np.where(np.arange(6400)[:, None] % 2, 0.02, -0.02)
    replicates[17] = 5.0
    verdict = analyse(replicates, np.array([5e-3])).verdict
    assert verdict.max_abs_z is not None and verdict.max_abs_z > 3.3
    assert (
        verdict.status == "inconclusive" and verdict.reason is not None and verdict.reason.startswith(("skewness gate: needs R >=", "rare"))
    )
    assert verdict.delta_min_absolute is not None and verdict.delta_min_absolute >= 7 * 5 / 6400


def test_a_route_without_third_moments_cannot_prove_a_bias() -> None:
    rng = np.random.default_rng(13)
    bare = dataclasses.replace(segments_of(1 + rng.standard_normal((6400, 2))), third=None, largest=None)
    judge = lambda gradient: statistics.analyse(bare, truth(gradient), COST, dtype="float64", self_referenced=False).verdict  # noqa: E731
    rejected, accepted = judge(np.zeros(2)), judge(bare.mean.mean(0))
    assert rejected.status == "inconclusive" and rejected.reason is not None and "no third moments" in rejected.reason
    assert accepted.status == "unbiased" and accepted.reason is not None and "rare events" in accepted.reason


@pytest.mark.parametrize(("dtype", "off", "status"), [
    ("float32", 0.9e-5, "deterministic"),
    ("float32", 1.1e-5, "biased"),
    ("float64", 0.9e-10, "deterministic"),
    ("float64", 1.1e-10, "biased"),
])  # fmt: skip
def test_zero_variance(dtype: str, off: float, status: str) -> None:
    gradient = np.array([3.0, 4.0])
    replicates = np.tile(gradient + np.array([5.0, 0.0]) * off, (640, 1))
    result = analyse(replicates, gradient, dtype=dtype)
    assert result.verdict.status == status and result.verdict.max_abs_z is None
    assert result.summary["variance"] == Interval(0.0, 0.0, (0.0, 0.0)) and result.summary["snr"] is None
    assert np.isnan(result.coordinates.z).all() and np.isnan(result.coordinates.bias_se).all() and (result.coordinates.variance == 0).all()
    once = analyse(replicates[:1], gradient, [1, 0, 0], dtype=dtype, deterministic_by_construction=True)
    assert once.verdict.status == status and once.summary["variance"] == Interval(0.0, 0.0, (0.0, 0.0))
    assert once.summary["cosine"] is not None and once.summary["cosine"].value == pytest.approx(1.0)
    # Beside a coordinate that moves, a deterministic one is still judged by its own rule.
    mixed = np.column_stack([replicates[:, :1], 4 + np.random.default_rng(14).standard_normal(640)])
    assert analyse(mixed, gradient, dtype=dtype).verdict.status == {"deterministic": "unbiased", "biased": "biased"}[status]


def test_a_noisy_reference_does_not_convict_a_deterministic_estimator() -> None:
    segments = segments_of(np.full((640, 1), 1.0))
    judge = lambda at: statistics.analyse(segments, truth(np.array([at]), 0.01), COST, dtype="float64", self_referenced=False)  # noqa: E731
    assert judge(1.02).verdict.status == "deterministic" and judge(1.1).verdict.status == "biased"
    assert holds(judge(1.01).summary["bias_sq"], 0.0)


def test_nonfinite_replicates_void_their_coordinates_only() -> None:
    replicates = 1 + np.random.default_rng(15).standard_normal((640, 3))
    replicates[[37, 205], 1] = np.inf, np.nan
    segments = dataclasses.replace(segments_of(replicates, reference=np.ones(3)), layout=Layout(("a", "b"), ((1,), (2,))))
    result = statistics.analyse(segments, truth(np.ones(3)), COST, dtype="float64", self_referenced=False)
    assert result.verdict.status == "nonfinite"
    assert result.nonfinite == {"replicates": 2, "coordinates": 1, "first_block": 3}
    assert all(entry is None for entry in result.summary.values())
    assert result.parameters["a"]["variance"] is not None and result.parameters["b"]["variance"] is None
    for column in result.coordinates.COLUMNS:
        assert np.isnan(getattr(result.coordinates, column)).tolist() == [False, True, False], column
    assert analyse(np.delete(replicates, 1, axis=1), np.ones(2)).nonfinite == {"replicates": 0, "coordinates": 0, "first_block": None}


def test_self_reference_says_nothing_about_bias() -> None:
    verdict = analyse(5 + np.random.default_rng(16).standard_normal((640, 2)), np.zeros(2), self_referenced=True).verdict
    assert verdict.status == "self_referenced" and verdict.delta_min_absolute is None


def normal_segments(rng: np.random.Generator, mean: np.ndarray, replicates: int = 1 << 20) -> Segments:
    """64 segments of unit normal replicates, drawn as moments: a million replicates without making them."""
    each, size = replicates // 64, len(mean)
    return Segments(
        layout=Layout(("w", "b"), ((size - 10,), (10,))),
        blocks=np.full(64, 1),
        count=np.full(64, each),
        mean=mean + rng.standard_normal((64, size)) / math.sqrt(each),
        second=rng.chisquare(each - 1, (64, size)),
        third=np.zeros((64, size)),
        largest=np.full((64, size), 5.0),
        cosine_mean=None,
        nonfinite_replicates=np.zeros(64, dtype=np.int64),
        nonfinite_first_block=np.full(64, -1),
    )


def test_a_thin_bias_is_seen_along_the_reference() -> None:
    """2000 coordinates, each biased by half a standard error: none shows it, together they do (z = sqrt(2000) / 2 = 22 along ref).

    The control, 20 unbiased seeds: rejected by chance with probability 1e-3 each, so the test fails for 2 % of the seeds.
    """
    rng = np.random.default_rng(17)
    gradient = rng.choice([-1.0, 1.0], 2000)
    found = normal_segments(rng, gradient * (1 + 2.0**-11))
    verdict = statistics.analyse(found, truth(gradient), COST, dtype="float64", self_referenced=False).verdict
    assert verdict.status == "biased" and verdict.reason is not None and "projection" in verdict.reason
    assert verdict.max_abs_z is not None and verdict.max_abs_z < scipy.stats.norm.isf(1e-3 / 2 / (2000 + 33))
    for _ in range(20):
        right = statistics.analyse(normal_segments(rng, gradient), truth(gradient), COST, dtype="float64", self_referenced=False)
        assert right.verdict.status == "unbiased"


def test_sign_vectors_are_fixed_and_balanced() -> None:
    signs = statistics.sign_vectors(0, 1000)
    assert signs.shape == (16, 1000) and set(np.unique(signs)) == {-1.0, 1.0}
    assert not np.array_equal(signs, statistics.sign_vectors(1, 1000))
    # 16 vectors of 1000 fair signs: every sum within 5 standard deviations.
    assert (np.abs(signs.sum(1)) < 5 * math.sqrt(1000)).all()
    assert "".join("+" if s > 0 else "-" for s in signs[0, :16]) == "++---++--+-+----"


# ------------------------------------------------------------------------------------------------------------------- relative variance


def test_relative_variance() -> None:
    """Common noise cancels in a paired ratio. The interval covers: 150 repetitions, failure rate (below 0.88) 1e-3."""
    rng = np.random.default_rng(18)
    hits, narrower = [], []
    for _ in range(150):
        common = rng.standard_gamma(0.5, (1024, 2))
        a, b = segments_of(2 * common + 0.2 * rng.standard_normal((1024, 2))), segments_of(common)
        paired, independent = statistics.relative_variance(a, b, True), statistics.relative_variance(a, b, False)
        assert paired.value == pytest.approx(independent.value, rel=1e-12) and paired.se is not None and independent.se is not None
        hits.append(holds(paired, 4 + 0.04 / 0.5))
        narrower.append(paired.se < 0.3 * independent.se)
    assert np.mean(hits) > 0.88 and all(narrower)


def test_relative_variance_at_the_edges() -> None:
    rng = np.random.default_rng(19)
    noisy, still = segments_of(rng.standard_normal((640, 2))), segments_of(np.ones((640, 2)))
    assert statistics.relative_variance(still, noisy, False) == Interval(0.0, 0.0, (0.0, 0.0))
    assert math.isnan(statistics.relative_variance(noisy, still, True).value)
    shorter = segments_of(rng.standard_normal((320, 2)), 16)
    with pytest.raises(ValueError, match="same replicates"):
        statistics.relative_variance(noisy, shorter, True)
    swapped = statistics.relative_variance(shorter, noisy, False), statistics.relative_variance(noisy, shorter, False)
    assert swapped[0].ci is not None and swapped[1].ci is not None
    assert swapped[0].ci[0] == pytest.approx(1 / swapped[1].ci[1])  # the log scale has no preferred side


def test_merge_with_third_moments_on_one_side_has_none() -> None:
    one = Moments(1, np.ones(1), np.zeros(1), np.zeros(1))
    assert statistics.merge(one, dataclasses.replace(one, third=None)).third is None
