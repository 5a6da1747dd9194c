"""The score function with a control variate by the delta method."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.surrogate import average, cost_gradient, follow_score, inject


class DeltaMethod(Estimator):
    """The delta method: REINFORCE on what a second-order expansion of the cost leaves over, and the expansion's own gradient, exactly.

    Approximates: grad E f = E[f(z) grad log q(z)] + E[grad f(z, q)].
    With: the expansion h(z) = f(loc) + g'd + d'H d / 2, d = z - loc, g and H the gradient and the Hessian of f at loc, all held fixed; beta
    = `coefficient`; z_n ~ q; value (1/N) sum_n f(z_n), gradient (1/N) sum_n (f(z_n) - beta h(z_n)) grad log q(z_n) + grad f(z_n, q), plus
    beta grad E h, which is beta g in loc and beta scale_d H_dd in scale_d.
    Requires: a Gaussian, and a cost that can be differentiated twice at loc.
    Costs: N + D evaluations and D gradients of the cost: each column of the Hessian is the derivative of a gradient.
    Bias: none, whatever the constant coefficient. (One that is estimated from the very samples it is applied to is a bias.)
    References: Paisley, Blei & Jordan (2012), arXiv 1206.6430; Mohamed, Rosca, Figurnov & Mnih (2020), arXiv 1906.10652, on delta methods.
    """

    family = "control variate"
    unbiased = True
    needs_cost_gradient = True
    distributions = (Normal,)
    evaluations = "N + D"
    gradient_evaluations = "D"
    citation = "Paisley, Blei & Jordan (2012), Variational Bayesian Inference with Stochastic Search, arXiv 1206.6430"

    def __init__(self, *, coefficient: float = 1.0, num_samples: int | None = None) -> None:
        super().__init__(num_samples=num_samples)
        self.coefficient = coefficient

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal)
        loc, beta = q.loc.detach(), self.coefficient
        f_loc, slope, hessian = expand(cost, loc, q.map(Tensor.detach))
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        d = z - loc
        expansion = f_loc + (slope * d).sum(-1) + torch.einsum("...i,...ij,...j", d, hessian, d) / 2
        value = follow_score(average(f), f.detach() - beta * expansion, q, z)
        curvature = q.scale.detach() * hessian.diagonal(dim1=-2, dim2=-1)
        return inject(inject(value, beta * slope, q.loc), beta * curvature, q.scale)


def expand(cost: Cost, at: Tensor, q: Distribution) -> tuple[Tensor, Tensor, Tensor]:
    """The cost ``[*batch]``, its gradient ``[*batch, D]`` and its Hessian ``[*batch, D, D]`` at ``at [*batch, D]``, detached."""
    size = at.shape[-1]
    points = at.expand(size, *at.shape)  # of copy d the gradient's coordinate d is differentiated again
    (value, slope), pull_back = torch.func.vjp(lambda z: cost_gradient(cost, z, q), points)[:2]
    coordinate = torch.eye(size, dtype=at.dtype, device=at.device).reshape(size, *(1,) * (at.ndim - 1), size)
    (columns,) = pull_back((torch.zeros_like(value), coordinate.expand_as(slope)))
    return value[0].detach(), slope[0].detach(), columns.detach().movedim(0, -1)
