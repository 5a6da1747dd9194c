"""The store: what it writes it reads back bit for bit, and what it did not write it refuses in one line, running nothing."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import math
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsx import store
from gsx.records import (
    STATISTICS,
    Busy,
    ConfigurationError,
    Coordinates,
    Cost,
    EnvironmentFault,
    GsxError,
    IntegrityError,
    Interval,
    Layout,
    Reference,
    Result,
    Segments,
    Verdict,
    canonical_json,
)
from gsx.store import RunDirectory, StoredSegments, atomic_write, check_fingerprint, find_runs

ROOT = Path(store.__file__).resolve().parents[1]
TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
FINGERPRINT = {"torch": "2.9.1", "numpy": "2.4.6", "cpu": "AVX512"}


def make_layout(*sizes: int) -> Layout:
    return Layout(tuple(f"layer.{i}" for i in range(len(sizes))), tuple((n,) for n in sizes))


def make_segments(layout: Layout, number: int = 3, absent: tuple[str, ...] = (), seed: int = 0) -> Segments:
    rng = np.random.default_rng(seed)
    integers = {name: rng.integers(-1, 99, number) for name in ("blocks", "count", "nonfinite_replicates", "nonfinite_first_block")}
    floats = {name: rng.normal(size=(number, layout.size)) for name in ("mean", "second", "third", "largest")}
    if layout.size:
        floats["mean"][0, 0] = np.nan
    moments = {**integers, **floats, "cosine_mean": rng.normal(size=number)}
    return Segments(layout, **{name: None if name in absent else array for name, array in moments.items()})  # type: ignore[arg-type]


def make_coordinates(layout: Layout, seed: int = 0) -> Coordinates:
    rng = np.random.default_rng(seed)
    return Coordinates(layout, **{name: rng.normal(size=layout.size) for name in Coordinates.COLUMNS})


def make_result(coordinates: Coordinates | None = None, **changes: Any) -> Result:
    interval = Interval(0.1, 1e-17, (-1.5, math.inf))
    result = Result(
        result_id="f" * 64,
        status="complete",
        config={"model": {"logits": [0.1, 1.0], "name": "größe"}, "seed": 2**63},
        estimator="reinforce",
        model="bernoulli_toy",
        engine="vmap",
        num_samples=1,
        num_replicates=1024,
        blocks=64,
        summary={name: None if name == "cosine" else interval for name in STATISTICS},
        parameters={"logits": {"shape": [2], "variance": interval, "bias_sq": None}},
        reference={"id": "abc", "kind": "enumeration", "estimator": None, "error": {"max": 0.0, "norm": 0.0}},
        verdict=Verdict("unbiased", 1.25, 0.5, 1e-3, None),
        cost=Cost(1, 0, 2, seconds=0.25),
        nonfinite={"replicates": 0, "coordinates": 0, "first_block": None},
        tuning={},
        moments_sha256="0" * 64,
        provenance={"versions": FINGERPRINT},
        coordinates=coordinates,
    )
    return dataclasses.replace(result, **changes)


def make_reference(layout: Layout) -> Reference:
    return Reference("abc", "long_run", "rloo", np.arange(layout.size) / 3, np.full(layout.size, 1e-9))


def written(folder: Path, **changes: Any) -> RunDirectory:
    """A run with one of everything."""
    run = RunDirectory(folder)
    layout = make_layout(2, 1)
    run.write_segments(make_segments(layout), FINGERPRINT, "id", {"seconds_per_block": np.array([0.5, 0.25])}, seconds=12.5)
    run.write_result(make_result(make_coordinates(layout), **changes))
    return run


def same(a: StoredSegments, b: StoredSegments) -> bool:
    """Equal in everything that is kept, and equal in bits."""
    extras = [(name, array.dtype.str, array.shape, array.tobytes()) for name, array in sorted(a.extra.items())]
    return (a.segments.digest(), a.segments.layout, a.fingerprint, a.result_id, a.seconds, extras) == (
        b.segments.digest(),
        b.segments.layout,
        b.fingerprint,
        b.result_id,
        b.seconds,
        [(name, array.dtype.str, array.shape, array.tobytes()) for name, array in sorted(b.extra.items())],
    )


def reseal(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file as a forger would: with a sha256 that fits."""
    body = json.loads(path.read_text())
    del body["sha256"]
    change(body)
    path.write_text(json.dumps({**body, "sha256": hashlib.sha256(canonical_json(body).encode()).hexdigest()}))


