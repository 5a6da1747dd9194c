"""The signals that end a command, each with what is computed written first: Ctrl-C, SIGTERM, and SIGHUP of a terminal that closes."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn

#: Whether this process runs a command: one of a launcher's does not.
_commanded = False
#: Which one has ended what this process does; None as long as none has come.
_ended_by: int | None = None


def heed() -> None:
    """In the main thread, which alone may; whoever has a way of its own with a signal keeps it: a program, or `nohup` with SIGHUP."""
    global _commanded, _ended_by
    _commanded, _ended_by = True, None
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def _end(number: int, frame: object) -> NoReturn:
    """As Ctrl-C does. Libraries make another KeyboardInterrupt of this one, so it is written down which signal it was."""
    global _ended_by
    _ended_by = number
    raise KeyboardInterrupt


def came() -> bool:
    """Whether a KeyboardInterrupt may be a signal's, and so the user's: where somebody else answers to Ctrl-C, only he would know."""
    return _ended_by is not None or signal.getsignal(signal.SIGINT) not in (_end, signal.SIG_IGN)


def heard() -> bool:
    """Whether a signal has been answered here."""
    return _ended_by is not None


def exit_code() -> int:
    """Of a command that was interrupted."""
    return 128 + (_ended_by or signal.SIGINT)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Whatever is called within may take SIGTERM for itself, as Ray does; afterwards it is ours again."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def ending_with_a_checkpoint() -> Iterator[None]:
    """Of a cell that runs in a process of a launcher's: SIGTERM ends it as Ctrl-C ends a command, and then, as ever, the process.

    So does the signal with which submitit is told of a time limit: what submitit does then, it does then.
    """
    global _ended_by
    if _commanded or threading.current_thread() is not threading.main_thread():
        yield
        return
    _ended_by = None
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR2)}

    def stop(number: int, frame: object) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # the checkpoint is not to be interrupted
        _end(number, frame)

    signal.signal(signal.SIGTERM, stop)
    if callable(before[signal.SIGUSR2]):
        signal.signal(signal.SIGUSR2, stop)
    try:
        yield
    finally:
        for each, action in before.items():
            signal.signal(each, action)
        if _ended_by is not None:
            if _ended_by == signal.SIGTERM:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(_ended_by)


@contextlib.contextmanager
def for_this_process_alone() -> Iterator[None]:
    """What is started within never hears Ctrl-C, nor a terminal that closes: whoever starts it does, and ends it. Meanwhile nobody does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
