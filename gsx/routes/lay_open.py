"""A loss laid open at its linear layers: the one pass that the structured route makes, and whether a loss can be laid open so."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.models.base import Params
from gsx.noise import Block, Noise
from gsx.probe import Probe, has_one_site, weighs_by_constants
from gsx.program import Program
from gsx.routes.base import replicate
from gsx.routes.layers import Call, Layers, Names, Transformed, reaches

#: The most outer products that a row's gradient may be the sum of: t of them cost t (2t + 1) matrix products for each pair of replicates.
MOST_TERMS = 4


def forward(
    program: Program, leaves: Params, estimator: Estimator, noise: Noise, replicates: int
) -> tuple[Tensor, tuple[Tensor, ...], list[Call], Tensor]:
    """``replicates`` estimates with the layers after the draw laid open.

    The loss ``[n, rows]``, the parameters of the distribution ``[n, rows, *event]`` as leaves, the calls of layers, and what the estimator
    gave.
    """
    parameters: list[Tensor] = []
    values: list[Tensor] = []
    layers = Layers(leaves)

    def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
        replicated = q.map(lambda value: replicate(value, replicates))
        parameters.extend(replicated.parameters.values())
        with layers:
            values.append(estimator.expect(replicated, cost, noise.at(site)))
        return values[0]

    loss = program.loss(leaves, implementation)
    return loss, tuple(parameters), layers.calls, values[0]


def terms(calls: list[Call], at_calls: tuple[Tensor, ...]) -> dict[Names, tuple[Tensor, Tensor]]:
    """The factors ``d [t, n, rows, out]`` and ``a [t, n, rows, in]`` of each layer, whose calls and samples are its terms."""
    grouped: dict[Names, list[tuple[Tensor, Tensor]]] = {}
    for call, d in zip(calls, at_calls, strict=True):
        d, a = (x.reshape(-1, *x.shape[-3:]) for x in (d, call.inputs))
        grouped.setdefault(call.names, []).append((d, a))
    return {
        names: found[0] if len(found) == 1 else (torch.cat([d for d, _ in found]), torch.cat([a for _, a in found]))
        for names, found in grouped.items()
    }


def can_structure(program: Program, estimator: Estimator, seen: Probe) -> bool:
    """Whether the measured parameters are met in linear layers alone, and the rows and replicates of each layer can be told apart."""
    if program.wrt == "distribution" or not program.model.independent_rows or not has_one_site(seen):
        return False
    if not weighs_by_constants(program):
        return False
    leaves = program.free_leaves()
    with Layers(leaves) as before:
        q = program.outermost(leaves)
    rows = q.batch_shape
    if len(rows) != 1 or any(reaches(parameter, leaves) for parameter in q.parameters.values()):
        return False
    try:
        noise = Block(0, "probe", 2, program.dtype, program.device).tile(0, 2)
        _, _, after, value = forward(program, leaves, estimator, noise, 2)
    except Transformed:
        return False
    if reaches(value, leaves):
        return False
    if any(call.inputs.shape[:-1] != rows for call in before.calls):
        return False
    if any(call.inputs.shape[-3:-1] != (2, *rows) for call in after):
        return False
    count: dict[Names, int] = {}
    for call in after:
        count[call.names] = count.get(call.names, 0) + math.prod(call.inputs.shape[:-3])
    used = [name for names in (*(call.names for call in before.calls), *count) for name in names if name is not None]
    return sorted(used) == sorted(leaves) and max(count.values(), default=1) <= MOST_TERMS
