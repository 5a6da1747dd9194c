"""The DARN estimator."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, replace_gradient


class DARN(Estimator):
    """DARN: the score function, with a baseline that expands the cost to first order from the sample to the mean.

    Approximates: grad E f(z).
    With: z_n ~ q and p its mean; less the baseline f(z_n) + grad f(z_n) . (p - z_n), the cost is grad f(z_n) . (z_n - p), taken for each
    variable alone; value (1/N) sum_n f(z_n, q), gradient (1/N) sum_n (z_n - p) (z_n - p)' grad f(z_n).
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes, unless the cost is linear in each variable: the baseline depends on the sample, and what that adds to the mean is left out.
    Not to be confused with: an expansion to the point 1/2, which Gregor et al. take for binary variables. On a Bernoulli that is `zgr`.
    References: Gregor, Danihelka, Mnih, Blundell & Wierstra (2014), arXiv 1310.8499; to the mean: Shekhovtsov (2023), PMLR 202.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Gregor, Danihelka, Mnih, Blundell & Wierstra (2014), Deep AutoRegressive Networks, arXiv 1310.8499"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        z = q.sample(noise.uniform((self.num_samples,), q))
        return average(cost(replace_gradient(z, along_score(q, z)), q))


def along_score(q: Discrete, z: Tensor) -> Tensor:
    """A tensor ``[N, *batch, *event]`` that moves with the logits by (z - p) (z - p)'; a Bernoulli's second logit, 0, does not move."""
    score = q.score(z)["logits"]
    moved = score * q.beside(z, "logits")
    return score * (moved.sum(-1, keepdim=True) if isinstance(q, Categorical) else moved)
