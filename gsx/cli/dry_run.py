"""`gsx run --dry-run`: what would run and what it would cost. What is counted is said with `=`, what is predicted with `~`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gsx.cli.failures import contained
from gsx.cli.foreseen import Foreseen, size
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


def show(cells: Sequence[Cell], prepared: Callable[[str], Measurement], *, quiet: bool = False) -> Foreseen:
    """Print every cell with its bill, and the total, which is returned; how it was predicted goes to stderr. Nothing is written."""
    clerk = Clerk(prepared)
    bills: list[Bill] = []
    for cell in cells:
        bill = None if cell.state in ("complete", "broken") else clerk.bill(cell)
        bills += [bill] if bill else []
        print(f"{cell.line()} {bill}" if bill else cell.line())
    everything = Foreseen(
        jobs=len(bills),
        evaluations=sum(bill.evaluations for bill in bills),
        stored_bytes=sum(bill.checkpoint_bytes for bill in bills),
        seconds=sum(bill.seconds or 0.0 for bill in bills) + clerk.known + (2 * HYDRA_SECONDS * len(bills) if len(cells) > 1 else 0.0),
        untimed=sum(bill.seconds is None for bill in bills),
        broken=sum(cell.state == "broken" for cell in cells),
    )
    print(total(bills, cells, clerk, everything))
    if clerk.kinds and not quiet:
        print("\n".join(clerk.how()), file=sys.stderr)
    return everything


class Clerk:
    """Cells of one model, estimator, engine and shape cost the same."""

    def __init__(self, prepared: Callable[[str], Measurement]) -> None:
        self._prepared = prepared
        self.kinds: Kinds[Forecast] = Kinds()
        self.references: dict[str, float | None] = {}  # those that are not stored: how long each takes

    @property
    def known(self) -> float:
        """Seconds for the references, as far as it is known."""
        return sum(spent for spent in self.references.values() if spent is not None)

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


def total(bills: Sequence[Bill], cells: Sequence[Cell], clerk: Clerk, everything: Foreseen) -> str:
    """The last line."""
    text = f"total      {len(cells)} cells, {len(bills)} to measure"
    if not bills:
        return text
    gradients, numbers = (sum(getattr(bill, name) for bill in bills) for name in ("gradient_evaluations", "random_numbers"))
    text += f": evaluations={everything.evaluations} gradient_evaluations={gradients} random_numbers={numbers}"
    text += f" checkpoints~{size(everything.stored_bytes)} memory~{size(max(bill.memory_bytes for bill in bills))}"
    if everything.untimed < len(bills):
        text += f"; about {duration(everything.seconds)}"
        text += f", {duration(clerk.known)} of it for references" if clerk.known >= 0.5 else ""
        text += f", and {everything.untimed} cells that were not timed" if everything.untimed else ""
    return text
