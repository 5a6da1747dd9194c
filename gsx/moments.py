"""Centred float64 moments of gradients, and how two sets of them become one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Moments:
    """Of ``count`` replicates, per coordinate ``[P]``, float64 on the device; never E[g^2] - E[g]^2."""

    count: int
    mean: Tensor
    second: Tensor  # sum of (g - mean)^2
    third: Tensor  # sum of (g - mean)^3
    largest: Tensor  # max |g|
    cosine: Tensor  # [] mean of cos(g, reference) over the replicates; 0 where there is no reference direction
    nonfinite: Tensor  # [] int64: replicates with a coordinate that is not finite


def moments(gradients: Tensor, direction: Tensor | None) -> Moments:
    """The moments of ``gradients [n, P]``; ``direction [P]`` is the unit vector of the reference, float64."""
    g = gradients.to(torch.float64)
    mean = g.mean(0)
    nonfinite = (~torch.isfinite(g).all(1)).sum()
    cosine = torch.zeros((), dtype=torch.float64, device=g.device) if direction is None else _cosines(g, direction).mean()
    largest = g.abs().amax(0)
    centred = g.sub_(mean) if g is not gradients else g - mean
    square = centred * centred
    return Moments(len(g), mean, square.sum(0), square.mul_(centred).sum(0), largest, cosine, nonfinite)


def _cosines(g: Tensor, direction: Tensor) -> Tensor:
    """cos(g_r, direction) ``[n]``; 0 for a replicate that is exactly 0, which points nowhere."""
    norm = torch.linalg.vector_norm(g, dim=1)
    return torch.where(norm > 0, (g @ direction) / norm.clamp_min(torch.finfo(torch.float64).tiny), 0.0)


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of both sets together (Chan, Golub & LeVeque 1979; Pebay 2008, equations 1.5, 1.6 and 2.1)."""
    n = a.count + b.count
    difference = b.mean - a.mean
    square = difference * difference
    return Moments(
        n,
        a.mean + difference * (b.count / n),
        a.second + b.second + square * (a.count * b.count / n),
        a.third
        + b.third
        + square * difference * (a.count * b.count * (a.count - b.count) / n**2)
        + 3 * difference * (a.count * b.second - b.count * a.second) / n,
        torch.maximum(a.largest, b.largest),
        a.cosine + (b.cosine - a.cosine) * (b.count / n),
        a.nonfinite + b.nonfinite,
    )
