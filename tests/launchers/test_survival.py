"""The command is killed while processes of a launcher run its cells; and a process that goes down with another is not to blame."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from gsx.cli.survival import Cells, _in_halves
from gsx.store import RunDirectory
from tests.cli.test_failures import die_holding
from tests.store.factory import ROOT


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
