"""Continuous distributions with a coordinate on the line: quantiles, their derivatives, and nodes of quadrature."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from gsx.distributions.base import Distribution


class Continuous(Distribution):
    """D independent continuous variables, each an increasing function of a coordinate s: z = `decode` (s).

    No draw is clamped: where z rounds to the edge of its support its log-density or score is infinite, and is counted as such. The points
    of a quadrature are kept off the edges, because all of them are always met.
    """

    @abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """The coordinate s with F(s) = u, detached from the parameters; ``sample(u) = decode(quantile(u))``."""

    @abstractmethod
    def decode(self, s: Tensor) -> Tensor:
        """The event at a coordinate, differentiable."""

    @abstractmethod
    def slopes(self, s: Tensor) -> dict[str, Tensor]:
        """How the quantile at s moves with each parameter, ds/dtheta = -(dF/dtheta) / F'(s), ``[S, *batch, *event]``, as numbers."""

    @abstractmethod
    def grid(self, nodes: int) -> tuple[Tensor, Tensor]:
        """Coordinates and weights ``[nodes, *batch, *event]`` of a quadrature of each variable: together they move with the parameters.

        Fixed coordinates have density x quadrature weight for weights; or coordinates move, as quantiles do, and weights are fixed.
        """

    def inside(self, s: Tensor) -> Tensor:
        """Coordinates no further out than where `decode` rounds to the edge of the support."""
        return s

    def sample(self, u: Tensor) -> Tensor:
        return self.decode(self.quantile(u)).detach()

    def in_float64(self) -> Self:
        """The same numbers in float64, detached: what is computed by iteration and quadrature is rounded once, at the end."""
        return self.map(lambda parameter: parameter.detach().to(torch.float64))

    def num_points(self, nodes: int) -> int:
        return int(nodes ** self.event_shape[0])

    def points(self, start: int, stop: int, nodes: int) -> tuple[Tensor, Tensor]:
        s, weight = self.grid(nodes)
        which = torch.arange(start, stop, device=s.device)[:, None] // nodes ** torch.arange(s.shape[-1], device=s.device) % nodes
        which = which.reshape(stop - start, *(1,) * (s.ndim - 2), s.shape[-1]).expand(stop - start, *s.shape[1:])
        return self.decode(self.inside(s.gather(0, which))), weight.gather(0, which).prod(-1)

    def num_coordinate_points(self, nodes: int) -> int:
        return nodes

    def coordinate_points(self, nodes: int) -> tuple[Tensor, Tensor]:
        s, weight = self.grid(nodes)
        return self.decode(self.inside(s)), weight


#: Newton steps to a quantile: see `LogConcave.quantile`.
STEPS = 6
#: Of the double-exponential quadrature of a tail: v = exp(t - exp(-t)) at equidistant t.
SPACING = 0.15
_NODES = SPACING * torch.arange(-22, 29, dtype=torch.float64)
#: How many numbers are held at once, so that they stay in the cache.
PIECE = 2**14
#: What the grid leaves out on either side has less probability than exp(-TAIL).
TAIL = 45.0


