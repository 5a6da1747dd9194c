"""What the folder of a run and that of a training have in common: a lock, and the reason why it failed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gsx.records import IntegrityError
from gsx.store.files import MAX_TEXT, atomic_write, create_folder, environment_fault, read
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
        try:
            inside = [Path(entry) for folder in (self.path, self.path / ".hydra") if folder.is_dir() for entry in os.scandir(folder)]
        except OSError as error:
            raise environment_fault(self.path, "cannot be read", error) from error
        for path in (self.path, *inside):
            if path.is_symlink():
                raise IntegrityError(f"{path}: is a symbolic link; in a folder of results nothing is, so that nothing is written elsewhere")

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
