"""The double control variates estimator."""

from __future__ import annotations

from torch import Tensor, nn

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Distribution
from gsx.estimators.base import Estimator
from gsx.estimators.rloo import others
from gsx.noise import Noise
from gsx.surrogate import average, follow_score, zero


class DoubleCV(Estimator):
    """Double control variates: leave-one-out, of the cost less a linear expansion whose slope is the mean of the other samples'.

    Approximates: grad E f = E[f(b) grad log q(b)] + E[grad f(b, q)].
    With: p = E b, b_n ~ q, g_n = df/db at b_n, others_n(x) the mean of x over the other N - 1 samples, a = `coefficient`;
    h_n = f_n - a others_n(g)'(b_n - p); value (1/N) sum_n f_n, gradient (1/N) sum_n (h_n - others_n(h)) (b_n - p) + a g_n p (1 - p) +
    grad f(b_n, q), where a g_n p (1 - p) gives back in the mean what the expansion takes away.
    Tuned: where `coefficient` is null, a, one for each site, by the least E|g|^2. It begins at 0.
    Requires: Bernoulli variables, N >= 2 and a cost whose gradient exists at the states.
    Costs: N evaluations and N gradients of the cost.
    Bias: none, whatever the coefficient: the slope that multiplies a sample has not seen it. At 0 this is `rloo`; at 1 a linear cost has
    variance 0. (The paper adds the expansion where this subtracts it: its alpha is -a.)
    References: Titsias & Shi (2022), arXiv 2111.05300.
    """

    family = "control variate"
    unbiased = True
    needs_cost_gradient = True
    distributions = (Bernoulli,)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Titsias & Shi (2022), Double Control Variates for Gradient Estimation in Discrete Latent Variable Models, arXiv 2111.05300"
    least_samples = 2

    def __init__(self, *, coefficient: float | None = 1.0, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.coefficient = coefficient
        self.learnt = nn.ParameterDict()
        if coefficient is None:
            self.tuned_by = "variance"  # type: ignore[misc]  # a fact of the class to all others

    def prepare(self, site: str, q: Distribution, noise: Noise) -> None:
        if self.coefficient is None:
            like = next(iter(q.parameters.values()))
            self.learnt[site] = nn.Parameter(like.new_zeros(()), requires_grad=False)

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Bernoulli)
        b = q.sample(noise.uniform((self.num_samples,), q))
        coefficient = self.learnt[noise.site] if self.coefficient is None else self.coefficient
        # Every term with a slope g_n is linear in it: the terms are the gradient of the cost along a path that is planted on b_n.
        log_q = q.log_prob(b)
        expansion = (b - q.mean.detach()) * zero(log_q - others(log_q)).unsqueeze(-1)
        f = cost(b + coefficient * (zero(q.mean) - others(expansion)), q)
        return follow_score(average(f), (f - others(f)).detach(), q, b)
