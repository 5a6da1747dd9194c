"""The true gradient that estimators are measured against: exact where it can be, else a long run of an unbiased estimator."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gsx import registry, statistics
from gsx.accumulate import accumulate
from gsx.accumulator import Accumulator, Plan
from gsx.distributions import Continuous, Discrete, KSubset, Normal, Poisson
from gsx.estimators.base import Estimator
from gsx.estimators.exact import Exact
from gsx.noise import Block
from gsx.probe import Site, probe, sites
from gsx.process import one_thread_each
from gsx.program import Program, flatten, gradient
from gsx.records import ConfigurationError, Reference, Segments
from gsx.routes import Route, choose, implement
from gsx.tune import TuneSettings, tune
from gsx.worker import Work

#: The random numbers of a long run.
STREAM = "reference"
#: States (or quadrature points) x rows up to which a reference is computed exactly.
MOST_POINTS = 2**24
#: Quadrature: the orders tried, and the relative difference at which two of them agree.
ORDERS, AGREEMENT = (16, 32, 64, 128, 256, 512), 1e-9
MOST_DIMENSIONS = 3

Kind = Literal["auto", "closed_form", "enumeration", "quadrature", "long_run"]


@dataclass(frozen=True)
class ReferenceSettings:
    """The `reference` group. `auto` takes the first kind that is possible, in the order closed form, enumeration, quadrature, long run."""

    kind: Kind = "auto"
    #: Of a long run: an unbiased estimator's name; `auto` is `reparameterization` for Gaussians, else `reinforce` with a moving average.
    estimator: str = "auto"
    num_samples: int | None = None
    num_replicates: int = 131072


@one_thread_each()
def reference_gradient(
    program: Program,
    settings: ReferenceSettings,
    *,
    seed: int,
    workers: int = 1,
    given: Mapping[str, Any] | None = None,
    progress: Callable[[str, int], Callable[[int], None]] | None = None,
    resume: Segments | None = None,
    checkpoint: Callable[[Segments], None] = lambda segments: None,
) -> Reference:
    """The gradient of a program, in float64 at its numbers as they are rounded. It does not depend on the estimator to be measured.

    A long run is seeded by (seed, stream `reference`), reports ``progress("reference", R)``, and can be checkpointed and resumed. Its
    workers become processes where these know the measurement that it is of (``given``, see `Work`).
    Raises ConfigurationError where the kind asked for is not possible here.
    """
    program = program.in_float64()
    for kind, compute in _EXACT.items():
        if settings.kind in ("auto", kind):
            answer = compute(program)
            if not isinstance(answer, str):
                return _reference(kind, None, answer[0], np.zeros_like(answer[0]))
            if settings.kind == kind:
                raise ConfigurationError(f"reference.kind={kind}: {answer}")
    return _long_run(program, settings, seed, workers, given, progress, resume, checkpoint)


def exact_gradient(program: Program) -> tuple[np.ndarray, int]:
    """What the estimator `exact` measures, ``[P]`` float64, and how many evaluations it took: enumeration, or quadrature.

    Raises ConfigurationError where neither is possible; `check_exact` knows that, but for a quadrature that does not settle, at once.
    """
    check_exact(program)
    program = program.in_float64()
    answer = _enumeration(program)
    if isinstance(answer, str):
        answer = _quadrature(program)
    if isinstance(answer, str):
        raise ConfigurationError(f"estimator=exact: {answer}")
    return answer


def cheap_kind(program: Program, most: int) -> Kind | None:
    """The first kind of exact reference that takes no more than so many points x rows; None where there is none."""
    program = program.in_float64()
    if not isinstance(_closed_form(program), str):
        return "closed_form"
    found = sites(program)
    rows = max(math.prod(site.q.batch_shape) for site in found.values() if not site.nested)
    if _not_enumerable(program, found) is None and _points(found) * rows <= most:
        return "enumeration"
    if _not_integrable(program, found) is None and _points(found, ORDERS[1]) * rows <= most:
        return "quadrature"
    return None


def exact_evaluations(program: Program) -> int:
    """How often the cost is evaluated, in all rows together, by the exact reference of a program that has one; of a quadrature, about."""
    if not isinstance(_closed_form(program), str):
        return 0
    return points(program)


def points(program: Program, nodes: int = ORDERS[1]) -> int:
    """The same of an enumeration, or of a quadrature of so many nodes."""
    return _points(sites(program), nodes)


def check_exact(program: Program) -> None:
    """ConfigurationError where neither an enumeration nor a quadrature is possible."""
    found = sites(program)
    reasons = _not_enumerable(program, found), _not_integrable(program, found)
    if all(reasons):
        raise ConfigurationError(f"estimator=exact: {'; '.join(reason for reason in reasons if reason)}")


def _reference(kind: str, estimator: str | None, gradient: np.ndarray, se: np.ndarray) -> Reference:
    content = hashlib.sha256(f"{kind} {estimator}".encode() + gradient.tobytes() + se.tobytes())
    return Reference(content.hexdigest(), kind, estimator, gradient, se)


#: The gradient ``[P]`` and the evaluations it took, or the reason why there is none.
Answer = tuple[np.ndarray, int] | str


def _closed_form(program: Program) -> Answer:
    gradients = program.model.closed_form(program.params)
    if gradients is None:
        return f"{program.model.name} has no formula for its gradient"
    if not gradients.keys() >= program.leaves.keys():
        return f"{program.model.name} has no formula for its gradient in wrt={program.wrt}"
    return flatten({name: gradients[name] for name in program.leaves}).numpy(force=True), 0


def _enumeration(program: Program) -> Answer:
    found = sites(program)
    if reason := _not_enumerable(program, found):
        return reason
    return _exact(program, ORDERS[0]), _points(found)


def _quadrature(program: Program) -> Answer:
    found = sites(program)
    if reason := _not_integrable(program, found):
        return reason
    previous = None
    for nodes in ORDERS:
        if too_many := _too_many(found, nodes):
            return too_many
        current = _exact(program, nodes)
        if previous is not None and np.abs(current - previous).max() <= AGREEMENT * np.abs(current).max():
            return current, _points(found, nodes)
        previous = current
    return f"quadrature of {program.model.name} does not settle by {ORDERS[-1]} nodes"


def _not_enumerable(program: Program, found: dict[str, Site]) -> str | None:
    if not all(isinstance(site.q, Discrete | KSubset | Poisson) for site in found.values()):
        return f"{program.model.name} has a continuous variable"
    return _too_many(found)


def _not_integrable(program: Program, found: dict[str, Site]) -> str | None:
    name = program.model.name
    if program.model.cost_is != "differentiable":
        return f"the cost of {name} is {program.model.cost_is}"
    if not any(isinstance(site.q, Continuous) for site in found.values()):
        return f"{name} has no continuous variable"
    deepest = max((site.q.dimensions for site in found.values() if not site.separable), default=1)
    if deepest > MOST_DIMENSIONS:
        return f"{name} has {deepest} dimensions, more than the {MOST_DIMENSIONS} of a quadrature"
    return _too_many(found, ORDERS[0])


def _too_many(found: dict[str, Site], nodes: int = 1) -> str | None:
    """The reason why a joint sum over all points is out of reach."""
    points = _points(found, nodes)
    rows = max(math.prod(site.q.batch_shape) for site in found.values() if not site.nested)
    return f"{points} points x {rows} rows are more than 2^24" if points * rows > MOST_POINTS else None


def _points(found: dict[str, Site], nodes: int = 1) -> int:
    """How often the cost is evaluated: one coordinate at a time where it separates, else at every joint point, for each sample in it."""
    return math.prod(
        site.q.num_coordinate_points(nodes) if site.separable else site.q.num_points(nodes) * site.q.copies for site in found.values()
    )


_EXACT: dict[str, Callable[[Program], Answer]] = {
    "closed_form": _closed_form,
    "enumeration": _enumeration,
    "quadrature": _quadrature,
}


def _exact(program: Program, nodes: int) -> np.ndarray:
    exact = Exact()
    exact.nodes = nodes
    return gradient(program, implement(exact, Block(0, "exact", 0, program.dtype, program.device).one())).numpy(force=True)


def _long_run(
    program: Program,
    settings: ReferenceSettings,
    seed: int,
    workers: int,
    given: Mapping[str, Any] | None,
    progress: Callable[[str, int], Callable[[int], None]] | None,
    resume: Segments | None,
    checkpoint: Callable[[Segments], None],
) -> Reference:
    route, plan = long_run(program, settings)
    tune(route.estimator, program, route.seen, TuneSettings().of(route.estimator), seed=seed, stream=f"{STREAM}.tune")
    advance = progress("reference", plan.num_replicates) if progress else lambda replicates: None
    if resume is None:
        accumulator = Accumulator(program.layout, plan.segments, program.device, materialises=route.materialises, writers=workers)
    else:
        accumulator = Accumulator.resume(resume, program.device, writers=workers)
        advance(plan.block_size * int(accumulator.blocks.sum()))
    accumulate(
        accumulator,
        Work(route, plan.block_size, seed, STREAM, None, given),
        plan,
        workers=workers,
        progress=advance,
        checkpoint=lambda: checkpoint(accumulator.segments()),
    )
    total = statistics.pooled(accumulator.segments())
    se = np.sqrt(total.second / (total.count - 1) / total.count)
    return _reference("long_run", route.estimator.name, total.mean, se)


def long_run(program: Program, settings: ReferenceSettings) -> tuple[Route, Plan]:
    """How a long run is computed: its estimator, not tuned yet, and route, and its blocks."""
    estimator = _of_long_run(program, settings)
    seen = probe(program, estimator)
    return choose("auto", program, estimator, seen), Plan.of(settings.num_replicates, None, program.layout.size)


def check_reference(program: Program, settings: ReferenceSettings) -> None:
    """ConfigurationError where the settings cannot give a reference for this program. At most a formula is computed."""
    reason: Answer | None = None
    if settings.kind == "closed_form":
        reason = _closed_form(program)
    elif settings.kind == "enumeration":
        reason = _not_enumerable(program, sites(program))
    elif settings.kind == "quadrature":
        reason = _not_integrable(program, sites(program))
    if isinstance(reason, str):
        raise ConfigurationError(f"reference.kind={settings.kind}: {reason}")
    if settings.kind != "long_run" and (settings.estimator, settings.num_samples) == ("auto", None):
        return
    try:
        probe(program, _of_long_run(program, settings))
    except ConfigurationError as error:
        # What it says of `estimator` and `num_samples` is said of those of the reference.
        raise ConfigurationError(f"reference.{str(error).removeprefix('reference.')}") from None


def _of_long_run(program: Program, settings: ReferenceSettings) -> Estimator:
    """The estimator of a long run: unbiased on this model, or ConfigurationError."""
    chosen: dict[str, object] = {"name": settings.estimator}
    if settings.estimator == "auto":
        gaussian = isinstance(program.outermost(program.leaves), Normal) and program.model.cost_is == "differentiable"
        chosen = {"name": "reparameterization"} if gaussian else {"name": "reinforce", "baseline": "moving_average"}
    estimator = registry.estimator(registry.settings("estimators", chosen), settings.num_samples)
    reason = estimator.biased_because(program.model)
    if reason is not None:
        raise ConfigurationError(f"reference.estimator={estimator.name}: must be unbiased on {program.model.name}; it is {reason}")
    return estimator
