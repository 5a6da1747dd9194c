"""What the folder of a run and that of a training have in common: a lock, and the reason why it failed."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gsx.store.files import MAX_TEXT, atomic_write, create_folder, environment_fault, read, refused_link
from gsx.store.lock import hold, holder


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
        IntegrityError where it holds symbolic links.
        """
        create_folder(self.path)
        self.check_links()
        with hold(self.path, wait):
            yield

    @property
    def holder(self) -> str | None:
        """Who holds the lock now, in words, or None."""
        return holder(self.path)

    def write_error(self, text: str) -> None:
        """Why it failed. EnvironmentFault."""
        create_folder(self.path)
        atomic_write(self._error, text.encode(errors="backslashreplace"))

    def read_error(self) -> str | None:
        """Why it failed, or None. IntegrityError where error.txt is no text file of a sane size, EnvironmentFault."""
        return read(self._error, MAX_TEXT, lambda stream: stream.read().decode())


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
