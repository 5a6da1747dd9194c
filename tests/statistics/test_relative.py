"""Relative variance: paired, independent, and at the edges."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from gsx import statistics
from gsx.records import Interval
from tests.statistics.factory import holds
from tests.statistics.factory import segments_of as moments_of


def traces(*arguments: Any) -> statistics.Traces:
    return statistics.Traces.of(moments_of(*arguments))


def test_relative_variance() -> None:
    """Common noise cancels in a paired ratio. The interval covers: 150 repetitions, failure rate (below 0.88) 1e-3."""
    rng = np.random.default_rng(18)
    hits, narrower = [], []
    for _ in range(150):
        common = rng.standard_gamma(0.5, (1024, 2))
        a, b = traces(2 * common + 0.2 * rng.standard_normal((1024, 2))), traces(common)
        paired, independent = statistics.relative_variance(a, b, True), statistics.relative_variance(a, b, False)
        assert paired.value == pytest.approx(independent.value, rel=1e-12) and paired.se is not None and independent.se is not None
        hits.append(holds(paired, 4 + 0.04 / 0.5))
        narrower.append(paired.se < 0.3 * independent.se)
    assert np.mean(hits) > 0.88 and all(narrower)


def test_relative_variance_at_the_edges() -> None:
    rng = np.random.default_rng(19)
    noisy, still = traces(rng.standard_normal((640, 2))), traces(np.ones((640, 2)))
    assert statistics.relative_variance(still, noisy, False) == Interval(0.0, 0.0, (0.0, 0.0))
    assert math.isnan(statistics.relative_variance(noisy, still, True).value)
    shorter = traces(rng.standard_normal((320, 2)), 16)
    with pytest.raises(ValueError, match="same replicates"):
        statistics.relative_variance(noisy, shorter, True)
    swapped = statistics.relative_variance(shorter, noisy, False), statistics.relative_variance(noisy, shorter, False)
    assert swapped[0].ci is not None and swapped[1].ci is not None
    assert swapped[0].ci[0] == pytest.approx(1 / swapped[1].ci[1])  # the log scale has no preferred side


@pytest.mark.parametrize("size", [1, 5])
def test_traces_are_those_of_a_pool(size: int) -> None:
    """With uneven and empty segments, a large mean, a coordinate that never moves, one that is not finite, and one segment alone."""
    rng = np.random.default_rng(20)
    moments = moments_of(1e3 + rng.standard_gamma(0.5, (640, size)) * 10.0 ** np.arange(size))
    mean, second, count = moments.mean.copy(), moments.second.copy(), moments.count.copy()
    count[:7], mean[3, 0] = np.arange(7), mean[3, 0] + 50.0
    uneven = dataclasses.replace(moments, mean=mean, second=second, count=count)
    still = dataclasses.replace(uneven, mean=np.where(np.arange(size) == 0, 7.0, mean), second=np.where(np.arange(size) == 0, 0.0, second))
    broken = dataclasses.replace(uneven, mean=np.where(np.arange(size) == size - 1, math.nan, mean))
    alone = dataclasses.replace(uneven, count=np.where(np.arange(len(count)) == 9, count, 0))
    for segments in (uneven, still, broken, alone):
        with np.errstate(all="ignore"):
            truth = np.full(size, 990.0)
            pool = statistics.Pool.of(segments, truth, np.zeros(size))
        found = statistics.Traces.of(segments, truth)
        assert statistics.Traces.of(segments).bias_sq is None and found.bias_sq is not None
        np.testing.assert_allclose(found.trace, pool.trace, rtol=1e-9)
        np.testing.assert_allclose(found.bias_sq, pool.bias_sq, rtol=1e-9)
        np.testing.assert_array_equal(found.count, pool.count)
    # The planted bug: second moments of the others about the mean of all, and not about their own.
    n = uneven.count[:, None].astype(float)
    gap = uneven.mean - (n / n.sum() * uneven.mean).sum(0)
    mistaken = np.delete(uneven.second + n * gap**2, 3, 0).sum() / (n.sum() - n[3] - 1)
    assert not np.allclose(mistaken, statistics.Traces.of(uneven).trace[1 + 2], rtol=1e-7)  # segment 0 is empty: 3 is the third
