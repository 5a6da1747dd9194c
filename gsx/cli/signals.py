"""The signals that end a command, each with what is computed written first: Ctrl-C, SIGTERM, and SIGHUP of a terminal that closes."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn

#: Which one has ended the command of this process: nothing was heard of another than Ctrl-C. A process of a launcher's runs no command.
_ended_by: int | None = None


def heed() -> None:
    """In the main thread, which alone may; whoever has a way of its own with a signal keeps it: a program, or `nohup` with SIGHUP."""
    global _ended_by
    _ended_by = signal.SIGINT
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, frame: object) -> NoReturn:
    """As Ctrl-C does. Libraries make another KeyboardInterrupt of this one, so it is written down which signal it was."""
    global _ended_by
    _ended_by = number
    raise KeyboardInterrupt


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
    if _ended_by is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR2)}
    heard: list[int] = []

    def stop(number: int, frame: object) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # the checkpoint is not to be interrupted
        heard.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if callable(before[signal.SIGUSR2]):
        signal.signal(signal.SIGUSR2, stop)
    try:
        yield
    finally:
        for each, action in before.items():
            signal.signal(each, action)
        for number in heard:
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


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
