"""The analysis as a whole: every statistic equals its formula, and what is missing is None."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from gsx import statistics
from gsx.records import STATISTICS, Interval, Layout
from tests.statistics.factory import COST, analyse, segments_of, truth


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


def test_cosine_is_null_without_a_signal() -> None:
    assert analyse(np.random.default_rng(10).standard_normal((6400, 5)), np.ones(5)).summary["cosine"] is None


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
