"""The augment-REINFORCE-swap estimator."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Categorical, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, inject


class ARS(Estimator):
    """ARS, augment-REINFORCE-swap: the cost at every exchange of one entry of a Dirichlet noise with another.

    Approximates: grad E f in the logits theta.
    With: in each of D coordinates pi ~ Dirichlet(1, ..., 1), normalised exponentials, and the outcome z = argmin_c pi_c exp(-theta_c);
    f_m the cost at the outcome of pi with its entries m and j exchanged, in all coordinates together. Value the mean of all f_m, gradient
    (f_m - mean_m f_m) (1 - C pi_j) in entry m of each coordinate, plus the mean of grad f; averaged over N draws. The reference category j
    is the first.
    Requires: categorical variables; nothing of the cost.
    Costs: N C evaluations, no gradient of the cost. Outcomes that coincide are evaluated again.
    Bias: none. E f_m (1 - C pi_j) is the gradient in entry m, because an exchange leaves the law of pi as it is; summed over m that is 0,
    and so the mean over m may be subtracted.
    Not to be confused with: ARSM, the mean of ARS over all references j.
    References: Yin, Yue & Zhou (2019), arXiv 1905.01413.
    """

    family = "coupled categorical"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Categorical,)
    evaluations = "N C"
    citation = "Yin, Yue & Zhou (2019), ARSM: Augment-REINFORCE-Swap-Merge Estimator for Categorical Variables, arXiv 1905.01413"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Categorical)
        u = noise.uniform((self.num_samples,), q)
        exponential = -torch.log(u)
        pi = exponential / exponential.sum(-1, keepdim=True)
        # The race of these exponentials is q's own: exchanging entries of pi is exchanging uniforms.
        category = torch.arange(u.shape[-1], device=u.device)
        exchanged = category.repeat(len(category), 1)
        exchanged[:, 0] = category
        exchanged[category, category] = 0
        z = q.sample(u[..., exchanged].movedim(-2, 0).flatten(0, 1))
        f = cost(z, q).reshape(len(category), len(u), *q.batch_shape)  # [C, N, *batch]
        signal = (f - f.mean(0)).detach().movedim(0, -1).unsqueeze(-2)
        gradient = signal * (1 - len(category) * pi[..., :1])
        return inject(f.mean((0, 1)), average(gradient), q.logits)
