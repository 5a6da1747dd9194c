"""Checkpoints: they come back bit for bit, and are refused where they are sealed but wrong or the machine changed."""

from __future__ import annotations

import dataclasses
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsx.records import IntegrityError, Layout, Segments
from gsx.store import RunDirectory, StoredSegments, check_fingerprint
from gsx.store.arrays import write_arrays
from tests.store.factory import FINGERPRINT, TEXT, make_layout, make_segments, refused, same, written


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


def forge(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change segments.npz as a forger would: with a seal that fits."""
    with np.load(path) as archive:
        arrays = dict(archive)
    del arrays["sha256"]
    change(arrays)
    write_arrays(path, arrays)


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
        (lambda a: a.update(fingerprint=np.array("[" * 100_000)), "nested too deeply"),
        (lambda a: a.update(accumulated_seconds=np.array(np.nan)), "accumulated_seconds is nan"),
        (lambda a: a.update(layout=np.array('[["a", [-3, -1]]]')), "a shape that no parameter has"),
        (lambda a: a.update(layout=np.array(f'[["a", [{"9" * 4000}]]]')), "a number of 4000 digits"),
        (lambda a: a.update(layout=np.array(f'[["a", [{",".join(["9" * 200] * 65)}]]]')), "a shape that no parameter has"),
        (lambda a: a.update(layout=np.array("1" * 2_000_000)), "layout"),
        (lambda a: a.update(layout=np.array('[["a", [2]], ["a", [1]]]')), "twice"),
        (lambda a: a.update(layout=np.array("[[3]]")), ""),
    ],
)
def test_sealed_but_wrong_segments_are_refused(tmp_path: Path, change: Callable[[dict[str, Any]], object], what: str) -> None:
    run = written(tmp_path)
    forge(tmp_path / "segments.npz", change)
    refused(run.read_segments, tmp_path / "segments.npz", what)


def test_fingerprints_must_agree() -> None:
    check_fingerprint(FINGERPRINT, dict(FINGERPRINT))
    with pytest.raises(IntegrityError) as caught:
        check_fingerprint({**FINGERPRINT, "gpu": "H100\n\x1b[2J"}, {**FINGERPRINT, "torch": "2.10.0", "os": "Linux"})
    assert str(caught.value) == (
        "the machine or the versions changed: gpu was H100  [2J, is not recorded; os was not recorded, is Linux; "
        "torch was 2.9.1, is 2.10.0; what is stored is whole, and goes on where it began; here force=true starts anew"
    )
    assert caught.value.exit_code == 6
