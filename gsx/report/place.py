"""Where a report is written: a folder of its own, in which nothing of anybody else's lies."""

from __future__ import annotations

import os
from pathlib import Path

from gsx.records import ConfigurationError, IntegrityError
from gsx.store import atomic_write, check_way, create_folder, find

#: What a report has in its folder. The page comes last: it may be missing after a disk was full.
_PAGE, _OTHERS = "report.md", {"report.html", "tables", "figures"}

#: What is said where the disk refuses, around what helps.
_INCOMPLETE = "the report is incomplete, no result was changed: {}, and the same command makes it anew"


def check(out: Path) -> None:
    """ConfigurationError where something else lies there, IntegrityError where a link would lead out of its place."""
    check_way(out)
    there = {name for name in os.listdir(out) if not name.startswith(".")} if out.is_dir() else set()
    if not there:
        return
    if there - _OTHERS and _PAGE not in there:
        what = "is not empty, and no report's"
    elif (found := find([out])).runs or found.trainings or found.plans:
        what = "holds results"
    else:
        return
    raise ConfigurationError(f"--out={os.path.relpath(out)}: {what}; a report goes into a folder of its own, as outputs/report is")


def create(out: Path) -> None:
    """The folder, and those in it. IntegrityError where one is a link, EnvironmentFault."""
    for folder in (out / "tables", out / "figures"):
        if folder.is_symlink():
            raise IntegrityError(f"{folder}: is a symbolic link; a report is written into its own folder only")
        create_folder(folder, _INCOMPLETE)


def write(path: Path, data: bytes) -> None:
    """One of its files. EnvironmentFault."""
    atomic_write(path, data, _INCOMPLETE)
