"""Diagonal Gaussians: density, reparameterized draws, and quadratures that are exact on polynomials."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gsx.distributions import Normal
from gsx.distributions.normal import _gauss_hermite
from gsx.noise import uniforms

CPU = torch.device("cpu")


def moment(power: int) -> float:
    """E eps^power of a standard normal."""
    return 0.0 if power % 2 else float(math.prod(range(1, power, 2)))


@pytest.fixture
def q() -> Normal:
    return Normal(
        torch.tensor([[0.3, -1.0], [2.0, 0.0]], dtype=torch.float64), torch.tensor([[0.5, 2.0], [1e-3, 30.0]], dtype=torch.float64)
    )


def draws(samples: int, q: Normal) -> Tensor:
    shape = (samples, *q.batch_shape, *q.event_shape)
    return uniforms(("normal",), 0, math.prod(shape), q.loc.dtype, CPU).reshape(shape)


def test_log_prob_is_that_of_torch(q: Normal) -> None:
    z = q.sample(draws(5, q))
    torch.testing.assert_close(q.log_prob(z), torch.distributions.Normal(q.loc, q.scale).log_prob(z).sum(-1))


def test_draws_are_loc_plus_scale_times_noise(q: Normal) -> None:
    u = draws(7, q)
    torch.testing.assert_close(q.sample(u), q.loc + q.scale * torch.special.ndtri(u))
    loc, scale = q.loc.clone().requires_grad_(), q.scale.clone().requires_grad_()
    moving = Normal(loc, scale)
    assert not moving.sample(u).requires_grad
    slopes = torch.autograd.grad(moving.reparameterize(u).sum(), (loc, scale))
    torch.testing.assert_close(slopes, (torch.full_like(loc, 7), torch.special.ndtri(u).sum(0)))


@pytest.mark.parametrize("nodes", [1, 2, 5, 16, 64, 512])
def test_gauss_hermite_is_exact_on_polynomials(nodes: int) -> None:
    """Degree 2 nodes - 1, as long as the moments themselves stay within floats; and one degree more is not."""
    node, weight = _gauss_hermite(nodes)
    assert np.all(weight >= 0)
    for power in range(min(2 * nodes, 24)):
        scale = max(1.0, moment(power + power % 2))
        assert abs((weight * node**power).sum() - moment(power)) < 1e-10 * scale, power
    if nodes <= 5:
        beyond = 2 * nodes
        assert abs((weight * node**beyond).sum() - moment(beyond)) > 0.1


def test_quadrature_of_a_polynomial_in_two_dimensions(q: Normal) -> None:
    nodes = 6
    z, weight = q.points(0, q.num_points(nodes), nodes)
    assert z.shape == (36, 2, 2) and weight.shape == (36, 2) and q.num_points(nodes) == 36
    torch.testing.assert_close(weight.sum(0), torch.ones(2, dtype=torch.float64))
    found = (weight * (z[..., 0] ** 3 * z[..., 1] ** 2)).sum(0)
    loc, scale = q.loc, q.scale
    expected = (loc[:, 0] ** 3 + 3 * loc[:, 0] * scale[:, 0] ** 2) * (loc[:, 1] ** 2 + scale[:, 1] ** 2)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_quadrature_comes_in_pieces(q: Normal) -> None:
    whole = q.points(0, 25, 5)
    pieces = [q.points(start, min(start + 7, 25), 5) for start in range(0, 25, 7)]
    for part in (0, 1):
        assert torch.equal(torch.cat([piece[part] for piece in pieces]), whole[part])


def test_coordinate_points_are_exact_for_sums_over_coordinates(q: Normal) -> None:
    z, weight = q.coordinate_points(8)
    assert len(z) == q.num_coordinate_points(8) == 8
    found = (weight * z**4).sum((0, -1))
    expected = (q.loc**4 + 6 * q.loc**2 * q.scale**2 + 3 * q.scale**4).sum(-1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_nodes_move_with_the_parameters() -> None:
    """The gradient of the quadrature is the quadrature of the pathwise gradient: d/dloc E x^3 = 3 E x^2, d/dscale E x^3 = 6 loc scale."""
    loc = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([1.3], dtype=torch.float64, requires_grad=True)
    z, weight = Normal(loc, scale).points(0, 5, 5)
    slopes = torch.autograd.grad((weight * z[..., 0] ** 3).sum(), (loc, scale))
    assert slopes[0].item() == pytest.approx(3 * (0.7**2 + 1.3**2))
    assert slopes[1].item() == pytest.approx(6 * 0.7 * 1.3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_dtypes_and_shapes(dtype: torch.dtype) -> None:
    q = Normal(torch.zeros(4, 3, 2, dtype=dtype), torch.ones(4, 3, 2, dtype=dtype), context=torch.zeros(4, 3, 5))
    assert (q.batch_shape, q.event_shape) == ((4, 3), (2,))
    for x in (q.sample(draws(6, q)), q.log_prob(q.sample(draws(6, q))), *q.points(0, 9, 3), *q.coordinate_points(3)):
        assert x.dtype == dtype
    assert q.log_prob(q.sample(draws(6, q))).shape == (6, 4, 3)
    moved = q.map(lambda value: value + 1)
    assert moved.context is q.context and torch.equal(moved.scale, q.scale + 1)
