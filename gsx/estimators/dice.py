"""The DiCE estimator."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, zero


class Dice(Estimator):
    """DiCE: a surrogate whose derivatives of every order are score-function estimates.

    Approximates: the gradient of E f, its Hessian, and so on, each by differentiating the same value once more.
    With: z_n ~ q, the magic box exp(log q(z) - detached log q(z)), which is 1 and whose derivative is itself times grad log q; value
    (1/N) sum_n box(z_n) f(z_n, q). Its gradient is that of REINFORCE, (1/N) sum_n f_n grad log q(z_n) + grad f_n, still differentiable.
    Requires: a score; nothing of the cost, except that a cost that depends on the parameters is differentiated in them as often.
    Costs: N evaluations, no gradient of the cost.
    Bias: none, at every order.
    Not to be confused with: `reinforce`, whose gradient plants numbers and has no second derivative.
    References: Foerster, Farquhar, Al-Shedivat, Rocktaschel, Xing & Whiteson (2018), arXiv 1802.05098.
    """

    family = "score function"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical, Normal)
    evaluations = "N"
    citation = "Foerster et al. (2018), DiCE: The Infinitely Differentiable Monte Carlo Estimator, arXiv 1802.05098"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        magic_box = torch.exp(zero(q.log_prob(z)))
        return average(magic_box * cost(z, q))
