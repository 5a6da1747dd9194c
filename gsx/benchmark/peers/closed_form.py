"""Three estimators of the toy, each worked out by hand for this one cost: all replicates at once, and as few passes as we could.

Everything is laid out ``[D, n]``, replicates innermost, in the dtype of the noise; what may be overwritten is. Mean and centred second
moment are taken in float64, tile by tile. With b binary, mean_d (b_d - t)^2 = t^2 + (1 - 2t) (number of ones) / D.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gsx.benchmark.peers.toy import LOGITS, TARGET, TEMPERATURE
from gsx.noise import Block

#: From uniforms ``[D, n]``, which it may overwrite, to gradients ``[D, n]``.
Gradients = Callable[[Tensor], Tensor]

D = len(LOGITS)
_logits = torch.tensor(LOGITS)[:, None]
_p = torch.sigmoid(_logits)
_slope = 2 / D * _p * (1 - _p)
_odds = torch.exp(_logits / TEMPERATURE)


def reinforce(u: Tensor) -> Tensor:
    """f(b) (b - p)."""
    b = u.gt_(1 - _p)
    f = b.sum(0).mul_((1 - 2 * TARGET) / D).add_(TARGET**2)
    return b.sub_(_p).mul_(f)


def reinforce_numpy(u: Tensor) -> Tensor:
    """The same in NumPy."""
    p = _p.numpy()
    b = (u.numpy() > 1 - p).astype(np.float32)
    f = np.full((1, D), (1 - 2 * TARGET) / D, dtype=np.float32) @ b
    f += np.float32(TARGET**2)
    b -= p
    b *= f
    return torch.from_numpy(b)


def straight_through(u: Tensor) -> Tensor:
    """2 (b - t) / D p (1 - p)."""
    return u.gt_(1 - _p).sub_(TARGET).mul_(_slope)


def concrete(u: Tensor) -> Tensor:
    """2 (y - t) / D y (1 - y) / tau with y = sigmoid((logits + logit u) / tau)."""
    return _relaxed(torch.logit(u).add_(_logits).mul_(1 / TEMPERATURE).sigmoid_())


def concrete_by_powers(u: Tensor) -> Tensor:
    """The same with y = a / (a + c), a = (odds u)^(1 / tau), c = (1 - u)^(1 / tau): no logarithm where 1 / tau is 2."""
    c = (1 - u).pow_(1 / TEMPERATURE)
    a = u.pow_(1 / TEMPERATURE).mul_(_odds)
    return _relaxed(a.div_(c.add_(a)))


def _relaxed(y: Tensor) -> Tensor:
    return torch.ops.aten.sigmoid_backward((y - TARGET).mul_(2 / D / TEMPERATURE), y)  # type: ignore[no-any-return]


#: The candidates for the fastest, by the estimator they are.
CANDIDATES: dict[str, dict[str, Gradients]] = {
    "reinforce": {"torch": reinforce, "NumPy": reinforce_numpy},
    "concrete": {"torch": concrete, "torch, powers": concrete_by_powers},
    "straight_through": {"torch": straight_through},
}


def moments(gradients: Gradients, block: Block, replicates: int, tile: int) -> tuple[Tensor, Tensor]:
    """Mean and sum of squared deviations ``[D]``, float64, of the first replicates of a block."""
    mean = second = torch.zeros(D, dtype=torch.float64)
    for start in range(0, replicates, tile):
        stop = min(start + tile, replicates)
        g = gradients(block.draw("z", 0, (1, D), start, stop).view(-1, D).t().contiguous()).double()
        of_tile = g.mean(1)
        square = g.sub_(of_tile[:, None]).square_().sum(1)
        difference = of_tile - mean
        second = second + square + difference.square() * (start * (stop - start) / stop)
        mean = mean + difference * ((stop - start) / stop)
    return mean, second
