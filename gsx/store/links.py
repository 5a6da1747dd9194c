"""Where results are written: never through a symbolic link below `outputs`."""

from __future__ import annotations

import os
from pathlib import Path

from gsx.records import IntegrityError
from gsx.store.files import refused_link


def check_way(path: Path) -> None:
    """IntegrityError where a file or folder to be written, or a folder between it and `outputs`, is a symbolic link: what is written there
    would land elsewhere, in a folder that nobody named.

    `outputs` itself may be one, and a path that is not below it was typed by the user, who knows where it leads.
    """
    outputs, path = Path.cwd() / "outputs", Path.cwd() / path
    for place in (*reversed(path.parents), path):
        if outputs in place.parents and place.is_symlink():
            raise IntegrityError(
                f"{os.path.relpath(place)}: is a symbolic link, and nothing is written through one; remove it (to keep results elsewhere, "
                "make outputs itself the link, or name the folder: hydra.run.dir=, hydra.sweep.dir=, gsx report --out)"
            )


def check_file(path: Path) -> None:
    """The same of a file that somebody else will write; where its folder was typed, it was not, and may be no link either."""
    check_way(path)
    if path.is_symlink():
        raise refused_link(path)
