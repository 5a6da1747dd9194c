"""How the moments of a block's gradients are computed: the routes, and the choice among them."""

from __future__ import annotations

from gsx.estimators.base import Estimator
from gsx.probe import Probe
from gsx.program import Program
from gsx.records import ConfigurationError
from gsx.routes.base import Materialising, Route, implement
from gsx.routes.batched import Batched, can_batch
from gsx.routes.lay_open import can_structure
from gsx.routes.structured import MANY_COORDINATES, Structured
from gsx.routes.vmap import Loop, Vmap

__all__ = ["ROUTES", "Materialising", "Route", "choose", "implement", "materialising"]

#: From the most special to the most general.
ROUTES: dict[str, type[Route]] = {route.name: route for route in (Structured, Batched, Vmap, Loop)}


def materialising(program: Program, estimator: Estimator, seen: Probe) -> Materialising:
    """The fastest route on which each replicate's gradient exists."""
    routes = (route for route in ROUTES.values() if issubclass(route, Materialising))
    return next(route for route in routes if _refusal(route.name, program, estimator, seen) is None)(program, estimator, seen)


def choose(engine: str, program: Program, estimator: Estimator, seen: Probe) -> Route:
    """The first route that the model and the estimator allow, or the one asked for."""
    if engine == "auto":
        worth = (route for route in ROUTES if route != Structured.name or program.layout.size > MANY_COORDINATES)
        engine = next(route for route in worth if _refusal(route, program, estimator, seen) is None)
    elif engine not in ROUTES:
        raise ConfigurationError(f"engine={engine}: must be auto or one of {', '.join(ROUTES)}")
    elif reason := _refusal(engine, program, estimator, seen):
        raise ConfigurationError(f"engine={engine}: {reason}")
    return ROUTES[engine](program, estimator, seen)


def _refusal(route: str, program: Program, estimator: Estimator, seen: Probe) -> str | None:
    """Why a route cannot be taken; None where it can."""
    name, wrt = program.model.name, program.wrt
    if route == "structured" and not can_structure(program, estimator, seen):
        return f"{name} in wrt={wrt} with {estimator.name} is not linear layers on independent rows alone; auto finds another engine"
    if route == "batched" and not can_batch(program, seen):
        return f"the gradient of {name} in wrt={wrt} does not only pass through one distribution"
    if route == "vmap" and program.model.cost_is == "black_box":
        return f"the cost of {name} is a black box"
    return None
