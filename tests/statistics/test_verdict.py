"""The verdict: what it convicts, what it acquits, and what it leaves open. Statistical tests fix their seed and state a failure rate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.stats

from gsx import statistics
from gsx.records import VERDICTS, Interval, Verdict
from tests.statistics.factory import COST, analyse, holds, segments_of, truth


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


def test_few_replicates_know_their_variance_badly() -> None:
    """z = 3.38 passes the normal quantile of one coordinate, 3.29, and not Student's of 63 degrees, 3.46."""
    replicates = np.tile([[1.0], [-1.0]], (32, 1))
    se = replicates.std(ddof=1) / 8
    few = analyse(replicates, np.array([3.38 * se])).verdict
    assert few.status == "inconclusive" and few.reason is not None and few.reason.startswith("too few replicates")
    assert analyse(replicates, np.array([3.5 * se])).verdict.status == "biased"
    many = np.tile(replicates, (100, 1))
    assert analyse(many, np.array([3.38 * many.std(ddof=1) / 80])).verdict.status == "biased"


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


def test_segments_without_maxima_cannot_prove_a_bias() -> None:
    rng = np.random.default_rng(13)
    bare = dataclasses.replace(segments_of(1 + rng.standard_normal((6400, 2))), third=None, largest=None)
    judge = lambda gradient: statistics.analyse(bare, truth(gradient), COST, dtype="float64", self_referenced=False).verdict  # noqa: E731
    rejected, accepted = judge(np.zeros(2)), judge(bare.mean.mean(0))
    assert rejected.status == "inconclusive" and rejected.reason is not None and "no maxima" in rejected.reason
    assert accepted.status == "unbiased" and accepted.reason is not None and "rare events" in accepted.reason


def without_third_moments(replicates: np.ndarray, gradient: np.ndarray, looseness: float = 3.0) -> Verdict:
    """Judged as a route judges that never forms a replicate's gradient, and bounds the largest by more than it is."""
    segments = segments_of(replicates)
    assert segments.largest is not None
    bare = dataclasses.replace(segments, third=None, cosine_mean=None, largest=looseness * segments.largest)
    return statistics.analyse(bare, truth(gradient), COST, dtype="float64", self_referenced=False).verdict


def test_without_third_moments_a_clear_bias_is_one() -> None:
    rng = np.random.default_rng(13)
    replicates = 1 + rng.standard_normal((6400, 2))
    assert without_third_moments(replicates, np.array([1.0, 1.0])).status == "unbiased"
    assert without_third_moments(replicates, np.array([1.0, 0.8])).status == "biased"


def test_bernstein_is_stricter_than_the_normal_tail() -> None:
    """At z = 4 a bound of 3 max|g| leaves room for chance; third moments, which are those of a normal, do not."""
    replicates = np.random.default_rng(15).standard_normal((6400, 1))
    gradient = replicates.mean(0) + 4 / 80 * replicates.std(0)
    assert analyse(replicates, gradient).verdict.status == "biased"
    verdict = without_third_moments(replicates, gradient)
    assert verdict.status == "inconclusive" and verdict.reason is not None and "chance is not ruled out at w[0]" in verdict.reason


def test_without_third_moments_a_rare_event_convicts_nobody() -> None:
    """g is 5 with probability 2e-3 and else a small noise, and is unbiased: of 400 runs the plain z-test rejects several, we none."""
    rng = np.random.default_rng(17)
    rejected = 0
    for _ in range(400):
        replicates = np.where(rng.random((6400, 1)) < 2e-3, 5.0, 0.02 * rng.standard_normal((6400, 1)))
        verdict = without_third_moments(replicates, np.array([1e-2]), looseness=1.0)
        assert verdict.status != "biased"
        rejected += verdict.max_abs_z is not None and verdict.max_abs_z > 3.3
    assert rejected >= 1


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


def test_self_reference_says_nothing_about_bias() -> None:
    verdict = analyse(5 + np.random.default_rng(16).standard_normal((640, 2)), np.zeros(2), self_referenced=True).verdict
    assert verdict.status == "self_referenced" and verdict.delta_min_absolute is None


def test_a_state_that_was_hardly_drawn_convicts_nobody() -> None:
    """Coordinate 0 of a score function whose state of probability 1e-4 was never drawn: nearly constant, z = 60, and right on average."""
    rng = np.random.default_rng(14)
    replicates = np.stack([1e-5 + 2e-6 * rng.standard_normal(4096), rng.standard_normal(4096)], 1)
    gradient = np.array([3e-5, 0.0])
    assert analyse(replicates, gradient).verdict.status == "biased"  # the numbers alone cannot tell
    verdict = analyse(replicates, gradient, rarest_draws=0.4).verdict
    assert verdict.status == "inconclusive" and verdict.reason is not None and "expected 0.4 times" in verdict.reason
    assert analyse(replicates, gradient, rarest_draws=100.0).verdict.status == "biased"
    # A bias that no state of such a probability could explain is one all the same.
    assert analyse(replicates + np.array([0.0, 0.5]), gradient, rarest_draws=0.4).verdict.status == "biased"


def test_a_constant_gradient_beside_a_state_never_drawn_is_inconclusive() -> None:
    constant, gradient = np.full((640, 1), 0.3), np.array([0.1])
    assert analyse(constant, gradient).verdict.status == "biased"
    verdict = analyse(constant, gradient, rarest_draws=0.01).verdict
    assert verdict.status == "inconclusive" and verdict.delta_min_absolute == pytest.approx(0.2)