class LogConcave(Continuous):
    """Variables whose density is log-concave in the coordinate, which is the whole line.

    All follows from one quadrature: of a tail, seen from s, relative to the density there,

        R(s) = integral over v > 0 of p(s -+ v) / p(s) dv,

    by the double-exponential rule for half-lines (Takahasi & Mori 1974), whose nodes crowd towards v = 0 and thin out on every scale. Then
    F = p R to the left, 1 - F = p R to the right, and dF/dtheta is the same with the score in the integrand.
    """

    @abstractmethod
    def log_density(self, s: Tensor) -> Tensor:
        """Of the coordinate, ``[S, *batch, *event]``, differentiable in the parameters and in s."""

    @abstractmethod
    def score_at(self, s: Tensor) -> dict[str, Tensor]:
        """The derivatives of `log_density` in the parameters, as numbers."""

    @abstractmethod
    def shape_at(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of log p at s: its slope, minus its curvature, and how fast it falls at the far left and, at least, at the far right."""

    @abstractmethod
    def middle(self) -> Tensor:
        """From where the right tail is integrated, and left of it the left one."""

    @abstractmethod
    def start(self, u: Tensor) -> Tensor:
        """A first guess of the quantile."""

    @abstractmethod
    def window(self) -> tuple[Tensor, Tensor]:
        """Coordinates beyond which there is less than exp(-TAIL) of the probability, on either side."""

    @abstractmethod
    def standardisation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the coordinate, differentiable."""

    def quantile(self, u: Tensor) -> Tensor:
        """By Newton's method on log F to the left, on log(1 - F) to the right.

        Both are concave, as integrals of a log-concave density are: from any start the first step lands on the outer side of the root, and
        all others approach it from there, quadratically at the end.
        """
        q, at = self.in_float64(), u.to(torch.float64)
        right = at > q.below(q.middle())
        target = torch.where(right, torch.log1p(-at), torch.log(at))
        sign = right.to(at.dtype) * 2 - 1
        s = q.start(at)
        for _ in range(STEPS):
            ratio = q.tail(s, sign)
            s = s + sign * ratio * (q.log_density(s) + torch.log(ratio) - target)
        return s.to(u.dtype)

    def below(self, s: Tensor) -> Tensor:
        """F(s), by the left tail."""
        return (self.log_density(s) + torch.log(self.tail(s, -torch.ones_like(s)))).exp()

    def slopes(self, s: Tensor) -> dict[str, Tensor]:
        q, at = self.in_float64(), s.detach().to(torch.float64)
        sign = q.side(at)

        def score(v: Tensor, name: str) -> Tensor:
            return sign * q.score_at(at + sign * v)[name]

        return {name: q.tail(at, sign, functools.partial(score, name=name)).to(s.dtype) for name in q.parameter_names}

    def side(self, s: Tensor) -> Tensor:
        """The sign of the tail that is to be integrated from s: -1 to the left, 1 to the right."""
        return (s > self.middle()).to(s.dtype) * 2 - 1

    def tail(self, s: Tensor, sign: Tensor, integrand: Callable[[Tensor], Tensor] = torch.ones_like) -> Tensor:
        """The integral over v > 0 of p(s + sign v) / p(s) times ``integrand(v)``, a function of ``[nodes, *s.shape]``."""
        slope, curvature, left, right = self.shape_at(s)
        # About where log p has fallen by one; not so short that the last node does not reach exp(-36).
        length = 2 / (slope.abs() + torch.sqrt(slope**2 + 4 * curvature))
        length = torch.maximum(length, 0.6 / torch.where(sign > 0, right, left))
        here, total = self.log_density(s), torch.zeros_like(s)
        for t in torch.split(_NODES.to(s.device), max(1, PIECE // s.numel())):
            t = t.reshape(-1, *(1,) * s.ndim)
            v = length * torch.exp(t - torch.exp(-t))
            weight = SPACING * (1 + torch.exp(-t)) * v * torch.exp(self.log_density(s + sign * v) - here)
            total = total + (weight * integrand(v)).sum(0)
        return total

    def grid(self, nodes: int) -> tuple[Tensor, Tensor]:
        """The trapezoidal rule in t = asinh(s - middle): linear where the density has its structure, logarithmic in its tails."""
        fixed = self.map(Tensor.detach)
        middle = fixed.middle()
        low, high = (torch.asinh(edge - middle) for edge in fixed.window())
        k = torch.arange(nodes, dtype=low.dtype, device=low.device).reshape(-1, *(1,) * low.ndim)
        t = low + (high - low) * (k / (nodes - 1))
        s = middle + torch.sinh(t)
        return s, (high - low) / (nodes - 1) * torch.cosh(t) * self.log_density(s).exp()
