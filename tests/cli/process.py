"""The command in a process of its own, and as a user's shell starts it."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import forked

#: The console script beside this Python.
GSX = Path(sys.executable).parent / "gsx"

#: Model of a user's own: as long as the file `hold` lies in the current folder every call of its cost takes a while.
HELD = """
import time
from pathlib import Path

import torch

from gsx.distributions import Bernoulli
from gsx.models.base import Model


class Held(Model):
    def init(self, noise):
        return {"logits": torch.tensor([-1.0, 0.5], dtype=torch.float64)}

    def loss(self, params, expect):
        def cost(z, q):
            if Path("hold").exists():
                time.sleep(0.2)
            return (z - 0.3).square().sum(-1) * (1 + z[..., 0])

        return expect(Bernoulli(params["logits"]), cost)
"""


def environment(**more: str) -> dict[str, str]:
    """One thread, and nothing of this shell that would change what is tested.

    PYTHONPATH would hide a broken installation, PYTHONUNBUFFERED what happens when the output is flushed at the end.
    """
    foreign = ("PYTHONPATH", "PYTHONUNBUFFERED", "HYDRA_FULL_ERROR", "GSX_QUIET", "GSX_DATA", "COMP_LINE", "COMP_POINT")
    kept = {key: value for key, value in os.environ.items() if key not in foreign}
    return {**kept, "OMP_NUM_THREADS": "1", "PATH": f"{GSX.parent}{os.pathsep}{kept['PATH']}", **more}


@contextlib.contextmanager
def running(*words: str, cwd: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A command while it runs; killed at the end of the block, if it is still there."""
    if not GSX.exists():
        pytest.skip(f"{GSX} is not installed: pip install -e .")
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options: dict[str, Any] = {"cwd": cwd, "env": environment(**env), "text": True, **streams}
    # A shell's background job, as these tests may be, ignores Ctrl-C, and so would all it starts.
    options["preexec_fn"] = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen([str(GSX), *words], **options) as process:
        try:
            yield process
        finally:
            process.kill()


def gsx(*words: str, cwd: Path, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process of its own; it must end with this exit code, and never with a traceback."""
    return _ended(forked.run(words, cwd, environment(**env)), code)


def installed(*words: str, cwd: Path, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """The same, from the console script on: where Python's start is tested too."""
    with running(*words, cwd=cwd, **env) as process:
        out, err = process.communicate(timeout=300)
    return _ended(subprocess.CompletedProcess(words, process.returncode, out, err), code)


def _ended(done: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
    assert done.returncode == code, f"gsx {' '.join(done.args)} ended with {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def one_line(err: str) -> str:
    """The one line that a fault is."""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("gsx: ")
    return lines[0].removeprefix("gsx: ")


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 60) -> None:
    """Until something is so, while a process runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def finished(folder: Path) -> list[Path]:
    """The folders of results below a folder."""
    return sorted(path.parent for path in folder.rglob("result.json"))


def flip(path: Path, marker: bytes, behind: int) -> bytes:
    """Flip one bit of a file, so many bytes behind a marker in it; what the file was before."""
    before = path.read_bytes()
    at = before.index(marker) + len(marker) + behind
    path.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
    return before
