"""How the process of a command ends, which is no plug-in's to prevent."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.store.factory import ROOT

PROGRAM = """
import sys, threading, time
from gsx import cli
from gsx.cli import leaving
leaving._PATIENCE = 0.2
seconds, own = float(sys.argv[1]), sys.argv[2] == "own"
def work():
    time.sleep(seconds)
    print("worked", flush=True)
def begin(arguments=None):
    threading.Thread(target=work, name="a plug-in's").start()
    print("written")
    return 3
cli._command = begin
if own:
    begin()
    cli._command = lambda arguments: 3
sys.exit(cli.main())
"""

SAID = "gsx: ended without waiting for threads that a plug-in has started: a plug-in's\n"


@pytest.mark.parametrize(
    ("seconds", "whose", "told"),
    [
        (60, "a plug-in's", ("written\n", SAID)),
        (0.05, "a plug-in's", ("written\nworked\n", "")),  # it ends of itself, as it may
        (0.5, "own", ("written\nworked\n", "")),  # of a program that calls gsx
    ],
)
def test_a_thread_that_does_not_end_keeps_no_command(seconds: float, whose: str, told: tuple[str, str]) -> None:
    """The exit code is its own, and what it has written arrives."""
    words = [sys.executable, "-c", PROGRAM, str(seconds), whose]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=30)
    assert (done.returncode, (done.stdout, done.stderr)) == (3, told)
