"""The score-function estimator with the exact mean as its baseline."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from gsx.costs import Combine, Cost, Separable
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.estimators.exact import PIECE
from gsx.noise import Block, Noise
from gsx.surrogate import average, follow_score

#: More joint states are not summed over for every estimate.
MOST_STATES = 1024


class ExactBaseline(Estimator):
    """REINFORCE whose baseline is the mean of the cost itself: an oracle, which learnt baselines and `rloo` are held against.

    Approximates: grad E f = E[(f(z) - E f) grad log q(z)] + E[grad f(z, q)].
    With: z_n ~ q; c = E f, a number for each row, summed over all joint states, or one coordinate at a time where the cost is a sum over
    them; value (1/N) sum_n f_n, gradient (1/N) sum_n (f_n - c) grad log q(z_n) + grad f_n.
    Requires: at most 1024 joint states, or a cost that is a sum over coordinates; nothing else of the cost.
    Costs: N + C ** D evaluations, no gradient of the cost; N + C of a cost that is a sum over coordinates. (Who can pay for E f can pay for
    its gradient: `exact`.)
    Bias: none, because no sample is in c. Where the cost takes an expectation itself, c is the mean of estimates of that, from other noise.
    Not to be confused with: `reinforce` with `baseline=mean`, the same learnt from draws and frozen, and `baseline=optimal`, the constant
    with the least variance, which E f is not.
    References: Titsias & Shi (2022), arXiv 2111.05300, where it is R*.
    """

    family = "score function"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical)
    evaluations = "N + C ** D"
    citation = "Titsias & Shi (2022), Double Control Variates for Gradient Estimation in Discrete Latent Variable Models, arXiv 2111.05300"

    def supports(self, q: Distribution, model: Any) -> str | None:
        refused = super().supports(q, model)
        if refused or q.num_points(0) <= MOST_STATES or separates(model):
            return refused
        return f"sums over at most {MOST_STATES} joint states, and {model.name} has more, and a cost that is no sum over coordinates"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        return follow_score(average(f), f.detach() - mean(q, cost), q, z)


@torch.no_grad()
def mean(q: Discrete, cost: Cost) -> Tensor:
    """E f ``[*batch]``, in pieces: all states of all replicates of a tile together would be too many."""
    if isinstance(cost, Separable):
        z, weight = q.coordinate_points(0)
        return cost.total((weight * cost.terms(z)).sum(0))
    total = q.logits.new_zeros(q.batch_shape)
    step = max(1, PIECE // q.logits.numel())
    for start in range(0, q.num_points(0), step):
        z, weight = q.points(start, min(start + step, q.num_points(0)), 0)
        total = total + (weight * cost(z, q)).sum(0)
    return total


def separates(model: Any) -> bool:
    """Whether each cost that the loss takes the mean of is a sum over coordinates."""
    found: list[bool] = []

    def expect(q: Distribution, cost: Cost, site: str = "z", combine: Combine | None = None) -> Tensor:
        found.append(isinstance(cost, Separable) and combine is None)
        return torch.zeros(q.batch_shape, dtype=torch.float64)

    twin = copy.deepcopy(model).to("cpu", torch.float64)  # as its parameters begin
    twin.loss(twin.init(Block(model.seed, "init", 0, torch.float64, torch.device("cpu")).one()), expect)
    return all(found)
