"""`gsx status`: where every run and training stands, the ones that ask for something last."""

from __future__ import annotations

from pathlib import Path

from gsx.cli.arguments import Parser
from gsx.cli.columns import aligned
from gsx.naming import printable
from gsx.store import SETTLED, STATES, standings

DESCRIPTION = """Where every run and every training stands, and what an experiment or a sweep has planned and nothing is there of
(missing). Exit code 0 if all are done or running, 1 if something is unfinished, failed, damaged or missing: the same command again goes
on with it. A result that is not finite is done (0), and has a state of its own, nonfinite. A sweep that is not wanted any more is
forgotten with its plan, sweep-HASH.json."""


def command(arguments: list[str]) -> int:
    parser = Parser(prog="gsx status", description=DESCRIPTION)
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("outputs")], metavar="PATH", help="folders of results (outputs)")
    found = sorted(standings(parser.parse_args(arguments).paths), key=lambda one: STATES.index(one.state))
    if found:
        rows = [(one.state, one.progress, str(one.path), one.detail) for one in found]
        print(printable(aligned([("state", "progress", "folder", ""), *rows])))
    states = [one.state for one in found]
    print(", ".join(f"{states.count(state)} {state}" for state in STATES if state in states) or "nothing is there yet")
    return 0 if {*states} <= SETTLED else 1
