"""The straight-through estimator."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, replace_gradient


class StraightThrough(Estimator):
    """Straight-through: the hard sample forward, and backward as if it were its mean (or its logits).

    Approximates: grad E f(z).
    With: z_n ~ q; value (1/N) sum_n f(z_n, q), gradient (1/N) sum_n grad f(z_n) dm/dtheta, where m is the mean of q (`backward: mean`, the
    sigmoid or softmax of the logits) or the logits themselves (`backward: identity`).
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes, unless the cost is linear in each coordinate and the backward pass is through the mean.
    Not to be confused with: `st_gumbel`, whose backward pass goes through a relaxation of the same sample.
    References: Bengio, Leonard & Courville (2013), arXiv 1308.3432, section 4.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Bengio, Leonard & Courville (2013), Estimating or Propagating Gradients Through Stochastic Neurons, arXiv 1308.3432"

    def __init__(self, *, backward: Literal["mean", "identity"] = "mean", num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.backward_through = backward

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        z = q.sample(noise.uniform((self.num_samples,), q))
        path = q.mean if self.backward_through == "mean" else q.logits
        return average(cost(replace_gradient(z, path.unsqueeze(0)), q))
