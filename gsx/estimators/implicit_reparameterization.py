"""Implicit reparameterization."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Continuous, Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, zero


class ImplicitReparameterization(Estimator):
    """The pathwise estimator of distributions whose samples are no explicit function of noise and parameters.

    Approximates: grad E f(z) = E[f'(z) dz/dtheta] + E[grad f(z, q)].
    With: s_n = F^-1(u_n), the coordinate of z_n = g(s_n), which moves with theta as the quantile does: differentiating F(s; theta) = u,
    ds/dtheta = -(dF/dtheta) / F'(s). Value (1/N) sum_n f(z_n, q), differentiated through z_n. The coordinate is log z of a gamma and
    logit z of a beta variable; a Dirichlet's are those of the gamma variables that it is made of, each with a path of its own.
    Requires: a continuous distribution and a cost whose gradient exists.
    Costs: N evaluations and N gradients of the cost.
    Bias: none where f is continuous; silently biased where it jumps.
    Not to be confused with: `reparameterization`, where the path is explicit; for a Gaussian the two agree.
    References: Figurnov, Mohamed & Mnih (2018), arXiv 1805.08498, equation 8 and sections 3 and 4.
    """

    family = "pathwise"
    unbiased = True
    unbiased_if = "the cost is continuous"
    needs_cost_gradient = True
    distributions = (Continuous,)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Figurnov, Mohamed & Mnih (2018), Implicit Reparameterization Gradients, arXiv 1805.08498, equation 8"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Continuous)
        s = q.quantile(noise.uniform((self.num_samples,), q))
        for name, slope in q.slopes(s).items():
            s = s + slope * zero(q.parameters[name])
        return average(cost(q.decode(s), q))
