"""The gapped straight-through estimator."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average, replace_gradient


class GappedST(Estimator):
    """Gapped straight-through (GST): backward through logits that are moved until the sample wins by a gap, without Gumbel noise.

    Approximates: grad E f(z).
    With: z_n ~ q; m_1 = z_n (max theta - theta) lifts the drawn category to the largest logit and m_2 = (1 - z_n) relu(theta + gap - max
    theta) keeps the others a gap below it, both detached; y_n = softmax((theta + m_1 - m_2) / tau); value (1/N) sum_n f(z_n, q), gradient
    (1/N) sum_n grad f(z_n) dy_n/dtheta. A Bernoulli is the two categories with logits (theta, 0).
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes, at every temperature and gap.
    Not to be confused with: `st_gumbel` and `gumbel_rao`, which draw the logits that agree with the sample.
    References: Fan, Chi, Rudnicky & Ramadge (2022), arXiv 2206.07235.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = (
        "Fan, Chi, Rudnicky & Ramadge (2022), Training Discrete Deep Generative Models via Gapped Straight-Through Estimator, "
        "arXiv 2206.07235"
    )

    def __init__(self, *, temperature: float = 0.5, gap: float = 1.0, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature = positive("temperature", temperature)
        self.gap = positive("gap", gap)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        z = q.sample(noise.uniform((self.num_samples,), q))
        moved = replace_gradient(self._moved(q, z), q.beside(z, "logits"))
        return average(cost(replace_gradient(z, q.relax(moved, self.temperature)), q))

    def _moved(self, q: Discrete, z: Tensor) -> Tensor:
        """theta + m_1 - m_2; of a Bernoulli the difference of the two logits, in favour of the value drawn."""
        logits = q.logits.detach()
        if isinstance(q, Bernoulli):
            sign = 2 * z - 1
            return sign * (sign * logits).clamp(min=self.gap)
        largest = logits.amax(-1, keepdim=True)
        return torch.where(z > 0, largest, torch.minimum(logits, largest - self.gap))
