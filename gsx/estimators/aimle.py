"""Adaptive implicit maximum likelihood estimation."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution, KSubset
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average, cost_gradient, inject


class AIMLE(Estimator):
    """Adaptive I-MLE: a symmetric difference of perturbed most probable states, with a step relative to the logits.

    Approximates: grad E f(z).
    With: MAP(theta), the most probable state at logits theta; eps_n logistic or Gumbel; z_n = MAP(theta + eps_n), g_n = grad f(z_n),
    lambda_n = beta |theta| / |g_n|; value (1/N) sum_n f(z_n, q), gradient (1/N) sum_n (MAP(theta + lambda_n g_n + eps_n) -
    MAP(theta - lambda_n g_n + eps_n)) / (2 lambda_n), plus the mean of grad f. Norms are of one event, so that rows of a batch do not see
    each other; where theta or g_n is zero, so is the gradient.
    Beta is fixed here. The paper moves it during training, up where fewer components of the gradients are nonzero than wanted and down
    where more are: that is a path of betas, and this is the estimator at any one of them.
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes. A large beta sees past the linear regime; at a small one most estimates are zero and the others large, while for Bernoullis
    the mean tends to the trapezoidal rule's, the average of p (1 - p) f' on both sides, which is right for quadratic costs.
    Not to be confused with: `imle`, whose step is absolute and one-sided.
    References: Minervini, Franceschi & Niepert (2023), arXiv 2209.04862.
    """

    family = "perturbation"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical, KSubset)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = (
        "Minervini, Franceschi & Niepert (2023), Adaptive Perturbation-Based Gradient Estimation for Discrete Latent Variable Models,"
        " arXiv 2209.04862"
    )

    def __init__(self, *, beta: float = 1.0, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.beta = positive("beta", beta)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete | KSubset)
        perturbed = q.latent(noise.uniform((self.num_samples,), q)).detach()
        f, g = cost_gradient(cost, q.harden(perturbed), q)
        g, event = g.detach(), tuple(range(-q.event_ndim, 0))
        norm = torch.linalg.vector_norm(g, dim=event, keepdim=True)
        step_size = self.beta * torch.linalg.vector_norm(q.logits.detach(), dim=event, keepdim=True) / _or_one(norm)
        step = step_size * g
        gradient = (q.harden(perturbed + step) - q.harden(perturbed - step)) / (2 * _or_one(step_size))
        return inject(average(f), average(gradient), q.logits)


def _or_one(x: Tensor) -> Tensor:
    """A divisor: x, or 1 where x is 0 and so is what it divides."""
    return torch.where(x > 0, x, torch.ones_like(x))
