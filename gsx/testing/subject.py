"""Who is checked: a way to make estimators of one kind and setting."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch

from gsx import registry
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.estimators.exact import Exact
from gsx.models.base import Model
from gsx.naming import snake_case
from gsx.noise import Block
from gsx.probe import sites
from gsx.program import Program

CPU = torch.device("cpu")


class Broken(AssertionError):
    """What the contract asks for does not hold."""


class NotApplicable(Exception):
    """The contract asks nothing of this estimator here."""


def require(holds: bool, otherwise: str) -> None:
    """Broken, with what is wrong, unless it holds."""
    if not holds:
        raise Broken(otherwise)


@functools.cache
def _distributions(model: Model) -> list[Distribution]:
    """Of each site; once, as every check of every estimator asks for them."""
    return [site.q for site in sites(Program(model)).values()]


@dataclass(frozen=True)
class Subject:
    """An estimator's class and all of its settings."""

    label: str
    kind: type[Estimator]
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: How many subjects share the family-wise error of the statistical checks.
    family: int = 1

    @classmethod
    def of(cls, kind: type[Estimator], **settings: Any) -> Self:
        """An estimator's class, and settings that differ from its defaults."""
        defaults = {name: parameter.default for name, parameter in registry.schema(kind).items()}
        label = "-".join([snake_case(kind.__name__), *(f"{key}={value}" for key, value in settings.items())])
        return cls(label, kind, defaults | settings)

    def among(self, family: int) -> Subject:
        return replace(self, family=family)

    def make(self, num_samples: int | None) -> Estimator:
        """A fresh one; of the fewest samples it can use for None."""
        return self.kind(num_samples=num_samples, **self.settings)

    @property
    def is_default(self) -> bool:
        """Whether its settings are those of its class."""
        return all(self.settings[name] == parameter.default for name, parameter in registry.schema(self.kind).items())

    @property
    def is_exact(self) -> bool:
        return issubclass(self.kind, Exact)

    def samples(self, more: int = 0) -> int:
        """The fewest samples that are allowed and at least so many more than the fewest of all."""
        wanted = self.kind.least_samples + more
        return wanted + wanted % 2 if self.kind.in_pairs else wanted

    def prepared(self, q: Distribution, num_samples: int | None = None) -> Estimator:
        """One whose own parameters fit a distribution at the site `z`."""
        estimator = self.make(num_samples)
        dtype = next(iter(q.parameters.values())).dtype
        estimator.prepare("z", q.map(torch.Tensor.detach), Block(0, "prepare", 0, dtype, CPU).one())
        return estimator

    def supports(self, model: Model) -> bool:
        estimator = self.make(None)
        return all(estimator.supports(q, model) is None for q in _distributions(model))

    def is_for(self, model: Model) -> bool:
        """Whether the model's distributions are among its own, and of several samples exactly where it wants several.

        (To any other estimator several samples are one draw of another distribution, and nothing new.)
        """
        return all(isinstance(q, self.kind.distributions) and (q.copies > 1) == self.kind.multi_sample for q in _distributions(model))
