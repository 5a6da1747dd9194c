"""The moments of blocks: centred, merged, counted, and put back where they were after an interruption."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsx.accumulator import Accumulator, Plan
from gsx.moments import Moments, merge, moments
from gsx.records import Layout

CPU = torch.device("cpu")
FIELDS = [field.name for field in dataclasses.fields(Moments)]


def two_pass(g: np.ndarray) -> dict[str, np.ndarray]:
    """In extended precision, around a shifted mean: the truth to 1e-18 or so."""
    wide = g.astype(np.longdouble)
    mean = wide[0] + (wide - wide[0]).mean(0)
    centred = wide - mean
    return {"mean": mean, "second": (centred**2).sum(0), "third": (centred**3).sum(0), "largest": np.abs(wide).max(0)}


def agree(found: Moments, g: np.ndarray, digits: float) -> None:
    truth = two_pass(g)
    scale = np.sqrt(truth["second"] / len(g)).astype(float)
    assert found.count == len(g)
    np.testing.assert_allclose(found.mean, truth["mean"].astype(float), rtol=1e-15, atol=digits * scale.max())
    np.testing.assert_allclose(found.second, truth["second"].astype(float), rtol=digits)
    # A third moment may be near zero by symmetry; its scale is that of the cubes.
    np.testing.assert_allclose(found.third, truth["third"].astype(float), atol=digits * 1e3 * float((scale**3).max()) * len(g))
    np.testing.assert_array_equal(found.largest, truth["largest"].astype(float))


def ill_conditioned(n: int = 4096) -> np.ndarray:
    """Means from 0 to 1e8 beside a spread of 1: E[g^2] - E[g]^2 keeps no digit of the last column even in float64."""
    rng = np.random.default_rng(3)
    return rng.standard_exponential((n, 4)) + np.array([0.0, 1e2, -1e5, 1e8])


def test_one_set() -> None:
    g = ill_conditioned()
    agree(moments(torch.from_numpy(g), None), g, 1e-8)
    naive = (g**2).mean(0) - g.mean(0) ** 2
    assert abs(naive[3] - 1) > 0.5  # the negative control: what is never done would be wrong here


def test_float32_gradients_are_summed_in_float64() -> None:
    g = (ill_conditioned()[:, :2] + 1e4).astype(np.float32)
    before = g.copy()
    found = moments(torch.from_numpy(g), None)
    assert found.second.dtype == torch.float64
    agree(found, g.astype(np.float64), 1e-10)
    np.testing.assert_array_equal(g, before)


def test_the_gradients_handed_in_stay_as_they_are() -> None:
    g = torch.from_numpy(ill_conditioned())
    before = g.clone()
    moments(g, torch.tensor([1.0, 0, 0, 0], dtype=torch.float64))
    assert torch.equal(g, before)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=8), seed=st.integers(0, 2**31))
def test_merging_any_tiles_in_any_order(sizes: list[int], seed: int) -> None:
    g = ill_conditioned(sum(sizes))
    tiles = list(np.split(g, np.cumsum(sizes)[:-1]))
    np.random.default_rng(seed).shuffle(tiles)  # type: ignore[arg-type]
    total = moments(torch.from_numpy(tiles[0]), None)
    for tile in tiles[1:]:
        total = merge(total, moments(torch.from_numpy(tile), None))
    if sum(sizes) > 2:
        agree(total, g, 1e-7)


def test_merging_is_associative_to_rounding() -> None:
    a, b, c = (moments(torch.from_numpy(part), None) for part in np.split(ill_conditioned(), [100, 1500]))
    left, right = merge(merge(a, b), c), merge(a, merge(b, c))
    for field in FIELDS[1:]:
        np.testing.assert_allclose(getattr(left, field), getattr(right, field), rtol=1e-7, err_msg=field)


def test_cosine_is_the_mean_over_replicates() -> None:
    g = torch.tensor([[3.0, 4.0], [0.0, 0.0], [-2.0, 0.0], [0.0, 5.0]], dtype=torch.float64)
    direction = torch.tensor([1.0, 0.0], dtype=torch.float64)
    # A replicate that is exactly zero points nowhere and counts as 0.
    assert moments(g, direction).cosine.item() == pytest.approx((0.6 + 0 - 1 + 0) / 4)
    parts = merge(moments(g[:1], direction), moments(g[1:], direction))
    assert parts.cosine.item() == pytest.approx((0.6 + 0 - 1 + 0) / 4)
    assert moments(g, None).cosine.item() == 0


def test_nonfinite_replicates_are_counted_and_poison_their_coordinates_only() -> None:
    g = torch.ones(6, 3)
    g[1, 0], g[1, 2], g[4, 2] = math.nan, math.inf, -math.inf
    found = moments(g, None)
    assert found.nonfinite.item() == 2
    assert torch.isfinite(found.mean).tolist() == [False, True, False]
    again = merge(found, moments(torch.ones(5, 3), None))
    assert again.nonfinite.item() == 2
    assert torch.isfinite(again.second).tolist() == [False, True, False]


def test_finite_gradients_whose_sum_overflows_are_finite() -> None:
    """Two coordinates near the largest float must not be taken for a replicate that is not finite."""
    g = torch.full((4, 2), 3e38, dtype=torch.float32)
    assert moments(g, None).nonfinite.item() == 0


# ----------------------------------------------------------------------------------------------------------------------- accumulating


def of_block(index: int, broken: bool = False) -> Moments:
    g = torch.from_numpy(np.random.default_rng(index).standard_normal((32, 3)) + 1e3)
    if broken:
        g[7, 1] = math.nan
    return moments(g, torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64))


def test_a_resumed_accumulator_goes_on_with_the_same_bits() -> None:
    layout, plan = Layout(("w",), ((3,),)), Plan(32, 20, 8)
    straight = Accumulator(layout, plan.segments, CPU)
    for index in range(plan.blocks):
        straight.add(index, of_block(index, broken=index == 13))
    pieces = Accumulator(layout, plan.segments, CPU)
    for stop in (0, 1, 5, 8, 13, 14, 20):
        for index in range(int(pieces.blocks.sum()), stop):
            pieces.add(index, of_block(index, broken=index == 13))
        pieces = Accumulator.resume(pieces.segments(), CPU)
    assert pieces.segments().digest() == straight.segments().digest()
    assert straight.segments().nonfinite_first_block.tolist() == [-1, -1, -1, -1, -1, 13, -1, -1]
    assert straight.segments().count.tolist() == [96, 96, 96, 96, 64, 64, 64, 64]


def test_segments_are_copies() -> None:
    accumulator = Accumulator(Layout(("w",), ((3,),)), 2, CPU)
    accumulator.add(0, of_block(0))
    first = accumulator.segments()
    digest = first.digest()
    accumulator.add(2, of_block(2))
    assert first.digest() == digest


@pytest.mark.parametrize(
    ("replicates", "block_size", "expected"),
    [
        (1, None, (16, 64)),
        (1024, None, (16, 64)),
        (65536, None, (1024, 64)),
        (2**24, None, (16384, 1024)),
        (1000, 10, (10, 128)),
        (1, 1, (1, 64)),
    ],
)
def test_plans_follow_the_written_rule(replicates: int, block_size: int | None, expected: tuple[int, int]) -> None:
    """R is rounded up to a multiple of 64 blocks; a block is min(16384, 16 ceil(R / 1024)) unless it is given."""
    plan = Plan.of(replicates, block_size, 5)
    assert (plan.block_size, plan.blocks, plan.segments) == (*expected, 64)
    assert plan.num_replicates >= replicates
    assert Plan.of(replicates, block_size, 2**16 + 1).segments == 16
