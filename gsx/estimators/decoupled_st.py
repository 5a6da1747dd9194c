"""The decoupled straight-through estimator."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average, replace_gradient


class DecoupledST(Estimator):
    """Decoupled straight-through: one temperature for the sample forward, another for the softmax backward.

    Approximates: grad E f(z).
    With: z_n ~ Categorical(softmax(theta / tau_f)) and y = softmax(theta / tau_b), sigmoids for a Bernoulli (tau_f `forward_temperature`,
    tau_b `backward_temperature`); value (1/N) sum_n f(z_n, q), gradient (1/N) sum_n grad f(z_n) dy/dtheta.
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes; and of the value too where tau_f is not 1, because the sample is not from q then. With tau_f = tau_b = 1 it is
    `straight_through`.
    Not to be confused with: `st_gumbel`, whose temperature is one of the backward pass alone.
    References: Shah, Yan, Mozer & Liu (2024), arXiv 2410.13331, version 2.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Shah, Yan, Mozer & Liu (2024), Improving Discrete Optimisation Via Decoupled Straight-Through Estimator, arXiv 2410.13331"

    def __init__(self, *, forward_temperature: float = 1.0, backward_temperature: float = 0.5, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.forward_temperature = positive("forward_temperature", forward_temperature)
        self.backward_temperature = positive("backward_temperature", backward_temperature)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        tempered = q.map(lambda theta: theta / self.forward_temperature)
        z = tempered.sample(noise.uniform((self.num_samples,), q))
        y = q.relax(q.logits, self.backward_temperature)
        return average(cost(replace_gradient(z, y.unsqueeze(0)), q))
