"""The invertible Gaussian reparameterization."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.estimators.logit_normal import probit
from gsx.noise import Noise, normal
from gsx.surrogate import average


class IGR(Estimator):
    """The invertible Gaussian reparameterization, softmax++ of a Gaussian, at the mean where it hardens to q.

    Approximates: grad E f(b) by the gradient of another objective, E f(y) with y the relaxed variable.
    With: x_n = mu + eps_n, eps_n standard normal; softmax++ gives y_n = exp(x_n / tau) / (exp(x_n / tau) + delta), and 1 - y_n to the state
    that has no Gaussian of its own; value (1/N) sum_n f(y_n, q), differentiated through y_n. The mean and scale of the Gaussian are
    parameters of their own, which the paper learns, or fits to the probabilities of a given discrete law. For two states the fit is exact:
    as tau goes to 0, y hardens to 1 with probability Phi(mu / sigma), so mu = sigma probit(sigmoid(theta)), and sigma = 1 because another
    scale is another temperature.
    Requires: Bernoulli variables (the fit to more states has no closed form); a cost defined and differentiable between the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: that of the relaxation, which falls as the temperature tau does, while the variance rises; delta shifts x by tau log delta.
    Not to be confused with: `logit_normal`, which it is for delta = 1, at the temperature sqrt(8 / pi) tau there.
    References: Potapczynski, Loaiza-Ganem & Cunningham (2020), arXiv 1912.09588, section 3.
    """

    family = "relaxation"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli,)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = (
        "Potapczynski, Loaiza-Ganem & Cunningham (2020), Invertible Gaussian Reparameterization: Revisiting the Gumbel-Softmax,"
        " arXiv 1912.09588, section 3"
    )

    def __init__(self, *, temperature: float = 0.5, delta: float = 1.0, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature, self.delta = positive("temperature", temperature), positive("delta", delta)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        x = probit(q.logits) + normal(noise.uniform((self.num_samples,), q))
        y = torch.sigmoid(x / self.temperature - math.log(self.delta))
        return average(cost(y, q))
