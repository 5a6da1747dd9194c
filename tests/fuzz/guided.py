"""A small coverage-guided loop: what reaches a line of gsx that nothing has reached before is damaged further."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import gsx
from gsx.records import ConfigurationError, IntegrityError, MissingData

T = TypeVar("T")

#: What a reader of stored files may answer beside what it has read.
REFUSALS = (IntegrityError, ConfigurationError, MissingData)
PACKAGE = str(Path(gsx.__file__).parent) + os.sep
#: Of one input: seconds, and bytes of address space more than before.
SECONDS, MEMORY = 60.0, 1 << 30
#: How many inputs for each reader: scripts/fuzz asks for more.
ROUNDS = int(os.environ.get("GSX_FUZZ", "40"))


@contextmanager
def covered(lines: set[tuple[str, int]]) -> Iterator[None]:
    """Adds the lines of gsx that are run."""

    def each(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return each

    before = sys.gettrace()
    sys.settrace(each)
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def bounded() -> Iterator[None]:
    """A hang is an AssertionError, and so is a memory that is not there in the end."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"not answered within {SECONDS} s")

    handler = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def fuzz(start: T, damage: Callable[[random.Random, T], T], read: Callable[[T], object], seed: int = 0, rounds: int = ROUNDS) -> int:
    """Damage `start` and what came of it, and have each read: it answers, or refuses in one printable line. How many were refused."""
    rng, corpus, lines, refused = random.Random(seed), [start], set[tuple[str, int]](), 0
    with covered(lines):
        read(start)
    for _ in range(rounds):
        given = damage(rng, rng.choice(corpus))
        known = len(lines)
        try:
            with bounded(), covered(lines):
                read(given)
        except REFUSALS as refusal:
            refused += 1
            assert str(refusal).isprintable() and len(str(refusal)) < 2000, ascii(str(refusal))
        except BaseException as error:
            raise AssertionError(f"{type(error).__name__}: {error}, for {shown(given)}") from error
        if len(lines) > known:
            corpus.append(given)
    return refused


def shown(given: object) -> str:
    text = ascii(given)
    return text if len(text) < 3000 else f"{text[:3000]} ... ({len(text)} characters)"
