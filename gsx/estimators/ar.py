"""The augment-REINFORCE estimator."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, inject


class AR(Estimator):
    """Augment-REINFORCE: the cost weighs the uniform that drew the sample, instead of the sample's own score.

    Approximates: grad E f with respect to the logits eta.
    With: p = sigmoid(eta); u_n ~ U(0, 1), b_n = 1[u_n > 1 - p]; value (1/N) sum_n f_n, gradient (1/N) sum_n f_n (2 u_n - 1) + grad f_n.
    (The paper draws b = 1[u < p] and weighs it by 1 - 2u: the same with 1 - u for u.)
    Requires: Bernoulli variables; nothing of the cost.
    Costs: N evaluations, no gradient of the cost.
    Bias: none: given b the mean of 2u - 1 is the score b - p. REINFORCE is this estimator with u integrated out, and never varies more.
    Not to be confused with: `arm`, the mean of this estimator over u and 1 - u.
    References: Yin & Zhou (2019), arXiv 1807.11143.
    """

    family = "coupled Bernoulli"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli,)
    evaluations = "N"
    citation = "Yin & Zhou (2019), ARM: Augment-REINFORCE-Merge Gradient for Stochastic Binary Networks, arXiv 1807.11143"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        u = noise.uniform((self.num_samples,), q)
        f = cost(q.sample(u), q)
        gradient = f.detach().unsqueeze(-1) * (2 * u - 1)
        return inject(average(f), average(gradient), q.logits)
