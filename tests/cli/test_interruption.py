"""Runs that are interrupted, killed, watched by a second process, or found damaged: nothing is lost but the last seconds."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gsx.store import RunDirectory
from tests.cli.conftest import Inside
from tests.cli.process import HELD, finished, flip, gsx, one_line, running, wait_for
from tests.store.factory import reseal

#: A few seconds of work; every block counts, because bernoulli_toy's are equally dear.
LONG = "num_replicates=1e7"
#: From the name of an array in an npz to its numbers: the rest of the zip's header, and numpy's.
NPY = 150

SMALL = ("run", "model.logits=[0.5,-1]", "num_replicates=1024")


def result(folder: Path) -> dict[str, Any]:
    (run,) = finished(folder)
    body: dict[str, Any] = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return body


def measured(*words: str, cwd: Path) -> int:
    """The peak memory of a run, in the system's unit."""
    with running(*words, cwd=cwd) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, process.communicate()
    return usage.ru_maxrss


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """The result of a long run in one go on one worker, and its peak memory."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    peak = measured("run", LONG, "workers=1", "name=whole", cwd=folder)
    return result(folder), peak


@pytest.mark.slow
def test_killed_three_times(uninterrupted: tuple[dict[str, Any], int], tmp_path: Path) -> None:
    """SIGKILL at any moment, other workers than before: the same bits in the end. `scripts/torture` kills fifty times."""
    moments = random.Random(7)
    killed = 0
    words = ("run", LONG, "workers=2", "name=killed")
    for _ in range(3):
        with running(*words, cwd=tmp_path) as process:
            wait_for(lambda: [*tmp_path.rglob(".holder"), *tmp_path.rglob("result.json")], process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0, 3.5))
            killed += process.poll() is None
    gsx(*words, cwd=tmp_path)
    assert killed >= 1
    whole, pieces = uninterrupted[0], result(tmp_path)
    assert pieces["moments_sha256"] == whole["moments_sha256"]
    assert pieces["result_id"] == whole["result_id"]
    kept = ("parameters", "verdict", "nonfinite", "num_replicates", "blocks")
    assert {key: pieces[key] for key in kept} == {key: whole[key] for key in kept}
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_memory_does_not_grow_with_replicates(uninterrupted: tuple[dict[str, Any], int], tmp_path: Path) -> None:
    few = measured("run", "num_replicates=1e5", "workers=1", cwd=tmp_path)
    assert uninterrupted[1] <= 1.1 * few


@pytest.mark.slow
def test_busy_interrupted_damaged_resumed(tmp_path: Path) -> None:
    """The life of one run: a second process, Ctrl-C, a flipped bit, and the end. A file named `hold` makes it as slow as the test needs."""
    (tmp_path / "held.py").write_text(HELD)
    (tmp_path / "hold").touch()
    words = ("run", "plugins=[held]", "model.name=held", "~model.logits", "~model.target", "~model.power")
    words += ("num_replicates=640", "block_size=1", "workers=2")
    with running(*words, cwd=tmp_path) as process:
        wait_for(lambda: [path for path in tmp_path.rglob("segments.npz") if "reference" not in path.parent.name], process)

        busy = gsx(*words, cwd=tmp_path, code=7)
        assert f"held by pid {process.pid}" in busy.stderr and busy.stdout == ""

        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    said = err.splitlines()[-1]
    assert "interrupted in outputs/default/held-" in said and "the same command goes on" in said
    assert finished(tmp_path) == [] and not list(tmp_path.rglob(".holder")) and not list(tmp_path.rglob("error.txt"))
    (run,) = (path.parent for path in tmp_path.rglob("segments.npz"))
    stored = RunDirectory(run).read_segments()
    assert stored is not None and 0 < stored.segments.count.sum() < 640

    # What a cluster sends before it kills is the same.
    before = stored.segments.count.sum()
    with running(*words, cwd=tmp_path) as process:
        wait_for(lambda: [*run.glob(".holder")], process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 143 and out == "" and "Traceback" not in err and "interrupted in outputs" in err.splitlines()[-1]
    stored = RunDirectory(run).read_segments()
    assert stored is not None and before <= stored.segments.count.sum() < 640

    (tmp_path / "hold").unlink()
    whole = flip(run / "segments.npz", b"mean.npy", NPY)
    assert "wait for it, or repeat the command" in busy.stderr
    damaged = gsx(*words, cwd=tmp_path, code=6)
    assert f"{run / 'segments.npz'}: " in damaged.stderr and "; remove it, and the same command computes it anew" in damaged.stderr
    assert damaged.stdout == ""
    assert finished(tmp_path) == []

    (run / "segments.npz").write_bytes(whole)
    gsx(*words, cwd=tmp_path)
    assert result(tmp_path)["num_replicates"] == 640 and not (run / "error.txt").exists()
    one_line(busy.stderr)
    one_line(damaged.stderr)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run, to be copied and spoilt."""
    folder = tmp_path_factory.mktemp("complete")
    gsx(*SMALL, cwd=folder)
    return folder / "outputs"


