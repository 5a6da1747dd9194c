"""Poisson variables: against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from gsx.distributions import Poisson
from tests.distributions.continuous import assert_manners, assert_score, at_probabilities, column, expectation

RATES = (1e-3, 0.1, 0.6, 1.0, 3.7, 12.0, 80.0, 1e3)


@pytest.fixture
def q() -> Poisson:
    return Poisson(column(*RATES))


def test_draws_are_the_quantiles_of_scipy(q: Poisson) -> None:
    """All of them, in both tails down to 2^-52."""
    u = at_probabilities(q)
    wanted = scipy.stats.poisson.ppf(u.numpy()[..., 0], RATES)
    np.testing.assert_array_equal(q.sample(u).numpy()[..., 0], wanted)


@pytest.mark.parametrize("rate", [1e-3, 0.3, 2.5, 40.0, 900.0])
def test_draws_change_where_the_distribution_function_is_passed(rate: float) -> None:
    k = np.arange(scipy.stats.poisson.ppf(1e-6, rate), scipy.stats.poisson.ppf(1 - 1e-6, rate))
    edge = scipy.stats.poisson.cdf(k, rate)
    q = Poisson(torch.tensor([rate], dtype=torch.float64))
    for side in (0, 1):
        u = torch.from_numpy(edge + (2 * side - 1) * 1e-9 * np.minimum(edge, 1 - edge) * 100)[:, None]
        np.testing.assert_array_equal(q.sample(u)[:, 0].numpy(), k + side)


def test_log_prob_score_and_enumeration(q: Poisson) -> None:
    z = q.sample(at_probabilities(q))
    np.testing.assert_allclose(q.log_prob(z).numpy(), scipy.stats.poisson.logpmf(z.numpy()[..., 0], RATES), rtol=1e-9, atol=1e-9)
    assert_score(q, z)
    few = Poisson(column(*RATES[:6]))
    value, gradients = expectation(few, lambda z: z[..., 0] ** 2)
    rate = few.rate[:, 0]
    torch.testing.assert_close(value, rate + rate**2, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradients["rate"][:, 0], 1 + 2 * rate, rtol=1e-12, atol=1e-12)
    z, weight = few.coordinate_points(1)
    left_out = [scipy.stats.poisson.sf(len(z) - 1, rate) for rate in RATES[:6]]
    assert max(left_out) < 1e-18
    torch.testing.assert_close(weight.sum(0), torch.ones_like(few.rate), rtol=1e-14, atol=0)


def test_two_coordinates_are_enumerated_jointly() -> None:
    q = Poisson(torch.tensor([0.5, 2.0], dtype=torch.float64))
    value, _ = expectation(q, lambda z: z[..., 0] * z[..., 1] ** 2)
    torch.testing.assert_close(value, torch.tensor(0.5 * 6.0, dtype=torch.float64), rtol=1e-12, atol=0)


def test_manners(q: Poisson) -> None:
    assert_manners(Poisson(column(*RATES[1:5])))
