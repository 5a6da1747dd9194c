"""Straight-through Gumbel-Softmax."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average, replace_gradient


class STGumbel(Estimator):
    """Straight-through Gumbel-Softmax: the hard sample forward, its Concrete relaxation backward.

    Approximates: grad E f(z).
    With: a latent l_n = theta + G_n; z_n = harden(l_n), y_n = relax(l_n, tau), both of the *same* latent; value (1/N) sum_n f(z_n, q),
    gradient (1/N) sum_n grad f(z_n) dy_n/dtheta.
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes, at every temperature.
    Not to be confused with: `concrete` (relaxed forward), `straight_through` (backward through the mean, no temperature).
    References: Jang, Gu & Poole (2017), arXiv 1611.01144, section 2.2.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Jang, Gu & Poole (2017), Categorical Reparameterization with Gumbel-Softmax, arXiv 1611.01144, section 2.2"

    def __init__(self, *, temperature: float = 0.5, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature = positive("temperature", temperature)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        latent = q.latent(noise.uniform((self.num_samples,), q))
        z = replace_gradient(q.harden(latent), q.relax(latent, self.temperature))
        return average(cost(z, q))
