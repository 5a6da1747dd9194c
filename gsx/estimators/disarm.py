"""The DisARM / U2G estimator."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, inject


class Disarm(Estimator):
    """DisARM, found independently as U2G: the difference of the cost between antithetic Bernoulli samples.

    Approximates: grad E f with respect to the logits eta.
    With: p = sigmoid(eta); N/2 pairs from u ~ U(0, 1): b = 1[u > 1 - p], b' = 1[u < p]; value the mean of all f, gradient the mean over
    pairs of (1/2) (f(b) - f(b')) (b - b') sigmoid(|eta|), plus the mean of grad f. Where b = b' in a coordinate its gradient is zero;
    elsewhere b - b' = (-1)^b' is the sign.
    Requires: Bernoulli variables and N even; nothing of the cost.
    Costs: N evaluations, no gradient of the cost.
    Bias: none. It is E[ARM | b, b'], what is left of ARM when its uniform is integrated out, and so never varies more.
    References: Dong, Mnih & Tucker (2020), arXiv 2006.10680, equation 7; Yin, Ho, Yan, Qian & Zhou (2020), arXiv 2002.08505 (U2G).
    """

    family = "coupled Bernoulli"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli,)
    evaluations = "N"
    citation = "Dong, Mnih & Tucker (2020), DisARM: An Antithetic Gradient Estimator for Binary Latent Variables, arXiv 2006.10680"
    least_samples = 2
    in_pairs = True

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        u = noise.uniform((self.num_samples // 2,), q)
        b, antithetic = q.sample(u), q.sample(1 - u)
        f = cost(torch.cat((b, antithetic)), q)
        half_difference = (f[: len(u)] - f[len(u) :]).detach() / 2
        gradient = half_difference.unsqueeze(-1) * (b - antithetic) * torch.sigmoid(q.logits.detach().abs())
        return inject(f.mean(0), average(gradient), q.logits)
