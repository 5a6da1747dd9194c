"""Projections: a bias that no coordinate shows."""

from __future__ import annotations

import math

import numpy as np
import scipy.stats

from gsx import statistics
from gsx.records import Layout, Segments, Verdict
from tests.statistics.factory import COST, truth


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


def test_the_error_of_a_long_run_goes_together_and_convicts_nobody() -> None:
    """A reference off by a common factor, as replicates that are all too long make it: by one standard error of each coordinate."""
    rng = np.random.default_rng(18)
    gradient = rng.choice([-1.0, 1.0], 2000)
    found = normal_segments(rng, gradient)

    def judge(off: float, se: float) -> Verdict:
        return statistics.analyse(found, truth(gradient * (1 + off), se), COST, dtype="float64", self_referenced=False).verdict

    verdict = judge(0.02, 0.02)
    assert verdict.status == "inconclusive" and verdict.reason is not None and "the reference's own error" in verdict.reason
    assert verdict.p_value is not None and verdict.p_value < 1e-6  # errors that go their own ways would convict it
    # What the errors do not allow, or an exact reference, does convict: six of them, and none.
    assert judge(0.02, 0.02 / 6).status == "biased" and judge(0.001, 0.0).status == "biased"


def test_sign_vectors_are_fixed_and_balanced() -> None:
    signs = statistics.sign_vectors(0, 1000)
    assert signs.shape == (16, 1000) and set(np.unique(signs)) == {-1.0, 1.0}
    assert not np.array_equal(signs, statistics.sign_vectors(1, 1000))
    # 16 vectors of 1000 fair signs: every sum within 5 standard deviations.
    assert (np.abs(signs.sum(1)) < 5 * math.sqrt(1000)).all()
    assert "".join("+" if s > 0 else "-" for s in signs[0, :16]) == "++---++--+-+----"
