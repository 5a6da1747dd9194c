"""`gsx status`: every run and training, and what is missing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from gsx.cli import main
from gsx.records import IntegrityError, Part, Shard, Verdict, digest
from gsx.store import (
    PLANNED,
    PlannedCell,
    PlannedStep,
    RunDirectory,
    StoredExperiment,
    find,
    read_sweep,
    standings,
    write_experiment,
    write_sweep,
)
from gsx.store.strict_json import sealed_json
from tests.store.factory import FINGERPRINT, make_layout, make_result, make_segments, written


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
    os.utime(root / "whole" / "result.json", (time.time() - 86400 * 5,) * 2)
    assert "1024 replicates, result 5 d old" in " ".join(lines(root, 0, capsys)["whole"])

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
    for path, hours in {"ill/error.txt": 3, "experiment.json": 48}.items():
        os.utime(root / path, (time.time() - 3600 * hours,) * 2)
    told = lines(root, 1, capsys)
    assert told[""] == ["1 done, 1 unfinished, 1 failed, 1 damaged, 2 missing"]
    assert "3 of 64 blocks, checkpoint dated in the future" in " ".join(told["begun"])
    assert main(["status", str(root)]) == 1
    out = capsys.readouterr().out
    assert f"{root / 'ill' / 'error.txt'}, 3 h old: ValueError: the reason" in out
    assert f"{root / 'torn' / 'result.json'}: no JSON from line 1, column 2 on; remove it, and the same command computes it anew" in out
    for what in ("step one of gsx reproduce e --quick", "step two of gsx reproduce e --quick was not reached"):
        assert f"{root / 'experiment.json'}, 2 d old: {what}" in out

    with unfinished.lock():
        assert main(["status", str(root)]) == 1
        (running,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("running"))
        assert f"held by pid {os.getpid()}" in running and "3 of 64 blocks" in running


def test_a_training_that_was_copied_without_its_hidden_lock_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "train-vae-rloo-0123456789ab"
    kept.mkdir()
    (kept / "state-seed0.npz").write_bytes(b"torn")
    assert main(["status", str(tmp_path)]) == 1
    assert kept.name in capsys.readouterr().out


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


def test_what_is_missing_is_shown_as_it_is_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the others, and not where it really lies; an experiment further down, too."""
    monkeypatch.chdir(tmp_path)
    cells = [PlannedCell("gone", "r", {})]
    write_experiment(Path("kept/outputs/e"), StoredExperiment("e", "full", {}, {"one": PlannedStep([], cells)}))
    assert main(["status", "."]) == 1
    out = capsys.readouterr().out
    assert "  kept/outputs/e/gone  kept/outputs/e/experiment.json, 0 s old: step one" in out and str(tmp_path) not in out


# --------------------------------------------------------------------------------------------------------------- plans of sweeps

CELLS = {f"toy-{letter * 12}": letter * 64 for letter in "abc"}


def test_what_a_sweep_has_not_begun_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "outputs"
    begun, *never = [root / "default" / name for name in CELLS]
    written(begun, result_id=CELLS[begun.name])
    for _ in range(2):  # given again, it replaces its plan
        write_sweep([(root / "default" / name, identity) for name, identity in CELLS.items()], "gsx run -m x=1,2,3")
        write_sweep([(never[0], CELLS[never[0].name])], "gsx run -m x=2,4")
    first, second = sorted((root / "default").glob("sweep-*.json"), key=lambda path: len(path.read_bytes()))
    os.utime(second, (time.time() - 300,) * 2)
    assert main(["status", str(root)]) == 1
    *rows, counts = capsys.readouterr().out.splitlines()
    assert counts == "1 done, 2 missing" and [row.split()[1] for row in rows if row.startswith("missing")] == list(map(str, never))
    assert f"{never[1]}  {second}, 5 min old: gsx run -m x=1,2,3" in rows[-1]
    with RunDirectory(never[1]).lock():
        assert main(["status", str(root)]) == 1 and "1 done, 1 running, 1 missing" in capsys.readouterr().out
    for plan in (first, second):
        plan.unlink()  # forgotten
    (never[1] / ".lock").unlink()
    assert main(["status", str(root)]) == 0 and capsys.readouterr().out.splitlines()[-1] == "1 done"


