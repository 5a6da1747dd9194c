"""The augment-REINFORCE-swap-merge estimator."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Categorical, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, inject


class ARSM(Estimator):
    """ARSM, augment-REINFORCE-swap-merge: the cost at every exchange of two entries of a Dirichlet noise.

    Approximates: grad E f in the logits theta.
    With: in each of D coordinates pi ~ Dirichlet(1, ..., 1), normalised exponentials, and the outcome z = argmin_c pi_c exp(-theta_c);
    F_mj the cost at the outcome of pi with its entries m and j exchanged, in all coordinates together. Value the mean over all different
    exchanges, gradient sum_j (F_mj - mean_m F_mj) (1/C - pi_j) in entry m of each coordinate, plus the mean of grad f; averaged over N
    draws.
    Requires: categorical variables; nothing of the cost.
    Costs: N (C (C - 1) / 2 + 1) evaluations, no gradient of the cost: F is symmetric, and its diagonal is the cost without an exchange.
    Outcomes that coincide are evaluated again.
    Bias: none, as the mean of ARS over all references j.
    Not to be confused with: ARS, which exchanges with one reference category. With two categories both are ARM.
    References: Yin, Yue & Zhou (2019), arXiv 1905.01413.
    """

    family = "coupled categorical"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Categorical,)
    evaluations = "N (C (C - 1) / 2 + 1)"
    citation = "Yin, Yue & Zhou (2019), ARSM: Augment-REINFORCE-Swap-Merge Estimator for Categorical Variables, arXiv 1905.01413"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Categorical)
        u = noise.uniform((self.num_samples,), q)
        exponential = -torch.log(u)
        pi = exponential / exponential.sum(-1, keepdim=True)
        # The race of these exponentials is q's own: exchanging entries of pi is exchanging uniforms.
        categories = u.shape[-1]
        m, j = torch.triu_indices(categories, categories, offset=1, device=u.device)
        row = torch.arange(1, 1 + len(m), device=u.device)  # row 0 exchanges nothing
        exchanged = torch.arange(categories, device=u.device).repeat(1 + len(m), 1)
        exchanged[row, m], exchanged[row, j] = j, m
        z = q.sample(u[..., exchanged].movedim(-2, 0).flatten(0, 1))
        f = cost(z, q).reshape(1 + len(m), len(u), *q.batch_shape)  # [exchanges, N, *batch]
        row_of = torch.zeros(categories, categories, dtype=torch.long, device=u.device)
        row_of[m, j] = row_of[j, m] = row
        costs = f.detach()[row_of].movedim((0, 1), (-1, -2))  # F, transposed: [N, *batch, j, m]
        gradient = (1 / categories - pi) @ (costs - costs.mean(-1, keepdim=True))
        return inject(f.mean((0, 1)), average(gradient), q.logits)
