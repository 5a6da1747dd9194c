"""`gsx verify`: what is whole is called whole, and what is damaged, foreign or lost is named; and the torture that relies on it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gsx.cli import main
from gsx.records import Part, Shard, Training, digest, result_id
from gsx.store import (
    PlannedCell,
    PlannedStep,
    RunDirectory,
    StoredExperiment,
    TrainingDirectory,
    verify,
    write_experiment,
    write_sweep,
)
from tests.store.factory import FINGERPRINT, make_coordinates, make_layout, make_reference, make_result, make_segments, reseal
from tests.torture.damage import everything, judge, spoil
from tests.torture.outcome import Outcome

LAYOUT = make_layout(2, 1)
LINK = "is a symbolic link, and none is followed; put what it points to in its place, or remove it"


def make_run(root: Path, moments: str = "m", seed: int = 0) -> Path:
    """A run that is addressed by its content, as `gsx run` leaves it."""
    segments = make_segments(LAYOUT, seed=seed)
    total = int(segments.count.sum())
    identity = result_id(moments, total)
    run = RunDirectory(root / f"toy-{identity[:12]}")
    run.write_segments(segments, FINGERPRINT, moments, seconds=1.0)
    counts = {"num_replicates": total, "blocks": int(segments.blocks.sum()), "config": {"num_replicates": total}}
    result = make_result(make_coordinates(LAYOUT, seed), result_id=identity, moments_sha256=segments.digest(), **counts)
    run.write_result(result, {"replicate": np.arange(3.0), "cost": segments.mean[1]})
    return run.path


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Two runs, a reference, a plan."""
    root = tmp_path / "outputs"
    make_run(root / "default")
    make_run(root / "default", "other", seed=1)
    make_reference_folder(root / "default", "abc")
    write_experiment(root / "default", StoredExperiment("default", "full", {}, {"s": PlannedStep([], [PlannedCell("gone", "r", {})])}))
    write_sweep([(root / "default" / f"toy-{'ab' * 6}", "ab" * 32)], "gsx run -m")
    return root


def make_reference_folder(root: Path, content: str) -> Path:
    identity = digest(content)
    reference = RunDirectory(root / f"reference-{identity[:12]}")
    made = make_reference(LAYOUT)
    reference.write_reference(type(made)(identity, made.kind, made.estimator, made.gradient, made.se), LAYOUT, {})
    return reference.path


def said(outputs: Path, code: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["verify", str(outputs)]) == code
    return capsys.readouterr().out.splitlines()


