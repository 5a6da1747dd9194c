"""A job that fails, a run or a training: its reason in error.txt, a line when it happens, and one at the end of the sweep."""

from __future__ import annotations

import logging
import traceback

from gsx.naming import in_one_line, printable
from gsx.records import Busy, GsxError
from gsx.store import Folder, said

log = logging.getLogger("gsx")


def write_down(folder: Folder, error: Exception) -> None:
    """Where it is caught: of a fault of the user's one line, of one of ours the traceback. A folder that is busy is somebody else's."""
    if not isinstance(error, Busy):
        folder.write_error(f"{error}\n" if isinstance(error, GsxError) else traceback.format_exc())


def announce(shown: str, error: Exception) -> None:
    """In a sweep, while the others go on."""
    log.error("failed: %s: %s", shown, in_one_line(str(error)))


def recall(folder: Folder, shown: str) -> None:
    """At the end of a sweep: what was written down, if anything was."""
    if (error := folder.read_error()) is not None:
        print(printable(f"failed: {shown}/error.txt: {said(error)}"))
