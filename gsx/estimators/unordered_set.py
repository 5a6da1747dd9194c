"""The unordered-set estimator."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.estimators.joint import log_probabilities, states, too_many
from gsx.noise import Noise
from gsx.surrogate import inject

#: Up to so many samples the orders in which a set is drawn are summed exactly, which costs 2^N terms; beyond it is an integral.
MOST_SUBSETS = 8


class UnorderedSet(Estimator):
    """The unordered-set estimator: N different joint states, each weighed by its part in the probability of the set.

    Approximates: grad E f = sum_s p(s) [(f(s) - c) grad log p(s) + grad f(s, q)].
    With: S, N joint states drawn without replacement (the largest of Gumbels + log p); P^E(T) the probability that T is drawn first, the
    order aside, where the states in E do not exist; R(S, s) = P^{s}(S - s) / P(S), R^{s}(S, s') = P^{s,s'}(S - s - s') / P^{s}(S - s),
    and 1 for s' = s. Value sum_{s in S} p(s) R(S, s) f(s), gradient sum_{s in S} p(s) R(S, s) [(f(s) - c_s) grad log p(s) + grad f(s)].
    Baseline c_s: `built_in`, sum_{s' in S} p(s') R^{s}(S, s') f(s'); `none`, 0.
    Requires: at most 4096 joint states, and no more samples than these; nothing of the cost.
    Costs: N evaluations, no gradient of the cost; 2^N terms for P up to N = 8, quadrature beyond.
    Bias: none. With as many samples as joint states it is exact.
    References: Kool, van Hoof & Welling (2020), arXiv 2002.06043.
    """

    family = "coupled categorical"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    citation = (
        "Kool, van Hoof & Welling (2020), Estimating Gradients for Discrete Random Variables by Sampling without Replacement, "
        "arXiv 2002.06043"
    )
    least_samples = 2

    def __init__(self, *, baseline: Literal["built_in", "none"] = "built_in", num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.baseline = baseline

    def supports(self, q: Distribution, model: Any) -> str | None:
        return super().supports(q, model) or too_many(q, model, self.num_samples)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        n, log_p = self.num_samples, log_probabilities(q)
        joint = Categorical(log_p.movedim(0, -1).unsqueeze(-2))
        drawn = joint.latent(noise.uniform((1,), joint)).topk(n).indices.movedim(-1, 0).reshape(n, *q.batch_shape)
        log_rest = log_p.scatter(0, drawn, -torch.inf).logsumexp(0)
        log_p = log_p.gather(0, drawn)  # [N, *batch]
        without_one, without_two = (by_subsets if n <= MOST_SUBSETS else by_quadrature)(log_p, log_rest)
        z = states(q, drawn)
        f = cost(z, q)
        signal = f.detach()
        # p(s) R(S, s) sums to 1 over s in S, and p(s') R(S, s') over the s' in S but s to 1 - p(s): P(S) itself is not needed.
        weight = torch.softmax(log_p + without_one, 0)
        if self.baseline == "built_in":
            itself = torch.eye(n, dtype=torch.bool, device=f.device).reshape(n, n, *(1,) * (f.ndim - 1))
            others = (log_p + without_two).masked_fill(itself, -torch.inf).softmax(1)
            signal = -torch.expm1(log_p) * (signal - (others * signal).sum(1))
        gradient = (weight * signal).reshape(*f.shape, *(1,) * q.event_ndim) * q.score(z)["logits"]
        return inject((weight * f).sum(0), gradient.sum(0), q.logits)


def by_subsets(log_p: Tensor, log_rest: Tensor) -> tuple[Tensor, Tensor]:
    """log P^{s}(S - s) ``[N, *batch]`` and log P^{s,s'}(S - s - s') ``[N, N, *batch]``, the diagonal without meaning, from the
    log-probabilities of the states in S ``[N, *batch]`` and of all others together ``[*batch]``.

    A set T is drawn before all others if one of it is drawn first and then what is left of it, or if it is empty:
    P(T) = sum_{t in T} p(t) P(T - t) / (p(T) + p(others)). Sums of positive terms only, so that nothing cancels.
    """
    n, device = len(log_p), log_p.device
    sets_of_size = [list(combinations(range(n), size)) for size in range(n)]
    log_first = [torch.zeros_like(log_rest).unsqueeze(0)]  # log P of the sets of each size
    for smaller, sets in pairwise(sets_of_size):
        left = torch.tensor([[smaller.index(t[:i] + t[i + 1 :]) for i in range(len(t))] for t in sets], device=device)
        members = log_p[torch.tensor(sets, device=device)]  # [sets, size, *batch]
        log_total = torch.logaddexp(members.logsumexp(1), log_rest)
        log_first.append((members + log_first[-1][left]).logsumexp(1) - log_total)
    place = {t: i for i, t in enumerate(sets_of_size[-2])}
    without_two = [[place.get(tuple(t for t in range(n) if t not in (s, other)), 0) for other in range(n)] for s in range(n)]
    return log_first[-1].flip(0), log_first[-2][torch.tensor(without_two, device=device)]  # the first set of n - 1 lacks the last state


def by_quadrature(log_p: Tensor, log_rest: Tensor) -> tuple[Tensor, Tensor]:
    """The same by an integral over y, the logarithm of the time at which the first of the other states is drawn, in units of its mean:
    P(T) = int exp(y - e^y) prod_{t in T} (1 - exp(-e^y p(t) / p(others))) dy.

    The integrand is analytic and falls off on both sides, where the trapezoidal rule converges geometrically: the logarithms have errors
    below 1e-12.
    """
    n = len(log_p)
    step = 0.2 * math.sqrt(8 / max(8, n))  # the more factors, the narrower the integrand
    y = torch.arange(-30, math.log(2 * n + 60), step, dtype=log_p.dtype, device=log_p.device).reshape(-1, *(1,) * log_p.ndim)
    log_time = log_p - log_rest + y  # [nodes, N, *batch]
    log_drawn = torch.where(log_time > -30, torch.log(-torch.expm1(-log_time.exp())), log_time)
    log_all = log_drawn.sum(1, keepdim=True) + y - y.exp() + math.log(step)
    # Both factors of a pair are taken out of a half each: the sum over the nodes is then a matrix product.
    half = log_all / 2 - log_drawn
    scale = half.amax(0)
    scaled = (half - scale).exp()
    without_two = torch.einsum("ki...,kj...->ij...", scaled, scaled).log() + scale.unsqueeze(1) + scale
    return (log_all - log_drawn).logsumexp(0), without_two