def test_a_run_goes_on_from_its_checkpoint(complete: Path, empty: Path, inside: Inside) -> None:
    """Killed between the last checkpoint and the result; the checkpoint is marked, to see that its numbers are the ones used."""
    shutil.copytree(complete, empty / "outputs")
    (run,) = finished(empty)
    stored = RunDirectory(run).read_segments()
    assert stored is not None
    marked = dataclasses.replace(stored.segments, mean=stored.segments.mean + 1)
    RunDirectory(run).write_segments(marked, stored.fingerprint, stored.result_id, seconds=1e6)
    (run / "result.json").unlink()
    assert inside("run", "--dry-run", *SMALL[1:])[1].startswith("unfinished ")
    assert inside(*SMALL)[0] == 0
    assert result(empty)["moments_sha256"] == marked.digest()
    assert result(empty)["cost"]["seconds"] > 1e6


def test_another_machine_does_not_go_on(complete: Path, empty: Path, inside: Inside) -> None:
    shutil.copytree(complete, empty / "outputs")
    (run,) = finished(empty)
    stored = RunDirectory(run).read_segments()
    assert stored is not None
    RunDirectory(run).write_segments(stored.segments, {**stored.fingerprint, "torch": "1.0"}, stored.result_id)
    (run / "result.json").unlink()
    code, out, err = inside(*SMALL)
    assert code == 6 and out == ""
    assert "torch was 1.0" in err and "force=true starts anew" in err
    one_line(err)


@pytest.mark.parametrize(("name", "marker"), [("result.json", b'"variance": {'), ("coordinates.csv", b"logits")])
def test_damage_that_the_moments_mend(name: str, marker: bytes, complete: Path, empty: Path, inside: Inside) -> None:
    """Found, named, not overwritten, and not called done; made anew from the moments when that one file is removed."""
    shutil.copytree(complete, empty / "outputs")
    (run,) = finished(empty)
    before = result(empty)
    flip(run / name, marker, 20)
    damaged = (run / name).read_bytes()
    for words in (SMALL, (*SMALL, "--dry-run")):
        code, out, err = inside(*words)
        assert code == 6 and out == ""
        assert f"{name}: " in one_line(err) and err.endswith("; remove it, and the same command makes it anew from segments.npz\n")
    assert (run / name).read_bytes() == damaged
    for what in (damaged, damaged[:50], b""):
        (run / name).write_bytes(what)
        code, out, _ = inside("status")
        assert code == 1 and "1 damaged" in out and f"{name}: " in out
    (run / name).unlink()
    assert inside("status")[0] == 1
    assert inside(*SMALL)[0] == 0
    assert result(empty)["moments_sha256"] == before["moments_sha256"]
    assert inside("status")[0] == inside("verify")[0] == 0


@pytest.mark.parametrize("how", ["torn", "lost"])
def test_a_result_without_its_moments_is_not_done(how: str, complete: Path, empty: Path, inside: Inside) -> None:
    shutil.copytree(complete, empty / "outputs")
    (path,) = empty.rglob("segments.npz")
    before, whole = result(empty), path.read_bytes()
    path.write_bytes(whole[:-100])
    if how == "lost":
        path.unlink()
    code, out, _ = inside("status")
    assert code == 1 and "segments.npz: " in out and out.endswith("1 damaged\n")
    code, _, err = inside(*SMALL)
    assert (code, "remove it, and the same command computes it anew" in err) == ((0, False) if how == "lost" else (6, True))
    path.unlink(missing_ok=True)
    assert inside(*SMALL)[0] == inside("status")[0] == 0 and result(empty)["moments_sha256"] == before["moments_sha256"]


def test_a_result_of_another_model_than_its_configuration_is_not_done(complete: Path, empty: Path, inside: Inside) -> None:
    shutil.copytree(complete, empty / "outputs")
    (run,) = finished(empty)
    reseal(run / "result.json", lambda body: body.update(model="bernoulli_ising"))
    code, out, _ = inside("status")
    assert code == 1 and "names the model 'bernoulli_ising', and its configuration 'bernoulli_toy'" in out
    assert inside(*SMALL)[0] == inside("verify")[0] == 6


def test_a_damaged_reference(complete: Path, empty: Path, inside: Inside) -> None:
    """The advice of the message must work, and no run is lost by it."""
    shutil.copytree(complete, empty / "outputs")
    (reference,) = empty.rglob("reference.npz")
    flip(reference, b"gradient.npy", NPY)
    code, _, err = inside(*SMALL, "estimator=concrete")
    assert code == 6 and "reference.npz" in err and "; remove reference.json, and the same command" in err and "no run is touched" in err
    (reference.parent / "reference.json").unlink()
    code, _, err = inside(*SMALL, "estimator=concrete")
    assert code == 0 and inside("verify")[0] == 0, err


def test_a_damaged_neighbour(complete: Path, empty: Path, inside: Inside) -> None:
    """A larger run looks for a smaller one to start from; one that is damaged, and nobody asked for, must not stop it."""
    shutil.copytree(complete, empty / "outputs")
    (run,) = finished(empty)
    flip(run / "segments.npz", b"mean.npy", NPY)
    code, _, err = inside("run", "model.logits=[0.5,-1]", "num_replicates=2048", "block_size=16")
    assert code == 0, err
