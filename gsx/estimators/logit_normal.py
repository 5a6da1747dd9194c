"""The logit-normal relaxation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise, normal
from gsx.surrogate import average

#: The scale s of the noise: N(0, s^2) has the density of the logistic, 1/4, at 0.
SCALE = math.sqrt(8 / math.pi)


def probit(logits: Tensor) -> Tensor:
    """The x with P(x + eps > 0) = sigmoid(logits), eps standard normal: the normal quantile of sigmoid(logits)."""
    # From the tail on the near side: sigmoid(40) is 1, and its quantile infinite.
    positive_side = logits > 0
    tail = normal(torch.sigmoid(torch.where(positive_side, -logits, logits)))
    return torch.where(positive_side, -tail, tail)


class LogitNormal(Estimator):
    """The logit-normal relaxation: Concrete with Gaussian noise in place of the logistic.

    Approximates: grad E f(b) by the gradient of another objective, E f(y) with y the relaxed variable.
    With: p = sigmoid(theta), eps_n standard normal, s = sqrt(8 / pi); y_n = sigmoid(s (probit(p) + eps_n) / tau); value (1/N) sum_n
    f(y_n, q), differentiated through y_n. Of the noises that could stand in for the logistic this one is matched in law: P(y > 1/2) = p,
    so that nothing but the smoothing is wrong and the bias goes with tau. (theta plus a Gaussian of the logistic's variance hardens to
    another probability than p, and stays biased.) The scale s makes the two relaxations alike at theta = 0 at equal tau: there the latents
    have equal densities at their threshold, and both move with theta at rate 1.
    Requires: Bernoulli variables (for more categories a Gaussian latent has no shift that gives softmax probabilities in closed form); a
    cost defined and differentiable between the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: that of the relaxation, which falls as the temperature tau does, while the variance rises.
    Not to be confused with: `concrete` (logistic noise), `igr` (the same Gaussian, and softmax++).
    References: Aitchison & Shen (1980), Biometrika 67, for the distribution; Maddison, Mnih & Teh (2017), arXiv 1611.00712, for the use.
    """

    family = "relaxation"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli,)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Aitchison & Shen (1980), Logistic-Normal Distributions: Some Properties and Uses, Biometrika 67"

    def __init__(self, *, temperature: float = 0.5, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature = positive("temperature", temperature)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        eps = normal(noise.uniform((self.num_samples,), q))
        y = torch.sigmoid(SCALE * (probit(q.logits) + eps) / self.temperature)
        return average(cost(y, q))
