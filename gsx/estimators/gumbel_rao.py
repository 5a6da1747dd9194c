"""Gumbel-Rao."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator, at_least_one, positive
from gsx.noise import Noise
from gsx.surrogate import average, replace_gradient


class GumbelRao(Estimator):
    """Gumbel-Rao: straight-through Gumbel-Softmax, averaged over the latents that harden to the same sample.

    Approximates: grad E f(z).
    With: z_n ~ q; M latents l_nm from the law of theta + G given that it hardens to z_n; y_nm = relax(l_nm, tau); value
    (1/N) sum_n f(z_n, q), gradient (1/N) sum_n grad f(z_n) (1/M) sum_m dy_nm/dtheta. A latent moves with theta as theta + G does, by 1: how
    it was made from theta and z_n is detached.
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost, and the noise of N (M + 1) samples; M is `conditional_samples`.
    Bias: that of straight-through Gumbel (`st_gumbel`) at the same temperature: M = 1 has its very law, and a larger M takes variance away
    and nothing else. With M infinite it tends to `zgr` as tau goes to 0.
    References: Paulus, Maddison & Krause (2021), arXiv 2010.04838, section 3.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = (
        "Paulus, Maddison & Krause (2021), Rao-Blackwellizing the Straight-Through Gumbel-Softmax Gradient Estimator, arXiv 2010.04838"
    )

    def __init__(self, *, temperature: float = 0.5, conditional_samples: int = 10, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature = positive("temperature", temperature)
        self.conditional_samples = at_least_one("conditional_samples", conditional_samples)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        z = q.sample(noise.uniform((self.num_samples,), q))
        v = noise.uniform((self.conditional_samples, self.num_samples), q)
        latent = replace_gradient(q.map(Tensor.detach).conditional_latent(z, v), q.beside(v, "logits"))
        y = average(q.relax(latent, self.temperature))
        return average(cost(replace_gradient(z, y), q))
