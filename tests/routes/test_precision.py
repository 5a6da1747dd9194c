"""What float32 keeps: variances far below the squared mean, and what is not finite."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from gsx.distributions import Normal
from gsx.estimators.base import Estimator
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.models.base import Params
from gsx.noise import Block, Shape
from gsx.program import Program
from gsx.routes import ROUTES, Route
from gsx.routes.structured import Structured
from tests.routes.factory import CPU, Linear, block, oracle, route


class Narrow(Linear):
    """A posterior so narrow that a gradient's standard deviation is some thousandths of its mean."""

    def posterior(self, params: Params) -> Normal:
        loc = linear(self.x, params["encoder.weight"], params["encoder.bias"])
        return Normal(loc, 3e-3 * (0.3 * loc).exp())

    def cost(self, params: Params, z: Tensor, q: Normal) -> Tensor:
        return ((self.decode(params, z) - self.x) ** 2).sum(-1)


class Same(Block):
    """The float32 numbers of a block, for a program in float64."""

    def draw(self, site: str, draw: int, shape: Shape, start: int = 0, stop: int = 1) -> Tensor:
        single = Block(self.seed, self.stream, self.block, torch.float32, self.device)
        return single.draw(site, draw, shape, start, stop).to(torch.float64)


def narrow(num_samples: int) -> tuple[Route, Route]:
    """The structured route in float32, and in float64 at the same parameters."""
    program, estimator = Program(Narrow(), dtype=torch.float32), Reparameterization(num_samples=num_samples)
    return route("structured", program, estimator), route("structured", program.in_float64(), estimator)


@pytest.mark.parametrize("num_samples", [1, 2])
@pytest.mark.parametrize("replicates", [1024, 16384])
def test_a_small_variance_in_float32(num_samples: int, replicates: int) -> None:
    """Differences are taken before anything is squared: no digit is lost that the gradients have. Nor is one lost in long sums: the mean
    of a million replicates is known to a thousandth of this deviation."""
    single, double = narrow(num_samples)
    found = single.moments(block(dtype=torch.float32), replicates, None)
    truth = double.moments(Same(0, "base", 2, torch.float64, CPU), replicates, None)
    deviation = (truth.second / (replicates - 1)).sqrt() / truth.mean.abs()
    clear = deviation >= 1e-3
    assert clear.sum() >= len(clear) / 2 and deviation.median() < 5e-3
    assert (found.second / truth.second - 1).abs()[clear].max() <= 1e-4
    assert (found.mean / truth.mean - 1).abs().max() <= 5e-6


@pytest.mark.parametrize("num_samples", [1, 2])
def test_what_is_never_done(num_samples: int) -> None:
    """E[g^2] - E[g]^2 in float32, on the same gradients: the negative control of the one above."""
    single, double = narrow(num_samples)
    g = ROUTES["vmap"](single.program, single.estimator, single.seen).gradients(block(dtype=torch.float32), 0, 1024)
    truth = double.moments(Same(0, "base", 2, torch.float64, CPU), 1024, None).second
    naive = 1024 * ((g**2).mean(0) - g.mean(0) ** 2).double()
    assert ((naive / truth - 1).abs() > 0.01).sum() >= len(truth) / 4


# --------------------------------------------------------------------------------------------------------------------- not finite


class Infinite(Linear):
    """A cost that is infinite in row 1 where the first coordinate of the draw is large; `where` says what its slope is infinite in."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def cost(self, params: Params, z: Tensor, q: Normal) -> Tensor:
        output, hit = self.decode(params, z), (torch.arange(3) == 1) & (z[..., 0].detach() > 0.6)
        value, weight = ((output - self.x) ** 2).sum(-1), torch.where(hit, math.inf, 1.0)
        return value + {"nothing": weight, "latent": weight * z[..., 1], "output": weight * output[..., 2]}[self.where]


@pytest.mark.parametrize("where", ["nothing", "latent", "output"])
@pytest.mark.parametrize("kind", [Reinforce, Reparameterization])
@pytest.mark.parametrize("wrt", ["all", "encoder"])
@pytest.mark.parametrize("tile", [16, 64])
def test_a_replicate_that_is_not_finite(where: str, kind: type[Estimator], wrt: str, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted once, however many of its coordinates it spoils, and those alone are null: as on every other route."""
    program, estimator = Program(Infinite(where), wrt=wrt, dtype=torch.float64), kind()
    tested = route("structured", program, estimator)
    monkeypatch.setattr(Structured, "budget", tile * tested.footprint)
    found, truth = (each.moments(block(), 64, None) for each in (tested, oracle(program, estimator)))
    spoilt = where != "nothing" or kind is Reinforce  # a value alone does not reach a pathwise gradient
    assert found.nonfinite.item() == truth.nonfinite.item() and (0 < truth.nonfinite.item() < 32) == spoilt
    finite = torch.isfinite(truth.mean)
    assert finite.all() != spoilt
    if wrt == "all" and spoilt:
        assert finite.any()  # or there would be nothing to tell apart
    assert torch.equal(torch.isfinite(found.mean + found.second), finite)
    assert torch.equal(torch.isfinite(found.largest), finite)
    torch.testing.assert_close(found.mean[finite], truth.mean[finite])


class Scaled(Linear):
    """The same cost in other units."""

    unit = 1.0

    def cost(self, params: Params, z: Tensor, q: Normal) -> Tensor:
        return self.unit * super().cost(params, z, q)


@pytest.mark.parametrize("power", [-40, 40])
def test_units_do_not_matter(power: int) -> None:
    """Gradients of 1e-12 or 1e12. (Squares are taken in float32, so that beyond 1e18 they overflow: such a run ends as nonfinite.)"""
    model = Scaled()
    one = route("structured", Program(model), Reparameterization()).moments(block(dtype=torch.float32), 64, None)
    model.unit = 2.0**power
    found = route("structured", Program(model), Reparameterization()).moments(block(dtype=torch.float32), 64, None)
    assert found.nonfinite.item() == 0
    torch.testing.assert_close(found.mean, 2.0**power * one.mean, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.second, 4.0**power * one.second, rtol=1e-4, atol=0)


class Huge(Linear):
    """Gradients near the largest float, 3.4e38."""

    def cost(self, params: Params, z: Tensor, q: Normal) -> Tensor:
        return 3e38 * self.decode(params, z.sign()).sum(-1)


def test_finite_gradients_whose_sum_overflows_are_finite() -> None:
    """Two coordinates near the largest float must not be taken for a replicate that is not finite."""
    tested = route("structured", Program(Huge()), Reparameterization())
    gradients = ROUTES["loop"](tested.program, tested.estimator, tested.seen).gradients(block(dtype=torch.float32), 0, 8)
    assert torch.isfinite(gradients).all()
    assert tested.moments(block(dtype=torch.float32), 8, None).nonfinite.item() == 0
