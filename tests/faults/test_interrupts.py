"""Ctrl-C where a library would make something else of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gsx.cli.hydra_errors import one_line_errors
from tests.cli.process import wait_for
from tests.store.factory import ROOT


def test_an_interrupt_that_hydra_makes_an_error_of_stays_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), one_line_errors([]):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ValueError from None


AT_THE_END = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from gsx.cli import main
if sys.argv[1] == "command":
    main(["--version"])
class Last:
    def __del__(self, kill=os.kill, own=os.getpid(), interrupt=signal.SIGINT):
        kill(own, interrupt)
sys.last = Last()
"""


@pytest.mark.parametrize(("what", "harmless"), [("command", True), ("nothing", False)])
def test_an_interrupt_while_python_ends_is_no_failure(what: str, harmless: bool) -> None:
    """Its results are there, and have been printed; without gsx's doing it would be reported as an error, or kill the process."""
    done = subprocess.run([sys.executable, "-c", AT_THE_END, what], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode == 0 and done.stderr == "") == harmless, (done.returncode, done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_torture_that_is_interrupted_leaves_nothing_behind(number: int, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.torture", "--only", "full_disk"]
    options = {"cwd": ROOT, "env": {**os.environ, "TMPDIR": str(tmp_path)}, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options) as process:
        wait_for(lambda: [*tmp_path.glob("gsx-torture-*/full_disk/*")], process)
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in out and [*tmp_path.iterdir()] == []
