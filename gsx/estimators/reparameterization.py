"""The reparameterization trick."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average


class Reparameterization(Estimator):
    """The pathwise estimator: differentiate the cost along a sample that is a smooth function of the parameters.

    Approximates: grad E_{z~q_phi} f(z) = E_eps grad_phi f(g(eps, phi)).
    With: z_n = g(eps_n, phi) = loc + scale eps_n, eps_n ~ N(0, I); value (1/N) sum_n f(z_n, q), differentiated through z_n.
    Requires: a Gaussian and a cost whose gradient exists.
    Costs: N evaluations and N gradients of the cost.
    Bias: none where f is continuous; silently biased where it jumps, since the gradient never sees the jump.
    Not to be confused with: implicit reparameterization, which needs no explicit g.
    References: Kingma & Welling (2014), arXiv 1312.6114, section 2.4; Rezende, Mohamed & Wierstra (2014), arXiv 1401.4082, section 3.
    """

    family = "pathwise"
    unbiased = True
    unbiased_if = "the cost is continuous"
    needs_cost_gradient = True
    distributions = (Normal,)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Kingma & Welling (2014), Auto-Encoding Variational Bayes, arXiv 1312.6114, section 2.4"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal)
        z = q.reparameterize(noise.uniform((self.num_samples,), q))
        return average(cost(z, q))
