"""The folder of a run: absent, found and discarded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gsx.records import ConfigurationError, Part, Shard
from gsx.store import RunDirectory, find, find_runs, find_shards
from tests.store.factory import make_result, written


def test_nothing_there_is_none(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "nothing")
    assert [run.read_segments(), run.read_result(), run.read_coordinates(), run.read_error(), run.read_reference()] == [None] * 5
    run.discard()


def test_discard_forgets_the_run_and_nothing_else(tmp_path: Path) -> None:
    run = written(tmp_path)
    run.write_error("x")
    (tmp_path / "notes.txt").write_text("mine")
    with run.lock():
        run.discard()
    assert sorted(os.listdir(tmp_path)) == [".lock", "notes.txt"]
    (left,) = find_runs([tmp_path])  # a run whose lock is all there is: killed before its first checkpoint, or forgotten
    assert left.read_result() is None and left.read_segments() is None


def test_runs_are_found_once_in_order_without_links_references_and_hidden_folders(tmp_path: Path) -> None:
    for name, file in {
        "b/run": "result.json",
        "a/z": "segments.npz",
        "a/y": "error.txt",
        "a/y/inner": "result.json",
        "a/empty": "notes.txt",
        "a/.hidden": "result.json",
        "reference-1": "reference.json",
    }.items():
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / file).write_text("")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    expected = [tmp_path / name for name in ("a/y", "a/y/inner", "a/z", "b/run")]
    assert [run.path for run in find_runs([tmp_path])] == expected
    assert [run.path for run in find_runs([tmp_path / "b", tmp_path / "a", tmp_path / "a" / "y"])] == expected
    assert [run.path for run in find_runs([tmp_path / "link"])] == [tmp_path / "link" / name for name in ("y", "y/inner", "z")]
    for path in (tmp_path / "typo", tmp_path / "a" / "y" / "error.txt"):
        with pytest.raises(ConfigurationError, match="no such folder"):
            find_runs([path])


@pytest.mark.parametrize("name", ["reference-study", "reference-0123456789ab", "shard-0-of-2", "train-of-thought", "sweep-0123456789ab"])
def test_no_name_hides_a_run(name: str, tmp_path: Path) -> None:
    """Neither its own, which somebody has given it, nor that of the folder that it lies in; nor is that one taken for something else."""
    written(tmp_path / name)
    written(tmp_path / "a" / name / "run")
    assert [run.path for run in find_runs([tmp_path])] == [tmp_path / "a" / name / "run", tmp_path / name]
    assert find([tmp_path]).trainings == [] and find_shards(tmp_path) == find_shards(tmp_path / "a") == {}


def test_what_a_folder_holds_tells_what_it_is(tmp_path: Path) -> None:
    """And its name only where nothing does."""
    part = Part(Shard(0, 2), None, None, None)
    RunDirectory(tmp_path / "cut" / "shard-0-of-2").write_result(make_result(status="partial", part=part))
    trainings = ("moved/training.json", "begun/state-seed0.npz", "train-locked/.lock")
    for path in (*trainings, "train-of-thought/segments.npz", "moved-reference/reference.json", "reference-0123456789ab/segments.npz"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).touch()
    found = find([tmp_path])
    assert [run.path.name for run in found.runs] == ["cut", "train-of-thought"]
    assert [training.path.name for training in found.trainings] == ["begun", "moved", "train-locked"]
    assert [*find_shards(tmp_path / "cut")] == [Shard(0, 2)]
