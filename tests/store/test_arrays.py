"""Arrays: plain, sealed as a whole, and refused where the file is hostile; nothing in it is ever run."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gsx.records import ConfigurationError
from gsx.store import RunDirectory, arrays
from tests.store.factory import FINGERPRINT, make_layout, make_segments, refused, written


def test_a_member_dropped_from_the_directory_of_the_zip_is_missed(tmp_path: Path) -> None:
    """No CRC sees this one: the seal over all arrays does."""
    run = written(tmp_path)
    path = tmp_path / "segments.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    for optional in ("extra.seconds_per_block", "third", "cosine_mean"):
        np.savez(path, **{name: array for name, array in arrays.items() if name != optional})
        refused(run.read_segments, path, "do not match their sha256")


def test_an_interrupt_while_a_checkpoint_is_written_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the moment between the opening of a member and its first byte zipfile would make a ValueError of it; the old file stays."""
    run = written(tmp_path)
    before, there = (tmp_path / "segments.npz").read_bytes(), sorted(os.listdir(tmp_path))

    class Interrupted:
        def __init__(self, *arguments: object) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(zipfile, "_ZipWriteFile", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.write_segments(make_segments(make_layout()), FINGERPRINT, "id")
    assert (tmp_path / "segments.npz").read_bytes() == before and sorted(os.listdir(tmp_path)) == there


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.marker),)


def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    path, marker = run.path / "segments.npz", tmp_path / "exploded"
    bomb = np.array([Bomb(marker)], dtype=object)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **(arrays | {"mean": bomb}))
    refused(run.read_segments, path, "has dtype object")
    np.savez(path, bomb)
    refused(run.read_segments, path, "has dtype object")
    path.write_bytes(bomb.dumps())
    refused(run.read_segments, path, "not an npz file: torn, or something else")
    assert not marker.exists()
    bomb.dump(path)  # negative control: the pickle does explode where it is trusted
    np.load(path, allow_pickle=True)
    assert marker.exists()


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


@pytest.mark.parametrize(
    ("member", "what"),
    [
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}\n"), "declares a size"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}\n", bytes(8)), ""),
        (npy("{'descr': '<f8', 'fortran_order': True, 'shape': (1,)}\n", bytes(8)), "plain numbers"),
        (npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}\n", bytes(8)), "plain numbers"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n", bytes(8)), "has dtype object"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}\n", bytes(9)), "declares a size"),
        (npy("(" * 9000), "unreadable header"),
        (npy("-" * 9000 + "1"), "unreadable header"),
        (npy("__import__('os').abort()"), "unreadable header"),
        (npy("'''"), "unreadable header"),
        (b"\x93NUMPY\x03\x00", "unreadable header"),
        (b"", "unreadable header"),
    ],
)
def test_hostile_array_headers_are_refused(tmp_path: Path, member: bytes, what: str) -> None:
    path = tmp_path / "segments.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mean.npy", member)
    refused(RunDirectory(tmp_path).read_segments, path, what)


def test_an_array_larger_than_its_layout_has_it_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Its bits are none: whoever had read them would say so."""
    run = written(tmp_path)
    path = tmp_path / "segments.npz"
    with np.load(path) as archive:
        arrays_of_it = dict(archive)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays_of_it.items():
            member = io.BytesIO()
            np.save(member, np.zeros((64, 1000)) if name == "mean" else array)
            archive.writestr(f"{name}.npy", member.getvalue())
    spoilt = path.read_bytes()
    at = spoilt.index(b"mean.npy") + 1000
    path.write_bytes(spoilt[:at] + b"!" + spoilt[at + 1 :])
    refused(run.read_segments, path, "'mean.npy' has 512000 bytes, and by what stands before it 1536 at the most")


def test_an_array_is_in_memory_once(tmp_path: Path) -> None:
    run, layout = RunDirectory(tmp_path), make_layout(100_000)
    run.write_segments(segments := make_segments(layout, 8), FINGERPRINT, "id")
    size = sum(getattr(segments, name).nbytes for name in segments.ARRAYS)
    del segments
    tracemalloc.start()
    try:
        stored = run.read_segments()
        assert stored is not None and tracemalloc.get_traced_memory()[1] < 1.2 * size
    finally:
        tracemalloc.stop()


def test_absurd_sizes_are_refused_before_anything_is_allocated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = written(tmp_path)
    path = tmp_path / "segments.npz"
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = (2**32 - 2).to_bytes(4, "little") * 2  # both sizes of the first member, just below the zip64 mark
    path.write_bytes(data)
    refused(run.read_segments, path, "declares 429497")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mean.npy", bytes(10_000_000))
    refused(run.read_segments, path, "is compressed")
    for name, read in (("segments.npz", run.read_segments), ("result.json", run.read_result), ("error.txt", run.read_error)):
        with open(tmp_path / name, "wb") as sparse:
            sparse.truncate(9 << 30)
        refused(read, tmp_path / name, "more than the")
        (tmp_path / name).unlink()
    monkeypatch.setattr(arrays, "MAX_ARRAYS", 1000)
    with pytest.raises(ConfigurationError, match="measure fewer coordinates"):
        run.write_segments(make_segments(make_layout(100)), FINGERPRINT, "id")
