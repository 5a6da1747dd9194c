"""One file: whole or not at all, on a disk that refuses, fills up or holds something else."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from gsx.records import EnvironmentFault
from gsx.store import RunDirectory, atomic_write
from tests.store.factory import FINGERPRINT, make_layout, make_segments, refused, written


def test_atomic_write_replaces_the_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    for data in (b"old", b"", b"new" * 10_000):
        atomic_write(tmp_path / "a.txt", data)
        assert (tmp_path / "a.txt").read_bytes() == data
    assert os.listdir(tmp_path) == ["a.txt"]


def test_files_get_the_mode_the_umask_asks_for(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        atomic_write(tmp_path / "a.txt", b"")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    path = tmp_path / "a.txt"
    atomic_write(path, b"old")

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(EnvironmentFault) as caught:
        atomic_write(path, b"new")
    assert str(caught.value).startswith(f"{path}: cannot be written: {os.strerror(code)}; what is stored is whole: ")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_interrupt_leaves_no_litter_and_stays_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "a.txt", b"new")
    assert os.listdir(tmp_path) == []


def test_folders_that_cannot_be_are_environment_faults(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match=r"absent/a\.txt: cannot be written"):
        atomic_write(tmp_path / "absent" / "a.txt", b"new")
    advice = f"{tmp_path / 'file'}: is a file where a folder should be; move it away, or work elsewhere"
    run = RunDirectory(tmp_path / "file" / "run")
    writes = (lambda: atomic_write(tmp_path / "file" / "a.txt", b"new"), lambda: run.write_error("x"), lambda: run.lock().__enter__())
    for call in (*writes, run.read_result, run.discard):
        with pytest.raises(EnvironmentFault) as caught:
            call()
        assert str(caught.value) == advice


def test_a_really_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    """A file-size limit is the full disk an unprivileged test can have: it fails within zipfile, not in a mock."""
    run = written(tmp_path)
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    large = make_segments(make_layout(10_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(EnvironmentFault, match=r"segments\.npz: cannot be written: File too large"):
            run.write_segments(large, FINGERPRINT, "id")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before


def test_what_is_no_file_is_refused_without_hanging(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    (tmp_path / "segments.npz").mkdir()
    os.mkfifo(tmp_path / "result.json")
    refused(run.read_segments, tmp_path / "segments.npz", "not a regular file")
    refused(run.read_result, tmp_path / "result.json", "not a regular file")
