"""`gsx report`: tables and figures of stored results."""

from __future__ import annotations

from pathlib import Path

from gsx.cli.arguments import Parser
from gsx.report import STYLES, report
from gsx.report.index import states


def command(arguments: list[str]) -> int:
    parser = Parser(prog="gsx report", description="Tables and figures from stored results only.")
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("outputs")], metavar="PATH", help="run folders, or folders of them")
    parser.add_argument("--out", type=Path, default=Path("outputs/report"), metavar="DIR", help="where to write (outputs/report)")
    parser.add_argument("--html", action="store_true", help="report.html too: one file to open, sort, filter and explore")
    parser.add_argument("--style", choices=STYLES, default="page", help="where the figures will stand, which sets width and letters (page)")
    chosen = parser.parse_args(arguments)
    done = report(chosen.paths, chosen.out, html=chosen.html, style=chosen.style)
    print(f"{done.table}\n")
    first = "report.html" if chosen.html else "report.md"
    print(f"{states(done.counts, done.trainings)}; {len(done.files)} files in {chosen.out}, beginning with {chosen.out / first}")
    return 0
