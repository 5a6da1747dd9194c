"""The VIMCO estimator of multi-sample objectives."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gsx.costs import Combine, Cost, MultiSample
from gsx.distributions import Bernoulli, Categorical, Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, follow_score


class Vimco(Estimator):
    """VIMCO: a learning signal for each of the K samples of a bound, its baseline made of the other K - 1.

    Approximates: grad E L(f_1 .. f_K) = E[L sum_k grad log q(z_k)] + E[grad L(f_1 .. f_K)], f_k the cost of sample k, L symmetric; in a
    bound L = -log (1/K) sum_k exp(-f_k), f_k = -log w_k.
    With: z_1 .. z_K ~ q; L_-k the same L without sample k, whose f_k is replaced by a mean of the others: `geometric`, the mean of
    their f (of weights, the geometric mean); `arithmetic`, their L (of weights, the arithmetic mean). Value L, gradient
    sum_k (L - L_-k) grad log q(z_k) + grad L; the mean of N such sets.
    Requires: a cost that combines K >= 2 samples, and a score; nothing of the cost.
    Costs: N evaluations of the K samples, no gradient of the cost.
    Bias: none, because L_-k has not seen sample k.
    Not to be confused with: `rloo`, which compares N whole sets of K with each other. On K samples of a plain mean the two are one.
    References: Mnih & Rezende (2016), arXiv 1602.06725 (whose L is maximised).
    """

    family = "multi-sample"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical, Normal)
    multi_sample = True
    evaluations = "N"
    citation = "Mnih & Rezende (2016), Variational Inference for Monte Carlo Objectives, arXiv 1602.06725"

    def __init__(self, *, mean: Literal["geometric", "arithmetic"] = "geometric", num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.mean = mean

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(cost, MultiSample)
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost.each(z, q)
        bound = cost.combine(f)
        signal = bound.detach() - self._without(f.detach(), cost.combine)
        z, q = cost.split(z, q)
        return average(bound) + follow_score(torch.zeros_like(f[:, 0]), signal.movedim(0, 1), q, z).sum(0)

    def _without(self, f: Tensor, combine: Combine) -> Tensor:
        """L_-k ``[K, S, *batch]`` from the costs f_k."""
        others = torch.stack([torch.cat((f[:k], f[k + 1 :])) for k in range(len(f))], 1)
        if self.mean == "arithmetic":
            return combine(others)
        return combine(torch.cat((others, others.mean(0, keepdim=True))))
