"""The slope-annealed straight-through estimator."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator, positive
from gsx.noise import Noise
from gsx.surrogate import average, replace_gradient


class SlopeAnnealedST(Estimator):
    """Slope-annealed straight-through, at one fixed slope: backward through a sigmoid or softmax steeper than the sample's own.

    Approximates: grad E f(z).
    With: z_n ~ q; y = softmax(a theta), a sigmoid for a Bernoulli, with `slope` a; value (1/N) sum_n f(z_n, q), gradient
    (1/N) sum_n grad f(z_n) dy/dtheta. A training raises a from 1 as it goes; a measurement is made at one a.
    Requires: a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: yes; for a linear cost too, where a is not 1. With a = 1 it is `straight_through`, with any a `decoupled_st` at the temperatures 1
    and 1/a.
    Not to be confused with: the piecewise linear ("hard") sigmoid of the paper, whose gradient is zero outside |a theta| < 1.
    References: Chung, Ahn & Bengio (2017), arXiv 1609.01704.
    """

    family = "straight-through"
    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Chung, Ahn & Bengio (2017), Hierarchical Multiscale Recurrent Neural Networks, arXiv 1609.01704"

    def __init__(self, *, slope: float = 2.0, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.slope = positive("slope", slope)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        z = q.sample(noise.uniform((self.num_samples,), q))
        y = q.relax(q.logits, 1 / self.slope)
        return average(cost(replace_gradient(z, y.unsqueeze(0)), q))