def test_a_plan_of_many_cells_takes_no_time(tmp_path: Path) -> None:
    """Ten thousand: half a second here. Quadratic, it would take minutes."""
    identities = [f"{number:012x}" + "0" * 52 for number in range(10_000)]
    started = time.monotonic()
    write_sweep([(tmp_path / f"toy-{identity[:12]}", identity) for identity in identities], "gsx run -m")
    assert sum(one.state == "missing" for one in standings([tmp_path])) == 10_000
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "cells",
    [
        {"../toy-abababababab": "ab" * 32},
        {"/etc/toy-abababababab": "ab" * 32},
        {"..": "ab" * 32},
        {"": "ab" * 32},
        {"toy\0-abababababab": "ab" * 32},
        {"toy-" + "x" * 300 + "-abababababab": "ab" * 32},
        {"toy-abababababab": "cd" * 32},
        {"toy-abababababab": "ab" * 6},
        {"toy-abababababab": 7},
        ["toy-abababababab"],
    ],
)
def test_a_plan_that_points_elsewhere_is_refused(cells: object, tmp_path: Path) -> None:
    """Sealed as a forger would, under the name that its content asks for."""
    path = tmp_path / f"sweep-{digest(cells)[:12]}.json"
    path.write_bytes(sealed_json({"schema_version": 1, "command": "gsx", "cells": cells}))
    with pytest.raises(IntegrityError, match=r"sweep-.*; the same sweep again writes it anew"):
        read_sweep(path)


@pytest.mark.parametrize("configs", [{"toy-abababababab": 7}, {"toy-cdcdcdcdcdcd": {}}, 7])
def test_configurations_that_are_none_are_refused(configs: object, tmp_path: Path) -> None:
    cells = {"toy-abababababab": "ab" * 32}
    path = tmp_path / f"sweep-{digest(cells)[:12]}.json"
    path.write_bytes(sealed_json({"schema_version": 1, "command": "gsx", "cells": cells, "configs": configs}))
    with pytest.raises(IntegrityError, match=r"config.*; the same sweep again writes it anew"):
        read_sweep(path)


def test_a_plan_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of another name, deep, or a link: damaged, in one line, and what is behind a link is not read."""
    whole = tmp_path / "whole"
    write_sweep([(whole / name, identity) for name, identity in CELLS.items()], "gsx\x1b]0;evil\x07")
    (plan,) = whole.iterdir()
    assert main(["status", str(whole)]) == 1 and "gsx ]0;evil" in capsys.readouterr().out
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    (spoilt / f"sweep-{'0' * 12}.json").write_bytes(plan.read_bytes())
    (spoilt / f"sweep-{'1' * 12}.json").write_text("[" * 500_000)
    (spoilt / f"sweep-{'2' * 12}.json").symlink_to(plan)
    assert main(["status", str(spoilt)]) == 1
    *rows, counts = capsys.readouterr().out.splitlines()
    assert counts == "3 damaged"
    for row, reason in zip(rows[1:], ("not the sweep that its name says", "nested too deeply", "is a symbolic link"), strict=True):
        assert row.startswith("damaged") and reason in row and row.isprintable()


def test_a_hostile_experiment_does_not_widen_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [PlannedCell(name, "r", {}) for name in ("x" * 1_000_000, "a\0b", "\x1b]0;evil\x07")]
    write_experiment(tmp_path, StoredExperiment("e", "full", {}, {"one": PlannedStep([], cells)}))
    assert main(["status", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "3 missing" in out and len(out) < 10_000 and out.replace("\n", "").isprintable()


# ------------------------------------------------------------------------------------------------------------- what is not plain


def test_a_result_that_is_not_finite_is_done_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "odd", verdict=Verdict("nonfinite", None, None, None, None))
    assert main(["status", str(tmp_path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].split()[0] == "nonfinite" and out[-1] == "1 nonfinite"


def test_a_link_is_damage_and_not_entered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "away" / "run")
    root = tmp_path / "outputs"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "away" / "run")
    (root / "many").symlink_to(tmp_path / "away")
    assert main(["status", str(root)]) == 1
    *rows, counts = capsys.readouterr().out.splitlines()
    assert counts == "2 damaged" and all("is a symbolic link, and none is followed; put " in row for row in rows[1:])
    assert [path for path, _ in find([root]).refused] == [root / "linked", root / "many"]


def test_a_shard_that_failed_tells_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunDirectory(tmp_path / "toy" / "shard-1-of-2").write_error("ValueError: the reason\n")
    assert main(["status", str(tmp_path)]) == 1
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("failed"))
    assert "0 of 2 shards (begun 1; missing 0)" in row and "shard-1-of-2/error.txt, 0 s old: ValueError: the reason" in row


def test_all_shards_there_are_to_be_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        part = Part(Shard(number, 2), None, None, None)
        RunDirectory(tmp_path / "toy" / f"shard-{number}-of-2").write_result(make_result(status="partial", part=part))
    (tmp_path / "toy" / "shard-3-of-4").mkdir()
    (tmp_path / "toy" / "shard-3-of-4" / ".lock").touch()
    assert main(["status", str(tmp_path)]) == 1
    assert "2 of 2 shards; gsx merge joins them; 0 of 4 shards (begun 3; missing 0, 1, 2)" in capsys.readouterr().out
