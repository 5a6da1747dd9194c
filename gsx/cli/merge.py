"""`gsx merge`: the shards of runs, joined."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gsx.cli.arguments import Parser
from gsx.merging import merge
from gsx.naming import printable
from gsx.records import GsxError
from gsx.store import find_refused, find_runs

DESCRIPTION = """Join complete sets of shards (gsx run shard=k/n) into the results of their runs, bit for bit those of one go. Exit code 1
where shards are missing, 6 where they do not belong together; whatever else there is, is joined all the same."""


def command(arguments: list[str]) -> int:
    parser = Parser(prog="gsx merge", description=DESCRIPTION)
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("outputs")], metavar="PATH", help="run folders, or folders of them")
    chosen = parser.parse_args(arguments)
    code = found = 0
    for run in find_runs(chosen.paths):
        shown = os.path.relpath(run.path)
        try:
            merged = merge(run)
        except GsxError as error:
            print(printable(f"gsx: {error}"), file=sys.stderr)
            code, found = max(code, error.exit_code), found + 1
            continue
        if merged is not None:
            print(printable(f"{merged.state:<11}{shown}  {merged.text}"))
            code, found = max(code, int(merged.state == "incomplete")), found + 1
    for _, fault in find_refused(chosen.paths):  # shards may lie there
        print(printable(f"gsx: {fault}"), file=sys.stderr)
        code, found = max(code, fault.exit_code), found + 1
    if not found:
        print(f"no shards below {', '.join(map(str, chosen.paths))}", file=sys.stderr)
    return code
