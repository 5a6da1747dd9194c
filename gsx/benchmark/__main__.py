"""`python -m gsx.benchmark`: what scripts/benchmark calls."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
import time
import traceback
from pathlib import Path

from gsx.benchmark.machine import machine
from gsx.benchmark.row import Effort, Job, NotMeasured, Row
from gsx.benchmark.table import markdown, text
from gsx.benchmark.works import WORKS
from gsx.store import atomic_write


def main(arguments: list[str]) -> int:
    """0; 1 where one of our own programs failed. A missed target is said, and is no failure: it may be the machine's."""
    options = _parse(arguments)
    if options.command == "render":
        print(markdown(json.loads(options.path.read_text(encoding="utf-8"))), end="")
        return 0
    effort = Effort(options.quick)
    works = options.only or list(WORKS)
    if options.list:
        for name in works:
            print(f"{name:<12}  {(WORKS[name].__doc__ or '').splitlines()[0]}")
        return 0
    jobs = [job for name in works for job in WORKS[name](effort)]
    rows = [_measured(job, effort) for job in jobs]
    print(text(rows))
    if options.json is not None:
        report = {"schema_version": 1, "quick": effort.quick, "machine": machine(), "rows": [row.as_json() for row in rows]}
        atomic_write(options.json, (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    return int(any(row.not_measured.startswith(_FAULT) for row in rows))


_FAULT = "fault: "


def _measured(job: Job, effort: Effort) -> Row:
    """The row with its samples, or with why there are none: the others are measured all the same."""
    # Targets are stated for the full sizes.
    row = dataclasses.replace(job.row, target=None) if effort.quick else job.row
    print(
        f"{row.work}: {row.what}{f' {row.size}' if row.size else ''}{f', against {row.peer}' if row.peer else ''}",
        end=" ",
        file=sys.stderr,
        flush=True,
    )
    started = time.monotonic()
    try:
        row = row.filled(job.measure())
    except NotMeasured as reason:
        row = dataclasses.replace(row, not_measured=_without_folders(str(reason)))
    except Exception as error:
        traceback.print_exc()
        row = dataclasses.replace(row, not_measured=_FAULT + _without_folders(f"{type(error).__name__}: {error}"))
    print(f"({time.monotonic() - started:.1f} s)", file=sys.stderr)
    return row


def _without_folders(reason: str) -> str:
    """What is published names no folder of this machine."""
    return re.sub(r"(/[^\s/'\":,]+)+/", "", reason)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmark", description="How fast gsx is, against others in the same minute.")
    parser.set_defaults(command="run")
    parser.add_argument("--quick", action="store_true", help="small sizes, in a minute: a smoke, whose numbers say nothing")
    parser.add_argument("--only", nargs="+", choices=WORKS, metavar="NAME", help="only these works")
    parser.add_argument("--list", action="store_true", help="say what there is, and measure nothing")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every sample to a file")
    commands = parser.add_subparsers(metavar="render PATH")
    render = commands.add_parser("render", help="the README's section, from a file that --json wrote")
    render.set_defaults(command="render")
    render.add_argument("path", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
