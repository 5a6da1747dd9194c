"""Gamma variables: against scipy, whose own accuracy is some 1e-10 here and there."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from gsx.distributions import Gamma
from tests.distributions.continuous import (
    assert_manners,
    assert_score,
    assert_slopes,
    at_probabilities,
    column,
    expectation,
    probabilities,
    relative,
)

#: dz/da of Gamma(a, 1) at z = a and 3a.
TABLE = (1.52599981721977071, 2.61513739967579932, 1.17356302722472693, 1.93791169382496105, 1.00557371708271031, 1.65676224484561898)
SHAPES = (0.03, 0.1, 0.4, 1.0, 1.7, 6.0, 40.0, 1e3)


@pytest.fixture
def q() -> Gamma:
    return Gamma(column(*SHAPES), column(*np.linspace(0.3, 4, len(SHAPES))))


def test_log_prob_is_that_of_scipy(q: Gamma) -> None:
    z = q.sample(at_probabilities(q))
    wanted = scipy.stats.gamma.logpdf(z.numpy(), q.concentration.numpy(), scale=1 / q.rate.numpy())[..., 0]
    found = q.log_prob(z).numpy()
    seen = np.isfinite(wanted)
    np.testing.assert_allclose(found[seen], wanted[seen], rtol=1e-9, atol=1e-9)
    s = q.quantile(at_probabilities(q))
    held = s > -700  # else z underflows
    torch.testing.assert_close((q.log_density(s) - s)[held], q.log_prob(q.decode(s)).unsqueeze(-1)[held], rtol=1e-9, atol=1e-9)


def test_draws_invert_the_distribution_function(q: Gamma) -> None:
    """To 1e-8 of the smaller tail, down to one of 2^-52."""
    u, a = probabilities()[:, None], np.array(SHAPES)
    x = (q.sample(at_probabilities(q)) * q.rate).numpy()[..., 0]
    lower = u < 0.5
    found = np.where(lower, scipy.special.gammainc(a, x), scipy.special.gammaincc(a, x))
    held = x > 1e-290
    assert held.mean() > 0.9
    assert relative(found[held], np.where(lower, u, 1 - u).repeat(len(a), 1)[held]) < 1e-8


def test_the_score_is_the_gradient_of_log_prob(q: Gamma) -> None:
    u = at_probabilities(q)
    assert_score(q, q.sample(u[:63]))


def test_quantiles_move_as_their_slopes_say(q: Gamma) -> None:
    assert_slopes(q, at_probabilities(q)[::3], rtol=1e-5)


def test_slopes_are_more_accurate_than_those_of_torch() -> None:
    """Against derivatives of the incomplete gamma function worked out with 30 digits (mpmath), at a = 0.3, 1, 30 and x = a, 3a."""
    a = torch.tensor([0.3, 0.3, 1.0, 1.0, 30.0, 30.0], dtype=torch.float64)
    x = a * torch.tensor([1.0, 3.0] * 3, dtype=torch.float64)
    found = Gamma(a, torch.ones_like(a)).slopes(torch.log(x)[None])["concentration"][0] * x
    wanted = torch.tensor(TABLE, dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=0)
    assert (torch._standard_gamma_grad(a, x) / wanted - 1).abs().max() > 1e-6


def test_moments(q: Gamma) -> None:
    a, rate = q.concentration[:, 0], q.rate[:, 0]
    value, gradients = expectation(q, lambda z: z[..., 0] ** 1.5)
    wanted = torch.exp(torch.lgamma(a + 1.5) - torch.lgamma(a)) / rate**1.5
    torch.testing.assert_close(value, wanted, rtol=1e-10, atol=0)
    by_a = wanted * (torch.digamma(a + 1.5) - torch.digamma(a))
    torch.testing.assert_close(gradients["concentration"][:, 0], by_a, rtol=1e-9, atol=0)
    torch.testing.assert_close(gradients["rate"][:, 0], -1.5 * wanted / rate, rtol=1e-9, atol=0)
    mean, deviation = q.standardisation()
    value, _ = expectation(q, lambda z: torch.log(z[..., 0]))
    torch.testing.assert_close(value, mean[:, 0], rtol=1e-8, atol=1e-9)
    value, _ = expectation(q, lambda z: (torch.log(z[..., 0]) - mean[:, 0]) ** 2)
    torch.testing.assert_close(value, deviation[:, 0] ** 2, rtol=1e-7, atol=0)


def test_the_parts_of_the_derivative_in_the_concentration(q: Gamma) -> None:
    """M = -dF/da over its largest value is what each part has further out than its draw; and the two parts are on their own sides."""
    v = at_probabilities(q)
    c, *parts = q.concentration_parts(v)
    for z, side in zip(parts, (1, -1), strict=True):
        s = torch.log(z)
        further = q.log_density(s).exp() * q.slopes(s)["concentration"] / c
        held = (z > 1e-290) & (v < 1 - 2.0**-40)
        assert held.double().mean() > 0.7
        assert ((further / v - 1).abs()[held] < 1e-7).all()
        assert (side * (s - q.standardisation()[0]) > -1e-7).all()


def test_the_parts_make_up_the_derivative(q: Gamma) -> None:
    """c (E_{p+} sqrt(z) - E_{p-} sqrt(z)) by Gauss-Legendre in the uniform, whose integrand has no worse than a root at its ends."""
    few = q.replace({name: value[2:] for name, value in q.parameters.items()})
    node, weight = np.polynomial.legendre.leggauss(100)
    v, w = ((node + 1) / 2) ** 4, weight / 2 * 4 * ((node + 1) / 2) ** 3
    v, w = np.concatenate((v / 2, 1 - v[::-1] / 2)), np.concatenate((w, w[::-1])) / 2
    u = torch.from_numpy(v)[:, None, None].expand(-1, *few.concentration.shape)
    c, positive, negative = few.concentration_parts(u)
    found = c * (torch.from_numpy(w)[:, None, None] * (positive.sqrt() - negative.sqrt())).sum(0)
    a = few.concentration
    wanted = torch.exp(torch.lgamma(a + 0.5) - torch.lgamma(a)) / few.rate.sqrt() * (torch.digamma(a + 0.5) - torch.digamma(a))
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=0)


def test_a_draw_that_underflows_is_not_hidden() -> None:
    q = Gamma(torch.full((1,), 0.1), torch.ones(1))
    z = q.sample(torch.full((1, 1), 2.0**-24))
    assert z == 0 and not torch.isfinite(q.score(z)["concentration"]).any()


def test_manners(q: Gamma) -> None:
    assert_manners(q)
