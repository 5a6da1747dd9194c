"""The Concrete / Gumbel-Softmax relaxation."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average


class Concrete(Estimator):
    """Concrete, also called Gumbel-Softmax: reparameterize a smoothing of the discrete variable.

    Approximates: grad E f(z) by the gradient of another objective, E f(y) with y the relaxed variable.
    With: y_n = softmax((theta + G_n) / tau), G_n standard Gumbel; a Bernoulli's y_n = sigmoid((theta + L_n) / tau), L_n logistic;
    value (1/N) sum_n f(y_n, q), differentiated through y_n.
    Requires: a cost defined and differentiable between the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: that of the relaxation, which falls as the temperature tau does, while the variance rises.
    Not to be confused with: straight-through Gumbel (`st_gumbel`), which evaluates the cost at the hardened sample.
    References: Maddison, Mnih & Teh (2017), arXiv 1611.00712, section 3; Jang, Gu & Poole (2017), arXiv 1611.01144, equation 2.
    """

    family = "relaxation"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Maddison, Mnih & Teh (2017), The Concrete Distribution, arXiv 1611.00712; Jang, Gu & Poole (2017), arXiv 1611.01144"

    def __init__(self, *, temperature: float = 0.5, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature = positive("temperature", temperature)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        y = q.relax(q.latent(noise.uniform((self.num_samples,), q)), self.temperature)
        return average(cost(y, q))
