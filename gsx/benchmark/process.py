"""gsx as its user runs it: a process, from its start to its end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from gsx.benchmark.row import NotMeasured
from gsx.provenance import high_water

#: Seconds between two looks at a process's memory.
EVERY = 0.01


def wall(*words: str, folder: Path, environment: Mapping[str, str] = {}) -> float:
    """How long `gsx WORDS` takes in a folder, in seconds. RuntimeError, with the last thing it said, where it fails."""
    started = time.perf_counter()
    with _running(words, folder, environment):
        pass
    return time.perf_counter() - started


def peak(*words: str, folder: Path) -> float:
    """The most memory `gsx WORDS` has held, in bytes.

    Asked until the process ends, because what `wait4` says of it would begin with our own memory.
    """
    most = 0
    with _running(words, folder, {}) as process:
        while held := high_water(process):
            most = max(most, held)
            time.sleep(EVERY)
    if not most:
        raise NotMeasured("the peak memory of a process is read from /proc, which is not here")
    return float(most)


@contextlib.contextmanager
def _running(words: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """The process as long as it runs; what it says is kept for the case that it fails."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "gsx.cli", *words],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            yield process.pid
            code = process.wait()
        finally:
            process.kill()
        if code:
            said.seek(0)
            last = said.read().decode().strip().splitlines()[-1:]
            raise RuntimeError(f"gsx {' '.join(words)}: exit code {code}: {' '.join(last)}")
