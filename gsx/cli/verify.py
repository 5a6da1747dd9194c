"""`gsx verify`: every stored file is read and checked; one line for each that is damaged."""

from __future__ import annotations

from pathlib import Path

from gsx.cli.arguments import Parser
from gsx.naming import printable
from gsx.store import verify

DESCRIPTION = """Read every stored file and check it: sums, sizes, and whether it belongs where it lies. One line for each that is damaged.
Exit code 6 if one is, else 0."""


def command(arguments: list[str]) -> int:
    parser = Parser(prog="gsx verify", description=DESCRIPTION)
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("outputs")], metavar="PATH", help="folders of results (outputs)")
    files = folders = damaged = leftovers = held = 0
    for checked in verify(parser.parse_args(arguments).paths):
        for problem in checked.problems:
            print(printable(problem))
        for leftover in checked.leftovers:
            print(printable(f"{leftover}: left by a process that was killed; harmless, and the next run here removes it"))
        if checked.held:
            print(printable(f"{checked.path}: {checked.held}; not checked while it is being written"))
        damaged += len(checked.problems)
        leftovers += len(checked.leftovers)
        held += bool(checked.held)
        folders += not checked.held
        files += 0 if checked.held else checked.files
    notes = [f"{damaged} damaged" if damaged else "all whole"]
    notes += [f"{leftovers} left by killed processes"] * bool(leftovers) + [f"{held} folders in use, not checked"] * bool(held)
    print(f"{files} files in {folders} folders: {', '.join(notes)}")
    return 6 if damaged else 0
