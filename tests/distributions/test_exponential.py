"""Exponential variables: against scipy, and against the gamma variables of concentration 1 that they are."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from gsx.distributions import Exponential, Gamma
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


@pytest.fixture
def q() -> Exponential:
    return Exponential(column(0.02, 0.7, 1.0, 40.0))


def test_density_and_distribution_function_are_those_of_scipy(q: Exponential) -> None:
    z, scale = q.sample(at_probabilities(q)).numpy()[..., 0], 1 / q.rate.numpy()[:, 0]
    np.testing.assert_allclose(q.log_prob(torch.from_numpy(z)[..., None]), scipy.stats.expon.logpdf(z, scale=scale), rtol=1e-12, atol=1e-12)
    u = probabilities()[:, None].repeat(4, 1)
    lower = u < 0.5
    found = np.where(lower, scipy.stats.expon.cdf(z, scale=scale), scipy.stats.expon.sf(z, scale=scale))
    assert relative(found, np.where(lower, u, 1 - u)) < 1e-12


def test_score_and_slopes(q: Exponential) -> None:
    assert_score(q, q.sample(at_probabilities(q)))
    assert_slopes(q, at_probabilities(q))


def test_it_is_a_gamma_variable_of_concentration_one(q: Exponential) -> None:
    gamma, u = Gamma(torch.ones_like(q.rate), q.rate), at_probabilities(q)
    torch.testing.assert_close(q.quantile(u), gamma.quantile(u), rtol=1e-10, atol=1e-10)
    z = q.sample(u)
    torch.testing.assert_close(q.log_prob(z), gamma.log_prob(z))
    torch.testing.assert_close(q.score(z)["rate"], gamma.score(z)["rate"], rtol=1e-9, atol=1e-9)


def test_moments(q: Exponential) -> None:
    value, gradients = expectation(q, lambda z: z[..., 0] ** 2)
    torch.testing.assert_close(value, 2 / q.rate[:, 0] ** 2, rtol=1e-10, atol=0)
    torch.testing.assert_close(gradients["rate"], -4 / q.rate**3, rtol=1e-9, atol=0)


def test_manners(q: Exponential) -> None:
    assert_manners(q)
