"""What an estimator is: one implementation of expectation, and the facts it declares about itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.naming import snake_case
from gsx.noise import Noise
from gsx.records import ConfigurationError


class Estimator(nn.Module, ABC):
    """An implementation of ``expect(q, cost, noise)``.

    A subclass writes `expect`, declares the facts below, and takes its tunables as typed keyword arguments of ``__init__``: their names,
    types and defaults are the schema of ``conf/estimator/<name>.yaml``. Its name is its class name in snake case, which is also its file's.
    """

    #: What kind of estimator it is: one of `gsx.catalogue.FAMILIES`.
    family: ClassVar[str] = "other"
    #: Whether the gradient of `expect` is unbiased. Tested in both directions.
    unbiased: ClassVar[bool]
    #: The condition of that, where there is one: that the cost is continuous, and its direct term one of `direct_terms`.
    unbiased_if: ClassVar[str | None] = None
    #: The values of `Model.direct_term` that the condition allows.
    direct_terms: ClassVar[tuple[str, ...]] = ("none", "log_q", "log_weights", "other")
    #: False for an estimator that works with a black-box cost.
    needs_cost_gradient: ClassVar[bool]
    #: The distributions it is defined for.
    distributions: ClassVar[tuple[type[Distribution], ...]]
    #: Whether it is for costs that combine several samples, and for no others.
    multi_sample: ClassVar[bool] = False
    #: Evaluations of the cost in one estimate, a formula in N samples, D coordinates, C categories (2 where there are none), P parameter
    #: tensors of the distribution and the estimator's settings, like "N (2 D + 1)". Tested against what is counted, where an evaluation of
    #: K samples that are combined counts K.
    evaluations: ClassVar[str]
    #: The same of gradients of the cost.
    gradient_evaluations: ClassVar[str] = "0"
    #: Authors (year), title, arXiv id or venue, equation.
    citation: ClassVar[str]
    #: The fewest samples one estimate can be made of; `num_samples: null` resolves to it.
    least_samples: ClassVar[int] = 1
    #: Whether samples come in pairs, so that N must be even.
    in_pairs: ClassVar[bool] = False

    #: What the estimator's own parameters are tuned by, where it has any: least E|g|^2, or the least of its `regression`.
    tuned_by: ClassVar[Literal["none", "variance", "regression"]] = "none"

    #: How many draws `update` learns from before the measuring.
    warmup: int = 0

    def __init__(self, *, num_samples: int | None = None) -> None:
        super().__init__()
        self.num_samples = self.least_samples if num_samples is None else num_samples
        for_whom = f" for {self.name}" if self.least_samples > 1 else ""
        if self.num_samples < self.least_samples:
            raise ConfigurationError(f"num_samples={num_samples}: must be at least {self.least_samples}{for_whom}")
        if self.in_pairs and self.num_samples % 2:
            raise ConfigurationError(f"num_samples={num_samples}: must be even, because {self.name} draws pairs")

    @property
    def name(self) -> str:
        return snake_case(type(self).__name__)

    @abstractmethod
    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        """An estimate of E[cost] ``[*batch]``, made of N samples, whose autograd gradient estimates grad E[cost]. It mutates nothing."""

    def prepare(self, site: str, q: Distribution, noise: Noise) -> None:
        """Make the estimator's own parameters for a site, from the shapes of its distribution: on a dry run, and before each tuning.

        They need no gradient: whoever tunes them asks for it, for as long as it takes.
        """

    def update(self, q: Distribution, cost: Cost, noise: Noise) -> None:
        """Learn from one draw: how a moving average moves. Called while tuning, never while measuring."""

    def regression(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        """The squared error ``[*batch]`` of the estimator's baseline at fresh draws, as a function of its own parameters."""
        raise NotImplementedError

    def tuned(self) -> dict[str, Any]:
        """The values learnt by `update` and frozen since; empty where there is nothing to learn."""
        return {}

    def supports(self, q: Distribution, model: Any) -> str | None:
        """None, or the reason why this estimator cannot measure this distribution or this model's cost."""
        if not isinstance(q, self.distributions):
            wanted = " or ".join(kind.__name__ for kind in self.distributions)
            return f"needs a {wanted} distribution, and {model.name}'s is {type(q).__name__}"
        if self.multi_sample and q.copies == 1:
            return f"needs a cost that combines several samples, and {model.name}'s is of one"
        if self.needs_cost_gradient and model.cost_is == "black_box":
            return f"needs the gradient of the cost, and {model.name}'s cost is a black box"
        return None

    def biased_because(self, model: Any) -> str | None:
        """None where the estimator is unbiased on this model, else the reason why it is not."""
        if not self.unbiased:
            return "declared biased"
        if self.unbiased_if is None or (model.cost_is == "differentiable" and model.direct_term in self.direct_terms):
            return None
        fault = f"direct term is {model.direct_term}" if model.cost_is == "differentiable" else f"cost is {model.cost_is}"
        return f"biased here: unbiased only if {self.unbiased_if}, and {model.name}'s {fault}"


def positive(name: str, value: float) -> float:
    """``value``, or ConfigurationError where it is not a positive finite number."""
    if not (math.isfinite(value) and value > 0):
        raise ConfigurationError(f"{name}={value:g}: must be positive and finite")
    return value


def at_least_one(name: str, value: int) -> int:
    """``value``, or ConfigurationError where it is below 1."""
    if value < 1:
        raise ConfigurationError(f"{name}={value}: must be at least 1")
    return value