# ---- atomic_write --------------------------------------------------------------------------------------------------------------------


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
    assert str(caught.value) == f"{path}: cannot be written: {os.strerror(code)}"
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
    for path in (tmp_path / "absent" / "a.txt", tmp_path / "file" / "a.txt"):
        with pytest.raises(EnvironmentFault, match="cannot be written"):
            atomic_write(path, b"new")
    run = RunDirectory(tmp_path / "file" / "run")
    for call in (lambda: run.write_error("x"), lambda: run.lock().__enter__(), run.read_result, run.discard):
        with pytest.raises(EnvironmentFault) as caught:
            call()
        assert str(run.path) in str(caught.value)
        assert "\n" not in str(caught.value)


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


# ---- segments ------------------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    shapes=st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), max_size=3),
    names=st.lists(TEXT, min_size=3, max_size=3, unique=True),
    number=st.integers(1, 5),
    absent=st.sets(st.sampled_from(["third", "largest", "cosine_mean"])),
    fingerprint=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    seconds=st.floats(0, 1e9),
    extra=st.sets(st.sampled_from(["a", "b.c", "sha256"])),
    seed=st.integers(0, 9),
)
def test_segments_come_back_bit_for_bit(
    shapes: list[tuple[int, ...]],
    names: list[str],
    number: int,
    absent: set[str],
    fingerprint: dict[str, str],
    seconds: float,
    extra: set[str],
    seed: int,
) -> None:
    layout = Layout(tuple(names[: len(shapes)]), tuple(shapes))
    segments = make_segments(layout, number, tuple(absent), seed)
    extras = {name: np.arange(i, dtype=np.float32).reshape(i, 1) for i, name in enumerate(sorted(extra))}
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder))
        run.write_segments(segments, fingerprint, "id", extras, seconds=seconds)
        stored = run.read_segments()
    assert stored is not None
    assert same(stored, StoredSegments(segments, fingerprint, "id", seconds, extras))
    for name in Segments.ARRAYS:
        assert (getattr(stored.segments, name) is None) == (name in absent)
        if name not in absent:
            np.testing.assert_array_equal(getattr(stored.segments, name), getattr(segments, name))
            assert getattr(stored.segments, name).flags.writeable  # the engine goes on merging into them


def test_same_segments_same_bytes_whatever_the_day_and_the_memory_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = make_segments(make_layout(3, 2))
    first, second = RunDirectory(tmp_path / "a"), RunDirectory(tmp_path / "b")
    first.write_segments(segments, FINGERPRINT, "id")
    monkeypatch.setattr(time, "time", lambda: 2e9)
    turned: dict[str, Any] = {name: np.asfortranarray(getattr(segments, name)).astype(">f8") for name in ("mean", "second", "third")}
    shuffled = dict(reversed(FINGERPRINT.items()))
    second.write_segments(dataclasses.replace(segments, **turned), shuffled, "id")
    data = [(run.path / "segments.npz").read_bytes() for run in (first, second)]
    assert data[0] == data[1]


def test_numpy_alone_can_read_the_file_and_would_have_written_it_so(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "segments.npz"
    with np.load(path, allow_pickle=False) as archive:
        assert str(archive["moments_sha256"]) == make_segments(make_layout(2, 1)).digest()
        assert json.loads(str(archive["layout"])) == [["layer.0", [2]], ["layer.1", [1]]]
        assert (float(archive["accumulated_seconds"]), int(archive["format_version"])) == (12.5, 1)
        again = io.BytesIO()
        np.savez(again, **dict(archive))
    assert again.getvalue() == path.read_bytes()


@pytest.mark.parametrize(
    "broken",
    [
        {"mean": np.zeros((3, 2))},
        {"mean": np.zeros((3, 3), np.float32)},
        {"count": np.zeros(3)},
        {"second": np.zeros((3, 3), object)},
    ],
)
def test_a_checkpoint_that_could_not_be_read_is_not_written(tmp_path: Path, broken: dict[str, np.ndarray]) -> None:
    run = written(tmp_path)
    before = (tmp_path / "segments.npz").read_bytes()
    segments = dataclasses.replace(make_segments(make_layout(2, 1)), **broken)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=next(iter(broken))):
        run.write_segments(segments, FINGERPRINT, "id")
    assert (tmp_path / "segments.npz").read_bytes() == before


