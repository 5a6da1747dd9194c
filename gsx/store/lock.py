"""The lock of a folder, and the note that says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from gsx.records import Busy, GsxError, canonical_json
from gsx.store.files import atomic_write, environment_fault, one_line, read

_COMMAND_STARTED = datetime.now(UTC).isoformat(timespec="seconds")  # the store is imported as a command begins

log = logging.getLogger("gsx")

#: Seconds until a folder counts as held: who looks whether it is has its lock for a moment.
_PATIENCE = 0.2
#: Who waits for a folder says so after so many seconds, and again whenever so many more have passed.
_FIRST_WORD, _NEXT_WORD = 3.0, 300.0


@contextlib.contextmanager
def hold(folder: Path, progress: int, wait: bool = False) -> Iterator[None]:
    """Hold an existing folder against other processes, as `RunDirectory.lock` promises.

    The note says too how many holders before were killed, one after another, with no `progress` made.
    """
    lock = filelock.FileLock(folder / ".lock")
    try:
        _acquire(lock, folder, wait)
    except OSError as error:
        raise environment_fault(folder / ".lock", "cannot be locked", error) from error
    try:
        for leftover in folder.glob(".*.tmp"):  # of a holder that was killed while it wrote
            with contextlib.suppress(OSError):
                leftover.unlink()
        before = {"deaths": deaths(folder, progress), "progress": progress}
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": _COMMAND_STARTED} | before
        atomic_write(folder / ".holder", canonical_json(note).encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / ".holder").unlink()
        lock.release()


def _acquire(lock: filelock.BaseFileLock, folder: Path, wait: bool) -> None:
    began, patience = time.monotonic(), _FIRST_WORD if wait else _PATIENCE
    while True:
        try:
            lock.acquire(timeout=patience, poll_interval=0.02)
        except filelock.Timeout:
            if not wait:
                raise Busy(f"{folder}: busy, {_holder(folder)}; wait for it, or repeat the command when it has ended") from None
        else:
            return
        waited = time.monotonic() - began
        age = "" if waited < _NEXT_WORD else f", for {waited / 60:.0f} min now"
        log.info("waiting%s for %s, which is computed elsewhere: %s", age, os.path.relpath(folder), _holder(folder))
        patience = _NEXT_WORD


def holder(folder: Path) -> str | None:
    """Who holds a folder, in words, or None. Nothing is written, so that it answers on a disk that cannot be."""
    try:
        descriptor = os.open(folder / ".lock", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:  # never held, or not for us to see
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(folder)
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(descriptor)
    return None


def deaths(folder: Path, progress: int) -> int:
    """How many holders in a row were killed with no progress made since: each leaves its note behind."""
    try:
        note = _note(folder)
        return int(note["deaths"]) + 1 if note and note["progress"] == progress else int(bool(note))
    except (GsxError, KeyError, TypeError, ValueError, OverflowError):
        return 0


def forgive(folder: Path, progress: int) -> None:
    """What killed the last holder was not its own doing: it does not count. Of a folder that somebody holds nothing is known."""
    with contextlib.suppress(GsxError, OSError, KeyError, TypeError, ValueError):
        note = {} if holder(folder) else _note(folder)
        if note and note["progress"] == progress and note["deaths"]:
            atomic_write(folder / ".holder", canonical_json(note | {"deaths": note["deaths"] - 1}).encode())
        elif note:
            (folder / ".holder").unlink()


def _note(folder: Path) -> dict[str, Any]:
    return read(folder / ".holder", 4096, lambda stream: json.loads(stream.read().decode())) or {}


def _holder(folder: Path) -> str:
    """Who holds the lock, as far as its note can be believed: a killed holder leaves it behind, a new one has yet to write it."""
    try:
        note = _note(folder)
        pid, host, since = int(note["pid"]), str(note["host"]), str(note["since"])
        if host == socket.gethostname() and os.name == "posix":
            os.kill(pid, 0)
    except PermissionError:
        pass  # alive, and somebody else's
    except (GsxError, OSError, KeyError, TypeError, ValueError, OverflowError):
        return "held by another process"
    return f"held by pid {pid} on {one_line(host)} since {one_line(since)}"
