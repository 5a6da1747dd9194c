"""`gsx merge`: the shards of runs, joined."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gsx.cli.arguments import Parser
from gsx.merging import merge
from gsx.naming import printable
from gsx.records import GsxError
from gsx.store import RunDirectory, find

DESCRIPTION = """Join complete sets of shards (gsx run shard=k/n) into the results of their runs, bit for bit those of one go. Exit code 1
where shards are missing, 6 where they do not belong together; whatever else there is, is joined all the same."""


def command(arguments: list[str]) -> int:
    parser = Parser(prog="gsx merge", description=DESCRIPTION)
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("outputs")], metavar="PATH", help="run folders, or folders of them")
    chosen = parser.parse_args(arguments)
    found = find(chosen.paths)
    codes = [code for run in found.runs if (code := join(run)) is not None]
    for _, fault in found.refused:  # shards may lie there
        print(printable(f"gsx: {fault}"), file=sys.stderr)
        codes.append(fault.exit_code)
    if not codes:
        print(f"no shards below {', '.join(map(str, chosen.paths))}", file=sys.stderr)
    return max(codes, default=0)


def join(run: RunDirectory) -> int | None:
    """Join the shards of a run, in one line; the exit code, None where there are none."""
    try:
        merged = merge(run)
    except GsxError as error:
        print(printable(f"gsx: {error}"), file=sys.stderr)
        return error.exit_code
    if merged is None:
        return None
    print(printable(f"{merged.state:<11}{os.path.relpath(run.path)}  {merged.text}"))
    return int(merged.state == "incomplete")
