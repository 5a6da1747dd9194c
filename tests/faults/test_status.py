"""`gsx status`: every run and training, and what is missing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gsx.cli import main
from gsx.store import PLANNED, PlannedCell, PlannedStep, RunDirectory, StoredExperiment, write_experiment
from tests.store.factory import FINGERPRINT, make_layout, make_segments, written


def lines(root: Path, code: int, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """By folder, the line split at its columns; the counts under ""."""
    assert main(["status", str(root)]) == code
    *rows, counts = capsys.readouterr().out.splitlines()
    found = {row.split("  ")[0]: row for row in rows[1:]}
    return {**{Path(word).name: row.split() for row in found.values() for word in row.split() if word.startswith(str(root))}, "": [counts]}


def test_each_state_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "outputs"
    written(root / "whole")
    assert lines(root, 0, capsys)[""] == ["1 done"]

    segments = make_segments(make_layout(2))
    segments.blocks[:] = (1, 2, 0)
    unfinished = RunDirectory(root / "begun")
    unfinished.write_segments(segments, FINGERPRINT, "m", {PLANNED: np.array(64)})
    os.utime(root / "begun" / "segments.npz", (4102444800, 4102444800))
    RunDirectory(root / "ill").write_error("Traceback (most recent call last):\n  somewhere\nValueError: the reason\n")
    (root / "torn").mkdir()
    (root / "torn" / "result.json").write_text("{")
    cells = [PlannedCell(name, "r", {}) for name in ("whole", "gone")]
    write_experiment(root, StoredExperiment("e", "quick", {}, {"one": PlannedStep([], cells), "two": PlannedStep([], None)}))
    told = lines(root, 1, capsys)
    assert told[""] == ["1 done, 1 unfinished, 1 failed, 1 damaged, 2 missing"]
    assert "3 of 64 blocks, checkpoint dated in the future" in " ".join(told["begun"])
    assert main(["status", str(root)]) == 1
    out = capsys.readouterr().out
    assert f"{root / 'ill' / 'error.txt'}: ValueError: the reason" in out
    assert f"{root / 'torn' / 'result.json'}: " in out and "of step one" in out and "step two was not reached" in out

    with unfinished.lock():
        assert main(["status", str(root)]) == 1
        (running,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("running"))
        assert f"held by pid {os.getpid()}" in running and "3 of 64 blocks" in running


def test_a_look_at_a_lock_does_not_make_a_run_fail(tmp_path: Path) -> None:
    """Who looks whether a folder is held has its lock for a moment; a run that begins at that moment waits for it."""
    import fcntl
    import threading

    run = RunDirectory(tmp_path)
    with run.lock():
        pass
    descriptor = os.open(tmp_path / ".lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    timer = threading.Timer(0.05, os.close, (descriptor,))
    timer.start()
    with run.lock():
        assert run.holder is not None
    timer.join()
    assert run.holder is None
