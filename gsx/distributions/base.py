"""The shape contract of every distribution, stated once, and what the two kinds of it can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor

from gsx.noise import Shape


class Distribution(ABC):
    """A distribution over events, one for each element of its batch.

    Its parameters are named tensors ``[*batch, *event]``. Uniforms ``u`` and events ``z`` are ``[S, *batch, *event]`` with any sample
    shape S in front; `log_prob` sums over the D independent coordinates of an event and returns ``[S, *batch]``.

    ``context [*batch, features]``, where there is one, is what the distribution was computed from (a data row, a parent sample), for
    estimators with input-dependent parts.
    """

    #: How many axes an event has.
    event_ndim: ClassVar[int] = 1
    parameter_names: ClassVar[tuple[str, ...]]
    #: How many independent draws of one distribution an event is made of, side by side; more than one in a `power`.
    copies: int = 1

    def __init__(self, *, context: Tensor | None = None, **parameters: Tensor) -> None:
        self.parameters = parameters
        self.context = context

    @property
    def _shape(self) -> Shape:
        return tuple(self.parameters[self.parameter_names[0]].shape)

    @property
    def batch_shape(self) -> Shape:
        return self._shape[: -self.event_ndim]

    @property
    def event_shape(self) -> Shape:
        return self._shape[-self.event_ndim :]

    @property
    def dimensions(self) -> int:
        """How many numbers an event is free in, or states it has one of."""
        return self.event_shape[0]

    def beside(self, u: Tensor, name: str) -> Tensor:
        """A parameter with the sample axes of u as axes of size 1.

        It broadcasts without them, but then autograd sums its gradient over the samples even where there is one.
        """
        parameter = self.parameters[name]
        return parameter[(None,) * (u.ndim - parameter.ndim)]

    def map(self, transform: Callable[[Tensor], Tensor]) -> Self:
        """The distribution whose parameters are transformed: expanded, detached, made leaves."""
        transformed = self.replace({name: transform(value) for name, value in self.parameters.items()})
        transformed.copies = self.copies
        return transformed

    def replace(self, parameters: dict[str, Tensor]) -> Self:
        """The distribution of the same kind and context with other parameters."""
        return type(self)(context=self.context, **parameters)

    def power(self, copies: int) -> Self:
        """q^copies: so many independent draws of q as one, side by side along the axis of coordinates."""
        power = self.map(lambda value: torch.cat((value,) * copies, -self.event_ndim))
        power.copies = copies
        return power

    def split(self) -> Self:
        """What a power is a power of, the copies as one more axis of the batch: ``[copies, *batch]``."""
        axis = -self.event_ndim
        parts = self.map(lambda value: torch.unflatten(value, axis, (self.copies, -1)).movedim(axis - 1, 0))
        parts.copies = 1
        return parts

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z), summed over the coordinates: ``[S, *batch]``. For relaxed z, its extension that is linear in z."""

    @abstractmethod
    def score(self, z: Tensor) -> dict[str, Tensor]:
        """grad log q(z) in each parameter, ``[S, *batch, *event]``, as numbers: detached from the parameters."""

    @abstractmethod
    def sample(self, u: Tensor) -> Tensor:
        """Events from uniforms, detached from the parameters."""

    @abstractmethod
    def num_points(self, nodes: int) -> int:
        """How many points `points` has: the number of states, or ``nodes`` to the number of dimensions."""

    @abstractmethod
    def points(self, start: int, stop: int, nodes: int) -> tuple[Tensor, Tensor]:
        """Points ``[S, *batch, *event]`` and weights ``[S, *batch]`` with sum of weights x f(points) = E f, from ``start`` to ``stop``."""

    @abstractmethod
    def num_coordinate_points(self, nodes: int) -> int:
        """How many points `coordinate_points` has."""

    @abstractmethod
    def coordinate_points(self, nodes: int) -> tuple[Tensor, Tensor]:
        """Points ``[S, *batch, *event]`` and weights ``[S, *batch, D]`` that are exact for sums over coordinates, one at a time."""


class Discrete(Distribution):
    """A distribution over finitely many states, with a latent: a real-valued form of its noise whose hardening is the draw."""

    parameter_names = ("logits",)

    def __init__(self, logits: Tensor, context: Tensor | None = None) -> None:
        super().__init__(logits=logits, context=context)

    @property
    def logits(self) -> Tensor:
        return self.parameters["logits"]

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """E z, ``[*batch, *event]``: also the mean-field relaxation."""

    @abstractmethod
    def latent(self, u: Tensor) -> Tensor:
        """The latent of uniforms: differentiable in the parameters."""

    @abstractmethod
    def harden(self, latent: Tensor) -> Tensor:
        """The state a latent falls in."""

    @abstractmethod
    def relax(self, latent: Tensor, temperature: float | Tensor) -> Tensor:
        """The smoothing of `harden` at a temperature tau > 0; tends to it as tau goes to 0."""

    @abstractmethod
    def conditional_latent(self, z: Tensor, v: Tensor) -> Tensor:
        """The latent given that it hardened to z, from fresh uniforms v. It is a function of the parameters, and must stay one."""
