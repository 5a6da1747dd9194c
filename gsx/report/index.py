"""report.md: the states, the tables, the figures with their captions, and the commands that measured it all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import PurePath

from gsx.report import escape, notes
from gsx.report.canvas import Plot
from gsx.report.collect import Cell
from gsx.report.table import Table

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
    unfinished: Sequence[str],
) -> str:
    """`findings` are printed before the runs, `others` after them; `unfinished` says which trainings have not ended, and why."""
    parts = ["# Report", f"{len(table)} runs: " + ", ".join(f"{n} {state}" for state, n in counts.items()) + "."]
    if duplicates:
        parts.append(notes.counted_once([escape.markdown(name) for name in duplicates]))
    faulty = [cell for _, cell in table if cell.state != "complete"]
    if faulty:
        parts.append("## Runs that are not complete")
        parts.append(
            "\n".join(f"- {escape.markdown(c.name)}: {c.state}{': ' + escape.markdown(c.reason) if c.reason else ''}" for c in faulty)
        )
    if unfinished:
        parts += ["## Trainings that are not complete", "\n".join(f"- {escape.markdown(line)}" for line in unfinished)]
    parts += [_section(one) for one in findings]
    parts.append("## Tables")
    if len(table) <= MOST_ROWS_INLINE:
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
    parts.append(_commands(table))
    return "\n\n".join(parts) + "\n"


def _section(table: Table) -> str:
    return f"## {escape.markdown(table.title)}\n\n{table.markdown().strip()}"


def _commands(table: Sequence[tuple[str, Cell]]) -> str:
    """What was typed, once each, as a code block no command can close."""
    typed = sorted({text for _, cell in table if cell.result and (text := _command(cell.result.provenance.get("command")))})
    if not typed:
        return "The results do not record their commands."
    shown = typed[:MOST_COMMANDS] + (
        [f"# and {len(typed) - MOST_COMMANDS} more, in the result.json of each run"] if len(typed) > MOST_COMMANDS else []
    )
    fence = "`" * max(3, 1 + max((len(run) for text in shown for run in re.findall("`+", text)), default=0))
    return f"{fence}sh\n" + "\n".join(shown) + f"\n{fence}"


def _command(command: object) -> str:
    """One line. The program is named without its folder: a report must not tell where it was installed."""
    if isinstance(command, (list, tuple)) and command:
        words = [PurePath(str(command[0])).name, *map(str, command[1:])]
        return escape.line(shlex.join(words), 2000)
    return escape.line(re.sub(r"^\S*/", "", command), 2000) if isinstance(command, str) else ""
