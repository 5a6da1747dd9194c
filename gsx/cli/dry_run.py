"""`gsx run --dry-run`: what would run and what it would cost. What is counted is said with `=`, what is predicted with `~`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gsx.cli.failures import contained
from gsx.cli.kinds import MOST_SECONDS, Kinds
from gsx.cli.progress import duration
from gsx.cli.summary import rounded
from gsx.forecast import Forecast, forecast, reference_seconds
from gsx.measurement import Measurement
from gsx.records import IntegrityError
from gsx.store import RunDirectory

if TYPE_CHECKING:
    from gsx.cli.cell import Cell

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
        took = "=?" if self.seconds is None else f"~{rounded(self.seconds, 2)}"
        return f"{counted} seconds{took} checkpoint~{size(self.checkpoint_bytes)} memory~{size(self.memory_bytes)}"


def show(cells: Sequence[Cell], prepared: Callable[[str], Measurement], *, quiet: bool = False) -> int:
    """Print every cell with its bill, and the total; how it was predicted goes to stderr. Nothing is written. The exit code."""
    clerk = Clerk(prepared)
    bills: list[Bill] = []
    for cell in cells:
        bill = None if cell.state in ("complete", "broken") else clerk.bill(cell)
        bills += [bill] if bill else []
        print(f"{cell.line()} {bill}" if bill else cell.line())
    print(total(bills, cells, clerk))
    if clerk.kinds and not quiet:
        print("\n".join(clerk.how()), file=sys.stderr)
    return int(any(cell.state == "broken" for cell in cells))


class Clerk:
    """Cells of one model, estimator, engine and shape cost the same."""

    def __init__(self, prepared: Callable[[str], Measurement]) -> None:
        self._prepared = prepared
        self.kinds: Kinds[Forecast] = Kinds()
        self.references: dict[str, float | None] = {}  # those that are not stored: how long each takes

    def bill(self, cell: Cell) -> Bill | None:
        """None where its code raises, which `how` tells."""
        kind = cell.config | {"num_replicates": None}
        one = self.kinds.forecast(kind, cell.shown, lambda timed: forecast(self._prepared(cell.given), timed=timed))
        if one is None:
            return None
        if cell.reference_id not in self.references and not (cell.folder.parent / f"reference-{cell.reference_id[:12]}").exists():
            self.references[cell.reference_id] = self._reference(cell, one)
        own = cell.num_replicates if cell.shard is None else self._prepared(cell.given).plan.own_replicates
        blocks = own // cell.block_size - _blocks_done(cell)
        replicates = blocks * cell.block_size
        counts = (replicates * one.evaluations, replicates * one.gradient_evaluations, replicates * one.random_numbers)
        return Bill(*counts, one.checkpoint_bytes, one.memory_bytes, one.seconds(blocks, cell.block_size))

    def _reference(self, cell: Cell, one: Forecast) -> float | None:
        if not self.kinds.in_time:
            return None
        evaluation = one.times.replicate / one.evaluations if one.times and one.evaluations else None
        try:
            with contained():
                return reference_seconds(self._prepared(cell.given), evaluation)
        except Exception:  # what computes the reference will say so
            return None

    def how(self) -> list[str]:
        """How the times were predicted, and what is not in them."""
        timed = [found.times is not None for found in self.kinds]
        unknown = sum(spent is None for spent in self.references.values())
        lines = [
            f"predicted from {timed.count(True)} kinds of cell, a few tiles of each timed just now; cells of one model, estimator, engine"
            " and shape share a kind. Cells one after another, with the workers of each; not in it: starting Python, and whatever else this"
            " machine is doing."
        ]
        if not all(timed):
            lines.append(f"not timed: {timed.count(False)} kinds of cell (those beyond {MOST_SECONDS:g} s, and what enumerates)")
        if unknown:
            lines.append(f"not in it: {unknown} references whose time is not known")
        return lines + self.kinds.faults


def _blocks_done(cell: Cell) -> int:
    if cell.state != "unfinished":
        return 0
    try:
        stored = RunDirectory(cell.place).read_segments()
    except IntegrityError:  # told when it is run
        return 0
    return 0 if stored is None else int(stored.segments.blocks.sum())


def total(bills: Sequence[Bill], cells: Sequence[Cell], clerk: Clerk) -> str:
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
    known = [spent for spent in clerk.references.values() if spent is not None]
    text += f" checkpoints~{size(stored)} memory~{size(max(bill.memory_bytes for bill in bills))}"
    if timed:
        text += f"; about {duration(sum(timed) + sum(known) + around)}"
        text += f", {duration(sum(known))} of it for references" if known and sum(known) >= 0.5 else ""
        text += "" if len(timed) == len(bills) else f", and {len(bills) - len(timed)} cells that were not timed"
    return text


def size(bytes_: float) -> str:
    """Two digits and a unit that fits."""
    for unit in ("B", "kB", "MB", "GB"):
        if bytes_ < 999.5:
            return f"{bytes_:.{0 if bytes_ >= 9.95 else 1}f}{unit}"
        bytes_ /= 1000
    return f"{bytes_:.1f}TB"
