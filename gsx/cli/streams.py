"""Standard output and error: whatever becomes of them, the work that a command is there for goes on."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

#: The least number of a copy.
_FAR = 1 << 16


class Lenient(io.FileIO):
    """A descriptor that takes everything: what it refused is dropped, and the first reason kept."""

    refusal: OSError | None = None

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            self.refusal = self.refusal or error
            return len(data)


def heed() -> None:
    """Make the interpreter's own streams lenient; those that somebody has put into their place are left alone.

    A closed one is as /dev/null, for launched processes too, and what an encoding lacks is written as an escape sequence.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest that is free, which the next file would have got
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _lenient(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lenient(2, sys.stderr)


def _lenient(descriptor: int, stream: TextIO | None) -> TextIO:
    """In the place of a stream, which is None where it was closed as Python began."""
    raw = Lenient(descriptor, "w", closefd=False)
    if not isinstance(stream, io.TextIOWrapper):
        return io.TextIOWrapper(raw, errors="backslashreplace", write_through=True)
    with suppress(OSError):
        stream.flush()
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),  # type: ignore[type-var]  # as Python has it where it is unbuffered
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Whatever is called within may close the standard streams, or put others into their place: afterwards they are what they were, and no
    file that was opened meanwhile has their numbers, and with them what is printed."""
    before, out, err = {}, sys.stdout, sys.stderr
    for number in (0, 1, 2):
        with suppress(OSError):
            before[number] = _copied(number)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
        for number, copy in before.items():
            with suppress(OSError):
                if not _same(number, copy):
                    os.dup2(copy, number)
                os.close(copy)


def _copied(number: int) -> int:
    """A descriptor far from those that somebody closes who closes whatever might be open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    far = _FAR if soft == resource.RLIM_INFINITY else min(_FAR, soft // 2)
    return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, far)


def _same(number: int, copy: int) -> bool:
    try:
        return os.path.sameopenfile(number, copy)
    except OSError:  # it is closed
        return False


def refusal() -> OSError | None:
    """Why standard output did not take everything; a reader that has left (`gsx list | head`) knows that it has."""
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    found = raw.refusal if isinstance(raw, Lenient) else None
    return None if isinstance(found, BrokenPipeError) else found
