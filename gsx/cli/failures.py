"""A job that fails, a run or a training: its reason in error.txt, a line when it happens, and one at the end of the sweep."""

from __future__ import annotations

import contextlib
import logging
import os
import traceback
from pathlib import Path

from gsx.cli import by_the_system, out_of_memory
from gsx.naming import in_one_line, printable
from gsx.records import Busy, EnvironmentFault, GsxError
from gsx.store import Folder, said

log = logging.getLogger("gsx")


class JobFailed(GsxError):
    """Code that a job ran, a plug-in or gsx itself, has raised; error.txt holds the traceback."""


def write_down(folder: Folder, error: Exception) -> None:
    """Where it is caught: of a fault of the user's one line, of one of ours the traceback. A folder that is busy is somebody else's.

    On a full disk the reason is not written; what is told is the reason, and not that.
    """
    if not isinstance(error, Busy):
        with contextlib.suppress(GsxError):
            folder.write_error(f"{error}\n" if isinstance(error, GsxError) else "".join(traceback.format_exception(error)))


def reason(error: Exception) -> str:
    """In one line: what was raised and, where that was not foreseen, the line of code that it came from."""
    if isinstance(error, GsxError):
        return in_one_line(str(error))
    if out_of_memory(error):
        return "out of memory"
    if isinstance(error, OSError):
        return in_one_line(by_the_system(error))
    calls = traceback.extract_tb(error.__traceback__)
    at = f" ({Path(calls[-1].filename).name}, line {calls[-1].lineno})" if calls else ""
    return in_one_line(f"{type(error).__name__}: {error}{at}")


def fatal(error: Exception, place: Path) -> Exception:
    """What the command ends with, where this was its only job."""
    if isinstance(error, GsxError) or out_of_memory(error):
        return error
    if isinstance(error, OSError):
        return EnvironmentFault(reason(error))
    return JobFailed(f"{reason(error)}; the traceback is in {os.path.relpath(place)}/error.txt")


def announce(shown: str, error: Exception) -> None:
    """In a sweep, while the others go on."""
    log.error("%s: %s: %s", "busy" if isinstance(error, Busy) else "failed", shown, reason(error))


def recall(folder: Folder, shown: str, error: Exception | None = None) -> None:
    """At the end of a sweep: what was written down, or else what was met."""
    if (text := folder.read_error()) is not None:
        print(printable(f"failed: {shown}/error.txt: {said(text)}"))
    elif error is not None:
        print(printable(f"failed: {shown}: {reason(error)}"))
