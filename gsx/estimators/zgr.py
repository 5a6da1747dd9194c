"""ZGR, the zero-temperature limit of Gumbel-Rao."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.estimators.darn import along_score
from gsx.noise import Noise
from gsx.surrogate import average, replace_gradient


class ZGR(Estimator):
    """ZGR: what Gumbel-Rao tends to as its temperature goes to 0, which is also the average of straight-through and DARN.

    Approximates: grad E f(z).
    With: z_n ~ q and p its mean; J(p) = diag(p) - p p', the derivative of the mean of one variable; value (1/N) sum_n f(z_n, q), gradient
    (1/N) sum_n (1/2) (J(p) + (z_n - p) (z_n - p)') grad f(z_n). For a Bernoulli that is 1/2 P(the value not drawn) grad f(z_n).
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes, unless the cost is at most quadratic in each variable (jointly quadratic, or multilinear).
    Not to be confused with: `gumbel_rao` at a small temperature, whose M draws are an ever noisier average of the same.
    References: Shekhovtsov (2023), ICML, PMLR 202, pages 30931 to 30955.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Shekhovtsov (2023), Cold Analysis of Rao-Blackwellized Straight-Through Gumbel-Softmax Gradient Estimator, ICML, PMLR 202"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        z = q.sample(noise.uniform((self.num_samples,), q))
        path = (q.mean + along_score(q, z)) / 2
        return average(cost(replace_gradient(z, path), q))
