"""A command that is killed with -9 can end nothing: processes of launchers on its machine see that it is gone, and end as it would have
ended them, each with a checkpoint."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import threading
from collections.abc import Iterator

#: The command that a launcher's process works for; an environment variable, because that may be its grandchild.
_COMMAND = "GSX_COMMAND"


@contextlib.contextmanager
def followed() -> Iterator[None]:
    """What is started within ends with this process."""
    os.environ[_COMMAND] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(_COMMAND, None)


@functools.cache
def follow() -> None:
    """End with the command, where there is one, and the system (Linux) can tell of its end."""
    command = os.environ.get(_COMMAND)
    if command is None or int(command) == os.getpid() or not hasattr(os, "pidfd_open"):
        return
    try:
        descriptor = os.pidfd_open(int(command))
    except ProcessLookupError:
        signal.raise_signal(signal.SIGTERM)
    except OSError:  # a sandbox may forbid it
        return
    threading.Thread(target=_wait, args=(descriptor,), daemon=True).start()


def _wait(command: int) -> None:
    select.select([command], [], [])
    os.kill(os.getpid(), signal.SIGTERM)
