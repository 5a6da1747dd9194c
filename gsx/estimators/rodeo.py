"""The RODEO estimator."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator, at_least_one
from gsx.estimators.own_network import OwnNetwork
from gsx.estimators.rloo import others
from gsx.noise import Noise
from gsx.surrogate import average, cost_gradient, follow_score, inject


class Rodeo(Estimator):
    """RODEO: leave-one-out, with control variates from a discrete Stein operator on a network that sees the other samples.

    Approximates: grad E f = E[f(b) grad log q(b)] + E[grad f(b, q)].
    With: b_n ~ q, s its score, g_m = df/db at b_m; two networks on two numbers each; h_n(y) the mean over m != n of the first network at
    (f_m, g_m'(y - b_m)), k_n(y) the same of the second; (A h)(b) = (1/D) sum_d E[h(b) | all coordinates but d] - h(b), which has mean 0
    under q; others_n(x) the mean of x over the other N - 1 samples; value (1/N) sum_n f_n, gradient
    (1/N) sum_n (f_n - others_n(f + A h)) s(b_n) + A(k_n s)(b_n) + grad f(b_n, q).
    Tuned: both networks, of one hidden layer of leaky rectifiers, a pair for each site, by the least E|g|^2. They begin as zero, and RODEO
    as `rloo`.
    Requires: Bernoulli variables, N >= 2 and a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost, and 2 N (N - 1) (D + 1) passes through a network of two inputs.
    Bias: none, whatever the networks: those that a sample meets have not seen it.
    References: Shi, Zhou, Hwang, Titsias & Mackey (2022), arXiv 2202.09497. (There one network of 100 units has two outputs.)
    """

    family = "control variate"
    unbiased = True
    needs_cost_gradient = True
    distributions = (Bernoulli,)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Shi, Zhou, Hwang, Titsias & Mackey (2022), Gradient Estimation with Discrete Stein Operators, arXiv 2202.09497"
    least_samples = 2
    tuned_by = "variance"

    def __init__(self, *, hidden: int = 10, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.hidden = at_least_one("hidden", hidden)
        self.networks = nn.ModuleDict()

    def prepare(self, site: str, q: Distribution, noise: Noise) -> None:
        assert isinstance(q, Bernoulli)
        self.networks[site] = nn.ModuleList([Rectifiers(2, self.hidden, noise, q.logits) for _ in range(2)])

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        b = q.sample(noise.uniform((self.num_samples,), q))
        f, g = cost_gradient(cost, b, q)
        signal, g, p, score = f.detach(), g.detach(), q.mean.detach(), q.score(b)["logits"]
        rest = rest_of(len(b)).to(b.device)
        around, g = signal[rest], g[rest]
        # Of the expansion of f around another sample m ([1]) at sample n ([0]), as it is and with each coordinate of n flipped.
        there = (g * (b.unsqueeze(1) - b[rest])).sum(-1)
        flipped = there.unsqueeze(-1) + g * (1 - 2 * b).unsqueeze(1)
        stays = b * p + (1 - b) * (1 - p)  # the probability of each coordinate's own state, given the rest
        first, second = self.networks[noise.site].children()
        h, h_flipped = mean_of_others(first, around, there), mean_of_others(first, around.unsqueeze(-1), flipped)
        k, k_flipped = mean_of_others(second, around, there), mean_of_others(second, around.unsqueeze(-1), flipped)
        stein = ((1 - stays) * (h_flipped - h.unsqueeze(-1))).mean(-1)
        # A(k s): the score of coordinate d differs by 1 - 2 b_d where d itself is flipped, and not where another is.
        moved = ((1 - stays) * (k_flipped - k.unsqueeze(-1))).mean(-1, keepdim=True) * score
        moved = moved + (1 - stays) * k_flipped * (1 - 2 * b) / b.shape[-1]
        value = follow_score(average(f), signal - others(signal + stein), q, b)
        return inject(value, average(moved), q.logits)


class Rectifiers(OwnNetwork):
    """One hidden layer of leaky rectifiers, with Keras's slope: tanh would saturate at costs of hundreds of nats."""

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(x @ self.weight.t() + self.bias, 0.3) @ self.out + self.constant


def rest_of(samples: int) -> Tensor:
    """Of each sample n which the others are, ``[N, N - 1]``."""
    return torch.tensor([[m for m in range(samples) if m != n] for n in range(samples)])


def mean_of_others(network: nn.Module, f: Tensor, expansion: Tensor) -> Tensor:
    """For each sample n ([0]) the mean over the others ([1]) of the network at their cost and their expansion."""
    found: Tensor = network(torch.stack((f.expand_as(expansion), expansion), -1))
    return found.mean(1)
