"""What is averaged: the types of cost functions, and the one structure of theirs that exact references use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

#: ``cost(z [S, *batch, *event], q) -> [S, *batch]``. A cost uses the q it is handed, never one it closes over.
Cost = Callable[[Tensor, Any], Tensor]


class Expect(Protocol):
    """``expect(q, cost, site) -> [*batch]``: the one free function of a model, E of the cost under q."""

    def __call__(self, q: Any, cost: Cost, site: str = "z") -> Tensor: ...


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
