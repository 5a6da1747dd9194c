"""An experiment as it lies on disk: its plan, and the results of its cells, read when a finding asks for them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gsx.experiment import Experiment, Statistic, matches
from gsx.records import GsxError, IntegrityError, Interval, Layout, Result, Training, canonical_json
from gsx.report.estimate import Estimate
from gsx.statistics import Pool
from gsx.statistics.jackknife import interval
from gsx.store import PlannedCell, RunDirectory, StoredExperiment, TrainingDirectory, find_experiments, read_experiment

#: Compared by ratio; the others may be negative.
POSITIVE = ("variance", "mse", "snr", "variance_times_evaluations", "variance_times_time_ratio")
#: What can be recomputed from the moments without each segment in turn.
FROM_MOMENTS = ("variance", "mse", "bias_sq", "mean")


class Absent(Exception):
    """A number that is not there: `missing` where it was not measured, `inconclusive` where it does not exist."""

    def __init__(self, verdict: str, reason: str) -> None:
        super().__init__(reason)
        self.verdict, self.reason = verdict, reason


@dataclasses.dataclass(eq=False)
class Study:
    folder: Path
    stored: StoredExperiment
    experiment: Experiment

    # ------------------------------------------------------------------------------------------------------------ cells and results

    def cells(self, step: str, where: dict[str, Any]) -> list[PlannedCell]:
        """The planned cells of a step with these settings, each once."""
        planned = self.stored.steps[step].cells if step in self.stored.steps else None
        if planned is None:
            raise Absent("missing", f"the step {step} was not reached")
        distinct = {cell.result_id: cell for cell in planned}
        return [cell for cell in distinct.values() if matches(where, cell.config)]

    def cell(self, step: str, where: dict[str, Any]) -> PlannedCell:
        found = self.cells(step, where)
        if len(found) != 1:
            raise Absent("missing", f"{len(found)} cells of {step} have {text(where)}, not one")
        return found[0]

    @functools.cache  # noqa: B019 - a study lives as long as its report
    def result(self, identity: str, name: str) -> Result:
        directory = RunDirectory(self.folder / name)
        try:
            directory.check_links()
            result = directory.read_checked()
        except (GsxError, OSError) as fault:
            raise Absent("missing", f"{name}: unreadable: {str(fault).replace(f'{self.folder}/', '')}") from fault
        if result is None or result.result_id != identity or result.status != "complete":
            raise Absent("missing", f"{name}: {_lack(result)}")
        return result

    @functools.cache  # noqa: B019
    def training(self, identity: str, name: str) -> Training:
        directory = TrainingDirectory(self.folder / name)
        try:
            directory.check_links()
            training = directory.read()
        except (GsxError, OSError) as fault:
            raise Absent("missing", f"{name}: unreadable: {str(fault).replace(f'{self.folder}/', '')}") from fault
        if training is None or training.training_id != identity or training.status != "complete":
            raise Absent("missing", f"{name}: {_lack(training)}")
        return training

    @functools.cache  # noqa: B019
    def moments(self, identity: str, name: str) -> tuple[Pool, Layout] | None:
        """The pool against the stored reference, if it is in the table of coordinates whole; None where there are no two segments."""
        directory = RunDirectory(self.folder / name)
        stored, table = directory.read_segments(), directory.read_coordinates()
        if stored is None or int((stored.segments.count > 0).sum()) < 2:
            return None
        size = stored.segments.layout.size
        whole = table is not None and len(table.columns["reference"]) == size
        reference, se = (np.array(table.columns[key]) if table and whole else np.zeros(size) for key in ("reference", "reference_se"))
        return Pool.of(stored.segments, reference, se), stored.segments.layout

    def absent(self) -> list[str]:
        """The planned cells that are not there."""
        names = {}
        for step in self.stored.steps.values():
            read = self.training if step.arguments[1:2] == ["train"] else self.result
            for cell in step.cells or ():
                try:
                    read(cell.result_id, cell.folder)
                except Absent:
                    names[cell.result_id] = cell.folder
        return list(names.values())

    # -------------------------------------------------------------------------------------------------------------- a cell's numbers

    def measured(self, cell: PlannedCell, number: Statistic) -> Estimate:
        result = self.result(cell.result_id, cell.folder)
        positive = number.name in POSITIVE
        if number.name == "reference" or (number.name == "mean" and number.index is not None):
            return self._coordinate(cell, number)
        found = result.summary.get(number.name) if number.parameter is None else self._of_parameter(result, number)
        rows, count = self._rows(cell, result, number)
        if number.index is not None and rows is not None:
            assert count is not None
            found = interval(count, rows, log=True)
        if found is None:
            raise Absent("inconclusive", f"{number} of {cell.folder} does not exist")
        pairing = canonical_json([result.config.get("seed"), result.config.get("block_size"), result.blocks])
        positive = positive and (rows is None or bool((rows >= 0).all()))
        return Estimate(found, positive, rows, count, pairing)

    def _of_parameter(self, result: Result, number: Statistic) -> Interval | None:
        if number.parameter not in result.parameters:
            raise Absent("missing", f"there is no parameter {number.parameter}, only {', '.join(result.parameters)}")
        found = result.parameters[number.parameter].get(number.name)
        return found if isinstance(found, Interval) else None

    def _rows(self, cell: PlannedCell, result: Result, number: Statistic) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The number without each segment in turn, where the moments have it and no error of a reference is left out by that."""
        on_reference = number.name in ("mse", "bias_sq")
        if number.name not in FROM_MOMENTS or (on_reference and (result.reference.get("error") or {}).get("norm") != 0):
            return None, None
        try:
            moments = self.moments(cell.result_id, cell.folder)
        except (GsxError, OSError):
            moments = None
        if moments is None:
            return None, None
        pool, layout = moments
        if on_reference and not pool.reference.any():
            return None, None
        part = pool.restricted(columns(layout, number))
        rows = part.trace if number.name == "variance" else part.bias_sq + (part.trace if number.name == "mse" else 0)
        return rows, pool.count

    def _coordinate(self, cell: PlannedCell, number: Statistic) -> Estimate:
        try:
            table = RunDirectory(self.folder / cell.folder).read_coordinates()
        except IntegrityError as fault:
            raise Absent("missing", f"{cell.folder}: {fault}") from fault
        at = [] if table is None else list(zip(table.columns["parameter"], table.columns["index"], strict=True))
        if table is None or (number.parameter, number.index) not in at:
            raise Absent("missing", f"{cell.folder} has no coordinate {number.parameter}[{number.index}]")
        row = at.index((number.parameter, number.index))
        value, se = (float(table.columns[key][row]) for key in (number.name, f"{number.name}_se"))
        return Estimate(Interval(value, se, (value - 1.96 * se, value + 1.96 * se)), False)

    def exactly(self, cell: PlannedCell, number: Statistic) -> Estimate:
        """The exact value of the same number; Absent where there is none."""
        result = self.result(cell.result_id, cell.folder)
        no_error = (result.reference.get("error") or {}).get("norm") == 0
        if number.name == "reference" and no_error:
            return self._coordinate(cell, number)
        stored = self.stored.exact.get(cell.result_id)
        if stored is None:
            if no_error and result.verdict.status in ("unbiased", "deterministic"):
                if number.name == "mean":
                    return self._coordinate(cell, dataclasses.replace(number, name="reference"))
                if number.name == "bias_sq":
                    return Estimate.exactly(0.0, False)
            raise Absent("inconclusive", "out of reach")
        layout = Layout(tuple(result.parameters), tuple(tuple(entry["shape"]) for entry in result.parameters.values()))
        mean, variance = (np.array(stored[key])[columns(layout, number)] for key in ("mean", "variance"))
        value = float(mean.sum()) if number.name == "mean" else float(variance.sum())
        if number.name in ("mse", "bias_sq"):
            if not no_error:
                raise Absent("inconclusive", "no exact reference")
            table = RunDirectory(self.folder / cell.folder).read_coordinates()
            reference = np.array(table.columns["reference"] if table else [])[columns(layout, number)]
            value = float(((mean - reference) ** 2).sum()) + (value if number.name == "mse" else 0.0)
        elif number.name == "variance_times_evaluations":
            value *= result.cost.evaluations
        elif number.name not in ("variance", "mean"):
            raise Absent("inconclusive", "out of reach")
        return Estimate.exactly(value, number.name in POSITIVE, stored["error"])


