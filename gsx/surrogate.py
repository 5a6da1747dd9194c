"""The four moves of autograd that estimators are written in. Values stay what they are; only gradients are planted.

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
    """``value [*batch]`` with ``gradient [*batch, *event]`` planted on ``wrt [*batch, *event]``, on top of the gradient it has already."""
    planted = gradient.detach() * zero(wrt)
    return value + planted.sum(dim=tuple(range(value.ndim, planted.ndim)))


def replace_gradient(value: Tensor, surrogate: Tensor) -> Tensor:
    """The value of one tensor with the gradient of another of the same shape."""
    return value.detach() + zero(surrogate)


def cost_gradient(cost: Callable[[Tensor, Any], Tensor], z: Tensor, q: Any) -> tuple[Tensor, Tensor]:
    """``cost(z, q) [S, *batch]`` and its gradient in z, ``[S, *batch, *event]``, by `torch.func.vjp`.

    (`torch.autograd.grad` fails inside vmap.) The gradient is detached from nothing: it may be differentiated again.
    """
    value, pull_back = torch.func.vjp(lambda points: cost(points, q), z)[:2]
    (gradient,) = pull_back(torch.ones_like(value))
    return value, gradient
