"""Merging against rational arithmetic, and against recomputation."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from gsx import statistics
from gsx.statistics import Moments
from tests.statistics.factory import segments_of


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


def test_merge_with_third_moments_on_one_side_has_none() -> None:
    one = Moments(1, np.ones(1), np.zeros(1), np.zeros(1))
    assert statistics.merge(one, dataclasses.replace(one, third=None)).third is None
