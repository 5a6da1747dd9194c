"""Implicit maximum likelihood estimation."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution, KSubset
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average, cost_gradient, inject


class IMLE(Estimator):
    """I-MLE: how the most probable state under perturbed logits moves when the logits take a step down the gradient of the cost.

    Approximates: grad E f(z).
    With: MAP(theta), the most probable state at logits theta: a threshold, an argmax, the k largest. eps_n logistic or Gumbel;
    z_n = MAP(theta + eps_n), g_n = grad f(z_n), theta'_n = theta - lambda g_n; value (1/N) sum_n f(z_n, q), gradient (1/N) sum_n
    (z_n - MAP(theta'_n + eps_n)) / lambda, with the same eps_n, plus the mean of grad f. lambda is `step_size`. The paper's update has no
    1 / lambda: with it the estimate is a finite difference, and on the scale of the gradient.
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes. A large lambda sees past the linear regime; at a small one most estimates are zero and the others large, and their mean sees
    the slope on one side of the threshold only. On a k-subset the perturbed MAP is itself another law (the paper's sum-of-Gamma noise, made
    to be nearer, is not offered).
    Not to be confused with: `aimle`, which chooses lambda from the norms and takes a symmetric difference.
    References: Niepert, Minervini & Franceschi (2021), arXiv 2106.01798, algorithm 1.
    """

    family = "perturbation"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical, KSubset)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = (
        "Niepert, Minervini & Franceschi (2021), Implicit MLE: Backpropagating Through Discrete Exponential Family Distributions,"
        " arXiv 2106.01798, algorithm 1"
    )

    def __init__(self, *, step_size: float = 1.0, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.step_size = positive("step_size", step_size)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete | KSubset)
        perturbed = q.latent(noise.uniform((self.num_samples,), q)).detach()
        z = q.harden(perturbed)
        f, g = cost_gradient(cost, z, q)
        gradient = (z - q.harden(perturbed - self.step_size * g.detach())) / self.step_size
        return inject(average(f), average(gradient), q.logits)
