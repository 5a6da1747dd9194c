"""Stochastic triples."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise, gumbel
from gsx.surrogate import average, inject


class StochasticAD(Estimator):
    """Stochastic triples: a tiny change of the parameters makes a finite change of the sample, with a tiny probability.

    Approximates: grad E f with respect to the logits eta.
    With: p = sigmoid(eta); b_n ~ q. If eta_i rises (`side: right`) a 0 turns into 1 at the rate w_i = p_i 1[b_i = 0]; if it falls (`left`)
    a 1 turns into 0 at the rate w_i = (1 - p_i) 1[b_i = 1]; `both` is the mean of the two, with half of either rate. Of the alternatives
    that arise when all logits move alike one is kept, i with probability w_i / sum w, and takes over the weight of all (pruning); b' = b
    with that coordinate flipped. Value (1/N) sum_n f(b_n), gradient (1/N) sum_n e_i (sum_j w_j) (1 - 2 b_i) (f(b'_n) - f(b_n)) +
    grad f(b_n).
    Requires: Bernoulli variables; nothing of the cost.
    Costs: 2 N evaluations, no gradient of the cost. Where no alternative has a weight the second is made in vain.
    Bias: none. (Smoothing, which moves the cost's gradient by the mean change of b instead, is biased.)
    Not to be confused with: `bitflip`, which picks the coordinate uniformly.
    References: Arya, Schauer, Schaefer & Rackauckas (2022), arXiv 2210.08572.
    """

    family = "conditional expectation"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli,)
    evaluations = "2 N"
    citation = (
        "Arya, Schauer, Schaefer & Rackauckas (2022), Automatic Differentiation of Programs with Discrete Randomness, arXiv 2210.08572"
    )

    def __init__(self, *, side: Literal["left", "right", "both"] = "both", num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.side = side

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        n, size = self.num_samples, q.event_shape[0]
        b = q.sample(noise.uniform((n,), q))
        direction = 1 - 2 * b
        rate = torch.sigmoid(direction * q.logits.detach())  # the probability of the state that b_i is not in
        weight = {"right": (1 - b) * rate, "left": b * rate, "both": rate / 2}[self.side]
        winner = (weight.log() + gumbel(noise.uniform((n,), q))).argmax(-1, keepdim=True)
        kept = (torch.arange(size, device=b.device) == winner).to(b.dtype)
        f = cost(torch.cat((b, (b - kept).abs())), q)
        change = (f[n:] - f[:n]).detach().unsqueeze(-1)
        gradient = kept * weight.sum(-1, keepdim=True) * direction * change
        return inject(average(f[:n]), average(gradient), q.logits)
