"""The jackknife where it has a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gsx import statistics


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
