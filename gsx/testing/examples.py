"""Distributions to try an estimator on, a cost that does not separate, and parameters at the edge of what floats can hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from gsx.costs import Cost, LogMeanExp, MultiSample
from gsx.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Continuous,
    Dirichlet,
    Distribution,
    Exponential,
    Gamma,
    KSubset,
    Normal,
    Poisson,
    VonMises,
)
from gsx.testing.subject import NotApplicable, Subject

#: kind: the event's shape, and what its parameters must be besides numbers.
KINDS: dict[type[Distribution], tuple[tuple[int, ...], dict[str, Any]]] = {
    Bernoulli: ((3,), {}),
    Categorical: ((2, 4), {}),
    KSubset: ((3,), {"k": 2}),
    Normal: ((3,), {}),
    Gamma: ((3,), {}),
    Exponential: ((3,), {}),
    Beta: ((3,), {}),
    Dirichlet: ((1, 3), {}),
    VonMises: ((3,), {}),
    Poisson: ((3,), {}),
}
POSITIVE = {"scale", "rate", "concentration", "concentration0", "concentration1"}


def kinds(subject: Subject) -> list[type[Distribution]]:
    """The distributions of ours that the estimator is defined for."""
    return [kind for kind in KINDS if issubclass(kind, subject.kind.distributions)]


def examples(subject: Subject, batch: tuple[int, ...], dtype: torch.dtype) -> Iterator[Distribution]:
    """One of each kind, with unequal parameters that are leaves; the power of one, for an estimator of several samples."""
    known = kinds(subject)
    if not known:
        raise NotApplicable("no example is known for its distributions")
    for kind in known:
        event, more = KINDS[kind]
        shape = (*batch, *event)
        numbers = torch.linspace(-1.5, 1.2, math.prod(shape), dtype=torch.float64).sin().reshape(shape)
        parameters = {name: numbers.exp() if name in POSITIVE else numbers + 0.1 for name in kind.parameter_names}
        q = _wanted(subject, kind(**more, **{name: value.to(dtype) for name, value in parameters.items()}))
        yield q.map(lambda value: value.requires_grad_())


def extremes(subject: Subject, dtype: torch.dtype) -> Iterator[Distribution]:
    """Saturated logits; a category of probability 1e-12 and one of all but 1e-17; scales and rates from 1e-6 to 1e3."""
    tables: dict[type[Distribution], dict[str, Any]] = {
        Bernoulli: {"logits": [40.0, -40.0, 0.0]},
        Categorical: {"logits": [[0.0, 0.3, -27.63, 0.1], [40.0, 0.0, 0.2, -40.0]]},
        KSubset: {"logits": [40.0, -40.0, -27.63, 0.3, 0.0]},
        Normal: {"loc": [0.0, 1e3, -1.0], "scale": [1e-6, 1.0, 1e3]},
        Gamma: {"concentration": [0.1, 1.0, 1e3], "rate": [1.0, 1e-3, 1e3]},
        Exponential: {"rate": [1e-3, 1.0, 1e3]},
        Poisson: {"rate": [1e-3, 1.0, 1e3]},
    }
    for kind in kinds(subject):
        if kind in tables and not (subject.is_exact and issubclass(kind, Continuous | Poisson)):  # sums that take all day
            parameters = {name: torch.tensor(value, dtype=dtype) for name, value in tables[kind].items()}
            yield _wanted(subject, kind(**KINDS[kind][1], **parameters))


def _wanted(subject: Subject, q: Distribution) -> Distribution:
    return q.power(2) if subject.kind.multi_sample else q


def cost_for(subject: Subject, of_one: Cost | None = None) -> Cost:
    """The cost of one sample, `cost` where none is given; of two combined, for an estimator of several."""
    of_one = of_one or cost
    return MultiSample(of_one, LogMeanExp(2)) if subject.kind.multi_sample else of_one


def cost(z: Tensor, q: Any) -> Tensor:
    """Unequal weights, a square of their sum, and a part that depends on the parameters."""
    weights = torch.linspace(-1, 1.5, math.prod(q.event_shape), dtype=z.dtype, device=z.device).reshape(q.event_shape)
    log_prob: Tensor = q.log_prob(z)
    return torch.square((z * weights).flatten(-q.event_ndim).sum(-1)) + 0.1 * log_prob
