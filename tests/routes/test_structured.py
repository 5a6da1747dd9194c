"""Moments without gradients, against the gradients of every row of every replicate on the same noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gsx.estimators.base import Estimator
from gsx.estimators.concrete import Concrete
from gsx.estimators.disarm import Disarm
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.estimators.rloo import RLOO
from gsx.estimators.st_gumbel import STGumbel
from gsx.estimators.straight_through import StraightThrough
from gsx.moments import merge
from gsx.program import Program
from gsx.routes import structured as module
from gsx.routes.outer import OuterProducts
from gsx.routes.structured import Structured
from tests.routes.factory import assert_moments, assert_right, before_the_draw, block, expected, of_rows, oracle, route, vae

ESTIMATORS = (Reinforce, Concrete, STGumbel, StraightThrough, RLOO, Disarm, Reparameterization)


def supported() -> list[tuple[str, type[Estimator], int]]:
    """Every estimator on every model that it is defined for, with its least number of samples and with one more."""
    found = []
    for model in ("binary_vae", "categorical_vae", "gaussian_vae"):
        kind = type(Program(vae(model)).outermost(Program(vae(model)).params))
        for estimator in ESTIMATORS:
            if kind in estimator.distributions:
                least = estimator.least_samples
                found += [(model, estimator, samples) for samples in (least, least + 1 + estimator.in_pairs)]
    return found


CASES = [pytest.param(*case, id=f"{case[0]}-{case[1].__name__}-{case[2]}") for case in supported()]


@pytest.mark.parametrize(("model", "kind", "num_samples"), CASES)
@pytest.mark.parametrize("wrt", ["all", "encoder"])
@pytest.mark.parametrize("hidden", [[], [3]], ids=["linear", "hidden"])
def test_one_block_row_by_row(model: str, kind: type[Estimator], num_samples: int, wrt: str, hidden: list[int]) -> None:
    assert_right(Program(vae(model, hidden=hidden), wrt=wrt, dtype=torch.float64), kind(num_samples=num_samples))


@pytest.mark.parametrize("replicates", [1, 2, 3, 6])
def test_few_replicates(replicates: int) -> None:
    """One has no deviation, and no partner."""
    program, estimator = Program(vae("gaussian_vae", hidden=[3]), dtype=torch.float64), Reparameterization()
    found = assert_right(program, estimator, replicates)
    if replicates == 1:
        assert (found.second == 0).all()


@pytest.mark.parametrize("model", ["binary_vae", "categorical_vae", "gaussian_vae"])
def test_several_tiles(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the draw deviations are from the mean of all tiles; after it replicates are paired within their tile."""
    program, estimator = Program(vae(model, hidden=[3]), dtype=torch.float64), RLOO()
    pieces = route("structured", program, estimator)
    monkeypatch.setattr(Structured, "budget", 16 * pieces.footprint)
    tiles = pieces.tiles(40)
    assert tiles == [(0, 16), (16, 32), (32, 40)]
    found, rows = pieces.moments(block(), 40, None), of_rows(program, estimator, block(), 40)
    assert_moments(found, *expected(program, rows, tiles))
    assert (found.largest >= oracle(program, estimator).moments(block(), 40, None).largest * (1 - 1e-12)).all()
    # Negative control: with all 40 in one tile the partners are others.
    in_one = expected(program, rows, [(0, 40)])[1]
    assert ((found.second / in_one - 1).abs()[~before_the_draw(program)] > 1e-3).any()


@pytest.mark.parametrize("engine", ["batched", "vmap", "loop"])
@pytest.mark.parametrize("model", ["binary_vae", "gaussian_vae"])
def test_two_replicates_of_one_row_have_their_sample_variance(engine: str, model: str) -> None:
    """(G_1 - G_2)^2 / 2 is what every other route finds: the scale, from end to end. With `merge`, for any number of blocks of two."""
    wrt = "encoder" if engine == "batched" else "all"  # a decoder's gradient does not pass through the distribution
    program, estimator = Program(vae(model, hidden=[3], batch=1), wrt=wrt, dtype=torch.float64), Reinforce()
    routes = route("structured", program, estimator), route(engine, program, estimator)
    of_two = [each.moments(block(0), 2, None) for each in routes]
    assert_moments(of_two[0], of_two[1].mean, of_two[1].second, rtol=1e-11)
    merged = [merge(total, each.moments(block(1), 2, None)) for total, each in zip(of_two, routes, strict=True)]
    assert_moments(merged[0], merged[1].mean, merged[1].second, rtol=1e-11)
    # Negative control: of two rows the sample variance of the sum has cross products of rows in it, which are noise.
    program = Program(vae(model, batch=2), wrt=wrt, dtype=torch.float64)
    a, b = (each.moments(block(0), 2, None).second for each in (route("structured", program, estimator), oracle(program, estimator)))
    assert ((a - b).abs() > 1e-3 * b.max()).any()


# ------------------------------------------------------------------------------------------------------------------- planted bugs


class NoCrossTerms(OuterProducts):
    """(u v')^2 summed without the products of different terms."""

    def __init__(self, d: Tensor, a: Tensor) -> None:
        super().__init__(d, a)
        half = d.shape[1] // 2
        u, v = (d[:, :half], (d[:, :half] - d[:, half : 2 * half])), ((a[:, :half] - a[:, half : 2 * half]), a[:, half : 2 * half])
        weight = sum(torch.einsum("tnbo,tnbi->oi", left**2, right**2) for left, right in zip(u, v, strict=True))
        self.squares = weight + torch.zeros_like(self.squares[0]), self.squares[1]


class TermsApart(OuterProducts):
    """Each sample's outer product as if it were a replicate's own."""

    def __init__(self, d: Tensor, a: Tensor) -> None:
        super().__init__(d, a)
        apart = [OuterProducts(d[t : t + 1], a[t : t + 1]).squares for t in range(len(d))]
        self.squares = torch.stack([weight for weight, _ in apart]).sum(0), torch.stack([bias for _, bias in apart]).sum(0)


@pytest.mark.parametrize("mutant", [NoCrossTerms, TermsApart])
def test_mutants_are_caught(mutant: type[OuterProducts], monkeypatch: pytest.MonkeyPatch) -> None:
    program, estimator = Program(vae("binary_vae", hidden=[3]), dtype=torch.float64), RLOO()
    mean, second = expected(program, of_rows(program, estimator, block(), 6), [(0, 6)])
    assert_moments(route("structured", program, estimator).moments(block(), 6, None), mean, second)
    monkeypatch.setattr(module, "OuterProducts", mutant)
    with pytest.raises(AssertionError, match="not close"):
        assert_moments(route("structured", program, estimator).moments(block(), 6, None), mean, second)
