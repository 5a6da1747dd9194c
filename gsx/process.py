"""What gsx asks of the process it computes in: one torch thread for each sum, and freed memory that is kept; and how it starts another."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import torch

#: From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


@functools.cache
def keep_freed_memory() -> None:
    """Have the C library keep the memory of tensors that are gone, where it is glibc.

    As it comes, it gives memory back as soon as enough is free; asked for again, each page costs a fault, which on a virtual machine takes
    longer than the arithmetic on the page. At most 256 MiB are kept, in blocks of up to 32 MiB. All threads share one heap: in heaps of
    their own the small results that wait for their turn would keep the holes between large tensors apart. No number depends on it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for option, value in ((_M_TRIM_THRESHOLD, 256 << 20), (_M_MMAP_THRESHOLD, 32 << 20), (_M_ARENA_MAX, 1)):
        mallopt(option, value)


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Sums and matrix products change their bits with torch's thread count, so each is done by one thread; the count is put back after."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def shareable(size: int) -> int | None:
    """The descriptor of so many zeroed bytes in memory that other processes can map; None where the system has none."""
    if not hasattr(os, "memfd_create"):
        return None
    try:
        descriptor = os.memfd_create("gsx")
    except OSError:  # a sandbox may forbid it
        return None
    os.ftruncate(descriptor, size)
    return descriptor


def start(statement: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[str]:
    """A Python that begins afresh (a fork would inherit the locks of torch's threads), finds what this one finds, and runs a statement.

    Lines go to it and come back, and its errors nowhere. Ctrl-C is answered by this process alone.
    """
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {statement}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
        pass_fds=pass_fds,
        process_group=0,
    )


def answering() -> Callable[[str], None]:
    """Make ready a process that `start` began: the function with which it answers in lines. Whatever a model prints is no answer."""
    answers = os.dup(1)
    os.dup2(2, 1)
    keep_freed_memory()
    torch.set_num_threads(1)

    def say(answer: str) -> None:
        os.write(answers, f"{answer}\n".encode())

    return say
