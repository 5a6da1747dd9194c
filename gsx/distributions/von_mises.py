"""D independent von Mises variables."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from gsx.distributions.continuous import Continuous
from gsx.noise import normal

#: Gauss-Legendre nodes of an integral, and steps to a quantile.
NODES, STEPS = 40, 12


class VonMises(Continuous):
    """An angle z in [-pi, pi] with density exp(k cos(z - loc)) / (2 pi I_0(k)), k > 0 the concentration; all are ``[*batch, D]``.

    The coordinate is the angle itself, and F is counted from -pi, whatever loc is: a cost need not be periodic.
    """

    parameter_names = ("loc", "concentration")

    def __init__(self, loc: Tensor, concentration: Tensor, context: Tensor | None = None) -> None:
        super().__init__(loc=loc, concentration=concentration, context=context)

    @property
    def loc(self) -> Tensor:
        return self.parameters["loc"]

    @property
    def concentration(self) -> Tensor:
        return self.parameters["concentration"]

    def _log_density(self, z: Tensor) -> Tensor:
        # cos x - 1 without cancellation, and I_0 scaled by exp(-k): both are large.
        k = self.concentration
        return -2 * k * torch.sin((z - self.loc) / 2) ** 2 - torch.log(2 * math.pi * torch.special.i0e(k))

    def log_prob(self, z: Tensor) -> Tensor:
        return self._log_density(z).sum(-1)

    def score(self, z: Tensor) -> dict[str, Tensor]:
        k, angle = self.concentration.detach(), z - self.loc.detach()
        # cos - E cos, as (cos - 1) + (1 - E cos).
        mean_fall = (torch.special.i0e(k) - torch.special.i1e(k)) / torch.special.i0e(k)
        return {"loc": k * torch.sin(angle), "concentration": mean_fall - 2 * torch.sin(angle / 2) ** 2}

    def decode(self, s: Tensor) -> Tensor:
        return s

    def quantile(self, u: Tensor) -> Tensor:
        """The draw by which the angle from loc has u of the probability on its left, turned back into [-pi, pi].

        By symmetry it is sought on the left half, with Newton's method on log F, or on F where that leaves the bracket.
        """
        q, at = self.in_float64(), u.to(torch.float64)
        k = q.concentration
        target = torch.log(torch.minimum(at, 1 - at))
        low, high = torch.full_like(target, -math.pi), torch.zeros_like(target)
        angle = torch.maximum(normal(target.exp()) * torch.sqrt(1 / k + 0 * target), 2 * math.pi * (target.exp() - 0.5))
        for _ in range(STEPS):
            ratio = q._left_of(angle)[1].sum(0)
            excess = torch.log(ratio) + q._log_density(angle + q.loc) - target
            low, high = torch.where(excess < 0, angle, low), torch.where(excess > 0, angle, high)
            newton = angle - excess * ratio
            # F is convex: a step on F itself stays on the right of the root.
            inside = torch.where(excess > 0, angle + torch.expm1(-excess) * ratio, (low + high) / 2)
            angle = torch.where((newton >= low) & (newton <= high), newton, inside)
        turned = q.loc + torch.where(at < 0.5, angle, -angle)
        return _wrap(turned).to(u.dtype)

    def slopes(self, s: Tensor) -> dict[str, Tensor]:
        """F counts from the angle -pi. What lies between there and s is a difference of integrals that count from the far side of loc."""
        q, at = self.in_float64(), s.detach().to(torch.float64)
        angle, cut = _wrap(at - q.loc), _wrap(-math.pi - q.loc)
        log_density = q._log_density(at)
        of_cut = (q._log_density(torch.full_like(q.loc, -math.pi)) - log_density).exp()
        concentration = q._tilted(cut) * of_cut - q._tilted(angle)
        return {"loc": (1 - of_cut).to(s.dtype), "concentration": concentration.to(s.dtype)}

    def _tilted(self, angle: Tensor) -> Tensor:
        """The integral of density x score in k from the far side of loc to loc + angle, over the density there. Odd in the angle."""
        left = -angle.abs()
        v, weight = self._left_of(left)
        integral = (weight * self.score(self.loc + left - v)["concentration"]).sum(0)
        return -torch.sign(angle) * integral

    def _left_of(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Of an angle <= 0 from loc: distances v ``[nodes, *angle.shape]`` up to the far side, or to where exp(-40) is left, and weights
        x density at angle - v over that at the angle."""
        k = self.concentration
        reach = torch.minimum(angle + math.pi, (math.pi / 2) * torch.sqrt(80 / k))
        node, weight = (torch.as_tensor(x).to(angle).reshape(-1, *(1,) * angle.ndim) for x in _gauss_legendre(NODES))
        v = reach * node
        fall = 2 * k * torch.sin(angle - v / 2) * torch.sin(v / 2)
        return v, reach * weight * torch.exp(fall)

    def grid(self, nodes: int) -> tuple[Tensor, Tensor]:
        node, weight = (torch.as_tensor(x).to(self.loc).reshape(-1, *(1,) * self.loc.ndim) for x in _gauss_legendre(nodes))
        z = (2 * math.pi * node - math.pi).expand(nodes, *self.loc.shape)
        return z, 2 * math.pi * weight * self._log_density(z).exp()


def _wrap(angle: Tensor) -> Tensor:
    """Into [-pi, pi]; what is in there stays what it is, to the last bit."""
    return angle - 2 * math.pi * torch.round(angle / (2 * math.pi))


@functools.lru_cache
def _gauss_legendre(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on (0, 1)."""
    node, weight = np.polynomial.legendre.leggauss(nodes)
    return (node + 1) / 2, weight / 2
