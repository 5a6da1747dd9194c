"""Rows as text for a terminal, and a report as Markdown for the README."""

from __future__ import annotations

import textwrap
from typing import Any

from gsx.benchmark.row import Row, median

_SCALES = {"s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")), "B": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))}
_HEAD = ("what", "against", "median [quartiles]", "target", "", "ours", "theirs", "per")


# ----------------------------------------------------------------------------------------------------------------------- numbers


def digits(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def quantity(value: float | None, unit: str) -> str:
    """Three digits and a unit that fits; nothing for None."""
    if value is None:
        return ""
    scale, name = next((pair for pair in _SCALES[unit] if value >= pair[0]), _SCALES[unit][-1])
    return f"{digits(value / scale)} {name}"


def result(row: Row) -> str:
    """The median with its quartiles: of paired ratios, or of what stands alone."""
    if row.not_measured:
        return "not measured"
    low, middle, high = (quantity(value, row.unit) if row.kind == "alone" else digits(value) for value in row.quartiles)
    times = {"faster": " x faster", "cost": " x", "alone": ""}[row.kind]
    return f"{middle}{times} [{low}, {high}]"


def aim(row: Row) -> str:
    if row.target is None:
        return ""
    bound = quantity(row.target, row.unit) if row.kind == "alone" else f"{digits(row.target)} x"
    return f"{'>=' if row.kind == 'faster' else '<='} {bound}"


def cells(row: Row) -> tuple[str, ...]:
    """What stands under `_HEAD`."""
    what = f"{row.what} {row.size}".rstrip()
    absolute = [quantity(median(samples), row.unit) if row.theirs else "" for samples in (row.ours, row.theirs)]
    return what, row.peer, result(row), aim(row), row.verdict, *absolute, row.per


# -------------------------------------------------------------------------------------------------------------------------- text


def text(rows: list[Row]) -> str:
    """An aligned table; how a row was measured, or why it was not, stands below it."""
    lines = [("work", *_HEAD, "pairs"), *((row.work, *cells(row), str(len(row.ours))) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    remarks = ["", *(row.not_measured or row.note for row in rows)]
    printed = []
    for line, remark in zip(lines, remarks, strict=True):
        printed.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if remark:
            printed.append(f"{'':{widths[0]}}  ({remark})")
    return "\n".join(printed)


# ---------------------------------------------------------------------------------------------------------------------- Markdown


def markdown(report: dict[str, Any]) -> str:
    """The README's section, from what ``--json`` wrote."""
    machine, rows = report["machine"], [Row.of_json(body) for body in report["rows"]]
    measured = [row for row in rows if not row.not_measured]
    parts = [
        "## Performance",
        textwrap.fill(
            f"Measured by `./scripts/benchmark` on {machine['cpu']} ({machine['cores']} cores, {machine['system']}), torch "
            f"{machine['torch']}, {machine['date']}. Ours and theirs take turns in one run, and what is given is the median of the paired "
            f"ratios with its quartiles. The images are {machine['images']}.",
            140,
        ),
        _table(_HEAD, [cells(row) for row in measured if not row.size]),
        _table(("what grows", "time of an estimate"), _sweeps([row for row in measured if row.size])),
        "\n".join(f"- Not measured: {_title(row)}: {row.not_measured}" for row in rows if row.not_measured),
    ]
    if report["quick"]:
        parts.insert(1, "*A smoke of small sizes: these numbers say nothing.*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(row: Row) -> str:
    return f"{row.what}, against {row.peer}" if row.peer else row.what


def _table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    if not lines:
        return ""
    escaped = [tuple(cell.replace("|", "\\|").replace("MISSED", "**MISSED**") for cell in line) for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *escaped))


def _sweeps(rows: list[Row]) -> list[tuple[str, ...]]:
    """One line for each sweep."""
    sweeps: dict[str, list[str]] = {}
    for row in rows:
        sweeps.setdefault(row.what, []).append(f"{row.size}: {quantity(median(row.ours), row.unit)} ({row.note})")
    return [(what, ", ".join(sizes)) for what, sizes in sweeps.items()]
