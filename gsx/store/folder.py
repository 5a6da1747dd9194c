"""What the folder of a run and that of a training have in common: a lock, and the reason why it failed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gsx.store.files import MAX_TEXT, atomic_write, create_folder, read
from gsx.store.lock import hold, holder


@dataclass(frozen=True)
class Folder:
    """A folder of results. Writers create it; whoever writes should hold its lock, or work for one that does."""

    path: Path

    @property
    def _error(self) -> Path:
        return self.path / "error.txt"

    @contextlib.contextmanager
    def lock(self, wait: bool = False) -> Iterator[None]:
        """Hold the folder against other processes. The operating system keeps the lock and drops it when the holder dies.

        Raises Busy, saying who holds it, unless told to `wait`; EnvironmentFault where the folder or the lock cannot be made.
        """
        create_folder(self.path)
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
