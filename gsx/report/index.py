"""report.md: the states, the tables, the figures with their captions, and the commands that measured it all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from gsx.report import escape, notes
from gsx.report.canvas import Plot
from gsx.report.collect import Cell, counted
from gsx.report.table import Table
from gsx.report.trained import Trained

#: A longer summary is linked, not printed in the page.
MOST_ROWS_INLINE = 200
MOST_COMMANDS = 100


def page(
    table: Sequence[tuple[str, Cell]],
    summary: str,
    findings: Sequence[Table],
    others: Sequence[Table],
    counts: dict[str, int],
    tables: Sequence[str],
    figures: Sequence[Plot],
    left: Sequence[str],
    duplicates: Sequence[str],
    trained: Sequence[Trained],
    not_made: Sequence[str] = (),
) -> str:
    """`findings` are printed before the runs, `others` after them; `trained` are the trainings, whatever their state."""
    parts = ["# Report", states(counts, counted(one.state for one in trained)) + "."]
    if duplicates:
        parts.append(notes.counted_once([escape.markdown(name) for name in duplicates]))
    if lines := incomplete([cell for _, cell in table]):
        parts += ["## Runs that are not complete", lines]
    if lines := incomplete(trained):
        parts += ["## Trainings that are not complete", lines]
    if not_made:
        parts += ["## What could not be made", "\n".join(f"- {escape.markdown(line, 400)}" for line in not_made)]
    parts += [_section(one) for one in findings]
    parts.append("## Tables")
    if summary and len(table) <= MOST_ROWS_INLINE:
        parts.append(summary.strip())
    parts.append("\n".join(f"- [{name}]({name})" for name in tables))
    parts += [_section(one) for one in others if len(one.body) <= MOST_ROWS_INLINE]
    parts.append("## Figures")
    for plot in figures:
        links = ", ".join(f"[{kind}](figures/{plot.name}.{kind})" for kind in ("pdf", "svg", "csv"))
        parts.append(
            f"### {escape.markdown(plot.title)}\n\n![{plot.name}](figures/{plot.name}.png)\n\n{escape.markdown(plot.caption, 6000)} "
            f"({links})"
        )
    if left:
        parts.append(
            f"Not drawn, because {len(figures)} figures are the limit: {', '.join(left)}. Report on fewer runs at a time to draw them."
        )
    if not figures:
        parts.append("None: no complete run.")
    parts.append("## Commands")
    records = [cell.result for _, cell in table if cell.result] + [one.training for one in trained if one.training]
    parts.append(_commands([record.provenance for record in records]))
    return "\n\n".join(parts) + "\n"


def _section(table: Table) -> str:
    return f"## {escape.markdown(table.title)}\n\n{table.markdown().strip()}"


def states(runs: Mapping[str, int], trainings: Mapping[str, int]) -> str:
    """`16 runs: 15 complete, 1 failed; 1 training: 1 complete`."""
    told = []
    for what, counts in (("run", runs), ("training", trainings)):
        if total := sum(counts.values()):
            told.append(f"{total} {what}{'s' * (total > 1)}: " + ", ".join(f"{n} {state}" for state, n in counts.items() if n))
    return "; ".join(told)


def incomplete(found: Sequence[Cell] | Sequence[Trained]) -> str:
    """A line on each run, or training, that is not complete, with the reason."""
    faulty = [one for one in found if one.state != "complete"]
    return "\n".join(
        f"- {escape.markdown(one.name)}: {one.state}{': ' + escape.markdown(one.reason) if one.reason else ''}" for one in faulty
    )


def _commands(provenances: Iterable[Mapping[str, Any]]) -> str:
    """What was typed, once each, as a code block no command can close."""
    typed = sorted({text for provenance in provenances if (text := _command(provenance.get("command")))})
    if not typed:
        return "The results do not record their commands."
    shown = typed[:MOST_COMMANDS] + (
        [f"# and {len(typed) - MOST_COMMANDS} more, in the result.json or training.json of each"] if len(typed) > MOST_COMMANDS else []
    )
    fence = "`" * max(3, 1 + max((len(run) for text in shown for run in re.findall("`+", text)), default=0))
    return f"{fence}sh\n" + "\n".join(shown) + f"\n{fence}"


def _command(command: object) -> str:
    """One line. The program is named without its folder: a report must not tell where it was installed."""
    if isinstance(command, (list, tuple)) and command:
        words = [PurePath(str(command[0])).name, *map(str, command[1:])]
        return escape.line(shlex.join(words), 2000)
    return escape.line(re.sub(r"^\S*/", "", command), 2000) if isinstance(command, str) else ""
