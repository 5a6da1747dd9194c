"""The moves of autograd that estimators are written in. Values stay what they are; only gradients are planted.

None of them calls ``backward`` or touches ``.grad``, and all of them work under ``torch.func`` transforms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def zero(x: Tensor) -> Tensor:
    """0 with the gradient of x."""
    return x - x.detach()


def inject(value: Tensor, gradient: Tensor, wrt: Tensor) -> Tensor:
    """``value [*batch]`` with ``gradient [*batch, *event]`` planted on ``wrt [*batch, *event]``, on top of the gradient it has already.

    Detach a gradient that was computed from the cost, or a backward pass is made for nothing. What an estimator tunes stays attached: a
    tuning differentiates the planted gradient in it.
    """
    planted = gradient * zero(wrt)
    return value + planted.sum(dim=tuple(range(value.ndim, planted.ndim)))


def follow_score(value: Tensor, signal: Tensor, q: Any, z: Tensor) -> Tensor:
    """``value [*batch]`` with the gradient (1/N) sum_n signal_n grad log q(z_n) planted in the parameters of q, on top of what it has.

    ``signal [N, *batch]``, ``z [N, *batch, *event]``. The same as the mean of ``signal * zero(q.log_prob(z))``, by the score's formula:
    log q itself is never computed, let alone differentiated. Detach the costs in the signal, as for `inject`.
    """
    for name, score in q.score(z).items():
        weight = signal.reshape(*signal.shape, *(1,) * (score.ndim - signal.ndim))
        value = inject(value, average(weight * score), q.parameters[name])
    return value


def average(x: Tensor) -> Tensor:
    """``x.mean(0)``, without a pass over the numbers where there is one sample."""
    return x.squeeze(0) if len(x) == 1 else x.mean(0)


def replace_gradient(value: Tensor, surrogate: Tensor) -> Tensor:
    """The value of one tensor with the gradient of another of the same shape, or one that broadcasts to it."""
    return value.detach() + zero(surrogate)


def cost_gradient(cost: Callable[[Tensor, Any], Tensor], z: Tensor, q: Any) -> tuple[Tensor, Tensor]:
    """``cost(z, q) [S, *batch]`` and its gradient in z, ``[S, *batch, *event]``, by `torch.func.vjp`.

    (`torch.autograd.grad` fails inside vmap.) The gradient is detached from nothing: it may be differentiated again.
    """
    value, pull_back = torch.func.vjp(lambda points: cost(points, q), z)[:2]
    (gradient,) = pull_back(torch.ones_like(value))
    return value, gradient
