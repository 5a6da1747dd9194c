"""`gsx report`: tables and figures of stored results."""

from __future__ import annotations

import sys
from pathlib import Path

from gsx.cli.arguments import Parser
from gsx.cli.columns import fitted, terminal_width
from gsx.naming import printable
from gsx.report import STYLES, report
from gsx.report.index import states

DESCRIPTION = """Tables (CSV, Markdown, LaTeX) and figures (PNG, PDF, SVG) of the runs and trainings that are stored below PATH: nothing is
measured. A terminal gets the summary in the columns that it has room for, a file or a pipe gets all of it."""


def command(arguments: list[str]) -> int:
    parser = Parser(prog="gsx report", description=DESCRIPTION)
    parser.add_argument(
        "paths", nargs="*", type=Path, default=[Path("outputs")], metavar="PATH", help="run folders, or folders of them (outputs)"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/report"), metavar="DIR", help="where to write (outputs/report)")
    parser.add_argument("--html", action="store_true", help="report.html too: one file to open, sort, filter and explore")
    parser.add_argument("--style", choices=STYLES, default="page", help="where the figures will stand, which sets width and letters (page)")
    chosen = parser.parse_args(arguments)
    done = report(chosen.paths, chosen.out, html=chosen.html, style=chosen.style)
    room = terminal_width()
    print(done.table if room is None else printable(fitted(done.table, room)), end="\n\n")
    for line in done.not_made:
        print(f"gsx: not made: {line}", file=sys.stderr)
    first = "report.html" if chosen.html else "report.md"
    print(f"{states(done.counts, done.trainings)}; {len(done.files)} files in {chosen.out}, beginning with {chosen.out / first}")
    return 1 if done.not_made else 0
