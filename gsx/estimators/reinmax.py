"""ReinMax."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average, replace_gradient


class Reinmax(Estimator):
    """ReinMax: straight-through made accurate to second order by Heun's method.

    Approximates: grad E f(z).
    With: z_n ~ q and p its mean; pi_n = (softmax(theta / tau) + z_n) / 2; J(p) = diag(p) - p p' for one variable (p (1 - p) for a
    Bernoulli); value (1/N) sum_n f(z_n, q), gradient (1/N) sum_n (2 J(pi_n) - (1/2) J(p)) grad f(z_n).
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes, unless tau = 1 and the cost is at most quadratic in each variable (jointly quadratic, or multilinear). The authors advise
    tau >= 1.
    Not to be confused with: `zgr`, which it equals sample by sample at tau = 1, and only there.
    References: Liu, Dong, Liu, Yu & Gao (2023), arXiv 2304.08612.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Liu, Dong, Liu, Yu & Gao (2023), Bridging Discrete and Backpropagation: Straight-Through and Beyond, arXiv 2304.08612"

    def __init__(self, *, temperature: float = 1.0, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.temperature = positive("temperature", temperature)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        z = q.sample(noise.uniform((self.num_samples,), q))
        pi = (q.relax(q.logits.detach(), self.temperature) + z) / 2
        moved = pi * q.beside(z, "logits")
        total = moved.sum(-1, keepdim=True) if isinstance(q, Categorical) else moved
        heun = moved - pi * total  # moves with the logits by J(pi)
        return average(cost(replace_gradient(z, 2 * heun - q.mean / 2), q))