def test_nothing_there_is_none(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "nothing")
    assert [run.read_segments(), run.read_result(), run.read_coordinates(), run.read_error(), run.read_reference()] == [None] * 5
    run.discard()


# ---- what is refused: torn, flipped, foreign, hostile --------------------------------------------------------------------------------


def refused(read: Callable[[], object], path: Path, what: str = "") -> None:
    with pytest.raises(IntegrityError) as caught:
        read()
    message = str(caught.value)
    assert what in message
    assert message.startswith(str(path))
    assert message.endswith("force=true starts anew")
    assert message.isprintable()


def damaged_files(folder: Path) -> list[tuple[Path, Callable[[], object], Callable[[Any, Any], bool]]]:
    run, reference = written(folder / "run"), RunDirectory(folder / "reference-abc")
    layout = make_layout(2, 1)
    reference.write_reference(make_reference(layout), layout, {"seed": 0})

    def everything(stored: store.StoredReference) -> tuple[object, ...]:
        of = stored.reference
        return stored.layout, stored.note, of.id, of.kind, of.estimator, of.gradient.tobytes(), of.se.tobytes()

    return [
        (run.path / "segments.npz", run.read_segments, same),
        (run.path / "result.json", run.read_result, lambda a, b: bool(a == b)),
        (run.path / "coordinates.csv", run.read_coordinates, lambda a, b: bool(a == b)),
        (reference.path / "reference.npz", reference.read_reference, lambda a, b: everything(a) == everything(b)),
        (reference.path / "reference.json", reference.read_reference, lambda a, b: everything(a) == everything(b)),
    ]


