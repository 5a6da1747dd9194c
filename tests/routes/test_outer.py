"""Sums and squared differences of outer products, against the outer products themselves."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from gsx.routes.outer import OfLayer, OuterProducts

TERMS, REPLICATES, ROWS, OUT, IN = (1, 2, 3), (1, 2, 3, 7, 8), 3, 4, 5


def factors(terms: int, replicates: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Unequal in every axis: d ``[t, n, rows, out]`` and a ``[t, n, rows, in]``, with means that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    d = torch.randn(terms, replicates, ROWS, OUT, dtype=torch.float64, generator=generator) * torch.arange(1.0, 1 + OUT) + 0.5
    a = torch.randn(terms, replicates, ROWS, IN, dtype=torch.float64, generator=generator).exp() - 0.7
    return d.to(dtype), a.to(dtype)


def gradients(d: Tensor, a: Tensor) -> OfLayer:
    """G ``[n, rows, out, in]`` and its bias ``[n, rows, out]``, formed."""
    return torch.einsum("tnbo,tnbi->nboi", d, a), d.sum(0)


def squares(g: Tensor) -> Tensor:
    """Of (G_r - G_s)^2 over the pairs (r, r + n/2) and the rows; a last odd replicate has no partner."""
    half = len(g) // 2
    return sum(((g[r] - g[r + half]) ** 2).sum(0) for r in range(half)) + torch.zeros_like(g[0, 0])


def close(found: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(found, wanted, rtol=1e-12, atol=1e-12 * float(wanted.abs().max()))


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("replicates", REPLICATES)
def test_brute_force(terms: int, replicates: int) -> None:
    d, a = factors(terms, replicates)
    products = OuterProducts(d, a)
    for g, found, square, bound in zip(gradients(d, a), products.sum, products.squares, products.bound(), strict=True):
        assert found.shape == square.shape == bound.shape == g.shape[2:]
        assert close(found, g.sum((0, 1)))
        assert close(square, squares(g))
        assert (bound >= g.sum(1).abs().amax(0) * (1 - 1e-12)).all()


def test_the_factors_stay_as_they_are() -> None:
    d, a = factors(2, 6)
    before = d.clone(), a.clone()
    products = OuterProducts(d, a)
    products.add(OuterProducts(d, a))
    assert torch.equal(d, before[0]) and torch.equal(a, before[1])


def test_the_bound_is_tight_for_one_replicate_and_one_row() -> None:
    """With one term, one replicate and one row there is nothing to bound: it is |G|."""
    d, a = factors(1, 1)
    weight, bias = OuterProducts(d[:, :, :1], a[:, :, :1]).bound()
    g, b = gradients(d[:, :, :1], a[:, :, :1])
    assert close(weight, g[0, 0].abs()) and close(bias, b[0, 0].abs())


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("sizes", [(4, 4), (6, 3), (1, 5), (4, 2, 7)], ids=str)
def test_tiles_are_added(terms: int, sizes: tuple[int, ...]) -> None:
    """A sum over tiles is that of all their replicates; pairs stay within their tile; the bound holds for every replicate."""
    d, a = factors(terms, sum(sizes))
    ends = [0, *torch.tensor(sizes).cumsum(0).tolist()]
    tiles = [(d[:, start:stop], a[:, start:stop]) for start, stop in pairwise(ends)]
    total = OuterProducts(*tiles[0])
    for tile in tiles[1:]:
        total.add(OuterProducts(*tile))
    of_tiles = [gradients(*tile) for tile in tiles]
    for layer, (found, square, bound) in enumerate(zip(total.sum, total.squares, total.bound(), strict=True)):
        g = torch.cat([of_tile[layer] for of_tile in of_tiles])
        assert close(found, g.sum((0, 1)))
        assert close(square, torch.stack([squares(of_tile[layer]) for of_tile in of_tiles]).sum(0))
        assert (bound >= g.sum(1).abs().amax(0) * (1 - 1e-12)).all()


def test_two_equal_tiles_count_twice_and_others_are_left_alone() -> None:
    d, a = factors(2, 4)
    once, total, other = OuterProducts(d, a), OuterProducts(d, a), OuterProducts(d, a)
    total.add(other)
    for field in ("sum", "squares"):
        for twice, single, kept in zip(getattr(total, field), getattr(once, field), getattr(other, field), strict=True):
            assert close(twice, 2 * single) and torch.equal(kept, single)
    assert all(map(torch.equal, total.bound(), once.bound()))


def test_tiles_of_float32_are_added_in_float64() -> None:
    """A small tile must not vanish beside a large one."""
    d, a = factors(1, 2, dtype=torch.float32)
    total = OuterProducts(1e5 * d, a)
    large = [part.double().clone() for part in (*total.sum, *total.squares)]
    total.add(OuterProducts(d, a))
    assert all(part.dtype == torch.float64 for part in (*total.sum, *total.squares))
    small = OuterProducts(d, a)
    for found, big, part in zip((*total.sum, *total.squares), large, (*small.sum, *small.squares), strict=True):
        assert torch.equal(found, big + part)
        assert not torch.equal(found, (big.float() + part.float()).double())  # the negative control


def test_equal_replicates_have_no_squares() -> None:
    d, a = (x.expand(-1, 6, -1, -1) for x in factors(3, 1))
    assert all((part == 0).all() for part in OuterProducts(d, a).squares)


@pytest.mark.parametrize("seed", range(3))
def test_squares_of_a_product_that_does_not_vary_are_not_negative(seed: int) -> None:
    """d = c / a: both factors vary and their product does not. Whatever is rounded, a sum of squares is no less than zero."""
    _, a = factors(1, 256, seed, torch.float32)
    a = a.abs() + 0.3
    weight, bias = OuterProducts(1 / a, a).squares
    assert (weight >= 0).all() and (bias >= 0).all()


# ------------------------------------------------------------------------------------------------------------- negative controls


def by_hand(d: Tensor, a: Tensor, *, crossed: float) -> Tensor:
    """The squares of a weight, written out, its cross terms weighed by ``crossed``: 2 is right."""
    half = d.shape[1] // 2
    dr, ds, ar, as_ = d[:, :half], d[:, half : 2 * half], a[:, :half], a[:, half : 2 * half]
    parts = [torch.einsum("nbo,nbi->nboi", u, v) for u, v in zip([*dr, *(dr - ds)], [*(ar - as_), *as_], strict=True)]
    total = torch.zeros(d.shape[-1], a.shape[-1], dtype=d.dtype)
    for m, left in enumerate(parts):
        for n, right in enumerate(parts[: m + 1]):
            total += (left * right).sum((0, 1)) * (1.0 if m == n else crossed)
    return total


@pytest.mark.parametrize("terms", TERMS)
def test_cross_terms_and_their_factor_matter(terms: int) -> None:
    """Left out, or counted once, they are missed by per cents, not by rounding: the tests above would see it."""
    d, a = factors(terms, 8)
    found = OuterProducts(d, a).squares[0]
    assert close(found, by_hand(d, a, crossed=2.0))
    for wrong in (0.0, 1.0):
        missed = (by_hand(d, a, crossed=wrong) / found - 1).abs()
        assert missed.min() > 1e-4 and missed.max() > 0.03


def test_other_pairs_are_other_numbers() -> None:
    """Neighbours paired instead of halves: as good an estimate, and not what is promised."""
    d, a = factors(2, 8)
    shuffled = [0, 2, 4, 6, 1, 3, 5, 7]
    assert not close(OuterProducts(d, a).squares[0], OuterProducts(d[:, shuffled], a[:, shuffled]).squares[0])
