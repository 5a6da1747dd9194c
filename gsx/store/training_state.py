"""The checkpoint of one seed of a training."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from gsx.records import Point, canonical_json
from gsx.store.arrays import FORMAT_VERSION, Arrays, array_of, check_version, parse_arrays, plain, text_of

_STATE = "state."
_TYPES = {"step": "<i8", "value": "<f8", "se": "<f8"}


@dataclass(frozen=True)
class State:
    """A checkpoint of one seed: everything that goes on from here depends on it, and the curve so far."""

    training_id: str
    fingerprint: dict[str, str]
    seed: int
    step: int
    seconds: float
    arrays: Arrays
    curve: tuple[Point, ...]


def pack_state(state: State) -> Arrays:
    """ValueError for an array that cannot be read without pickle."""
    columns = {name: np.array([getattr(point, name) for point in state.curve]) for name in Point._fields if name != "seed"}
    return {
        "format_version": np.array(FORMAT_VERSION, dtype="<i8"),
        "training_id": np.array(state.training_id),
        "fingerprint": np.array(canonical_json(state.fingerprint)),
        "seed": np.array(state.seed, dtype="<i8"),
        "step": np.array(state.step, dtype="<i8"),
        "seconds": np.array(state.seconds, dtype="<f8"),
        **{f"curve.{name}": plain(name, column.astype(_TYPES.get(name, "U"))) for name, column in columns.items()},
        **{_STATE + name: plain(name, array) for name, array in state.arrays.items()},
    }


def parse_state(stream: BinaryIO, seed: int) -> State:
    arrays = parse_arrays(stream)
    check_version(arrays)
    fingerprint = json.loads(text_of(arrays, "fingerprint"))
    if not isinstance(fingerprint, dict) or not all(isinstance(value, str) for value in fingerprint.values()):
        raise ValueError("the fingerprint is no table of texts")
    if int(array_of(arrays, "seed", "<i8", ())) != seed:
        raise ValueError(f"is the checkpoint of another seed than {seed}")
    step, seconds = int(array_of(arrays, "step", "<i8", ())), float(array_of(arrays, "seconds", "<f8", ()))
    if step < 0 or not 0 <= seconds < math.inf:
        raise ValueError(f"step is {step}, seconds is {seconds}")
    rows = arrays["curve.step"].size
    columns: list[Sequence[Any]] = [[seed] * rows]
    for name in Point._fields[1:]:
        column = arrays[f"curve.{name}"]
        if column.shape != (rows,) or column.dtype.kind != np.dtype(_TYPES.get(name, "U")).kind:
            raise ValueError(f"curve.{name} is {column.dtype} {column.shape}")
        columns.append(column.tolist())
    curve = tuple(Point(*row) for row in zip(*columns, strict=True))
    states = {name.removeprefix(_STATE): array for name, array in arrays.items() if name.startswith(_STATE)}
    return State(text_of(arrays, "training_id"), fingerprint, seed, step, seconds, states, curve)
