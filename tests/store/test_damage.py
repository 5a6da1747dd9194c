"""What is refused of every file: torn at any length, flipped at any bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gsx.records import IntegrityError
from gsx.store import RunDirectory, StoredReference
from tests.store.factory import make_layout, make_reference, refused, same, written


def damaged_files(folder: Path) -> list[tuple[Path, Callable[[], object], Callable[[Any, Any], bool]]]:
    run, reference = written(folder / "run"), RunDirectory(folder / "reference-abc")
    layout = make_layout(2, 1)
    reference.write_reference(make_reference(layout), layout, {"seed": 0})

    def everything(stored: StoredReference) -> tuple[object, ...]:
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
