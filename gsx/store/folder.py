"""What the folder of a run and that of a training have in common: a lock, and the reason why it failed."""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gsx.records import IntegrityError, Killed, Shard
from gsx.store.files import MAX_TEXT, atomic_write, create_folder, environment_fault, one_line, read, refused_link, remove
from gsx.store.links import check_way
from gsx.store.lock import deaths, forgive, hold, holder

#: A sweep that is repeated so often has met its end in the same cell each time; it leaves that cell out.
MOST_DEATHS = 3


#: The way out where a folder holds what is whole, and of something else.
MOVE_AWAY = "move the folder away, and the same command starts anew"


@dataclass(frozen=True)
class Folder:
    """A folder of results. Writers create it; whoever writes should hold its lock, or work for one that does."""

    path: Path

    @property
    def _error(self) -> Path:
        return self.path / "error.txt"

    def check_links(self) -> None:
        """IntegrityError where the folder, or what lies in it, is a symbolic link: what is written here would land elsewhere."""
        linked = [self.path] if self.path.is_symlink() else []
        try:
            for folder in (self.path, self.path / ".hydra"):
                if not linked and folder.is_dir():
                    linked = [Path(entry) for entry in os.scandir(folder) if entry.is_symlink()]
        except OSError as error:
            raise environment_fault(self.path, "cannot be read", error) from error
        if linked:
            raise refused_link(min(linked))

    @contextlib.contextmanager
    def lock(self, wait: bool = False) -> Iterator[None]:
        """Hold the folder against other processes. The operating system keeps the lock and drops it when the holder dies.

        Raises Busy, saying who holds it, unless told to `wait`; EnvironmentFault where the folder or the lock cannot be made;
        IntegrityError where it holds symbolic links, or lies behind one below `outputs`.
        """
        check_way(self.path)
        create_folder(self.path)
        self.check_links()
        with hold(self.path, self._progress, wait):
            yield

    @property
    def _progress(self) -> int:
        """Changes with every checkpoint: when the newest was written."""
        return max((entry.stat().st_mtime_ns for entry in os.scandir(self.path) if entry.name.endswith(".npz")), default=0)

    def check_deaths(self, where: str = "at the same place") -> int:
        """How many processes in a row were killed that held the folder, if nobody does now. Killed where `MOST_DEATHS` were, without a
        checkpoint in between; `where` says at what.
        """
        number = deaths(self.path, self._progress) if self.path.is_dir() and self.holder is None else 0
        if number >= MOST_DEATHS:
            raise Killed(
                f"its process was killed {number} times {where} (out of memory?); run by itself, and not in a sweep, it is tried again"
            )
        return number

    def forgive_death(self) -> None:
        """The last one, if its process was killed along with another."""
        if self.path.is_dir():
            forgive(self.path, self._progress)

    @property
    def begun(self) -> bool:
        """Whether anybody has ever held the lock: of what was killed before its first checkpoint no more is left."""
        return (self.path / ".lock").exists()

    @property
    def holder(self) -> str | None:
        """Who holds the lock now, in words, or None."""
        return holder(self.path)

    def forget_error(self) -> None:
        """What failed before is tried again. EnvironmentFault."""
        remove(self._error)

    def write_error(self, text: str) -> None:
        """Why it failed. EnvironmentFault; IntegrityError where it would be written through a link below `outputs`."""
        check_way(self.path)
        create_folder(self.path)
        atomic_write(self._error, text.encode(errors="backslashreplace"))

    def read_error(self) -> str | None:
        """Why it failed, or None. IntegrityError where error.txt is no text file of a sane size, EnvironmentFault."""
        return read(self._error, MAX_TEXT, lambda stream: stream.read().decode())


def check_address(folder: Path, identity: str) -> None:
    """IntegrityError where a folder that is named by content holds another; one that a user named may hold anything."""
    named = folder.parent if Shard.of_folder(folder.name) else folder
    address = re.search(r"-([0-9a-f]{12})$", named.name)
    if address and not identity.startswith(address[1]):
        raise IntegrityError(f"{folder}: holds {one_line(identity[:12])}, which is not what its name says; {MOVE_AWAY}")


def age(*paths: Path) -> str:
    """Of the newest of some files, in words: a clock may have jumped, so that an age is told, and nothing depends on it."""
    times = []
    for path in paths:
        with contextlib.suppress(OSError):  # replaced this very moment
            times.append(path.stat().st_mtime)
    seconds = time.time() - max(times, default=math.inf)
    if seconds < -1:
        return "dated in the future" if times else "just replaced"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} old"
    return f"{max(seconds, 0):.0f} s old"
