"""Measure-valued gradients, also called weak derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Bernoulli, Categorical, Distribution, Exponential, Gamma, Normal, Poisson
from gsx.estimators.base import Estimator
from gsx.noise import Noise, normal
from gsx.surrogate import average, inject


class MeasureValued(Estimator):
    """Measure-valued gradients: the cost under the positive part of a density's derivative, less that under its negative part.

    Approximates: grad E f = c (E_{p+} f - E_{p-} f), where dq/dtheta_d = c (p+ - p-) with densities p+ and p- of coordinate d.
    With: a draw z_n ~ q; for each coordinate d and each of its parameters, z_n with z_nd drawn from p+ and from p- instead. The parts are

    - Bernoulli: in p, f(1) - f(0); in the logit, p (1 - p) of that.
    - Categorical: in the logit of c, p_c (f(c) - sum_k p_k f(k)), from all C outcomes.
    - Poisson: z + 1 and z, c = 1.
    - Exponential: z and z + z', the sum of two, c = 1 / rate.
    - Gamma: z and z + z', of concentrations a and a + 1 (z' exponential), c = a / rate, for the rate. For the concentration, which the
      table lacks, the Hahn-Jordan decomposition: the derivative's own positive and negative part, by their quantiles.
    - Normal: loc + sigma W and loc - sigma W, c = 1 / (sigma sqrt(2 pi)), for the mean, W Rayleigh (Weibull of shape 2, scale sqrt 2);
      loc + sigma M and loc + sigma eps, c = 1 / sigma, for the scale, M double-sided Maxwell, density m^2 exp(-m^2 / 2) / sqrt(2 pi).
      Coupled: W is the same on both sides; eps = U M, U uniform: one of three normals is uniform on the diameter of the sphere they lie on.

    Value: the mean cost at those points that are draws from q (all outcomes weighed by their probabilities where discrete); it carries
    the direct term, grad f.
    Requires: one of these distributions; nothing of the cost, which may jump.
    Costs: N C D P evaluations, P the parameters of a coordinate and C = 2 points for each but a categorical's; no gradient of the cost.
    Bias: none.
    Left out: beta, Dirichlet and von Mises variables, for which no such parts are in the literature's tables.
    Not to be confused with: local expectation gradients, the same thing for discrete variables only.
    References: Mohamed, Rosca, Figurnov & Mnih (2020), arXiv 1906.10652, section 6 and table 1; Pflug (1989); Heidergott, Vázquez-Abad &
    Volk-Makarewicz (2008) for the coupling.
    """

    family = "measure-valued"
    unbiased = True
    needs_cost_gradient = False
    distributions = (Bernoulli, Categorical, Normal, Gamma, Exponential, Poisson)
    evaluations = "N C D P"
    citation = "Mohamed, Rosca, Figurnov & Mnih (2020), Monte Carlo Gradient Estimation in Machine Learning, arXiv 1906.10652, section 6"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        parts = _PARTS[type(q)](q.map(Tensor.detach), self.num_samples, noise)
        points = _in_place_of_each(z, parts.points, q.event_ndim)  # [K, D, N, *batch, *event]
        f = cost(points.flatten(0, 2), q).reshape(points.shape[: 3 + len(q.batch_shape)]).movedim(1, -1)  # [K, N, *batch, D]
        value = average((parts.probability * f).sum(0)).mean(-1)
        f = f.detach() if q.event_ndim == 1 else f.detach().unsqueeze(-1)
        for name, weight in parts.weights.items():
            value = inject(value, average((weight * f).sum(0)), q.parameters[name])
        return value


@dataclass
class _Parts:
    """K points for each coordinate, ``[K, N, *batch, *event]``; all else broadcasts to it."""

    points: Tensor
    #: The sum over the K points of probability x f is E f.
    probability: Tensor
    #: For each parameter: the sum over the K points of weight x f is its gradient.
    weights: dict[str, Tensor]


def _in_place_of_each(z: Tensor, points: Tensor, event_ndim: int) -> Tensor:
    """z ``[N, *batch, *event]`` with one coordinate at a time replaced: ``[K, D, N, *batch, *event]``."""
    size = z.shape[-event_ndim]
    which = torch.eye(size, dtype=torch.bool, device=z.device).reshape(size, *(1,) * (z.ndim - event_ndim), size, *(1,) * (event_ndim - 1))
    return torch.where(which, points.unsqueeze(1), z)


def _signs(of: Tensor, *signs: float) -> Tensor:
    """``[K, 1, ..., 1]``, a number for each of the K points."""
    return of.new_tensor(signs).reshape(-1, *(1,) * of.ndim)


def _bernoulli(q: Any, n: int, noise: Noise) -> _Parts:
    p = q.mean
    states = _signs(p, 0, 1).unsqueeze(1)
    probability = torch.stack((torch.sigmoid(-q.logits), p)).unsqueeze(1)
    return _Parts(states.expand(2, n, *p.shape), probability, {"logits": probability.prod(0) * _signs(p, -1, 1).unsqueeze(1)})


def _categorical(q: Any, n: int, noise: Noise) -> _Parts:
    p = q.mean
    states = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device).reshape(-1, *(1,) * p.ndim, p.shape[-1])
    probability = p.movedim(-1, 0).unsqueeze(1)
    return _Parts(states.expand(-1, n, *p.shape), probability, {"logits": p * (states - probability.unsqueeze(-1))})


def _normal(q: Any, n: int, noise: Noise) -> _Parts:
    u = noise.uniform((2, n), q)
    eps, rayleigh = normal(u[0]), torch.sqrt(-2 * torch.log(u[1]))
    maxwell = torch.copysign(torch.sqrt(eps**2 + rayleigh**2), eps)
    points = q.loc + q.scale * torch.stack((rayleigh, -rayleigh, maxwell, eps))
    c = 1 / (q.scale * math.sqrt(2 * math.pi))
    weights = {"loc": c * _signs(eps, 1, -1, 0, 0), "scale": 1 / q.scale * _signs(eps, 0, 0, 1, -1)}
    return _Parts(points, _signs(eps, 0, 0, 0, 1), weights)


def _poisson(q: Any, n: int, noise: Noise) -> _Parts:
    z = q.sample(noise.uniform((n,), q))
    return _Parts(torch.stack((z + 1, z)), _signs(z, 0, 1), {"rate": _signs(z, 1, -1)})


def _exponential(q: Any, n: int, noise: Noise) -> _Parts:
    z, more = q.sample(noise.uniform((2, n), q))
    return _Parts(torch.stack((z, z + more)), _signs(z, 1, 0), {"rate": 1 / q.rate * _signs(z, 1, -1)})


def _gamma(q: Any, n: int, noise: Noise) -> _Parts:
    u = noise.uniform((2, n), q)
    z, more = q.sample(u[0]), Exponential(q.rate).sample(u[1])
    c, positive, negative = q.concentration_parts(u[1])
    weights = {"rate": q.concentration / q.rate * _signs(z, 1, -1, 0, 0), "concentration": c * _signs(z, 0, 0, 1, -1)}
    return _Parts(torch.stack((z, z + more, positive, negative)), _signs(z, 1, 0, 0, 0), weights)


_PARTS: dict[type[Distribution], Callable[[Any, int, Noise], _Parts]] = {
    Bernoulli: _bernoulli,
    Categorical: _categorical,
    Normal: _normal,
    Gamma: _gamma,
    Exponential: _exponential,
    Poisson: _poisson,
}
