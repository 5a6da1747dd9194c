"""The augment-REINFORCE-merge estimator."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, inject


class ARM(Estimator):
    """Augment-REINFORCE-merge: `ar` averaged over a uniform u and its mirror image 1 - u.

    Approximates: grad E f with respect to the logits eta.
    With: p = sigmoid(eta); N/2 pairs from u ~ U(0, 1): b = 1[u > 1 - p], b' = 1[u < p]; value the mean of all f, gradient the mean over
    pairs of (f(b) - f(b')) (u - 1/2), plus the mean of grad f.
    Requires: Bernoulli variables and N even; nothing of the cost.
    Costs: N evaluations, no gradient of the cost.
    Bias: none.
    Not to be confused with: `disarm`, which is E[ARM | b, b'] and never varies more; a coordinate with b = b' has a gradient here wherever
    another coordinate makes the costs differ.
    References: Yin & Zhou (2019), arXiv 1807.11143, theorem 1.
    """

    family = "coupled Bernoulli"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli,)
    evaluations = "N"
    citation = "Yin & Zhou (2019), ARM: Augment-REINFORCE-Merge Gradient for Stochastic Binary Networks, arXiv 1807.11143, theorem 1"
    least_samples = 2
    in_pairs = True

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        u = noise.uniform((self.num_samples // 2,), q)
        f = cost(torch.cat((q.sample(u), q.sample(1 - u))), q)
        difference = (f[: len(u)] - f[len(u) :]).detach()
        gradient = difference.unsqueeze(-1) * (u - 0.5)
        return inject(f.mean(0), average(gradient), q.logits)
