"""`python -m gsx.report.quick OUTPUTS SECONDS DOCS`: that all quick experiments ran in one go, as `scripts/gallery quick` has seen it.

DOCS/quick.json is the evidence, and a passage of DOCS/scoreboard.md says it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from gsx.experiment import experiments, load
from gsx.records import MissingData
from gsx.report.circumstances import Circumstances
from gsx.report.passage import Passage
from gsx.report.scoreboard import counts, scoreboard, told
from gsx.store import atomic_write

FILE = "quick.json"
PASSAGE = Passage("quick")


def main(outputs: Path, seconds: int, docs: Path) -> int:
    """Writes both. MissingData where the results are not those of one command, or a finding is without its own."""
    atomic_write(docs / FILE, (json.dumps(evidence(outputs, seconds), indent=2, ensure_ascii=False) + "\n").encode())
    page = (docs / "scoreboard.md").read_text(encoding="utf-8")
    atomic_write(docs / "scoreboard.md", PASSAGE.replaced(page, text(docs)).encode())
    return 0


def evidence(outputs: Path, seconds: int) -> dict[str, Any]:
    board, seen = scoreboard([outputs]), Circumstances.of([outputs])
    if board is None or not board.body:
        raise MissingData(f"{outputs}: no finding; scripts/gallery quick measures them")
    if len(seen.commands) != 1:
        raise MissingData(f"{outputs}: results of {len(seen.commands)} commands, not of one: {'; '.join(seen.commands)}")
    rows = board.frame.to_dict("records")
    if missing := sum(row["verdict"] == "missing" for row in rows):
        raise MissingData(f"{outputs}: {missing} of {len(rows)} findings are missing")
    inconclusive = [f"{row['experiment']}: {row['finding']}" for row in rows if row["verdict"] == "inconclusive"]
    machine = {"system": ", ".join(seen.systems), "cores": os.cpu_count()}
    when = {"command": seen.commands[0], "date": seen.days[-1], "seconds": seconds}
    return when | machine | {"versions": seen.software(), "findings": counts(board.frame), "inconclusive": inconclusive}


def skipped(docs: Path) -> int:
    """How many findings the quick sizes leave out, as the definitions beside DOCS say."""
    folders = [docs.parent / "conf"]
    full, quick = (sum(len(load(name, folders, size).findings) for name in experiments(folders)) for size in ("full", "quick"))
    return full - quick


def text(docs: Path) -> str:
    """The passage; where nothing was recorded it says so."""
    if not (docs / FILE).is_file():
        return "No run of all quick sizes in one go is recorded: `scripts/gallery quick` makes one."
    found = json.loads((docs / FILE).read_text(encoding="utf-8"))
    minutes, seconds = divmod(found["seconds"], 60)
    names = found["inconclusive"]
    return (
        f"In one go: `{found['command']}`, into an empty folder, took {minutes} min {seconds} s on {found['cores']} cores "
        f"({found['system']}) on {found['date']}, with {found['versions']}. {told(found['findings'])} "
        f"Inconclusive at that size: {'; '.join(names) if names else 'none'}. Left out at that size: {skipped(docs)} findings."
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
