"""Whether findings name cells that there are: asked before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gsx.experiment.definition import Experiment
from gsx.experiment.fields import is_number
from gsx.experiment.quantity import Argmin, Crossing, Quantity, flat, matches
from gsx.records import ConfigurationError, canonical_json


def check_cells(experiment: Experiment, step: str, configs: Sequence[Mapping[str, Any]]) -> None:
    """ConfigurationError where a quantity that is about a step of runs does not name one cell of it, or a grid of cells."""
    distinct = list({canonical_json(config): config for config in configs}.values())
    for finding in experiment.findings:
        for quantity in finding.quantities:
            if quantity.step == step:
                _check(f"{experiment.name}: {finding.says!r}", quantity, distinct)


def _check(at: str, quantity: Quantity, configs: Sequence[Mapping[str, Any]]) -> None:
    number = quantity.number
    for more in number.between if isinstance(number, Crossing) else ({},):
        where = quantity.where | more
        found = [config for config in configs if matches(where, config)]
        said = ", ".join(f"{key}={value}" for key, value in where.items()) or "any settings"
        if not isinstance(number, Argmin | Crossing):
            if len(found) != 1:
                raise ConfigurationError(f"{at}: {len(found)} cells of {quantity.step} have {said}; must be one")
            continue
        values = [flat(config).get(number.key) for config in found]
        if len(values) < 2 or not all(map(is_number, values)) or len(set(values)) < len(values):
            shown = ", ".join(map(str, values)) or "none"
            raise ConfigurationError(
                f"{at}: {number.key} of the cells of {quantity.step} with {said}: must be different numbers, not {shown}"
            )
