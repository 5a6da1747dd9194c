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

__all__ = ["ROUTES", "Materialising", "Route", "choose", "implement"]

#: From the most special to the most general.
ROUTES: dict[str, type[Route]] = {route.name: route for route in (Structured, Batched, Vmap, Loop)}


def choose(engine: str, program: Program, estimator: Estimator, seen: Probe) -> Route:
    """The fastest route that the model and the estimator allow, or the one asked for."""
    name, wrt = program.model.name, program.wrt
    why_not = {
        "structured": None
        if can_structure(program, estimator, seen)
        else f"{name} in wrt={wrt} with {estimator.name} is not made of linear layers on independent rows alone; auto finds another engine",
        "batched": None if can_batch(program, seen) else f"the gradient of {name} in wrt={wrt} does not only pass through one distribution",
        "vmap": f"the cost of {name} is a black box" if program.model.cost_is == "black_box" else None,
        "loop": None,
    }
    if engine == "auto":
        worth = [route for route in ROUTES if route != Structured.name or program.layout.size > MANY_COORDINATES]
        engine = next(route for route in worth if why_not[route] is None)
    if engine not in ROUTES:
        raise ConfigurationError(f"engine={engine}: must be auto or one of {', '.join(ROUTES)}")
    if why_not[engine]:
        raise ConfigurationError(f"engine={engine}: {why_not[engine]}")
    return ROUTES[engine](program, estimator, seen)
