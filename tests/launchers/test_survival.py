"""The command is killed while processes of a launcher run its cells; and a process that goes down with another is not to blame."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

from gsx.cli.closing import died
from gsx.cli.run import planned
from gsx.cli.survival import Cells, _in_halves
from gsx.store import RunDirectory
from tests.cli.conftest import empty
from tests.cli.test_failures import die_holding
from tests.store.factory import ROOT

__all__ = ["empty"]


class Died(Exception):
    """As a launcher says it."""


def test_who_went_down_with_another_is_not_to_blame(tmp_path: Path) -> None:
    """The second cell kills its process: alone in the end, it is known by it. One death of the first is older."""
    cells = [RunDirectory(tmp_path / str(number)) for number in range(3)]
    die_holding(cells[0].path)

    def launch(jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        numbers = range(first, first + len(jobs))
        if 1 not in numbers:
            return [JobReturn(status=JobStatus.COMPLETED) for _ in jobs]
        die_holding(*(cells[number].path for number in numbers))
        raise Died

    known = Cells(forgive=lambda number: cells[number].forgive_death())
    assert len(_in_halves(launch, Died, known, list(enumerate([["a"], ["b"], ["c"]])))) == 3
    assert [cell.check_deaths() for cell in cells] == [1, 1, 0]


def test_a_cell_whose_process_has_died_says_why(empty: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What it has written itself stays; of what is busy or complete nothing is said; a full disk is what it died of."""
    cells = planned(["-m", "estimator=exact", "model.target=0.1,0.2,0.3"]).cells
    first, second, third = (RunDirectory(cell.place) for cell in cells)
    failed: dict[Path, Exception] = {}
    second.write_error("ValueError: mine\n")
    with third.lock():
        for number in range(3):
            died(cells, failed, number, "its process has died: so it is said")
    assert first.read_error() == "its process has died: so it is said\n" and list(failed) == [first.path]
    assert second.read_error() == "ValueError: mine\n" and third.read_error() is None
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1 << 20, 1 << 20, 0))
    died(cells, failed, 2, "its process has died: so it is said")
    assert caplog.messages == [
        f"failed: {cells[0].shown}: its process has died: so it is said",
        f"failed: {cells[2].shown}: {third.path}: cannot be written: No space left on device; what is stored is whole: "
        "make room, and the same command goes on",
    ]
    assert str(failed[third.path]) in caplog.messages[1] and third.read_error() is None


#: A cell that hears that it is to end writes a checkpoint; it is run by a grandchild of the command.
CELL = """
import sys, time
from gsx.cli.orphans import follow
from gsx.cli.signals import ending_with_a_checkpoint
with ending_with_a_checkpoint():
    follow()
    try:
        print("at work", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("checkpoint", flush=True)
        raise
"""

COMMAND = f"""
import subprocess, sys, time
from gsx.cli.orphans import followed
start = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
with followed():
    subprocess.Popen([sys.executable, "-c", start, {CELL!r}])
time.sleep(60)
"""


def test_cells_of_a_command_that_is_killed_end_with_a_checkpoint() -> None:
    with subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, text=True, cwd=ROOT) as command:
        assert command.stdout is not None and command.stdout.readline() == "at work\n"
        os.kill(command.pid, signal.SIGKILL)
        assert command.communicate(timeout=30)[0] == "checkpoint\n"  # all it said until nobody had its output open any more
