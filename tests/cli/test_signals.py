"""Signals, sent by a process to itself at the moment that matters."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from gsx import cli
from tests.store.factory import ROOT

BEGIN = """
import os, signal, sys
from gsx import cli
from gsx.cli.signals import ending_with_a_checkpoint, for_this_process_alone, kept
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that run under nohup were told to ignore it
def hear(number):
    os.kill(os.getpid(), number)
"""

COMMAND = """
cli._command = lambda arguments: hear(int(sys.argv[1]))
sys.exit(cli.main(["run"]))
"""

CELL = """
@ending_with_a_checkpoint()
def cell(number):
    try:
        hear(number)
    except KeyboardInterrupt:
        hear(number)  # once more, while it writes
        print("checkpoint", flush=True)
        raise
    print("went on", flush=True)
"""


def after(*pieces: str, argument: int) -> tuple[int, str, str]:
    """The exit code, and what was said."""
    program = "\n".join((BEGIN, *pieces))
    done = subprocess.run([sys.executable, "-c", program, str(argument)], capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_ends_with_a_line_and_the_code_of_its_signal(number: int, code: int) -> None:
    said = "gsx: interrupted; what was computed is kept, and the same command goes on from there\n"
    assert after(COMMAND, argument=number) == (code, "", said)


START = """
from gsx.__main__ import main
class Importing:
    def find_spec(self, name, path, target=None):
        if name == "gsx.records":
            hear(signal.SIGINT)
"""

WHILE_IT_IMPORTS = """
sys.modules.pop("gsx.cli"), sys.modules.pop("gsx.records"), delattr(sys.modules["gsx"], "cli")
sys.meta_path.insert(0, Importing())
sys.exit(main())
"""

BEFORE_IT_HEEDS = """
cli.streams.heed = lambda: hear(signal.SIGINT)
sys.exit(main())
"""


@pytest.mark.parametrize("moment", [WHILE_IT_IMPORTS, BEFORE_IT_HEEDS])
def test_ctrl_c_as_the_process_starts_is_a_line(moment: str) -> None:
    assert after(START, moment, argument=0) == (130, "", "gsx: interrupted\n")


@pytest.mark.parametrize("words", [["status"], ["verify"], ["report"], ["run", "-m", "--dry-run"], []])
def test_what_computes_nothing_keeps_nothing(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_command", interrupted)
    assert cli.main(words) == 130 and capsys.readouterr().err == "gsx: interrupted; no result was changed\n"


def test_what_raises_another_in_the_place_of_ctrl_c_does_not_hide_it() -> None:
    """As OmegaConf does, when it is interrupted while it copies."""
    clumsy = """
def clumsy(arguments):
    try:
        hear(signal.SIGINT)
    finally:
        raise AttributeError("'NoneType' object")
cli._command = clumsy
sys.exit(cli.main(["run"]))
"""
    code, out, err = after(clumsy, argument=0)
    assert (code, out) == (130, "") and err == "gsx: interrupted; what was computed is kept, and the same command goes on from there\n"


@pytest.mark.parametrize("raised", ["ValueError('mine')", "SystemExit(3)"])
def test_what_a_plugin_raises_in_the_place_of_ctrl_c_does_not_hide_it(raised: str) -> None:
    """Nor does it become a failure of its cell, behind which the others would go on; without Ctrl-C it does."""
    plugin = f"""
from gsx.cli.failures import EndsTheProcess, contained
def cell(number):
    try:
        with contained():
            try:
                number and hear(number)
            finally:
                raise {raised}
    except (ValueError, EndsTheProcess):
        print("failed", flush=True)
cli._command = lambda arguments: (cell(0), cell(int(sys.argv[1])))
sys.exit(cli.main(["run"]))
"""
    assert after(plugin, argument=signal.SIGINT)[:2] == (130, "failed\n")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_what_a_process_was_told_to_ignore_it_ignores(number: int) -> None:
    """So does `nohup`."""
    assert after("signal.signal(int(sys.argv[1]), signal.SIG_IGN)", COMMAND, argument=number) == (0, "", "")


def test_a_library_that_takes_sigterm_has_it_for_a_while() -> None:
    taken = "cli.signals.heed()\nwith kept(): signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    assert after(taken, COMMAND, argument=signal.SIGTERM)[0] == 143


def test_a_cell_of_a_launcher_writes_its_checkpoint_and_ends_its_process() -> None:
    assert after(CELL, "cell(int(sys.argv[1]))", argument=signal.SIGTERM) == (-signal.SIGTERM, "checkpoint\n", "")


def test_what_submitit_does_about_a_time_limit_comes_after_the_checkpoint() -> None:
    """Its own handler ends the process; and SIGTERM, which it passes by, ends the cell."""
    handlers = """
signal.signal(signal.SIGUSR2, lambda number, frame: (print("queued again", flush=True), sys.exit(9)))
signal.signal(signal.SIGTERM, lambda number, frame: print("passed by", flush=True))
"""
    call = "cell(int(sys.argv[1]))"
    assert after(handlers, CELL, call, argument=signal.SIGUSR2) == (9, "checkpoint\nqueued again\n", "")
    assert after(handlers, CELL, call, argument=signal.SIGTERM) == (-signal.SIGTERM, "checkpoint\n", "")
    between = "cell(0)\nhear(signal.SIGTERM)"
    assert after(handlers, CELL, between, argument=0) == (0, "went on\npassed by\n", "")


def test_a_process_that_is_to_be_ended_by_this_one_hears_neither_ctrl_c_nor_a_terminal() -> None:
    child = "signal.raise_signal(signal.SIGINT); signal.raise_signal(signal.SIGHUP); print('went on')"
    start = f"""
import subprocess
with for_this_process_alone():
    subprocess.run([sys.executable, "-c", "import signal; {child}"])
sys.stdout.flush()
cli._command = lambda arguments: hear(signal.SIGINT)
sys.exit(cli.main([]))
"""
    assert after(start, argument=0)[:2] == (130, "went on\n")
