"""The CARMS estimator, with a stick-breaking coupling."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Categorical, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import inject


class CARMS(Estimator):
    """CARMS, categorical-antithetic-REINFORCE multi-sample: leave-one-out REINFORCE on N one-hots that avoid each other.

    Approximates: grad E f in the logits.
    With: in each coordinate the categories by ascending probability, and sticks s_c = p_c / sum_{c' >= c} p_c' <= 1/2. For each stick
    d ~ Dirichlet(1, ..., 1) over the N samples, normalised exponentials; u_n = (1 - d_n)^(N - 1) is uniform, and two of them are below s
    with the probability Phi = max(0, 2 s^(1/(N - 1)) - 1)^(N - 1). z_n is the first category with u_n < s_c. Independent samples would
    part at category c r_c times as often as these,
    r_c = s_c (1 - s_c) / (s_c - Phi_c) prod_{c' < c} (1 - s_c')^2 / (1 - 2 s_c' + Phi_c').
    Value the mean of all f, gradient 1/(N (N - 1)) sum_{i < j} r (f_i - f_j) (z_i - z_j), r that of where the pair parts in each
    coordinate, plus the mean of grad f.
    Requires: categorical variables and N >= 2; nothing of the cost.
    Costs: N evaluations, no gradient of the cost.
    Bias: none: a pair counts only where it parts, and there r turns its law into that of independent samples. With ascending
    probabilities r is below 2, and nothing is clipped.
    Not to be confused with: CARMS-I and CARMS-G, which couple by the inverse distribution function and by Gumbels. With two categories it
    is ARMS, with N = 2 DisARM-IW, with independent samples (r = 1) RLOO.
    References: Dimitriev & Zhou (2021), arXiv 2110.14002, with the stick-breaking coupling of its authors' code; Dong, Mnih & Tucker
    (2021), arXiv 2106.08056, for N = 2.
    """

    family = "coupled categorical"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Categorical,)
    evaluations = "N"
    citation = "Dimitriev & Zhou (2021), CARMS: Categorical-Antithetic-REINFORCE Multi-Sample Gradient Estimator, arXiv 2110.14002"
    least_samples = 2

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Categorical)
        n, last = self.num_samples, q.event_shape[-1] - 1
        p, order = torch.sort(q.mean.detach(), stable=True)
        sticks = (p / p.flip(-1).cumsum(-1).flip(-1))[..., :last]
        exponential = -torch.log(noise.uniform((n,), q)[..., :last])
        u = (1 - exponential / exponential.sum(0)) ** (n - 1)
        place = (u >= sticks).cumprod(-1).sum(-1)  # how many categories a sample passes by, [N, *batch, D]
        z = (order.argsort(-1) == place.unsqueeze(-1)).to(p.dtype)
        f = cost(z, q)
        # Samples of one category need no r: their z_i - z_j is 0.
        parting = torch.minimum(place, place.unsqueeze(1)).clamp(max=last - 1)
        r = torch.take_along_dim(importance(sticks, n)[None, None], parting.unsqueeze(-1), -1).squeeze(-1)  # [N, N, *batch, D]
        difference = (f.unsqueeze(1) - f).detach().unsqueeze(-1)
        gradient = ((r * difference).sum(1).unsqueeze(-1) * z).sum(0) / (n * (n - 1))
        return inject(f.mean(0), gradient, q.logits)


def importance(sticks: Tensor, n: int) -> Tensor:
    """r_c, how much oftener independent samples would part at category c, ``[*, C - 1]`` like the sticks."""
    # Phi / s; written with 1 - s^(1/(n - 1)), which is small for many samples. The clamp is the maximum with 0 of Phi.
    both = torch.exp((n - 1) * torch.log1p(-torch.expm1(-torch.log(sticks) / (n - 1)).clamp(max=1)))
    part = (1 - sticks) / (1 - both)
    passed = ((1 - sticks) ** 2 / (1 - 2 * sticks + sticks * both))[..., :-1]
    return part * torch.cat((torch.ones_like(sticks[..., :1]), passed.cumprod(-1)), -1)
