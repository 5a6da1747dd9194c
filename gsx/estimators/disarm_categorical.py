"""DisARM for categorical variables, as sequences of binary ones."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, inject


class DisarmCategorical(Estimator):
    """DisARM-SB and DisARM-Tree: the categorical variable as C - 1 binary decisions, those of a pair of samples antithetic.

    Approximates: grad E f in the logits theta, by the chain rule from those of the decisions, phi.
    With: a binary tree with the categories for leaves. Decision i takes the left branch, b_i = 1, with probability p_i = sigmoid(phi_i),
    phi_i = logsumexp of the theta on its left - logsumexp of those on its right. `stick_breaking`: category i or a later one; `tree`: one
    half or the other of the categories that are left. N/2 pairs from u ~ U(0, 1): b_i = 1[u_i > 1 - p_i], b'_i = 1[u_i < p_i]; z and z'
    are the leaves that b and b' lead to. Value the mean of all f; gradient in phi_i the mean over pairs of (1/2) (f(z) - f(z')) times
    (b_i - b'_i) sigmoid(|phi_i|) where both paths pass decision i, b_i - p_i where only that to z does, p_i - b'_i where only that to z'
    does, and 0 elsewhere; plus the mean of grad f.
    Requires: categorical variables and N even; nothing of the cost.
    Costs: N evaluations, no gradient of the cost.
    Bias: none, whatever the order of the categories; the variance depends on it.
    Not to be confused with: DisARM-IW, which weighs a pair by its importance, a number only if no p_i passes 1/2: `carms` with N = 2.
    References: Dong, Mnih & Tucker (2021), arXiv 2106.08056.
    """

    family = "coupled categorical"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Categorical,)
    evaluations = "N"
    citation = "Dong, Mnih & Tucker (2021), Coupled Gradient Estimators for Discrete Latent Variables, arXiv 2106.08056"
    least_samples = 2
    in_pairs = True

    def __init__(self, *, structure: Literal["stick_breaking", "tree"] = "stick_breaking", num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.structure = structure

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Categorical)
        left, right = branches(q.event_shape[-1], self.structure, q.logits.device)  # [C - 1, C]
        phi = log_total(q.logits, left) - log_total(q.logits, right)
        decisions = Bernoulli(phi)
        u = noise.uniform((self.num_samples // 2,), decisions)
        b, b2 = decisions.sample(u), decisions.sample(1 - u)
        z, z2 = leaf(b, left, right), leaf(b2, left, right)
        f = cost(torch.cat((z, z2)), q)
        half_difference = (f[: len(u)] - f[len(u) :]).detach()[..., None, None] / 2
        below = (left | right).to(z.dtype).mT
        passes, passes2 = z @ below, z2 @ below
        both, p = passes * passes2, decisions.mean.detach()
        coupled = both * (b - b2) * torch.sigmoid(phi.detach().abs())
        gradient = half_difference * (coupled + (passes - both) * (b - p) - (passes2 - both) * (b2 - p))
        return inject(f.mean(0), average(gradient), phi)


def branches(categories: int, structure: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which categories lie to the left and to the right of each decision, both ``[C - 1, C]`` bool."""

    def halves(start: int, stop: int) -> list[tuple[int, int, int]]:
        middle = (start + stop) // 2
        return [(start, middle, stop), *halves(start, middle), *halves(middle, stop)] if start < middle else []

    sticks = [(i, i + 1, categories) for i in range(categories - 1)]
    bounds = torch.tensor(sticks if structure == "stick_breaking" else halves(0, categories), device=device)
    start, middle, stop = bounds.T[..., None]
    category = torch.arange(categories, device=device)
    return (start <= category) & (category < middle), (middle <= category) & (category < stop)


def log_total(logits: Tensor, side: Tensor) -> Tensor:
    """The logsumexp of the logits ``[*, C]`` on one side of each decision, ``[*, C - 1]``."""
    return torch.where(side, logits.unsqueeze(-2), -torch.inf).logsumexp(-1)


def leaf(b: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """The category, one-hot, that the decisions ``[*, C - 1]`` lead to: the one that none of them turns away from."""
    turned_away = (1 - b) @ left.to(b.dtype) + b @ right.to(b.dtype)
    return (turned_away == 0).to(b.dtype)
