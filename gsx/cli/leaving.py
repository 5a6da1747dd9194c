"""The end of the process of a command: what it was there for is written and said, and no thread of a plug-in's keeps it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Collection

from gsx.naming import in_one_line

#: Seconds that such threads have to end of themselves, once Python waits for nothing else.
_PATIENCE = 2.0


def leave(before: Collection[threading.Thread], code: int) -> None:
    """To be called last. Python waits for threads that are no daemons, and for ever if need be: not for others than there were `before`."""
    if _kept(before):
        threading.Thread(target=_end, args=(before, code), daemon=True).start()


def _kept(before: Collection[threading.Thread]) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if not thread.daemon and thread not in before]


def _end(before: Collection[threading.Thread], code: int) -> None:
    threading.main_thread().join()  # pools of threads end theirs then
    end = time.monotonic() + _PATIENCE
    for thread in _kept(before):
        thread.join(max(0.0, end - time.monotonic()))
    if left := _kept(before):
        names = in_one_line(", ".join(thread.name for thread in left))
        print(f"gsx: ended without waiting for threads that a plug-in has started: {names}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
