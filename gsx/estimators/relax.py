"""The RELAX estimator."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator, at_least_one
from gsx.estimators.own_network import OwnNetwork
from gsx.noise import Noise
from gsx.surrogate import average, follow_score


class Relax(Estimator):
    """RELAX: REINFORCE, with a network on the latent of the same draw as its control variate.

    Approximates: grad E f = E[f(b) grad log q(b)] + E[grad f(b, q)].
    With: z the latent of u, b = harden(z), z' the latent given b from fresh uniforms v, which is a function of the parameters; c a network
    with one hidden layer of tanh on 2 relax(z) - 1 at temperature 1; gradient (1/N) sum_n (f(b_n) - c(z'_n)) grad log q(b_n) +
    grad c(z_n) - grad c(z'_n) + grad f(b_n); value (1/N) sum_n f(b_n) + c(z_n) - c(z'_n).
    Tuned: the network, one for each site, by the least E|g|^2. It begins as zero, and RELAX as REINFORCE.
    Requires: a score; nothing of the cost.
    Costs: N evaluations, no gradient of the cost, and two passes through the network for each sample.
    Bias: none, whatever the network.
    Not to be confused with: `rebar`, whose control variate is the relaxed cost itself. (The authors also add that to the network.)
    References: Grathwohl, Choi, Wu, Roeder & Duvenaud (2018), arXiv 1711.00123, equation 8.
    """

    family = "control variate"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    citation = "Grathwohl et al. (2018), Backpropagation through the Void, arXiv 1711.00123, equation 8"
    tuned_by = "variance"

    def __init__(self, *, hidden: int = 10, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.hidden = at_least_one("hidden", hidden)
        self.networks = nn.ModuleDict()

    def prepare(self, site: str, q: Distribution, noise: Noise) -> None:
        assert isinstance(q, Discrete)
        self.networks[site] = OwnNetwork(math.prod(q.event_shape), self.hidden, noise, q.logits)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        u, v = (noise.uniform((self.num_samples,), q) for _ in range(2))
        latent = q.latent(u)
        b = q.harden(latent).detach()
        f = cost(b, q)
        relaxed = q.relax(torch.cat((latent, q.conditional_latent(b, v))), 1.0)
        c, conditional = self.networks[noise.site]((2 * relaxed - 1).flatten(-q.event_ndim)).chunk(2)
        return follow_score(average(f + c - conditional), f.detach() - conditional, q, b)
