"""The ARMS estimator with a Dirichlet copula."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, inject


class ARMS(Estimator):
    """ARMS: leave-one-out REINFORCE on N samples that repel one another, corrected for their dependence.

    Approximates: grad E f with respect to the logits eta.
    With: p = sigmoid(eta); in each coordinate d ~ Dirichlet(1, ..., 1), d_n = e_n / sum e of exponentials e_n = -log u_n, and
    t_n = (1 - d_n)^(N-1), each of them uniform; b_n = 1[t_n < p] where p < 1/2, else 1[t_n > 1 - p]: the rarer state falls to those with a
    large share d_n, and few can have one. Value (1/N) sum_n f_n, gradient rho/(N-1) sum_n (f_n - mean f) (b_n - p), plus the mean of
    grad f; rho = p (1 - p) / (p - P11) in each coordinate, P11 the probability that two of its samples are both 1.
    Requires: Bernoulli variables and N >= 2; nothing of the cost.
    Costs: N evaluations, no gradient of the cost.
    Bias: none: rho is the variance of b_n over half the mean square of b_n - b_m, which for independent samples are the same.
    Not to be confused with: ARMS with a Gaussian copula, of the same paper. With N = 2 it has the law of `disarm`; with independent samples
    it would be `rloo`.
    References: Dimitriev & Zhou (2021), arXiv 2105.14141.
    """

    family = "coupled Bernoulli"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli,)
    evaluations = "N"
    citation = "Dimitriev & Zhou (2021), ARMS: Antithetic-REINFORCE-Multi-Sample Gradient for Binary Variables, arXiv 2105.14141"
    least_samples = 2

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        n = self.num_samples
        e = -torch.log(noise.uniform((n,), q))
        t = (1 - e / e.sum(0)) ** (n - 1)
        b = q.sample(torch.where(q.logits < 0, 1 - t, t))
        f = cost(b, q)
        signal = (f - f.mean(0)).detach() / (n - 1)
        gradient = (signal.unsqueeze(-1) * q.score(b)["logits"]).sum(0) * debias(q.logits.detach(), n)
        return inject(average(f), gradient, q.logits)


def debias(logits: Tensor, n: int) -> Tensor:
    """rho = p (1 - p) / (p - P11) of n samples, from 1/2 to 1.

    With r = min(p, 1 - p), two samples are in the rarer state with probability P = max(2 r^(1/(n-1)) - 1, 0)^(n-1), and p - P11 = r - P
    on either side of 1/2. Divided by r, of which only -log r = softplus(|eta|) is left, rho = (1 - r) / (1 - P/r) has a denominator of at
    least 1/2: nothing cancels, and no probability underflows.
    """
    magnitude = logits.abs()
    other_too = torch.relu(1 - torch.expm1(softplus(magnitude) / (n - 1))) ** (n - 1)  # P/r
    return torch.sigmoid(magnitude) / (1 - other_too)
