"""Beta variables: against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from gsx.distributions import Beta
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

PAIRS = ((0.1, 0.1), (0.5, 0.5), (1.0, 1.0), (2.0, 5.0), (30.0, 4.0), (0.3, 3.0), (0.1, 100.0), (1e3, 0.5), (1e3, 3.0), (1e3, 1e3))


@pytest.fixture
def q() -> Beta:
    return Beta(column(*(a for a, _ in PAIRS)), column(*(b for _, b in PAIRS)))


def test_log_prob_is_that_of_scipy(q: Beta) -> None:
    z = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)[:, None, None].expand(-1, len(PAIRS), 1)
    wanted = scipy.stats.beta.logpdf(z[..., 0].numpy(), *np.array(PAIRS).T)
    np.testing.assert_allclose(q.log_prob(z).numpy(), wanted, rtol=1e-9, atol=1e-9)
    s = torch.logit(z)
    torch.testing.assert_close((q.log_density(s) - torch.log(z) - torch.log1p(-z))[..., 0], q.log_prob(z), rtol=1e-10, atol=1e-9)


def test_a_uniform_has_no_density_but_one() -> None:
    edges = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)[:, None]
    assert torch.equal(
        Beta(torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)).log_prob(edges), torch.zeros(3).double()
    )


def test_draws_invert_the_distribution_function(q: Beta) -> None:
    """To 1e-8 of the smaller tail, down to one of 2^-52, in the coordinate, which is exact where z rounds to 1."""
    u, (a, b) = probabilities()[:, None].repeat(len(PAIRS), 1), np.array(PAIRS).T
    s = q.quantile(at_probabilities(q))
    z, not_z = torch.sigmoid(s).numpy()[..., 0], torch.sigmoid(-s).numpy()[..., 0]
    lower = u < 0.5
    found = np.where(lower, scipy.special.betainc(a, b, z), scipy.special.betainc(b, a, not_z))
    assert relative(found, np.where(lower, u, 1 - u)) < 1e-8


def test_score_and_slopes(q: Beta) -> None:
    z = q.sample(at_probabilities(q)[:63])
    assert_score(q, z.clamp(1e-12, 1 - 1e-12))
    assert_slopes(q, at_probabilities(q)[::3], rtol=1e-5)


def test_exchanged_parameters_mirror_the_coordinate(q: Beta) -> None:
    mirrored, u = Beta(*reversed(list(q.parameters.values()))), at_probabilities(q)
    s = q.quantile(u)
    torch.testing.assert_close(mirrored.quantile(1 - u), -s, rtol=1e-9, atol=1e-9)
    here, there = q.slopes(s), mirrored.slopes(-s)
    torch.testing.assert_close(here["concentration1"], -there["concentration0"], rtol=1e-6, atol=1e-9)


def test_moments(q: Beta) -> None:
    (a, _), total = (x[:, 0] for x in q.parameters.values()), sum(q.parameters.values())[:, 0]
    value, gradients = expectation(q, lambda z: z[..., 0] ** 2)
    wanted = a * (a + 1) / (total * (total + 1))
    torch.testing.assert_close(value, wanted, rtol=1e-10, atol=0)
    by_b = -wanted * (1 / total + 1 / (total + 1))
    torch.testing.assert_close(gradients["concentration0"][:, 0], by_b, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(gradients["concentration1"][:, 0], wanted * (1 / a + 1 / (a + 1)) + by_b, rtol=1e-8, atol=1e-12)


def test_standardisation_has_the_moments_of_the_coordinate(q: Beta) -> None:
    mean, deviation = q.standardisation()
    s, weight = q.grid(256)
    torch.testing.assert_close((weight * s).sum(0), mean, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close((weight * (s - mean) ** 2).sum(0), deviation**2, rtol=1e-9, atol=0)


def test_a_draw_that_rounds_to_one_is_not_hidden() -> None:
    q = Beta(torch.ones(1), torch.full((1,), 0.1))
    z = q.sample(torch.full((1, 1), 1 - 2.0**-24))
    assert z == 1 and not torch.isfinite(q.score(z)["concentration0"]).any()


def test_manners(q: Beta) -> None:
    assert_manners(q.replace({name: value[1:6] for name, value in q.parameters.items()}))
