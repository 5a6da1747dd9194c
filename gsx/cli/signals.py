"""The signals that end a command, each with what is computed written first: Ctrl-C, SIGTERM, and SIGHUP of a terminal that closes."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn


class Stopped(KeyboardInterrupt):
    """A signal other than Ctrl-C. It ends whatever runs as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code(interruption: KeyboardInterrupt) -> int:
    return 128 + (interruption.number if isinstance(interruption, Stopped) else signal.SIGINT)


def _stop(number: int, frame: object) -> NoReturn:
    raise Stopped(number)


#: Whether a command runs in this process, and heeds its signals: one that a launcher has started runs none.
_commanding = False


def heed() -> None:
    """In the main thread, which alone may; whoever has a way of its own with a signal keeps it: a program, or `nohup` with SIGHUP."""
    global _commanding
    if threading.current_thread() is not threading.main_thread():
        return
    _commanding = True
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


@contextlib.contextmanager
def ending_with_a_checkpoint() -> Iterator[None]:
    """Of a cell that runs in a process of a launcher's: SIGTERM ends it as Ctrl-C ends a command, and then, as ever, the process.

    So does the signal with which submitit is told of a time limit: what submitit does then, it does then.
    """
    if _commanding or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR2)}
    heard: list[int] = []

    def stop(number: int, frame: object) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # the checkpoint is not to be interrupted
        heard.append(number)
        raise Stopped(number)

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
