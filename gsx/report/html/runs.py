"""The rows of the page's table: one per run directory, complete or not, with its intervals as bars."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gsx.records import Interval
from gsx.report import escape, notes, rounding
from gsx.report.collect import Cell
from gsx.report.html.bars import Bar, Scale
from gsx.report.tables import COSTS, PRINTED

#: The statistics whose intervals are drawn.
DRAWN = ("variance", "bias_sq", "mse")

HINTS = {
    "N": "samples inside one estimate",
    "R": "independent estimates",
    "bias²": "squared distance of the mean from the reference",
    "MSE": "variance + bias²",
    "SNR": "squared mean over variance",
    "cosine": "of the mean with the reference",
    "evals": "cost evaluations per estimate",
    "grad evals": "gradient evaluations per estimate",
    "time ratio": "time over the model's plain one-sample step",
}
HEADINGS = ("estimator", "model", "verdict", "N", "R", *PRINTED.values(), *COSTS.values(), "notes")
WORDS = ("estimator", "model", "verdict", "notes")


@dataclass(frozen=True)
class Number:
    """What is printed, what it sorts by, and the bar where the interval is drawn."""

    text: str
    order: float | None
    bar: Bar | None = None
    ends: str = ""


@dataclass(frozen=True)
class Row:
    anchor: str
    cell: Cell
    model: str
    estimator: str
    label: str
    verdict: str
    numbers: Sequence[Number]
    remarks: str


def rows(table: Sequence[tuple[str, Cell]]) -> list[Row]:
    cells_of: dict[str, list[Cell]] = defaultdict(list)
    for model, cell in table:
        cells_of[model].append(cell)
    scales = {(model, name): Scale(_intervals(cells, name)) for model, cells in cells_of.items() for name in DRAWN}
    made: list[Row] = []
    anchors: set[str] = set()
    for model, cell in table:
        anchor = anchored(f"run-{escape.slug(cell.name)}", anchors)
        result = cell.result
        label, name = escape.line(cell.label or cell.name), escape.line(result.estimator if result else "")
        remarks = [*notes.of(cell), cell.reason or "", (result.verdict.reason or "") if result else ""]
        verdict = result.verdict_word if result else ""
        numbers = list(_numbers(cell, {key: scales[model, key] for key in DRAWN}))
        made.append(
            Row(anchor, cell, escape.line(model or "?"), name, label, verdict, numbers, escape.line("; ".join(filter(None, remarks))))
        )
    return made


def anchored(base: str, taken: set[str]) -> str:
    """A name for a page that no other has."""
    anchor = base
    while anchor in taken:
        anchor = f"{base}-{len(taken)}"
    taken.add(anchor)
    return anchor


def _intervals(cells: Iterable[Cell], name: str) -> Iterator[Interval | None]:
    return (cell.result.summary.get(name) for cell in cells if cell.result)


def _numbers(cell: Cell, scales: dict[str, Scale]) -> Iterator[Number]:
    result = cell.result
    if result is None:
        yield from [Number("", None)] * (2 + len(PRINTED) + len(COSTS))
        return
    for count in (result.num_samples, result.num_replicates):
        yield Number(str(count), count)
    for name in PRINTED:
        interval = result.summary.get(name)
        yield number(interval, scales[name].bar(interval) if name in DRAWN else None)
    for name in COSTS:
        value = getattr(result.cost, name)
        yield Number(rounding.concise(value) if name == "time_ratio" else str(int(value)), value)


def number(interval: Interval | None, bar: Bar | None = None) -> Number:
    if interval is None or not math.isfinite(interval.value):
        return Number(rounding.ABSENT, None)
    # The store vouches for the file, not for whoever wrote it.
    se = interval.se if isinstance(interval.se, (int, float)) else None
    ends = rounding.ends(interval.ci, se) if interval.ci else ""
    return Number(rounding.concise(interval.value, se), interval.value, bar, ends)
