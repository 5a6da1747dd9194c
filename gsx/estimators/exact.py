"""Exact expectation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gsx.costs import Cost, Separable
from gsx.distributions import Bernoulli, Categorical, Continuous, Distribution, KSubset, Poisson
from gsx.estimators.base import Estimator
from gsx.noise import Noise

#: How many numbers (points x rows x coordinates) are held at once.
PIECE = 2**18


class Exact(Estimator):
    """Enumeration of the states of a discrete distribution; quadrature of a continuous one.

    Approximates: nothing; E[f] = sum_s q(s) f(s, q), or sum_i w_i f(loc + scale x_i, q) with the nodes x_i and weights w_i of `nodes`-point
    Gauss-Hermite quadrature in each dimension; for other continuous variables sum_i w_i q(z_i) f(z_i, q) with fixed nodes. A Poisson's
    states are counted until what is left has probability 1e-19.

    With: the sum in pieces, each recomputed in the backward pass, so that memory does not grow with the number of states. A `Separable`
    cost is summed one coordinate at a time: C x D terms instead of C^D.

    Requires: a smooth cost where q is continuous (`gsx.reference` enforces it, and doubles the nodes until two orders agree).
    Costs: as many evaluations as there are states or nodes. Ignores the noise and N.
    Bias: none where discrete, the quadrature error where continuous.
    References: Golub & Welsch (1969), Math. Comp. 23, for the nodes and weights.
    """

    family = "exact"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical, Continuous, KSubset, Poisson)
    evaluations = "all states, or nodes"
    citation = "Golub & Welsch (1969), Calculation of Gauss Quadrature Rules, Math. Comp. 23 (for Gaussians; states are enumerated)"

    #: Quadrature nodes in each dimension.
    nodes = 16

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        if isinstance(cost, Separable):
            z, weight = q.coordinate_points(self.nodes)
            return cost.total((weight * cost.terms(z)).sum(0))

        def part(start: int, stop: int) -> Tensor:
            z, weight = q.points(start, stop, self.nodes)
            return (weight * cost(z, q)).sum(0)

        total = q.num_points(self.nodes)
        step = max(1, PIECE // max(1, next(iter(q.parameters.values())).numel()))
        if step >= total:
            return part(0, total)
        pieces = ((start, min(start + step, total)) for start in range(0, total, step))
        return torch.stack([checkpoint(part, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]).sum(0)
