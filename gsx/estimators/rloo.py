"""The leave-one-out score-function estimator."""

from __future__ import annotations

from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Continuous, Distribution, KSubset, Poisson
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, follow_score


class RLOO(Estimator):
    """REINFORCE leave-one-out: the baseline of each sample is the mean cost of the others.

    Approximates: grad E f = E[f(z) grad log q(z)] + E[grad f(z, q)].
    With: z_n ~ q; others_n = (sum_m f_m - f_n) / (N - 1); value (1/N) sum_n f_n, gradient
    (1/N) sum_n (f_n - others_n) grad log q(z_n) + grad f_n, the same as 1/(N-1) sum_n (f_n - mean f) grad log q(z_n) + ....
    Requires: N >= 2 and a score; nothing of the cost.
    Costs: N evaluations, no gradient of the cost.
    Bias: none, because no sample is in its own baseline. (With the mean of all N for a baseline the first term shrinks by (N - 1)/N.)
    References: Salimans & Knowles (2014), arXiv 1401.1022; Kool, van Hoof & Welling (2019), ICLR workshop on deep RL meets structured
    prediction.
    """

    family = "score function"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical, Continuous, KSubset, Poisson)
    evaluations = "N"
    citation = "Kool, van Hoof & Welling (2019), Buy 4 REINFORCE Samples, Get a Baseline for Free!, ICLR workshop DeepRLStructPred"
    least_samples = 2

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        return follow_score(average(f), (f - others(f)).detach(), q, z)


def others(x: Tensor) -> Tensor:
    """The mean of the other N - 1 samples ``[N, *]``, for each."""
    return (x.sum(0) - x) / (len(x) - 1)
