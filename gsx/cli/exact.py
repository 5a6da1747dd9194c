"""The exact mean and variance of the runs that findings are about, where they can be computed: the third column of the scoreboard."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gsx.experiment import Crossing, Experiment, Step, matches
from gsx.records import IntegrityError
from gsx.store import PlannedCell, read_experiment

#: The statistics that follow from mean, variance and reference.
STATISTICS = ("variance", "mse", "bias_sq", "mean", "variance_times_evaluations")

#: Random numbers of an estimate above which finding out that there is no exact value takes minutes.
MOST = 32


def known_values(folder: Path) -> dict[str, dict[str, Any]]:
    """The exact values of a plan that is there already: an identity stands for one answer."""
    try:
        stored = read_experiment(folder)
    except IntegrityError:  # it is about to be written anew
        return {}
    return {} if stored is None else stored.exact


def exact_values(
    experiment: Experiment, step: Step, cells: Sequence[PlannedCell], known: Mapping[str, Any], quiet: bool = False
) -> dict[str, dict[str, Any]]:
    """By result_id, what is exact about the cells of a step that findings name, and not known yet."""
    wanted = {cell.result_id: cell for cell in _named(experiment, step, cells) if cell.result_id not in known}
    found = {identity: value for identity, cell in wanted.items() if (value := _exact(cell.config)) is not None}
    if found and not quiet:
        print(f"{experiment.folder}: exact values of {len(found)} cells", file=sys.stderr)
    return found


def _named(experiment: Experiment, step: Step, cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    wheres = []
    for finding in experiment.findings:
        for quantity in finding.quantities:
            statistic = quantity.statistic
            if quantity.step == step.name and statistic is not None and statistic.name in STATISTICS:
                between = quantity.number.between if isinstance(quantity.number, Crossing) else ({},)
                wheres += [quantity.where | one for one in between]
    return [cell for cell in cells if any(matches(where, cell.config) for where in wheres)]


def _exact(config: Mapping[str, Any]) -> dict[str, Any] | None:
    from gsx.configuration import Configuration
    from gsx.exact_moments import exact_moments
    from gsx.measurement import Measurement

    if config["model"].get("checkpoint") is not None:  # its parameters are known by their digest, and lie elsewhere
        return None
    measurement = Measurement(Configuration.of({**config, "engine": "auto"}))
    # Nothing to average, or another estimator after its tuning.
    if measurement.exact or measurement.tuned_so.kind != "none" or measurement.estimator.warmup:
        return None
    if measurement.seen.random_numbers > MOST:
        return None
    moments = exact_moments(measurement.program, measurement.estimator)
    if moments is None:
        return None
    return {"mean": moments.mean.tolist(), "variance": moments.variance.tolist(), "error": float(moments.error), "how": str(moments.how)}
