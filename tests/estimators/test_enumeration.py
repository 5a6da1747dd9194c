"""The enumeration that other tests prove estimators with, on estimators whose laws are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gsx.distributions import Bernoulli, Categorical, Discrete
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.rloo import RLOO
from gsx.estimators.straight_through import StraightThrough
from gsx.noise import Noise
from gsx.surrogate import zero
from tests.estimators.enumeration import exact_gradient, law_of

PROBLEMS: list[Discrete] = [
    Bernoulli(torch.tensor([-0.9, 0.3], dtype=torch.float64)),
    Categorical(torch.tensor([[0.5, -0.3, 0.1], [-0.8, 0.4, 0.0]], dtype=torch.float64)),
]


def cost(z: Tensor, q: Any) -> Tensor:
    flat = z.flatten(-q.event_ndim)
    weights = torch.linspace(1.0, -0.7, flat.shape[-1], dtype=z.dtype)
    return (flat @ weights + 0.4) ** 3 - 0.3 * q.log_prob(z) ** 2


@pytest.mark.parametrize("q", PROBLEMS, ids=["bernoulli", "categorical"])
def test_unbiased_estimators_are_proven_so(q: Discrete) -> None:
    truth = exact_gradient(q, cost)
    one, two = law_of(Reinforce(), q, cost), law_of(Reinforce(num_samples=2), q, cost)
    np.testing.assert_allclose(one.mean, truth, rtol=1e-11)
    np.testing.assert_allclose(two.mean, truth, rtol=1e-11)
    np.testing.assert_allclose(one.variance, 2 * two.variance, rtol=1e-11)
    np.testing.assert_allclose(law_of(RLOO(), q, cost).mean, truth, rtol=1e-11)


class SelfIncluded(RLOO):
    """The baseline of each sample is the mean of all, itself included."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        return (f + (f - f.mean(0)).detach() * zero(q.log_prob(z))).mean(0)


@pytest.mark.parametrize("q", PROBLEMS, ids=["bernoulli", "categorical"])
@pytest.mark.parametrize("estimator", [SelfIncluded(), StraightThrough()], ids=["self-included", "straight-through"])
def test_a_bias_shows(q: Discrete, estimator: Any) -> None:
    assert np.abs(law_of(estimator, q, cost).mean - exact_gradient(q, cost)).max() > 0.01
