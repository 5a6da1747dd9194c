"""What is averaged: the types of cost functions, and two structures of theirs: a sum over coordinates, and several samples as one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from gsx.records import ConfigurationError

#: ``cost(z [S, *batch, *event], q) -> [S, *batch]``. A cost uses the q it is handed, never one it closes over.
Cost = Callable[[Tensor, Any], Tensor]


class Combine(Protocol):
    """``combine(f [K, *]) -> [*]``: one cost from those of K independent samples, the same in whatever order they come.

    ``k`` is how many a model draws; an estimator may combine fewer.
    """

    k: int

    def __call__(self, f: Tensor) -> Tensor: ...


class LogMeanExp:
    """-log (1/K) sum_k exp(-f_k): where f_k = -log w_k, minus the log of the mean weight, as in importance-weighted bounds."""

    def __init__(self, k: int) -> None:
        if k < 1:
            raise ConfigurationError(f"k={k}: must be at least 1")
        self.k = k

    def __call__(self, f: Tensor) -> Tensor:
        return math.log(len(f)) - torch.logsumexp(-f, 0)


class Expect(Protocol):
    """``expect(q, cost, site) -> [*batch]``: the one free function of a model, E of the cost under q.

    ``expect(q, cost, combine=LogMeanExp(5))`` is that of the costs of five independent samples of q, combined. Such a cost takes no
    expectation itself: the combination of an estimate is not an estimate of the combination.
    """

    def __call__(self, q: Any, cost: Cost, site: str = "z", combine: Combine | None = None) -> Tensor: ...


class Separable:
    """A cost that is a sum over coordinates, f(z) = sum_d f_d(z_d), or the mean of them. Its expectation is exact one coordinate at a time,
    whatever D is.

    ``terms(z [S, *batch, *event]) -> [S, *batch, D]`` gives the f_d.
    """

    def __init__(self, terms: Callable[[Tensor], Tensor], *, mean: bool = False) -> None:
        self.terms, self.mean = terms, mean

    def __call__(self, z: Tensor, q: Any) -> Tensor:
        return self.total(self.terms(z))

    def total(self, terms: Tensor) -> Tensor:
        """The cost from its terms ``[*, D]``."""
        # Summed first and divided then: one number a point, where a division of the terms is one for each coordinate, and another backward.
        return terms.sum(-1) / terms.shape[-1] if self.mean else terms.sum(-1)


class MultiSample:
    """A cost of K samples at once: ``combine`` of the ``cost`` of each.

    To an estimator they are one draw of q^K, ``z [S, *batch, K D(, C)]``, and this is a cost like any. One that treats them apart uses
    `split` and `each`.
    """

    def __init__(self, cost: Cost, combine: Combine) -> None:
        self.cost, self.combine = cost, combine

    def __call__(self, z: Tensor, q: Any) -> Tensor:
        return self.combine(self.each(z, q))

    def split(self, z: Tensor, q: Any) -> tuple[Tensor, Any]:
        """The samples apart, as one more axis of the batch: ``z [S, K, *batch, D(, C)]``, and q of batch ``[K, *batch]``."""
        apart = torch.unflatten(z, -q.event_ndim, (q.copies, -1))
        return apart.movedim(-q.event_ndim - 1, 1), q.split()

    def each(self, z: Tensor, q: Any) -> Tensor:
        """The cost of each sample, ``[K, S, *batch]``."""
        return self.cost(*self.split(z, q)).movedim(1, 0)