def _lack(stored: Result | Training | None) -> str:
    return "no result" if stored is None else "unfinished" if stored.status != "complete" else "stale"


def columns(layout: Layout, number: Statistic) -> slice:
    """The coordinates that a number is about."""
    for name, _, part in layout.slices():
        if name == number.parameter:
            if number.index is None:
                return part
            if number.index < part.stop - part.start:
                return slice(part.start + number.index, part.start + number.index + 1)
    if number.parameter is None:
        return slice(0, layout.size)
    raise Absent("missing", f"there is no coordinate {number.parameter}" + ("" if number.index is None else f"[{number.index}]"))


def text(where: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in where.items()) or "any settings"


def studies(paths: Sequence[Path]) -> tuple[list[Study], list[str]]:
    """Every experiment at or one below the paths, and what is wrong with those that cannot be read."""
    found, wrong = [], []
    for folder in find_experiments(paths):
        try:
            stored = read_experiment(folder)
            if stored is not None:
                experiment = Experiment.of(stored.definition, stored.name, stored.size)
                found.append(Study(folder, stored, experiment))
        except GsxError as fault:
            wrong.append(f"{folder.name}: its experiment.json cannot be used: {str(fault).replace(f'{folder}/', '')}")
    return sorted(found, key=lambda study: (study.stored.name, study.stored.size)), wrong
