"""The folder of a run: absent, found and discarded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gsx.records import ConfigurationError
from gsx.store import RunDirectory, find_runs
from tests.store.factory import written


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
        "reference-1": "result.json",
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
