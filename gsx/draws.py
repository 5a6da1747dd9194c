"""Single draws of a measurement, for whoever wants to see them: where the cost was evaluated, its value, and the gradient."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gsx.accumulator import Plan
from gsx.costs import Cost, Separable
from gsx.distributions import Distribution
from gsx.noise import Block, replay
from gsx.probe import has_one_site
from gsx.program import gradient
from gsx.records import ConfigurationError
from gsx.routes import Route

#: Numbers of one draw: more are not looked at one by one.
MOST_NUMBERS = 64


def check_draws(count: int, route: Route) -> None:
    """ConfigurationError unless each estimate evaluates the cost at one point: then a replicate is a draw."""
    seen, name = route.seen, route.estimator.name
    if not has_one_site(seen) or seen.evaluations != 1:
        raise ConfigurationError(
            f"draws={count}: {name} evaluates the cost {seen.evaluations} times an estimate; a draw is an estimate of one"
        )
    (site,) = seen.sites.values()
    numbers = math.prod(site.q.batch_shape) * math.prod(site.q.event_shape) + route.program.layout.size
    if numbers > MOST_NUMBERS:
        raise ConfigurationError(f"draws={count}: a draw here is {numbers} numbers, and at most {MOST_NUMBERS} are kept")


def draws(route: Route, plan: Plan, count: int, *, seed: int) -> dict[str, np.ndarray]:
    """The first ``count`` replicates of a run by column: `replicate`, `z[i]`, `cost` (the mean over rows), `gradient.<parameter>[i]`."""
    program, estimator = route.program, route.estimator
    points: list[Tensor] = []
    costs: list[Tensor] = []
    gradients: list[Tensor] = []

    def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
        return estimator.expect(q, _watched(cost, points, costs), replay(numbers).at(site))

    for replicate in range(min(count, plan.num_replicates)):
        block, r = divmod(replicate, plan.block_size)
        drawn = Block(seed, "base", block, program.dtype, program.device)
        numbers = {(site, draw): drawn.draw(site, draw, shape, r, r + 1)[0] for site, draw, shape in route.seen.draws}
        gradients.append(gradient(program, implementation).detach())
    names = [f"gradient.{name}[{i}]" for name, _, part in program.layout.slices() for i in range(part.stop - part.start)]
    z, found = (torch.stack(rows).to("cpu", torch.float64).numpy() for rows in (points, gradients))
    columns = {"replicate": np.arange(len(z))} | {f"z[{i}]": z[:, i] for i in range(z.shape[1])}
    columns["cost"] = torch.stack(costs).to("cpu", torch.float64).numpy()
    return columns | {name: found[:, i] for i, name in enumerate(names)}


def _watched(cost: Cost, points: list[Tensor], costs: list[Tensor]) -> Cost:
    """The same cost, which writes down where it is evaluated and what it is there."""
    if isinstance(cost, Separable):

        def terms(z: Tensor) -> Tensor:
            found = cost.terms(z)
            points.append(z.detach().flatten())
            costs.append(cost.total(found).detach().mean())
            return found

        return Separable(terms, mean=cost.mean)

    def watched(z: Tensor, q: Distribution) -> Tensor:
        value = cost(z, q)
        points.append(z.detach().flatten())
        costs.append(value.detach().mean())
        return value

    return watched
