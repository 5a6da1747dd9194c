"""Von Mises variables: against scipy for the density, against quadrature for the rest (scipy's distribution function errs by 1e-8)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from torch import Tensor

from gsx.distributions import VonMises
from tests.distributions.continuous import assert_manners, assert_score, at_probabilities, column, expectation, probabilities

CONCENTRATIONS = (1e-3, 0.4, 2.0, 9.0, 60.0, 1e3)
LOCS = (0.0, 0.7, -2.9, 3.1, 9.0, -0.5)


@pytest.fixture
def q() -> VonMises:
    return VonMises(column(*LOCS), column(*CONCENTRATIONS))


def panels(low: Tensor, high: Tensor, q: VonMises) -> tuple[Tensor, Tensor]:
    """Composite Gauss-Legendre nodes and weights between two angles, fine where the density is narrow."""
    node, weight = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(20))
    edges = torch.linspace(0, 1, 201, dtype=torch.float64)
    fraction = (edges[:-1, None] + (node + 1) / 400).flatten()
    shape = (-1, *(1,) * low.ndim)
    return low + (high - low) * fraction.reshape(shape), (high - low) * (weight / 400).repeat(200).reshape(shape)


def test_log_prob_is_that_of_scipy(q: VonMises) -> None:
    z = torch.linspace(-math.pi, math.pi, 41, dtype=torch.float64)[:, None, None].expand(-1, len(LOCS), 1)
    wanted = scipy.stats.vonmises.logpdf(z[..., 0].numpy(), CONCENTRATIONS, loc=LOCS)
    np.testing.assert_allclose(q.log_prob(z).numpy(), wanted, rtol=1e-9, atol=1e-10)


def test_draws_invert_the_distribution_function() -> None:
    """Counted from the far side of loc, which is 0 here."""
    q = VonMises(torch.zeros(len(CONCENTRATIONS), 1, dtype=torch.float64), column(*CONCENTRATIONS))
    z = q.quantile(at_probabilities(q))
    assert (z.abs() <= math.pi).all()
    x, weight = panels(torch.full_like(z, -math.pi), z, q)
    found = (weight * (q._log_density(x)).exp()).sum(0)[..., 0].numpy()
    np.testing.assert_allclose(found, probabilities()[:, None].repeat(len(CONCENTRATIONS), 1), rtol=1e-9, atol=1e-14)


def test_draws_are_turned_with_loc(q: VonMises) -> None:
    z, centred = q.quantile(at_probabilities(q)), q.replace(q.parameters | {"loc": 0 * q.loc}).quantile(at_probabilities(q))
    assert (z.abs() <= math.pi + 1e-12).all()
    torch.testing.assert_close(torch.cos(z - q.loc), torch.cos(centred), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(torch.sin(z - q.loc), torch.sin(centred), rtol=1e-10, atol=1e-10)


def test_the_score_is_the_gradient_of_log_prob(q: VonMises) -> None:
    assert_score(q, q.sample(at_probabilities(q)[:63]))


def test_slopes_are_minus_dF_over_density(q: VonMises) -> None:
    """F counts from -pi; its derivative is the integral of density x score."""
    z = q.quantile(at_probabilities(q)[:63:4])
    x, weight = panels(torch.full_like(z, -math.pi), z, q)
    density = q._log_density(x).exp()
    for name, slope in q.slopes(z).items():
        wanted = -(weight * density * q.score(x)[name]).sum(0) / q._log_density(z).exp()
        torch.testing.assert_close(slope, wanted, rtol=1e-7, atol=1e-8, msg=name)


def test_moments(q: VonMises) -> None:
    """E cos(z - m) = A(k) cos(loc - m), A = I_1 / I_0, whose derivative is 1 - A / k - A^2."""
    few = q.replace({name: value[:5] for name, value in q.parameters.items()})
    value, gradients = expectation(few, lambda z: torch.cos(z[..., 0] - 0.3), nodes=256)
    k, shift = few.concentration[:, 0], few.loc[:, 0] - 0.3
    a = torch.special.i1e(k) / torch.special.i0e(k)
    torch.testing.assert_close(value, a * torch.cos(shift), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradients["loc"][:, 0], -a * torch.sin(shift), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradients["concentration"][:, 0], (1 - a / k - a**2) * torch.cos(shift), rtol=1e-8, atol=1e-9)


def test_manners(q: VonMises) -> None:
    assert_manners(q.replace({name: value[1:5] for name, value in q.parameters.items()}))
