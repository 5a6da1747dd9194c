"""A peer in a process of its own: what one library does to torch is done neither to another nor to gsx."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from gsx.benchmark.row import NotMeasured


class Peer:
    """A module of `gsx.benchmark.peers` that `serve`s; it stays warm between two questions.

    It has one thread: tensors of eight numbers gain nothing from a second one, and lose everything where another program has that core.
    """

    def __init__(self, module: str) -> None:
        command = [sys.executable, "-m", f"gsx.benchmark.peers.{module}"]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )

    def seconds(self, estimates: int) -> float:
        """The wall time of one estimate, of so many in a row. NotMeasured, with the peer's own words, where it cannot."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # its last words are still to be read
            self._process.stdin.write(f"{estimates}\n")
        line = self._process.stdout.readline()
        if not line:
            raise NotMeasured(f"its process ended with code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NotMeasured(answer["error"])
        return float(answer["seconds"]) / estimates

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()


def serve(prepare: Callable[[], Callable[[int], object]]) -> None:
    """The child's side. ``prepare()`` imports the peer and gives the work, of which each question asks for a number of estimates."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    work: Callable[[int], object] | None = None
    for line in sys.stdin:
        try:
            work = work or prepare()
            started = time.perf_counter()
            work(int(line))
            answer: dict[str, Any] = {"seconds": time.perf_counter() - started}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)