def test_every_torn_file_is_refused(tmp_path: Path) -> None:
    for path, read, _ in damaged_files(tmp_path):
        whole = path.read_bytes()
        lengths = {0, 1, 2, len(whole) - 2, *range(0, len(whole) - 2, max(1, len(whole) // 60))}
        for length in lengths:
            path.write_bytes(whole[:length])
            refused(read, path)
        path.write_bytes(whole)


def test_every_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    rng = random.Random(0)
    for path, read, equal in damaged_files(tmp_path):
        whole, intact, harmless = path.read_bytes(), read(), 0
        flips = rng.sample(range(8 * len(whole)), 250)
        for flip in flips:
            data = bytearray(whole)
            data[flip // 8] ^= 1 << flip % 8
            path.write_bytes(data)
            try:
                now = read()
            except IntegrityError as fault:
                assert "\n" not in str(fault)
                continue
            assert now is not None
            assert equal(intact, now), f"bit {flip} of {path.name} changed what was read"
            harmless += 1
        assert harmless < len(flips) / 4, path.name  # zip dates and the like; the test would be idle if most flips were harmless
        path.write_bytes(whole)


def test_a_member_dropped_from_the_directory_of_the_zip_is_missed(tmp_path: Path) -> None:
    """No CRC sees this one: the seal over all arrays does."""
    run = written(tmp_path)
    path = tmp_path / "segments.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    for optional in ("extra.seconds_per_block", "third", "cosine_mean"):
        np.savez(path, **{name: array for name, array in arrays.items() if name != optional})
        refused(run.read_segments, path, "do not match their sha256")


def forge(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change segments.npz as a forger would: with a seal that fits."""
    with np.load(path) as archive:
        arrays = dict(archive)
    del arrays["sha256"]
    change(arrays)
    store._write_arrays(path, arrays)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda a: a.pop("mean"), "'mean' is missing"),
        (lambda a: a.pop("blocks"), "'blocks' is missing"),
        (lambda a: a.pop("layout"), "'layout' is missing"),
        (lambda a: a.pop("moments_sha256"), "'moments_sha256' is missing"),
        (lambda a: a.update(mean=a["mean"].astype("<f4")), "'mean' is float32"),
        (lambda a: a.update(mean=a["mean"][:, :2]), "'mean' is float64"),
        (lambda a: a.update(second=a["second"][..., None]), "'second' is float64"),
        (lambda a: a.update(count=a["count"].astype("<u8")), "'count' is uint64"),
        (lambda a: a.update(result_id=np.array(["a", "b"])), "'result_id' is no text"),
        (lambda a: a.update(third=a["third"] + 1), "do not match moments_sha256"),
        (lambda a: a.update(format_version=np.array(2)), "format version 2"),
        (lambda a: a.update(virus=np.zeros(1)), "'virus' does not belong here"),
        (lambda a: a.update(fingerprint=np.array("[1]")), "fingerprint"),
        (lambda a: a.update(fingerprint=np.array('{"torch": 2}')), "fingerprint"),
        (lambda a: a.update(fingerprint=np.array("[" * 100_000)), "recursion"),
        (lambda a: a.update(accumulated_seconds=np.array(np.nan)), "accumulated_seconds is nan"),
        (lambda a: a.update(layout=np.array('[["a", [-3, -1]]]')), "negative"),
        (lambda a: a.update(layout=np.array('[["a", [2]], ["a", [1]]]')), "twice"),
        (lambda a: a.update(layout=np.array("[[3]]")), ""),
    ],
)
def test_sealed_but_wrong_segments_are_refused(tmp_path: Path, change: Callable[[dict[str, Any]], object], what: str) -> None:
    run = written(tmp_path)
    forge(tmp_path / "segments.npz", change)
    refused(run.read_segments, tmp_path / "segments.npz", what)


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
    refused(run.read_segments, path, "not a zip file")
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
    monkeypatch.setattr(store, "MAX_ARRAYS", 1000)
    with pytest.raises(ConfigurationError, match="measure fewer coordinates"):
        run.write_segments(make_segments(make_layout(100)), FINGERPRINT, "id")


def test_what_is_no_file_is_refused_without_hanging(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    (tmp_path / "segments.npz").mkdir()
    os.mkfifo(tmp_path / "result.json")
    refused(run.read_segments, tmp_path / "segments.npz", "not a regular file")
    refused(run.read_result, tmp_path / "result.json", "not a regular file")


# ---- results -------------------------------------------------------------------------------------------------------------------------


def test_results_come_back_equal_and_as_the_same_bytes(tmp_path: Path) -> None:
    result = make_result(make_coordinates(make_layout(2, 1)))
    files = []
    for name in ("a", "b"):
        run = RunDirectory(tmp_path / name)
        run.write_error("an older failure")
        run.write_result(result)
        assert run.read_result() == result
        assert run.read_error() is None
        files.append([(run.path / file).read_bytes() for file in ("result.json", "coordinates.csv")])
    assert files[0] == files[1]
    body = json.loads(files[0][0])
    assert list(body) == [*result.as_json(), "coordinates", "sha256"]
    assert {key: body["coordinates"][key] for key in ("rows", "of", "selection")} == {"rows": 3, "of": 3, "selection": "all"}
    sha = body.pop("sha256")
    assert sha == hashlib.sha256(canonical_json(body).encode()).hexdigest()


def test_keys_that_json_turns_into_texts_are_sealed_as_a_reader_sees_them(tmp_path: Path) -> None:
    run = written(tmp_path, tuning={2: "a", 10: ("b",)})
    result = run.read_result()
    assert result is not None
    assert result.tuning == {"2": "a", "10": ["b"]}


def test_a_nan_in_the_body_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    run = written(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        run.write_result(make_result(config={"temperature": math.nan}))
    assert run.read_result() is not None
    assert run.read_coordinates() is not None


def test_a_failed_result_keeps_its_error_and_a_result_without_a_table_drops_the_old_one(tmp_path: Path) -> None:
    run = written(tmp_path)
    run.write_error("out of memory \ud800")
    run.write_result(make_result(status="failed"))
    assert run.read_error() == "out of memory \\ud800"
    assert run.read_coordinates() is None
    assert not (tmp_path / "coordinates.csv").exists()


def test_a_result_never_stands_beside_the_table_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = written(tmp_path)
    write = store.atomic_write

    def full(path: Path, data: bytes) -> None:
        if path.name == "result.json":
            raise EnvironmentFault("disk full")
        write(path, data)

    monkeypatch.setattr(store, "atomic_write", full)
    with pytest.raises(EnvironmentFault):
        run.write_result(make_result(make_coordinates(make_layout(2, 1), seed=1)))
    assert (run.read_result(), run.read_coordinates()) == (None, None)
    monkeypatch.undo()
    written(tmp_path)
    (tmp_path / "coordinates.csv").unlink()
    refused(run.read_coordinates, tmp_path / "coordinates.csv", "missing")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[" * 1_000_000, "nested too deeply"),
        ('{"a":' * 1_000_000, "nested too deeply"),
        ('{"a": NaN}', "NaN is not strict JSON"),
        ('{"a": -Infinity}', "-Infinity is not strict JSON"),
        ('{"a": 1e999}', ""),
        ('{"a": ' + "1" * 5000 + "}", ""),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{}", "does not match its sha256"),
        ('{"sha256": null}', "does not match its sha256"),
        ('{"\x1b[31m', ""),
    ],
)
def test_hostile_json_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    refused(RunDirectory(tmp_path).read_result, path, what)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda body: body.update(schema_version=2), "schema_version 2, this gsx reads 1"),
        (lambda body: body.update(status="\x1b[2Jdone"), "none of complete, partial, failed"),
        (lambda body: body.update(estimator=5), "'estimator' is no str"),
        (lambda body: body.update(config=[]), "'config' is no dict"),
        (lambda body: body.pop("summary"), "'summary' is missing"),
        (lambda body: body.pop("coordinates"), "'coordinates' is missing"),
        (lambda body: body.update(summary=[]), ""),
        (lambda body: body.update(cost={"pounds": 3}), ""),
        (lambda body: body["summary"].update(variance={"value": "a lot", "se": None, "ci": None}), ""),
        (lambda body: body["summary"].update(variance={"value": 1, "se": None, "ci": [1]}), ""),
        (lambda body: body.update(parameters={"logits": 3}), ""),
    ],
)
def test_sealed_but_wrong_results_are_refused(tmp_path: Path, change: Callable[[dict[str, Any]], object], what: str) -> None:
    run = written(tmp_path)
    reseal(tmp_path / "result.json", change)
    refused(run.read_result, tmp_path / "result.json", what)


# ---- coordinates ---------------------------------------------------------------------------------------------------------------------


def test_the_table_holds_shortest_numbers_and_empty_fields(tmp_path: Path) -> None:
    layout = Layout(("w", "b"), ((1, 2), ()))
    columns = {name: np.array([0.1, -1e-300, math.nan]) for name in Coordinates.COLUMNS}
    run = RunDirectory(tmp_path)
    run.write_result(make_result(Coordinates(layout, **columns)))
    assert (tmp_path / "coordinates.csv").read_text() == (
        "parameter,index,mean,mean_se,variance,variance_se,reference,reference_se,bias,bias_se,z\n"
        f"w,0{',0.1' * 9}\n"
        f"w,1{',-1e-300' * 9}\n"
        f"b,0{',' * 9}\n"
    )
    table = run.read_coordinates()
    assert table is not None
    assert (table.columns["parameter"], table.columns["index"]) == (["w", "w", "b"], [0, 1, 0])
    for name in Coordinates.COLUMNS:
        np.testing.assert_array_equal(table.columns[name], columns[name])


@settings(deadline=None, max_examples=30)
@given(
    name=TEXT | st.sampled_from(["=1+1", "'=a", "''", "-2", "@x", 'a"b,c', "\r\n"]),
    values=st.lists(st.floats(), max_size=4),
)
def test_the_table_restores_every_name_and_number(name: str, values: list[float]) -> None:
    layout = Layout((name,), ((len(values),),))
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder))
        run.write_result(make_result(Coordinates(layout, **{column: np.array(values, float) for column in Coordinates.COLUMNS})))
        table = run.read_coordinates()
    assert table is not None
    assert table.columns["parameter"] == [name] * len(values)
    np.testing.assert_array_equal(table.columns["z"], values)


def test_no_spreadsheet_sees_a_formula_and_pandas_needs_no_options(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    names = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "plain")
    layout = Layout(names, tuple((1,) for _ in names))
    coordinates = make_coordinates(layout)
    RunDirectory(tmp_path).write_result(make_result(coordinates))
    frame = pandas.read_csv(tmp_path / "coordinates.csv")
    assert frame["parameter"].tolist() == [f"'{name}" for name in names[:-1]] + ["plain"]
    assert {str(dtype) for dtype in frame.dtypes.iloc[2:]} == {"float64"}
    np.testing.assert_allclose(frame["mean"], coordinates.mean, rtol=1e-14)


def test_large_tables_keep_the_largest_z_of_each_parameter_and_say_so(tmp_path: Path) -> None:
    layout = make_layout(9_000, 1_500, 10)
    z = np.concatenate([np.arange(9_000) - 4_500.0, np.full(1_500, np.nan), np.ones(10)])
    z[-1] = math.nan
    z[9_000 + 1_400] = -0.1
    run = RunDirectory(tmp_path)
    run.write_result(make_result(dataclasses.replace(make_coordinates(layout), z=z)))
    table = run.read_coordinates()
    assert table is not None
    assert (table.of, table.selection) == (10_510, "the 1000 largest |z| per parameter")
    index = np.array(table.columns["index"])
    assert len(index) == 1000 + 1000 + 10
    assert index[:1000].tolist() == [*range(501), *range(8_501, 9_000)]  # ties go to the lower index
    assert index[1000:2000].tolist() == [*range(999), 1_400]  # NaN comes last
    np.testing.assert_array_equal(table.columns["z"][:1000], z[index[:1000]])
    run.write_result(make_result(make_coordinates(make_layout(10_000))))
    table = run.read_coordinates()
    assert table is not None
    assert (len(table.columns["z"]), table.selection) == (10_000, "all")


@pytest.mark.parametrize(
    "text",
    ["", "parameter,index\n", "1,2,3,4,5,6,7,8,9,10,11\n", ",".join(store.TABLE_COLUMNS) + "\na,b" + ",0" * 9 + "\n", '"\n', "\xff"],
)
def test_sealed_but_wrong_tables_are_refused(tmp_path: Path, text: str) -> None:
    run = written(tmp_path)
    data = text.encode("latin-1")
    (tmp_path / "coordinates.csv").write_bytes(data)
    sha = hashlib.sha256(data).hexdigest()
    reseal(tmp_path / "result.json", lambda body: body.update(coordinates={**body["coordinates"], "rows": 1, "sha256": sha}))
    refused(run.read_coordinates, tmp_path / "coordinates.csv")


# ---- references, discarding, fingerprints --------------------------------------------------------------------------------------------


def test_references_come_back_bit_for_bit(tmp_path: Path) -> None:
    layout = make_layout(3, 1)
    reference = make_reference(layout)
    run = RunDirectory(tmp_path / "reference-abc")
    run.write_reference(reference, layout, {"replicates": 10**6, "dtype": "float64"})
    first = [(run.path / name).read_bytes() for name in ("reference.json", "reference.npz")]
    run.write_reference(reference, layout, {"replicates": 10**6, "dtype": "float64"})
    assert first == [(run.path / name).read_bytes() for name in ("reference.json", "reference.npz")]
    stored = run.read_reference()
    assert stored is not None
    assert (stored.layout, stored.note) == (layout, {"replicates": 10**6, "dtype": "float64"})
    assert (stored.reference.id, stored.reference.kind, stored.reference.estimator) == ("abc", "long_run", "rloo")
    np.testing.assert_array_equal(stored.reference.gradient, reference.gradient)
    np.testing.assert_array_equal(stored.reference.se, reference.se)
    assert json.loads(first[0])["error"] == reference.error


def test_references_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    layout = make_layout(2)
    one, two = RunDirectory(tmp_path / "reference-1"), RunDirectory(tmp_path / "reference-2")
    one.write_reference(make_reference(layout), layout, {})
    two.write_reference(dataclasses.replace(make_reference(layout), se=np.zeros(2)), layout, {})
    (two.path / "reference.npz").replace(one.path / "reference.npz")
    refused(one.read_reference, one.path / "reference.npz", "not the one that reference.json")
    refused(two.read_reference, two.path / "reference.npz", "missing")
    (two.path / "reference.json").unlink()
    assert two.read_reference() is None
    for gradient in (np.zeros(3), np.array([0.0, np.nan]), np.zeros(2, np.float32)):
        with pytest.raises(ValueError, match="gradient"):
            one.write_reference(dataclasses.replace(make_reference(layout), gradient=gradient), layout, {})


def test_discard_forgets_the_run_and_nothing_else(tmp_path: Path) -> None:
    run = written(tmp_path)
    run.write_error("x")
    (tmp_path / "notes.txt").write_text("mine")
    with run.lock():
        run.discard()
    assert sorted(os.listdir(tmp_path)) == [".lock", "notes.txt"]
    assert list(find_runs([tmp_path])) == []


def test_fingerprints_must_agree() -> None:
    check_fingerprint(FINGERPRINT, dict(FINGERPRINT))
    with pytest.raises(IntegrityError) as caught:
        check_fingerprint({**FINGERPRINT, "gpu": "H100\n\x1b[2J"}, {**FINGERPRINT, "torch": "2.10.0", "os": "Linux"})
    assert str(caught.value) == (
        "the machine or the versions changed: gpu was H100  [2J, is not recorded; os was not recorded, is Linux; "
        "torch was 2.9.1, is 2.10.0; force=true starts anew"
    )
    assert caught.value.exit_code == 6


# ---- finding -------------------------------------------------------------------------------------------------------------------------


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


# ---- other processes -----------------------------------------------------------------------------------------------------------------


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process with the store imported; it prints a line when it is where the test wants it."""
    program = f"import sys, time\nfrom pathlib import Path\nfrom gsx.store import *\nrun = RunDirectory(Path(sys.argv[1]))\n{code}"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def wait_for_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


HOLD = "with run.lock():\n    print('held', flush=True)\n    time.sleep(60)"
TRY = "try:\n    with run.lock(): print('got it', flush=True)\nexcept Busy as busy: print(busy.exit_code, busy, flush=True)"
WAIT = "print('waiting', flush=True)\nwith run.lock(wait=True): print('got it', flush=True)"


def test_the_second_process_is_told_who_holds_the_run_and_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    with start(HOLD, run.path) as holder:
        try:
            assert wait_for_line(holder) == "held"
            with start(TRY, run.path) as second:
                told = wait_for_line(second)
            assert told.startswith(f"7 {run.path}: busy, held by pid {holder.pid} on {os.uname().nodename} since 20")
            with pytest.raises(Busy, match=f"pid {holder.pid} "), run.lock():
                pass
            with start(WAIT, run.path) as waiting:
                assert wait_for_line(waiting) == "waiting"
                time.sleep(0.2)
                assert waiting.poll() is None
                holder.kill()
                holder.wait()
                assert wait_for_line(waiting) == "got it"
        finally:
            holder.kill()
    with run.lock():
        pass
    assert os.listdir(run.path) == [".lock"]


def test_a_dead_holders_note_is_neither_an_obstacle_nor_believed(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with start("pass", tmp_path) as dead:
        pass
    with run.lock():
        with pytest.raises(Busy, match=f"pid {os.getpid()} "), run.lock():
            pass
        host = os.uname().nodename
        for note in (canonical_json({"pid": dead.pid, "host": host, "since": ""}), "", "[]", "{}", "\x00", "[" * 4000, '{"pid": 1e400}'):
            (tmp_path / ".holder").write_text(note)
            with pytest.raises(Busy, match="held by another process"), run.lock():
                pass
        (tmp_path / ".holder").write_text(canonical_json({"pid": 1, "host": "else\nwhere\x1b", "since": "noon"}))
        with pytest.raises(Busy, match="held by pid 1 on else where  since noon"), run.lock():
            pass
    (tmp_path / ".holder").write_text(canonical_json({"pid": dead.pid, "host": host, "since": ""}))
    with run.lock():
        assert json.loads((tmp_path / ".holder").read_text())["pid"] == os.getpid()


def test_a_fault_inside_the_lock_frees_it(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with pytest.raises(GsxError, match="inside"), run.lock():
        raise GsxError("inside")
    with run.lock():
        pass


REWRITE = """
import numpy as np
from gsx.records import Layout, Segments
layout = Layout(("w",), ((20_000,),))
with run.lock():
    for i in range(10**6):
        whole, part = np.full(4, i), np.full((4, 20_000), float(i))
        run.write_segments(Segments(layout, whole, whole, part, part, None, None, None, whole, whole), {}, "id", seconds=float(i))
        if i == 0:
            print("writing", flush=True)
"""


def test_a_writer_killed_at_any_instant_leaves_a_readable_checkpoint(tmp_path: Path) -> None:
    run, rng, kills, between, within = RunDirectory(tmp_path), random.Random(0), 0, 0, 0
    while kills < 10 or (kills < 50 and not (between and within)):  # without both kinds of kill the test has no power
        with start(REWRITE, tmp_path) as writer:
            assert wait_for_line(writer) == "writing"
            time.sleep(rng.uniform(0.01, 0.15))
            writer.kill()
        stored = run.read_segments()
        assert stored is not None
        assert (stored.segments.mean == stored.seconds).all()
        kills += 1
        between += stored.seconds > 0
        within += any(tmp_path.glob(".*.tmp"))  # its own: the next holder sweeps it away
    assert between
    assert within
    with run.lock():
        pass
    assert sorted(os.listdir(tmp_path)) == [".lock", "segments.npz"]
