"""Made-up runs, and what a refusal looks like."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from gsx import store
from gsx.records import (
    STATISTICS,
    Coordinates,
    Cost,
    IntegrityError,
    Interval,
    Layout,
    Reference,
    Result,
    Segments,
    Verdict,
    canonical_json,
)
from gsx.store import RunDirectory, StoredSegments

ROOT = Path(store.__file__).resolve().parents[2]
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
        config={"model": {"logits": [0.1, 1.0], "name": "bernoulli_toy", "größe": 1}, "seed": 2**63 - 1},
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


def refused(read: Callable[[], object], path: Path, what: str = "") -> None:
    with pytest.raises(IntegrityError) as caught:
        read()
    message = str(caught.value)
    assert what in message
    assert message.startswith(str(path))
    assert re.search(r"; remove (it|\w+\.json), and .* anew", message) and "force" not in message
    assert message.isprintable()
