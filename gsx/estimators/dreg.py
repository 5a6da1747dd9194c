"""The doubly reparameterized gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost, MultiSample
from gsx.distributions import Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, inject


class Dreg(Estimator):
    """DReG: reparameterize the score terms of an importance-weighted bound once more.

    Approximates: grad -E log (1/K) sum_k w_k, w_k = exp(-f(z_k, q)) = p(x, z_k) / q(z_k).
    With: z_k = loc + scale eps_k, v_k = w_k / sum_j w_j, q' = q detached; value -log (1/K) sum_k w_k, gradient
    sum_k v_k^2 (df(z_k, q')/dz_k) grad z_k in the parameters of q, sum_k v_k grad f in those that f has besides; the mean of N such sets.
    Requires: a Gaussian and a cost that combines several samples, whose gradient exists.
    Costs: N evaluations of the K samples, and N gradients of the cost.
    Bias: none where f = log q(z) - log p(x, z), combined by a log-mean-exp: the score term E v_k grad log q(z_k) of the
    pathwise gradient becomes, pathwise itself, E v_k (1 - v_k) (df/dz_k) grad z_k.
    Not to be confused with: `stl`, which drops the score term and is biased for several samples; for one the two are the same.
    References: Tucker, Lawson, Gu & Maddison (2019), arXiv 1810.04152.
    """

    family = "multi-sample"
    unbiased = True
    unbiased_if = "the cost is continuous, and minus the log of the mean of weights p(z_k) / q(z_k)"
    direct_terms = ("log_weights",)
    needs_cost_gradient = True
    distributions = (Normal,)
    multi_sample = True
    evaluations = "N"
    gradient_evaluations = "N"
    citation = (
        "Tucker, Lawson, Gu & Maddison (2019), Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives, arXiv 1810.04152"
    )

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal) and isinstance(cost, MultiSample)
        z, fixed = q.reparameterize(noise.uniform((self.num_samples,), q)), q.map(Tensor.detach)
        f, pull_back = torch.func.vjp(lambda points: cost.each(points, fixed), z.detach())[:2]
        (slope,) = pull_back(torch.softmax(-f, 0).detach() ** 2)
        return average(inject(cost.combine(f), slope.detach(), z))
