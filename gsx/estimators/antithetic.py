"""The pathwise estimator on antithetic pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.noise import Noise


class Antithetic(Estimator):
    """Antithetic sampling: the pathwise estimator on pairs of Gaussian samples mirrored in their mean.

    Approximates: grad E_{z~q_phi} f(z) = E_eps grad_phi f(g(eps, phi)).
    With: N/2 pairs z = loc + scale eps, z' = loc - scale eps, eps ~ N(0, I); value the mean of all f, differentiated through z and z'.
    Requires: a Gaussian, N even, and a cost whose gradient exists.
    Costs: N evaluations and N gradients of the cost.
    Bias: none where f is continuous; silently biased where it jumps. What is odd in eps cancels within a pair (in loc, all of the variance
    on a quadratic); what is even is evaluated twice, and there half as many independent samples have twice the variance.
    Not to be confused with: mirrored sampling in evolution strategies, which weighs the score by f(z) - f(z') and needs no gradient.
    References: Hammersley & Morton (1956), Proc. Cambridge Phil. Soc. 52; Mohamed, Rosca, Figurnov & Mnih (2020), arXiv 1906.10652, on
    antithetic and coupled sampling.
    """

    family = "pathwise"
    unbiased = True
    unbiased_if = "the cost is continuous"
    needs_cost_gradient = True
    distributions = (Normal,)
    evaluations = "N"
    gradient_evaluations = "N"
    citation = "Hammersley & Morton (1956), A new Monte Carlo technique: antithetic variates, Proc. Cambridge Philosophical Society 52"
    least_samples = 2
    in_pairs = True

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal)
        z = q.reparameterize(noise.uniform((self.num_samples // 2,), q))
        return cost(torch.cat((z, 2 * q.loc - z)), q).mean(0)
