"""`gsx run --dry-run`: what would run and what it would cost. What is counted is said with `=`, what is predicted with `~`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gsx.cli.progress import duration
from gsx.forecast import Forecast, forecast, reference_seconds
from gsx.measurement import Measurement
from gsx.records import IntegrityError, canonical_json
from gsx.store import RunDirectory

if TYPE_CHECKING:
    from gsx.cli.cell import Cell

#: Kinds of cells are timed for so long, in seconds; the others are counted only.
MOST_SECONDS = 60.0
#: What Hydra takes to compose a cell, in seconds (docs/scaling.md): once to check it, before the first one starts, and once to run it.
HYDRA_SECONDS = 0.12


@dataclass(frozen=True)
class Bill:
    """What one cell costs."""

    evaluations: int
    gradient_evaluations: int
    random_numbers: int
    checkpoint_bytes: int
    memory_bytes: int
    seconds: float | None  # None where it was not timed

    def __str__(self) -> str:
        counted = f"evaluations={self.evaluations} gradient_evaluations={self.gradient_evaluations} random_numbers={self.random_numbers}"
        took = "=?" if self.seconds is None else f"~{two_digits(self.seconds)}"
        return f"{counted} seconds{took} checkpoint~{size(self.checkpoint_bytes)} memory~{size(self.memory_bytes)}"


def show(cells: Sequence[Cell], prepared: Callable[[str], Measurement], *, quiet: bool = False) -> int:
    """Print every cell with its bill, and the total; how it was predicted goes to stderr. Nothing is written. The exit code."""
    kinds = Kinds(prepared)
    bills: list[Bill] = []
    for cell in cells:
        if cell.state in ("complete", "broken"):
            print(cell.line())
        else:
            bills.append(kinds.bill(cell))
            print(f"{cell.line()} {bills[-1]}")
    print(total(bills, cells, kinds))
    if bills and not quiet:
        print(how(kinds), file=sys.stderr)
    return int(any(cell.state == "broken" for cell in cells))


class Kinds:
    """Cells of one model, estimator, engine and shape cost the same: the first of each kind is timed."""

    def __init__(self, prepared: Callable[[str], Measurement]) -> None:
        self._prepared = prepared
        self._forecasts: dict[str, Forecast] = {}
        self._deadline = time.monotonic() + MOST_SECONDS
        self.references: dict[str, float | None] = {}  # those that are not stored: how long each takes
        self.faults: list[str] = []
        self.untimed = 0

    def __len__(self) -> int:
        return len(self._forecasts)

    def bill(self, cell: Cell) -> Bill:
        one = self._forecast(cell)
        own = cell.num_replicates if cell.shard is None else self._prepared(cell.given).plan.own_replicates
        blocks = own // cell.block_size - _blocks_done(cell)
        replicates = blocks * cell.block_size
        counts = (replicates * one.evaluations, replicates * one.gradient_evaluations, replicates * one.random_numbers)
        return Bill(*counts, one.checkpoint_bytes, one.memory_bytes, one.seconds(blocks, cell.block_size))

    def _forecast(self, cell: Cell) -> Forecast:
        kind = canonical_json(shape(cell.config) | {"num_replicates": None})
        if kind not in self._forecasts:
            measurement = self._prepared(cell.given)
            try:
                found = forecast(measurement, timed=time.monotonic() < self._deadline)
            except Exception as fault:  # a cell that will fail is told of when it runs
                self.faults.append(f"{cell.shown}: {type(fault).__name__}: {fault}")
                found = forecast(measurement, timed=False)
            self._forecasts[kind] = found
            self.untimed += found.times is None
        found = self._forecasts[kind]
        if cell.reference_id not in self.references and not (cell.folder.parent / f"reference-{cell.reference_id[:12]}").exists():
            self.references[cell.reference_id] = self._reference(cell, found)
        return found

    def _reference(self, cell: Cell, one: Forecast) -> float | None:
        if time.monotonic() >= self._deadline:
            return None
        evaluation = one.times.replicate / one.evaluations if one.times and one.evaluations else None
        try:
            return reference_seconds(self._prepared(cell.given), evaluation)
        except Exception:  # what computes the reference will say so
            return None


def shape(value: Any) -> Any:
    """A configuration without what costs nothing: the values of numbers with a point, and seeds."""
    if isinstance(value, dict):
        return {key: shape(of) for key, of in value.items() if key != "seed"}
    if isinstance(value, list):
        return [shape(of) for of in value]
    return None if isinstance(value, float) else value


def _blocks_done(cell: Cell) -> int:
    if cell.state != "unfinished":
        return 0
    try:
        stored = RunDirectory(cell.place).read_segments()
    except IntegrityError:  # told when it is run
        return 0
    return 0 if stored is None else int(stored.segments.blocks.sum())


def total(bills: Sequence[Bill], cells: Sequence[Cell], kinds: Kinds) -> str:
    """The last line."""
    text = f"total      {len(cells)} cells, {len(bills)} to measure"
    if not bills:
        return text
    evaluations, gradients, numbers, stored = (
        sum(getattr(bill, name) for bill in bills) for name in ("evaluations", "gradient_evaluations", "random_numbers", "checkpoint_bytes")
    )
    text += f": evaluations={evaluations} gradient_evaluations={gradients} random_numbers={numbers}"
    timed = [bill.seconds for bill in bills if bill.seconds is not None]
    around = 2 * HYDRA_SECONDS * len(bills) if len(cells) > 1 else 0.0
    known = [spent for spent in kinds.references.values() if spent is not None]
    text += f" checkpoints~{size(stored)} memory~{size(max(bill.memory_bytes for bill in bills))}"
    if timed:
        text += f"; about {duration(sum(timed) + sum(known) + around)}"
        text += f", {duration(sum(known))} of it for references" if known and sum(known) >= 0.5 else ""
        text += "" if len(timed) == len(bills) else f", and {len(bills) - len(timed)} cells that were not timed"
    return text


def how(kinds: Kinds) -> str:
    """How the times were predicted, and what is not in them."""
    timed = len(kinds) - kinds.untimed
    unknown = sum(spent is None for spent in kinds.references.values())
    lines = [
        f"predicted from {timed} kinds of cell, a few tiles of each timed just now; cells of one model, estimator, engine and shape share a"
        " kind. Cells one after another, with the workers of each; not in it: starting Python, and whatever else this machine is doing."
    ]
    if kinds.untimed:
        lines.append(f"not timed: {kinds.untimed} kinds of cell (those beyond {MOST_SECONDS:g} s, and what enumerates)")
    if unknown:
        lines.append(f"not in it: {unknown} references whose time is not known")
    lines += [f"could not be timed: {fault}" for fault in kinds.faults]
    return "\n".join(lines)


def two_digits(value: float) -> str:
    """Without an exponent, where a million will do."""
    return f"{float(f'{value:.2g}'):g}"


def size(bytes_: float) -> str:
    """Two digits and a unit that fits."""
    for unit in ("B", "kB", "MB", "GB"):
        if bytes_ < 999.5:
            return f"{bytes_:.{0 if bytes_ >= 9.95 else 1}f}{unit}"
        bytes_ /= 1000
    return f"{bytes_:.1f}TB"
