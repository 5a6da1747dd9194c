"""`gsx train --dry-run`: what would be trained and what it would cost. What is counted is said with `=`, what is predicted with `~`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gsx.cli.dry_run import HYDRA_SECONDS
from gsx.cli.foreseen import Foreseen, size
from gsx.cli.kinds import MOST_SECONDS, Kinds
from gsx.cli.progress import duration
from gsx.cli.summary import rounded
from gsx.probe import Counts
from gsx.records import IntegrityError
from gsx.store import TrainingDirectory
from gsx.training.configuration import TrainingConfiguration
from gsx.training.forecast import Forecast, forecast, together

if TYPE_CHECKING:
    from gsx.cli.train_cell import Cell


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
            took = f"seconds~{rounded(self.seconds, 2)} seed_seconds~{rounded(self.longest, 2)} probes~{probes} evaluating~{evaluations}"
        stored = f"checkpoints~{size(self.stored_bytes)} memory~{size(self.memory_bytes)}"
        return f"{counted} probe_evaluations={self.probes.evaluations} {took} {stored}"


def show(cells: Sequence[Cell], *, quiet: bool = False) -> Foreseen:
    """Print every training with its bill, and the total, which is returned; how it was predicted goes to stderr. Nothing is written."""
    clerk = Clerk()
    bills: list[Bill] = []
    for cell in cells:
        bill = None if cell.state in ("complete", "broken") else clerk.bill(cell)
        bills += [bill] if bill else []
        print(f"{cell.line()} {bill}" if bill else cell.line())
    everything = Foreseen(
        jobs=len(bills),
        evaluations=sum(bill.steps.evaluations + bill.probes.evaluations for bill in bills),
        stored_bytes=sum(bill.stored_bytes for bill in bills),
        seconds=sum(bill.seconds or 0.0 for bill in bills) + HYDRA_SECONDS * len(bills),
        untimed=sum(bill.seconds is None for bill in bills),
        broken=sum(cell.state == "broken" for cell in cells),
    )
    print(total(bills, len(cells), everything))
    if clerk.kinds and not quiet:
        print("\n".join(clerk.how()), file=sys.stderr)
    return everything


class Clerk:
    """Trainings of one model, estimators and shape cost the same for each step."""

    def __init__(self) -> None:
        self.kinds: Kinds[Forecast] = Kinds()

    def bill(self, cell: Cell) -> Bill | None:
        """None where its code raises, which `how` tells."""
        kind = {key: value for key, value in cell.config.items() if key not in ("steps", "seeds", "name")}
        one = self.kinds.forecast(kind, cell.shown, lambda timed: forecast(cell.session, timed=timed))
        if one is None:
            return None
        configuration = cell.session.configuration
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

    def how(self) -> list[str]:
        """How the times were predicted, and what is not in them."""
        timed = [found.times is not None and found.times.probe is not None for found in self.kinds]
        lines = [
            f"predicted from {timed.count(True)} kinds of training, some steps, a part of an evaluation and of a probe of each"
            " timed just now. Trainings one after another, the seeds of one beside each other, one a worker; not in it: starting Python,"
            " reading data, writing checkpoints, and whatever else this machine is doing. Not counted: what an estimator learns for itself"
            " beside a step, and evaluations of bounds."
        ]
        if not all(timed):
            lines.append(f"not timed: {timed.count(False)} kinds of training (those beyond {MOST_SECONDS:g} s, and large enumerations)")
        return lines + self.kinds.faults


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


def total(bills: Sequence[Bill], trainings: int, everything: Foreseen) -> str:
    """The last line."""
    text = f"total      {trainings} trainings, {len(bills)} to make"
    if not bills:
        return text
    steps = Counts(*map(sum, zip(*(bill.steps for bill in bills), strict=True)))
    text += ": " + " ".join(f"{name}={count}" for name, count in steps._asdict().items())
    text += f" probe_evaluations={sum(bill.probes.evaluations for bill in bills)}"
    text += f" checkpoints~{size(everything.stored_bytes)} memory~{size(max(bill.memory_bytes for bill in bills))}"
    if everything.untimed == len(bills):
        return text
    probing = sum((bill.seconds or 0.0) * bill.shares[0] for bill in bills)
    text += f"; about {duration(everything.seconds)}"
    text += f", {duration(probing)} of it for probes" if probing >= 0.5 else ""
    return text + (f", and {everything.untimed} trainings that were not timed" if everything.untimed else "")
