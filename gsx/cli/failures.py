"""A job that fails, a run or a training: its reason in error.txt, a line when it happens, and one at the end of the sweep."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, TypeGuard

from gsx.cli import by_the_system, out_of_memory, signals, streams, surroundings
from gsx.naming import in_one_line, printable
from gsx.raised import origin, raised, told
from gsx.records import Busy, EnvironmentFault, GsxError
from gsx.store import MOST_DEATHS, Folder, said

log = logging.getLogger("gsx")


class JobFailed(GsxError):
    """Code that a job ran, a plug-in or gsx itself, has raised; error.txt holds the traceback."""


class EndsTheProcess(Exception):
    """A job's code has raised `SystemExit`, or another that is no `Exception`, and so what would end all jobs of its process."""


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Around what may be a plug-in's code: it can end nothing but its own job, and leaves the others the process as it was."""
    with surroundings.kept(), ends_nothing():
        yield


@contextlib.contextmanager
def ends_nothing() -> Iterator[None]:
    """Around a plug-in's import: what it raises is its own. Ctrl-C and SIGTERM, if they came, are the user's, and pass, whatever is raised
    in their place.

    Nor does it leave anybody without gradients or standard output, in another folder, or without room to call what he needs.
    """
    here, torch, heard = os.getcwd(), sys.modules.get("torch"), signals.heard()
    gradients = torch is not None and torch.is_grad_enabled()
    try:
        with streams.kept(), surroundings.limit_kept(), _no_way_out():
            yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and signals.came():
            raise
        if signals.heard() and not heard:
            raise KeyboardInterrupt from error
        if isinstance(error, Exception):
            raise
        raise EndsTheProcess(f"{raised(error)}, which would end the whole process").with_traceback(error.__traceback__) from None
    finally:
        with contextlib.suppress(OSError):  # it is gone: each job will say what it lacks
            os.chdir(here)
        if torch is not None:
            torch.set_grad_enabled(gradients)


@contextlib.contextmanager
def _no_way_out() -> Iterator[None]:
    """Within it `os._exit`, which would end the command without a word, and with 0 if it likes, raises. What is forked off may use it."""
    usual, here = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != here:
            usual(status)
        raise SystemExit(f"os._exit({status})")

    setattr(os, "_exit", refuse)  # noqa: B010 (not to be assigned to, to mypy)
    try:
        yield
    finally:
        setattr(os, "_exit", usual)  # noqa: B010


def write_down(folder: Folder, error: Exception) -> None:
    """Where it is caught: a line, and of what was not foreseen the traceback. A folder that is busy is somebody else's.

    On a full disk the reason is not written; what is told is the reason, and not that.
    """
    if not isinstance(error, Busy):
        foreseen = isinstance(error, GsxError)
        text = f"{error}\n" if foreseen else f"{reason(error)}\n\n{''.join(traceback.format_exception(error))}"
        with contextlib.suppress(GsxError):
            folder.write_error(text)


def reason(error: Exception) -> str:
    """In one line: what was raised and, where that was not foreseen, the line of code that it came from."""
    if isinstance(error, GsxError):
        return in_one_line(str(error))
    if out_of_memory(error):  # of a plug-in's own doing it is told where
        return "out of memory" if origin(error)[0] == "gsx" else told(error, "out of memory")
    if _refused(error):
        return in_one_line(by_the_system(error))
    return told(error, str(error) if isinstance(error, EndsTheProcess) else raised(error))


def _refused(error: Exception) -> TypeGuard[OSError]:
    """Whether gsx itself was refused something: of a file or a socket that a plug-in wanted, nothing here is the cause."""
    return isinstance(error, OSError) and origin(error)[0] == "gsx"


def fatal(error: Exception, place: Path) -> Exception:
    """What the command ends with, where this was its only job."""
    if isinstance(error, GsxError) or out_of_memory(error):
        return error
    if _refused(error):
        return EnvironmentFault(reason(error))
    return JobFailed(f"{reason(error)}; the traceback is in {os.path.relpath(place)}/error.txt")


def heed_deaths(folder: Folder, shown: str, when: str = "") -> None:
    """Before a job of a sweep, which its end may have ended before: said, and Killed where it was too often."""
    if number := folder.check_deaths(when or "at the same place"):
        killed = f"its process was killed {when}".rstrip()
        log.warning("%s: %s (%d of %d times, then a sweep leaves it out)", shown, killed, number, MOST_DEATHS)


def announce(shown: str, error: Exception) -> None:
    """In a sweep, while the others go on."""
    log.error("%s: %s: %s", "busy" if isinstance(error, Busy) else "failed", shown, reason(error))


def recall(folder: Folder, shown: str, error: Exception | None = None) -> None:
    """At the end of a sweep: what was written down, or else what was met."""
    if (text := folder.read_error()) is not None:
        print(printable(f"failed: {shown}/error.txt: {said(text)}"))
    elif error is not None:
        print(printable(f"failed: {shown}: {reason(error)}"))
