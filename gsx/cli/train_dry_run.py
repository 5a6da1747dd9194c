"""`gsx train --dry-run`: what would be trained and what it would cost. What is counted is said with `=`, what is predicted with `~`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gsx.cli.dry_run import HYDRA_SECONDS, MOST_SECONDS, shape, size, two_digits
from gsx.cli.progress import duration
from gsx.probe import Counts
from gsx.records import IntegrityError, canonical_json
from gsx.store import TrainingDirectory
from gsx.training.configuration import TrainingConfiguration
from gsx.training.forecast import Forecast, forecast, together

if TYPE_CHECKING:
    from gsx.cli.train import Cell


@dataclass(frozen=True)
class Bill:
    """What is left of one training costs."""

    steps: Counts
    probes: Counts
    seconds: float | None  # None where it was not timed
    longest: float  # of one seed
    shares: tuple[float, float]  # of the time: of probes, of evaluations
    stored_bytes: int
    memory_bytes: int

    def __str__(self) -> str:
        counted = " ".join(f"{name}={count}" for name, count in self.steps._asdict().items())
        took = "seconds=?"
        if self.seconds is not None:
            probes, evaluations = (f"{100 * share:.0f}%" for share in self.shares)
            took = f"seconds~{two_digits(self.seconds)} seed_seconds~{two_digits(self.longest)} probes~{probes} evaluating~{evaluations}"
        stored = f"checkpoints~{size(self.stored_bytes)} memory~{size(self.memory_bytes)}"
        return f"{counted} probe_evaluations={self.probes.evaluations} {took} {stored}"


def show(cells: Sequence[Cell], *, quiet: bool = False) -> int:
    """Print every training with its bill, and the total; how it was predicted goes to stderr. Nothing is written. The exit code."""
    kinds = Kinds()
    bills: list[Bill] = []
    for cell in cells:
        line = f"{cell.state:<11}{cell.shown}  steps={cell.session.configuration.steps} seeds={cell.session.configuration.seeds}"
        if cell.state != "complete":
            bills.append(kinds.bill(cell))
            line += f" {bills[-1]}"
        print(line)
    print(total(bills, len(cells)))
    if bills and not quiet:
        print("\n".join(kinds.how()), file=sys.stderr)
    return 0


class Kinds:
    """Trainings of one model, estimators and shape cost the same for each step: the first of each kind is timed."""

    def __init__(self) -> None:
        self._forecasts: dict[str, Forecast] = {}
        self._deadline = time.monotonic() + MOST_SECONDS
        self._faults: list[str] = []

    def bill(self, cell: Cell) -> Bill:
        one, configuration = self._forecast(cell), cell.session.configuration
        reached = [_reached(cell, seed) for seed in configuration.all_seeds]
        steps, probes = (sum(parts) for parts in zip(*(_left(configuration, step) for step in reached), strict=True))
        each = [_seconds(one, configuration, step) for step in reached]
        workers = cell.session.workers
        known = [sum(parts) for parts in each if parts is not None]
        everything = sum(known) or 1.0
        shares = [sum(parts[k] for parts in each if parts is not None) / everything for k in (1, 2)]
        curve = (configuration.due_after("evaluate", -1), configuration.due_after("probe", -1))
        stored = one.array_bytes + one.point_bytes * sum(often * points for often, points in zip(curve, one.points, strict=True))
        return Bill(
            one.step.times(steps),
            one.probe.times(probes),
            together(known, workers) if len(known) == len(each) else None,
            max(known, default=0.0),
            (shares[0], shares[1]),
            stored * configuration.seeds,
            one.memory_bytes * (workers + (workers > 1)),  # beside the processes of the seeds there is the one that waits for them
        )

    def _forecast(self, cell: Cell) -> Forecast:
        kind = canonical_json(shape({key: value for key, value in cell.config.items() if key not in ("steps", "seeds", "name")}))
        if kind not in self._forecasts:
            try:
                found = forecast(cell.session, timed=time.monotonic() < self._deadline)
            except Exception as fault:  # a training that will fail is told of when it runs
                self._faults.append(f"{cell.shown}: {type(fault).__name__}: {fault}")
                found = forecast(cell.session, timed=False)
            self._forecasts[kind] = found
        return self._forecasts[kind]

    def how(self) -> list[str]:
        """How the times were predicted, and what is not in them."""
        untimed = sum(found.times is None or found.times.probe is None for found in self._forecasts.values())
        lines = [
            f"predicted from {len(self._forecasts) - untimed} kinds of training, some steps, a part of an evaluation and of a probe of each"
            " timed just now. Trainings one after another, the seeds of one beside each other, one a worker; not in it: starting Python,"
            " reading data, writing checkpoints, and whatever else this machine is doing. Not counted: what an estimator learns for itself"
            " beside a step, and evaluations of the ELBO."
        ]
        if untimed:
            lines.append(f"not timed: {untimed} kinds of training (those beyond {MOST_SECONDS:g} s, and large enumerations)")
        return lines + [f"could not be timed: {fault}" for fault in self._faults]


def _left(configuration: TrainingConfiguration, reached: int) -> tuple[int, int]:
    """Steps and probes of a seed that stands at a step; what is measured before the first step is to be done at -1."""
    return configuration.steps - max(reached, 0), configuration.due_after("probe", reached)


def _seconds(one: Forecast, configuration: TrainingConfiguration, reached: int) -> tuple[float, float, float] | None:
    """Of the steps, the probes and the evaluations that are left of a seed."""
    if one.times is None:
        return None
    steps, probes = _left(configuration, reached)
    if probes and one.times.probe is None:
        return None
    ending = one.times.ending if steps else 0.0
    evaluations = configuration.due_after("evaluate", reached) * one.times.evaluation + ending
    return steps * one.times.step, probes * (one.times.probe or 0.0), evaluations


def _reached(cell: Cell, seed: int) -> int:
    """The step of the checkpoint of a seed; -1 where there is none."""
    if cell.state != "unfinished":
        return -1
    try:
        state = TrainingDirectory(cell.folder).read_state(seed)
    except IntegrityError:  # told when it is run
        return -1
    return -1 if state is None else state.step


def total(bills: Sequence[Bill], trainings: int) -> str:
    """The last line."""
    text = f"total      {trainings} trainings, {len(bills)} to make"
    if not bills:
        return text
    steps = Counts(*map(sum, zip(*(bill.steps for bill in bills), strict=True)))
    text += ": " + " ".join(f"{name}={count}" for name, count in steps._asdict().items())
    text += f" probe_evaluations={sum(bill.probes.evaluations for bill in bills)}"
    text += f" checkpoints~{size(sum(bill.stored_bytes for bill in bills))} memory~{size(max(bill.memory_bytes for bill in bills))}"
    timed = [bill for bill in bills if bill.seconds is not None]
    if not timed:
        return text
    spent = sum(bill.seconds or 0.0 for bill in timed)
    probing = sum((bill.seconds or 0.0) * bill.shares[0] for bill in timed)
    text += f"; about {duration(spent + HYDRA_SECONDS * len(bills))}"
    text += f", {duration(probing)} of it for probes" if probing >= 0.5 else ""
    return text + ("" if len(timed) == len(bills) else f", and {len(bills) - len(timed)} trainings that were not timed")
