"""What code has raised, a plug-in's or gsx's own, in one line: in Python's words, and where it came from."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from gsx.naming import in_one_line

#: What gsx and plug-ins stand on: an error that is raised there is a matter of whoever called it.
_BENEATH = sys.stdlib_module_names | {"torch", "numpy", "tqdm", "filelock"}
#: So many characters of what code has raised are told, which an endless word without its middle leaves room for; error.txt has them all.
_TOLD = 160


def told(error: BaseException, what: str) -> str:
    """What was raised, in words like those of `raised`, and the line of code that it came from."""
    _, file, line = origin(error)
    return f"{in_one_line(what, _TOLD)} ({file}, line {line})" if file else in_one_line(what)


def raised(error: BaseException) -> str:
    """As Python says it, which stands an error that cannot be made a text."""
    return in_one_line("".join(traceback.format_exception_only(error)))


def origin(error: BaseException) -> tuple[str, str, int]:
    """The innermost line of gsx's code or a plug-in's that it came through: the package, the file's name, the line."""
    calls = [
        (str(frame.f_globals.get("__name__")).partition(".")[0], Path(frame.f_code.co_filename).name, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") != "gsx.cli.failures"  # which raises in the place of `os._exit`
    ]
    return next((call for call in reversed(calls) if call[0] not in _BENEATH), ("gsx", "", 0))
