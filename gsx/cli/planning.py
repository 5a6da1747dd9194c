"""What planning meets, of a run or a training: what lies in its folder, and a plug-in's code, which may raise, and costs the cell, or kill
the process, which is counted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gsx.cli.failures import contained, ends_nothing, heed_deaths
from gsx.cli.folder_name import broken_name
from gsx.configuration import check_name
from gsx.records import BrokenContract, GsxError, IntegrityError, Killed
from gsx.registry import import_plugins
from gsx.store import Folder, check_way

T = TypeVar("T")


def broken_folder(given: Mapping[str, Any], prefix: str = "") -> Path:
    """Where the error of what cannot be planned is kept; ConfigurationError where `name` would put it elsewhere, IntegrityError where a
    link would."""
    check_name(name := str(given["name"]))
    folder = Path.cwd() / "outputs" / name / f"{prefix}{broken_name(given)}"
    check_way(folder)
    return folder


def unless_broken(make: Callable[[], T], given: Mapping[str, Any], place: Path, *, heed: bool, count: bool) -> T | Exception:
    """What is made of a configuration, or what a plug-in raises in doing so, whatever it is: its job is to fail of it.

    `place` is where deaths are counted: `heed` those before, as in a sweep, and nothing is made after too many; `count` this one, should
    it come.
    """
    own = bool(given["plugins"])
    try:
        if own and heed:
            heed_deaths(Folder(place), os.path.relpath(place), "while it was planned")
        with _counted(Folder(place)) if own and count else contextlib.nullcontext():
            with ends_nothing():
                import_plugins(_modules(given["plugins"]))
            with contained():
                return make()
    except Killed as error:
        return error
    except BrokenContract as error:
        if not heed:  # it is alone, and refused like other mistakes
            raise
        return error
    except GsxError:
        raise
    except Exception as error:
        if not own:
            raise
        return error


def _modules(plugins: Any) -> list[str]:
    """Of what is no list of names it is told when the configuration is made."""
    return plugins if isinstance(plugins, list) and all(isinstance(name, str) for name in plugins) else []


def standing(force: bool, alone: bool, complete: Callable[[], object], begun: Callable[[], bool]) -> str:
    """complete, unfinished or new; in a sweep, where the cell is not `alone`, damaged too, of which its job is to fail. IntegrityError."""
    if force:
        return "new"
    try:
        if complete():
            return "complete"
    except IntegrityError:
        if alone:
            raise
        return "damaged"
    return "unfinished" if begun() else "new"


@contextlib.contextmanager
def _counted(folder: Folder) -> Iterator[None]:
    """Who is killed within leaves a note of it in the folder, and whoever is not leaves nothing."""
    made = [path for path in folder.path.parents if not path.exists()]
    try:
        with contextlib.ExitStack() as held:
            with contextlib.suppress(GsxError):  # another process plans it and counts; or the disk refuses, of which the run will tell
                held.enter_context(folder.lock())
                held.callback((folder.path / ".lock").unlink, missing_ok=True)
            yield
    finally:
        for path in (folder.path, *made):
            with contextlib.suppress(OSError):  # what is not empty is not ours alone
                path.rmdir()
