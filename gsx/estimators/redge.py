"""ReDGE, reparameterization by a denoising diffusion."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise, normal
from gsx.records import ConfigurationError
from gsx.surrogate import average, replace_gradient

#: alpha_{T-1}, where there is more than one noisy level.
LEAST_SIGNAL = 1e-4


class Redge(Estimator):
    """ReDGE: normal noise becomes a sample by a deterministic diffusion with an exact denoiser, straight-through in its last step.

    Approximates: grad E f(z).
    With: T levels (`steps`) of signal alpha_t and noise sigma_t = 1 - alpha_t: alpha_0 = 1, then alpha_1 = 1 - t1 down to alpha_{T-1} near
    0, equally spaced; the denoiser m_t(x) = softmax(theta + alpha_t x / sigma_t^2), which is E[z given alpha_t z + sigma_t e = x];
    x_{T-1} standard normal; down to x_1 by x_{t-1} = alpha_{t-1} m_t + (sigma_{t-1} / sigma_t) (x_t - alpha_t m_t);
    z_n ~ Categorical(y_n), y_n = m_1(x_1); value (1/N) sum_n f(z_n, q), gradient (1/N) sum_n grad f(z_n) dy_n/dtheta, through all levels.
    A Bernoulli is the two categories with logits (theta, 0), of which only the difference counts.
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost, and T - 1 denoisings.
    Bias: yes; and of the value too, because few levels do not carry normal noise to the law of x_1 exactly, and so z is not quite from q.
    With T = 2 and t1 = 1 the noise carries no signal, and it is `straight_through`.
    References: Gourevitch, Durmus, Moulines, Olsson & Janati (2026), arXiv 2601.00781; its levels as in the authors' package `redge`.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = (
        "Gourevitch, Durmus, Moulines, Olsson & Janati (2026), Categorical Reparameterization with Denoising Diffusion models, "
        "arXiv 2601.00781"
    )

    def __init__(self, *, steps: int = 5, t1: float = 0.5, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        if steps < 2:
            raise ConfigurationError(f"steps={steps}: must be at least 2")
        if not 0 < t1 <= 1:
            raise ConfigurationError(f"t1={t1:g}: must be in (0, 1]")
        self.steps, self.t1 = steps, t1

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        x = self._carried(q, normal(noise.uniform((self.num_samples,), q)))
        last = denoised(q, x, 1 - self.t1)
        z = last.sample(noise.uniform((self.num_samples,), q))
        return average(cost(replace_gradient(z, last.mean), q))

    def _carried(self, q: Discrete, x: Tensor) -> Tensor:
        """x_1 from standard normal numbers; of a Bernoulli the difference of the two."""
        binary = isinstance(q, Bernoulli)
        if binary:
            x = math.sqrt(2) * x
        for alpha, below in pairwise(self._signals()):
            mean = denoised(q, x, alpha).mean
            m = 2 * mean - 1 if binary else mean
            x = below * m + (1 - below) / (1 - alpha) * (x - alpha * m)
        return x

    def _signals(self) -> list[float]:
        """alpha_{T-1}, ..., alpha_1."""
        largest, gaps = 1 - self.t1, max(self.steps - 2, 1)
        return [largest + (LEAST_SIGNAL - largest) * i / gaps for i in reversed(range(self.steps - 1))]


def denoised(q: Discrete, x: Tensor, alpha: float) -> Discrete:
    """The law of z given alpha z + (1 - alpha) e = x, for x ``[N, *batch, *event]``."""
    return q.replace({"logits": q.beside(x, "logits") + alpha / (1 - alpha) ** 2 * x})