def test_what_is_whole(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(outputs, 0, capsys) == ["12 files in 4 folders: all whole"]


def runs(outputs: Path) -> tuple[Path, Path]:
    one, other = sorted(path.parent for path in outputs.rglob("result.json"))
    return one, other


def exchange(name: str) -> Callable[[Path], Path]:
    def change(outputs: Path) -> Path:
        one, other = runs(outputs)
        shutil.copy(other / name, one / name)
        return one

    return change


def lost(name: str) -> Callable[[Path], Path]:
    def change(outputs: Path) -> Path:
        one, _ = runs(outputs)
        (one / name).unlink()
        return one / name

    return change


def moved(outputs: Path) -> Path:
    """Whole in itself, and in the folder of another."""
    one, other = runs(outputs)
    shutil.rmtree(one)
    shutil.copytree(other, one)
    return one


def another_plan(outputs: Path) -> Path:
    """The same moments, said to be of another measurement."""
    one, _ = runs(outputs)
    reseal(one / "result.json", lambda body: body["config"].update(num_replicates=7))
    return one / "segments.npz"


def foreign_reference(outputs: Path) -> Path:
    (reference,) = (path.parent for path in outputs.rglob("reference.json"))
    other = make_reference_folder(outputs.parent, "other")
    shutil.rmtree(reference)
    shutil.copytree(other, reference)
    return reference


def torn_plan(outputs: Path) -> Path:
    (plan,) = outputs.rglob("experiment.json")
    plan.write_bytes(plan.read_bytes()[:100])
    return plan


def torn_sweep(outputs: Path) -> Path:
    (plan,) = outputs.rglob("sweep-*.json")
    plan.write_bytes(plan.read_bytes()[:100])
    return plan


def another_experiment(outputs: Path) -> Path:
    """Whole in itself, and of a folder of another name."""
    cells = [PlannedCell("elsewhere", "r", {})]
    write_experiment(outputs / "default", StoredExperiment("other", "full", {}, {"s": PlannedStep([], cells)}))
    return outputs / "default" / "experiment.json"


CHANGES = [exchange(name) for name in ("result.json", "segments.npz", "coordinates.csv", "draws.csv")]
CHANGES += [lost(name) for name in ("segments.npz", "coordinates.csv", "draws.csv")]
CHANGES += [moved, another_plan, foreign_reference, torn_plan, torn_sweep, another_experiment]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_foreign_or_lost_is_named(change: Callable[[Path], Path], outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = change(outputs)
    *problems, summary = said(outputs, 6, capsys)
    assert problems and all(str(where) in line and " anew" in line and "force" not in line for line in problems)
    assert f": {len(problems)} damaged" in summary


def test_an_experiment_under_a_new_name_is_whole(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As long as a cell of it is there."""
    one, _ = runs(outputs)
    cells = [PlannedCell(one.name, "r", {}), PlannedCell("gone", "r", {})]
    write_experiment(outputs / "default", StoredExperiment("other", "quick", {}, {"s": PlannedStep([], cells)}))
    said(outputs, 0, capsys)


def test_links_are_problems_and_nothing_behind_them_is_read(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the place of a run, of a folder of runs, and in a run; a link to nowhere, and one that the user has given a path of, too."""
    away = outputs.parent / "away"
    one, other = runs(outputs)
    one.rename(away)
    (away / "result.json").write_text("not read")
    one.symlink_to(away)
    (outputs / "many").symlink_to(outputs / "default")
    (outputs / "default" / "nothing").symlink_to("nowhere")
    (other / ".lock").symlink_to(away / "lock")
    (outputs / "notes").symlink_to(away / "result.json")  # a file outside of any folder of results is nobody's business
    links = [other / ".lock", outputs / "many", outputs / "default" / "nothing", one]
    *problems, summary = said(outputs, 6, capsys)
    assert sorted(problems) == sorted(f"{link}: {LINK}" for link in links) and ": 4 damaged" in summary
    assert said(one, 6, capsys)[0] == f"{one}: {LINK}"
    assert said(outputs / "many", 6, capsys)[-1].endswith("3 damaged")  # a folder of runs may be reached so, if the user says so


@pytest.mark.parametrize("foreign", ["fingerprint", "moments", "result", "shard", None])
def test_shards_of_different_runs_are_told(foreign: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By `gsx status` too. Each is whole in itself, and in the place of another."""
    folder, identity = tmp_path / f"toy-{'ab' * 6}", "ab" * 32
    for number in range(3):
        shard = RunDirectory(folder / f"shard-{number}-of-4")
        odd = number == 1
        segments = make_segments(LAYOUT, seed=number)
        machine = {**FINGERPRINT, "torch": "1"} if odd and foreign == "fingerprint" else FINGERPRINT
        shard.write_segments(segments, machine, "other" if odd and foreign == "moments" else "moments")
        if number < 2:
            part = Part(Shard(3 if odd and foreign == "shard" else number, 4), None, None, None)
            run = "cd" * 32 if odd and foreign == "result" else identity
            shard.write_result(make_result(result_id=run, moments_sha256=segments.digest(), status="partial", part=part))
    where = str(folder / "shard-1-of-4")
    problems = [line for checked in verify([tmp_path]) for line in checked.problems if "moments" not in line]
    code, out = main(["status", str(tmp_path)]), capsys.readouterr().out
    assert code == 1 and any(line.startswith(where) for line in problems) == (foreign is not None)
    assert out.splitlines()[1].startswith("damaged" if foreign else "unfinished") and (where in out) == (foreign is not None)
    assert foreign is not None or "2 of 4 shards (begun 2; missing 3), 0 s old" in out


def test_what_a_killed_process_left_is_told_and_harmless(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, _ = runs(outputs)
    (one / ".result.json.1-ab.tmp").write_text("{")
    line, summary = said(outputs, 0, capsys)
    assert line.startswith(f"{one}/.result.json.1-ab.tmp: ") and "harmless" in line and "1 left by killed processes" in summary


def test_a_folder_in_use_is_not_judged(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, _ = runs(outputs)
    with RunDirectory(one).lock():
        (one / "coordinates.csv").unlink()  # as between two files of one result
        line, summary = said(outputs, 0, capsys)
    assert "held by pid" in line and "1 folders in use" in summary
    said(outputs, 6, capsys)


def test_trainings(tmp_path: Path) -> None:
    folder = tmp_path / "train-x"
    fields = {"config": {}, "model": "m", "estimator": "e", "seeds": (0,), "steps": 1, "probe": (), "reference": {}, "summary": {}}
    TrainingDirectory(folder).write(Training(training_id="t", status="complete", provenance={}, **fields))
    assert [checked.problems for checked in verify([tmp_path])] == [[]]
    (folder / "curve.csv").write_text("")
    (checked,) = verify([tmp_path])
    assert len(checked.problems) == 1 and "curve.csv" in checked.problems[0]


# ---------------------------------------------------------------------------------------------------------------- the torture


def tortured(outputs: Path, tries: int) -> Outcome:
    outcome, rng = Outcome("damage"), random.Random(0)
    files = sorted(path for path in outputs.rglob("*") if path.suffix in (".json", ".npz", ".csv"))
    for _ in range(tries):
        path = rng.choice(files)
        whole, before = path.read_bytes(), everything(path.parent)
        judge(outcome, spoil(path, files, rng), path, before)
        path.write_bytes(whole)
    return outcome


def test_no_damage_escapes(outputs: Path) -> None:
    outcome = tortured(outputs, 150)
    assert outcome.losses == []
    assert sum(count for what, count in outcome.counts.items() if what.endswith("found")) > 120, outcome.counts


def test_the_torture_would_see_draws_that_nobody_sealed(outputs: Path) -> None:
    """As they were once: a flipped digit was read as another number."""
    for run in runs(outputs):
        reseal(run / "result.json", lambda body: body.pop("draws"))
    assert tortured(outputs, 150).losses
