"""Sums and squared differences of outer products, by matrix products alone."""

from __future__ import annotations

from itertools import combinations_with_replacement

import torch
from torch import Tensor

#: One number for each element of a layer's weight ``[out, in]``, and of its bias ``[out]``.
OfLayer = tuple[Tensor, Tensor]


class OuterProducts:
    """Over independent replicates and rows, of a layer's gradient ``G = sum_t d_t a_t'`` (and ``sum_t d_t`` for its bias)."""

    sum: OfLayer  # of G over replicates and rows
    squares: OfLayer  # of (G_r - G_s)^2 over pairs of replicates and rows

    def __init__(self, d: Tensor, a: Tensor) -> None:
        """Of replicates ``d [t, n, rows, out]``, ``a [t, n, rows, in]``; replicate r is paired with r + n/2, a last odd one with none."""
        half = d.shape[1] // 2
        self.sum = d.flatten(0, 2).t() @ a.flatten(0, 2), d.sum((0, 1, 2))
        self.squares = _squares(d[:, :half], d[:, half : 2 * half], a[:, :half], a[:, half : 2 * half])
        self._most = d.abs().amax(1), a.abs().amax(1)  # over the replicates

    def add(self, other: OuterProducts) -> None:
        """Become those of both, in float64."""
        self.sum = _added(self.sum, other.sum)
        self.squares = _added(self.squares, other.squares)
        self._most = torch.maximum(self._most[0], other._most[0]), torch.maximum(self._most[1], other._most[1])

    def bound(self) -> OfLayer:
        """No less, to rounding, than the largest |sum over rows of G| of any replicate: ``sum_t sum_rows max|d| max|a|``."""
        d, a = (most.flatten(0, 1) for most in self._most)
        return d.t() @ a, d.sum(0)


def _added(a: OfLayer, b: OfLayer) -> OfLayer:
    return a[0].to(torch.float64).add_(b[0]), a[1].to(torch.float64).add_(b[1])


def _squares(dr: Tensor, ds: Tensor, ar: Tensor, as_: Tensor) -> OfLayer:
    """``sum (sum_t d_rt a_rt' - d_st a_st')^2`` over pairs and rows, from factors ``[t, pairs, rows, *]``.

    The difference is ``sum_t d_rt (a_rt - a_st)' + (d_rt - d_st) a_st'``; squared, it is a sum over products of its terms.
    """
    difference = dr - ds
    u, v = [*dr.flatten(1, 2), *difference.flatten(1, 2)], [*(ar - as_).flatten(1, 2), *as_.flatten(1, 2)]
    total = (u[0] * u[0]).t() @ (v[0] * v[0])
    for m, n in list(combinations_with_replacement(range(len(u)), 2))[1:]:
        total.addmm_((u[m] * u[n]).t(), v[m] * v[n], alpha=1 if m == n else 2)
    # Where d and a only vary together, the terms of a square may cancel to rounding, on either side of zero.
    return total.clamp_(min=0), (difference.sum(0) ** 2).sum((0, 1))
