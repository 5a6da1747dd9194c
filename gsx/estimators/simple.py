"""The SIMPLE estimator of k-subsets."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution, KSubset
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, replace_gradient


class SIMPLE(Estimator):
    """SIMPLE: an exact draw of a k-subset forward, and backward as if it were its exact marginals.

    Approximates: grad E f(z).
    With: z_n ~ q by exact sequential sampling; m_d = P(z_d = 1), the marginals given that k elements are taken, by a table of O(D k)
    logarithms; value (1/N) sum_n f(z_n, q), gradient (1/N) sum_n grad f(z_n) dm/dtheta.
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes, unless the cost is linear.
    Not to be confused with: `straight_through`, which it is on one categorical variable (k = 1); `imle`, whose draws perturb and maximise.
    References: Ahmed, Zeng, Niepert & Van den Broeck (2023), arXiv 2210.01941, section 3.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (KSubset,)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Ahmed, Zeng, Niepert & Van den Broeck (2023), SIMPLE: A Gradient Estimator for k-Subset Sampling, arXiv 2210.01941"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, KSubset)
        z = q.sample(noise.uniform((self.num_samples,), q))
        return average(cost(replace_gradient(z, q.mean.unsqueeze(0)), q))
