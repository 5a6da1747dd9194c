"""Tails and quantiles against scipy."""

from __future__ import annotations

import pytest
import scipy.stats

from gsx import statistics


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
