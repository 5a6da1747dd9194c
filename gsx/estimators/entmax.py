"""Sparsemax or 1.5-entmax in place of the Concrete relaxation's softmax."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average


class Entmax(Estimator):
    """The Gumbel-Softmax relaxation with a sparse map onto the simplex: most of its draws have zeros, and some are states.

    Approximates: grad E f(z) by the gradient of another objective, E f(y) with y the relaxed variable.
    With: y_n = entmax_alpha((theta + G_n) / tau), G_n standard Gumbel, where entmax_alpha(x) = max(0, (alpha - 1) x - t)^(1 / (alpha - 1))
    with the t at which this sums to 1: alpha = 2 is `sparsemax`, the Euclidean projection; alpha = 1.5 is `entmax15`; the limit at 1 would
    be the softmax. A Bernoulli's y_n is the first entry of entmax_alpha((theta + L_n, 0) / tau), L_n logistic. Value (1/N) sum_n f(y_n, q),
    differentiated through y_n.
    Requires: a cost defined and differentiable on the closed simplex.
    Costs: N evaluations and N gradients of the cost.
    Bias: that of the relaxation, which falls as the temperature tau does, while the variance rises.
    Not to be confused with: `concrete`, whose draws have no zeros; the sparse but deterministic marginalisation of Correia et al. (2020).
    References: Martins & Astudillo (2016), arXiv 1602.02068, algorithm 1 (sparsemax); Peters, Niculae & Martins (2019), arXiv 1905.05702
    (entmax, and the exact algorithm for 1.5); Correia, Niculae, Aziz & Martins (2020), arXiv 2007.01919 (sparse maps of latent variables).
    """

    family = "relaxation"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Peters, Niculae & Martins (2019), Sparse Sequence-to-Sequence Models, arXiv 1905.05702"

    def __init__(
        self, *, transform: Literal["entmax15", "sparsemax"] = "entmax15", temperature: float = 0.5, num_samples: int | None = None
    ) -> None:
        super().__init__(num_samples=num_samples)
        self.transform = sparsemax if transform == "sparsemax" else entmax15
        self.temperature = positive("temperature", temperature)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        x = q.latent(noise.uniform((self.num_samples,), q)) / self.temperature
        if isinstance(q, Bernoulli):
            y = self.transform(torch.stack((x, torch.zeros_like(x)), -1))[..., 0]
        else:
            y = self.transform(x)
        return average(cost(y, q))


# In both maps the largest entries are the support S, and t follows from their mean m (and spread). S is found from the numbers alone; on
# it the map is smooth, and autograd gives its derivative.


def sparsemax(x: Tensor) -> Tensor:
    """max(0, x - t) along the last axis: x - m + 1 / |S| on S."""
    ranked, count = _ranked(x)
    support = _above(x, ranked, ranked.cumsum(-1) / count - 1 / count)
    size = support.sum(-1, keepdim=True)
    return support * (x - (support * x).sum(-1, keepdim=True) / size + 1 / size)


def entmax15(x: Tensor) -> Tensor:
    """max(0, x / 2 - t)^2 along the last axis: with x / 2 for x, (x - m + sqrt((1 - sum_S (x - m)^2) / |S|))^2 on S."""
    x = x / 2
    ranked, count = _ranked(x)
    mean = ranked.cumsum(-1) / count
    spread = (ranked**2).cumsum(-1) - count * mean**2
    # A spread above 1 belongs to no support: with 0 for the root the test fails, as it must.
    support = _above(x, ranked, mean - ((1 - spread) / count).clamp(min=0).sqrt())
    size = support.sum(-1, keepdim=True)
    centred = support * (x - (support * x).sum(-1, keepdim=True) / size)
    return support * (centred + ((1 - (centred**2).sum(-1, keepdim=True)) / size).sqrt()) ** 2


def _ranked(x: Tensor) -> tuple[Tensor, Tensor]:
    """The entries from the largest down, less the largest, as numbers; and 1, 2, 3, ..."""
    ranked = x.detach().sort(-1, descending=True).values
    return ranked - ranked[..., :1], torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)


def _above(x: Tensor, ranked: Tensor, threshold: Tensor) -> Tensor:
    """1 on the support, else 0: the k largest entries, for the largest k of which even the smallest is above the threshold of these k."""
    smallest = torch.where(ranked > threshold, ranked, torch.inf).amin(-1, keepdim=True)
    x = x.detach()
    return (x - x.amax(-1, keepdim=True) >= smallest).to(x.dtype)
