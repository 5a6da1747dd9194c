"""The sum-and-sample estimator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.estimators.joint import log_probabilities, states, too_many
from gsx.noise import Noise
from gsx.records import ConfigurationError
from gsx.surrogate import inject


class SumAndSample(Estimator):
    """Rao-Blackwellised REINFORCE: sum over the most probable joint states, and draw one of the others.

    Approximates: grad E f = sum_s q(s) [(f(s) - c) grad log q(s) + grad f(s, q)].
    With: the N - 1 most probable joint states, of equally probable ones those that `q.points` lists first, with the weights w = q(s); one
    of the others with its probability given that it is none of these, and the probability of them all for its weight. Value sum_s w f(s),
    gradient sum_s w [(f(s) - c_s) grad log q(s) + grad f(s)]. Baseline c_s: the mean cost of `baseline_samples` independent draws, others
    for each state; 0 where there are none.
    Requires: at most 4096 joint states, and no more samples than these; nothing of the cost.
    Costs: N (1 + baseline_samples) evaluations, no gradient of the cost.
    Bias: none. With as many samples as joint states it is exact, but for the noise of the baseline; with one it is REINFORCE, and with
    one baseline sample the REINFORCE+ of the paper.
    References: Liu, Regier, Tripuraneni, Jordan & McAuliffe (2019), arXiv 1810.04777.
    """

    family = "conditional expectation"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical)
    evaluations = "N (1 + baseline_samples)"
    citation = "Liu, Regier, Tripuraneni, Jordan & McAuliffe (2019), Rao-Blackwellized Stochastic Gradients, arXiv 1810.04777"

    def __init__(self, *, baseline_samples: int = 0, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        if baseline_samples < 0:
            raise ConfigurationError(f"baseline_samples={baseline_samples}: must not be negative")
        self.baseline_samples = baseline_samples

    def supports(self, q: Distribution, model: Any) -> str | None:
        return super().supports(q, model) or too_many(q, model, self.num_samples)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        n = self.num_samples
        log_p = log_probabilities(q)
        summed = torch.sort(log_p, dim=0, descending=True, stable=True).indices[: n - 1]
        log_rest = log_p.scatter(0, summed, -torch.inf)
        rest = Categorical(log_rest.movedim(0, -1).unsqueeze(-2))
        drawn = rest.latent(noise.uniform((1,), rest)).argmax(-1).squeeze(-1)
        weight = torch.cat((log_p.gather(0, summed), log_rest.logsumexp(0, keepdim=True))).exp()
        z = states(q, torch.cat((summed, drawn)))
        others = q.sample(noise.uniform((n * self.baseline_samples,), q)) if self.baseline_samples else z[:0]
        f = cost(torch.cat((z, others)), q)
        f, f_others = f[:n], f[n:].detach()
        signal = f.detach()
        if self.baseline_samples:
            signal = signal - f_others.reshape(n, self.baseline_samples, *q.batch_shape).mean(1)
        gradient = (weight * signal).reshape(*f.shape, *(1,) * q.event_ndim) * q.score(z)["logits"]
        return inject((weight * f).sum(0), gradient.sum(0), q.logits)
