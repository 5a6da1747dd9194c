"""What a plug-in's code may change of the process that other jobs compute in: it is put back after each of them.

But for what it sets as it is imported, which happens once for all of its cells.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

import numpy as np


@contextlib.contextmanager
def kept() -> Iterator[None]:
    with _torch(), np.errstate(), _warnings(), _system():
        yield


@contextlib.contextmanager
def _torch() -> Iterator[None]:
    """The type of numbers, and the threads, with which sums change their bits."""
    if (torch := sys.modules.get("torch")) is None:
        yield
        return
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


@contextlib.contextmanager
def _warnings() -> Iterator[None]:
    """Not by `warnings.catch_warnings`, after which all that was said once is said again."""
    before = list(warnings.filters)
    try:
        yield
    finally:
        if warnings.filters != before:
            warnings.resetwarnings()
            warnings.filters[:] = before  # type: ignore[index]  # a list, which mypy is not told


@contextlib.contextmanager
def _system() -> Iterator[None]:
    """The mask of new files; and the environment, as far as there was something."""
    environment, mask = dict(os.environ), os.umask(0)
    os.umask(mask)
    try:
        yield
    finally:
        os.umask(mask)
        os.environ.update(environment)


@contextlib.contextmanager
def limit_kept() -> Iterator[None]:
    """Within it the recursion limit is not lowered: whoever stood above it could call nothing any more, not even what raises it again."""
    usual, before = sys.setrecursionlimit, sys.getrecursionlimit()

    def at_least(limit: int) -> None:
        usual(max(limit, before))

    setattr(sys, "setrecursionlimit", at_least)  # noqa: B010 (not to be assigned to, to mypy)
    try:
        yield
    finally:
        setattr(sys, "setrecursionlimit", usual)  # noqa: B010
