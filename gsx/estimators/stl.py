"""Sticking the landing."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average


class STL(Estimator):
    """Sticking the landing: the pathwise gradient of an ELBO without the score of q, whose mean is zero.

    Approximates: grad E_{z~q_phi} f(z, q) by E_eps of grad f(g(eps, phi), q) in g alone, q held fixed.
    With: z_n = loc + scale eps_n, eps_n ~ N(0, I); value (1/N) sum_n f(z_n, q'), q' = q detached, differentiated through z_n.
    Requires: a Gaussian and a cost whose gradient exists.
    Costs: N evaluations and N gradients of the cost.
    Bias: none where f depends on q by a constant times log q(z): what is dropped is that constant times the score. (Where q is the exact
    posterior, an ELBO's gradient then vanishes sample by sample.) Biased for the bound of several samples: there weights multiply scores.
    Not to be confused with: `dreg`, which is right for that bound.
    References: Roeder, Wu & Duvenaud (2017), arXiv 1703.09194.
    """

    family = "pathwise"
    unbiased = True
    unbiased_if = "the cost is continuous and depends on q, if at all, by a constant times log q(z)"
    direct_terms = ("none", "log_q")
    needs_cost_gradient = True
    distributions = (Normal,)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Roeder, Wu & Duvenaud (2017), Sticking the Landing, arXiv 1703.09194"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal)
        z = q.reparameterize(noise.uniform((self.num_samples,), q))
        return average(cost(z, q.map(Tensor.detach)))
