"""Diagonal Gaussians."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from gsx.distributions.continuous import Continuous
from gsx.noise import normal


class Normal(Continuous):
    """z ~ N(loc, diag(scale^2)); loc, scale and events are ``[*batch, D]``. The coordinate is z."""

    parameter_names = ("loc", "scale")

    def __init__(self, loc: Tensor, scale: Tensor, context: Tensor | None = None) -> None:
        super().__init__(loc=loc, scale=scale, context=context)

    @property
    def loc(self) -> Tensor:
        return self.parameters["loc"]

    @property
    def scale(self) -> Tensor:
        return self.parameters["scale"]

    def log_prob(self, z: Tensor) -> Tensor:
        standardised = (z - self.loc) / self.scale
        return (-0.5 * standardised**2 - torch.log(self.scale) - 0.5 * math.log(2 * math.pi)).sum(-1)

    def score(self, z: Tensor) -> dict[str, Tensor]:
        loc, scale = self.loc.detach(), self.scale.detach()
        standardised = (z - loc) / scale
        return {"loc": standardised / scale, "scale": (standardised**2 - 1) / scale}

    def quantile(self, u: Tensor) -> Tensor:
        return self.reparameterize(u).detach()

    def decode(self, s: Tensor) -> Tensor:
        return s

    def slopes(self, s: Tensor) -> dict[str, Tensor]:
        return {"loc": torch.ones_like(s), "scale": (s - self.loc.detach()) / self.scale.detach()}

    def reparameterize(self, u: Tensor) -> Tensor:
        """loc + scale eps, differentiable in both."""
        return self.beside(u, "loc") + self.beside(u, "scale") * normal(u)

    def grid(self, nodes: int) -> tuple[Tensor, Tensor]:
        """Gauss-Hermite nodes: they move with the parameters, their weights do not."""
        node, weight = (x.reshape(nodes, *(1,) * self.loc.ndim) for x in self._hermite(nodes))
        return self.loc + self.scale * node, weight.expand(nodes, *self.loc.shape)

    def _hermite(self, nodes: int) -> tuple[Tensor, Tensor]:
        node, weight = _gauss_hermite(nodes)
        return torch.as_tensor(node).to(self.loc), torch.as_tensor(weight).to(self.loc)


@functools.lru_cache
def _gauss_hermite(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the standard normal: sum of weight x f(node) = E f(eps) for polynomials up to degree 2 nodes - 1.

    By the eigenvalues of the Jacobi matrix (Golub & Welsch 1969): the usual formula for the weights overflows from about 400 nodes on.
    """
    off_diagonal = np.sqrt(np.arange(1, nodes))
    node, vectors = np.linalg.eigh(np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1))
    return node, vectors[0] ** 2
