"""The hard concrete relaxation."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.records import ConfigurationError
from gsx.surrogate import average


class HardConcrete(Estimator):
    """Hard concrete: a Concrete variable stretched beyond (0, 1) and cut off there, so that 0 and 1 have positive probability.

    Approximates: grad E f(b) by the gradient of another objective, E f(y) with y the relaxed variable.
    With: s_n = sigmoid((theta + L_n) / tau), L_n logistic; y_n = min(1, max(0, s_n (zeta - gamma) + gamma)); value (1/N) sum_n f(y_n, q),
    differentiated through y_n: no gradient where it is cut off.
    Requires: Bernoulli variables; a cost defined and differentiable on [0, 1].
    Costs: N evaluations and N gradients of the cost.
    Bias: that of the relaxation, which falls as the temperature tau does, while the variance rises. The threshold y > 1/2 is theta + L > 0
    where gamma + zeta = 1.
    Not to be confused with: `concrete`, whose draws are never 0 or 1.
    References: Louizos, Welling & Kingma (2018), arXiv 1712.01312, equations 10 and 11; temperature, gamma and zeta are those of section 4.
    """

    family = "relaxation"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli,)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Louizos, Welling & Kingma (2018), Learning Sparse Neural Networks through L0 Regularization, arXiv 1712.01312, equation 11"

    def __init__(self, *, temperature: float = 2 / 3, gamma: float = -0.1, zeta: float = 1.1, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature = positive("temperature", temperature)
        if not gamma <= 0:
            raise ConfigurationError(f"gamma={gamma:g}: must be at most 0")
        if not zeta >= 1:
            raise ConfigurationError(f"zeta={zeta:g}: must be at least 1")
        self.gamma, self.zeta = gamma, zeta

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        s = q.relax(q.latent(noise.uniform((self.num_samples,), q)), self.temperature)
        y = (s * (self.zeta - self.gamma) + self.gamma).clamp(0, 1)
        return average(cost(y, q))
