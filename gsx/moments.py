"""Centred float64 moments of gradients, and how two sets of them become one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gsx.noise import FEW


@dataclass
class Moments:
    """Of ``count`` replicates, per coordinate ``[P]``, float64 on the device; never E[g^2] - E[g]^2.

    ``third`` and ``cosine`` are None where no replicate is ever materialised.
    """

    count: int
    mean: Tensor
    second: Tensor  # sum of (g - mean)^2
    third: Tensor | None  # sum of (g - mean)^3
    largest: Tensor  # max |g|; where no replicate is materialised, a bound of it
    cosine: Tensor | None  # [] mean of cos(g, reference) over the replicates; 0 where there is no reference direction
    nonfinite: Tensor  # [] int64: replicates with a coordinate that is not finite

    def tensors(self) -> list[Tensor]:
        everything = (self.mean, self.second, self.third, self.largest, self.cosine, self.nonfinite)
        return [tensor for tensor in everything if tensor is not None]


def moments(gradients: Tensor, direction: Tensor | None) -> Moments:
    """The moments of ``gradients [n, P]``; ``direction [P]`` is the unit vector of the reference, float64."""
    if gradients.shape[1] <= FEW:
        g = gradients.t().to(torch.float64, memory_format=torch.contiguous_format, copy=True).t()
    else:
        g = gradients.to(torch.float64, copy=True)
    mean = g.mean(0)
    # A sum is finite exactly where all of its terms are, short of numbers near 1e308; and only a finite number less itself is 0.
    total = g.sum(1)
    nonfinite = total.sub_(total).isnan().sum()
    largest = torch.maximum(g.amax(0), -g.amin(0))
    cosine = torch.zeros((), dtype=torch.float64, device=g.device)
    if direction is not None:
        cosine = _cosines(gradients, direction).mean(dtype=torch.float64)
    centred = g.sub_(mean)
    square = centred * centred
    return Moments(len(g), mean, square.sum(0), square.mul_(centred).sum(0), largest, cosine, nonfinite)


def _cosines(gradients: Tensor, direction: Tensor) -> Tensor:
    """cos(g_r, direction) ``[n]``, each in the precision of its gradient; 0 for one that is exactly 0, which points nowhere."""
    norm = (gradients * gradients).sum(1).sqrt_()  # vector_norm is ten times slower where the replicates are innermost
    return (gradients @ direction.to(gradients.dtype)).div_(norm.add_(norm == 0))


def merge(a: Moments, b: Moments) -> Moments:
    """``a`` becomes, in place, the moments of both sets (Chan, Golub & LeVeque 1979; Pebay 2008, equations 1.5, 1.6 and 2.1)."""
    n = a.count + b.count
    if a.count == 0:
        for mine, other in zip(a.tensors(), b.tensors(), strict=True):
            mine.copy_(other)
        a.count = n
        return a
    difference = b.mean - a.mean
    if a.third is not None and b.third is not None:
        cube = difference**3
        a.third.add_(b.third).add_(cube, alpha=a.count * b.count * (a.count - b.count) / n**2)
        a.third.addcmul_(difference, b.second, value=3 * a.count / n).addcmul_(difference, a.second, value=-3 * b.count / n)
    a.second.add_(b.second).addcmul_(difference, difference, value=a.count * b.count / n)
    a.mean.add_(difference, alpha=b.count / n)
    torch.maximum(a.largest, b.largest, out=a.largest)
    if a.cosine is not None and b.cosine is not None:
        a.cosine.add_(b.cosine - a.cosine, alpha=b.count / n)
    a.nonfinite.add_(b.nonfinite)
    a.count = n
    return a
