"""The MuProp estimator."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, cost_gradient, follow_score, inject


class Muprop(Estimator):
    """MuProp: REINFORCE on what a first-order expansion of the cost leaves over, and the expansion's own gradient, exactly.

    Approximates: grad E f = E[f(z) grad log q(z)] + E[grad f(z, q)].
    With: m = E z and the expansion h(z) = f(m) + g'(z - m), g = df/dz at m, both held fixed; z_n ~ q; value (1/N) sum_n f(z_n), gradient
    (1/N) sum_n (f(z_n) - h(z_n)) grad log q(z_n) + grad f(z_n, q), plus grad E h = g' dm/dtheta.
    Requires: a cost defined and differentiable at the mean, between the states.
    Costs: N + 1 evaluations and 1 gradient of the cost.
    Bias: none, whatever the cost does between the states.
    Not to be confused with: the mean-field gradient g' dm/dtheta alone, which is biased. The authors subtract a learnt baseline besides.
    References: Gu, Levine, Sutskever & Mnih (2016), arXiv 1511.05176.
    """

    family = "control variate"
    unbiased = True
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N + 1"
    gradient_evaluations = "1"
    citation = "Gu, Levine, Sutskever & Mnih (2016), MuProp: Unbiased Backpropagation for Stochastic Neural Networks, arXiv 1511.05176"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        mean = q.mean.detach()
        # f(m, q) is no sample of the cost: q is detached for it, or its direct gradient would be added to that of the samples.
        f_mean, slope = (x.detach() for x in cost_gradient(cost, mean.unsqueeze(0), q.map(Tensor.detach)))
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        expansion = f_mean + (slope * (z - mean)).flatten(-q.event_ndim).sum(-1)
        value = follow_score(average(f), f.detach() - expansion, q, z)
        return inject(value, slope.squeeze(0), q.mean)
