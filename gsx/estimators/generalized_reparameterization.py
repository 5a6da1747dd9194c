"""Generalized reparameterization."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Beta, Distribution, Gamma
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, zero


class GeneralizedReparameterization(Estimator):
    """G-rep: a path along which the noise still depends a little on the parameters, and a score that corrects for it.

    Approximates: grad E f(z) = E[f'(z) dz/dtheta] + E[f(z) d log q_eps / dtheta] + E[grad f(z, q)], all at fixed eps.
    With: s = log z of a gamma, logit z of a beta variable; eps = (s - m) / d, m and d the mean and the standard deviation of s, which are
    functions of theta: m = digamma(a) - log rate, d^2 = trigamma(a); m = digamma(a) - digamma(b), d^2 = trigamma(a) + trigamma(b).
    z_n ~ q gives eps_n, s_n = m + d eps_n is differentiated, and q_eps(eps) = q_s(m + d eps) d, in theta and through s.
    Value (1/N) sum_n f(z_n, q); a sample's correction is weighed by its own cost.
    Requires: a gamma or beta distribution and a cost whose gradient exists.
    Costs: N evaluations and N gradients of the cost.
    Bias: none where f is continuous. Where eps hardly depends on theta (large concentrations) the correction vanishes.
    Not to be confused with: `implicit_reparameterization`, whose noise is uniform and needs no correction.
    References: Ruiz, Titsias & Blei (2016), arXiv 1610.02287, equations 5 to 8 and section 3.
    """

    family = "pathwise"
    unbiased = True
    unbiased_if = "the cost is continuous"
    needs_cost_gradient = True
    distributions = (Gamma, Beta)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Ruiz, Titsias & Blei (2016), The Generalized Reparameterization Gradient, arXiv 1610.02287, equations 5 to 8"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Gamma | Beta)
        mean, deviation = q.standardisation()
        eps = (q.quantile(noise.uniform((self.num_samples,), q)) - mean.detach()) / deviation.detach()
        s = mean + deviation * eps
        f = cost(q.decode(s), q)
        log_q_eps = (q.log_density(s) + deviation.log()).sum(-1)
        return average(f + f.detach() * zero(log_q_eps))
