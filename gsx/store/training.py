"""The folder of one training: its curve, its parameters and its checkpoints, as data that anyone may have written."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gsx.records import IntegrityError, Parameters, Point, Training, canonical_json
from gsx.store.arrays import FORMAT_VERSION, MAX_ARRAYS, Arrays, array_of, check_index, parse_arrays, plain, text_of, write_arrays
from gsx.store.files import ADVICE, MAX_TEXT, atomic_write, create_folder, declared_bytes, read, remove
from gsx.store.folder import Folder, check_address
from gsx.store.result import STATUSES, pair
from gsx.store.schema import Each, Rule, check, count, number
from gsx.store.strict_json import parse_json, sealed_json

_SEEDS = 4096  #: no training has more


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


@dataclass(frozen=True)
class TrainingDirectory(Folder):
    """The folder of one training."""

    def _state(self, seed: int) -> Path:
        return self.path / f"state-seed{seed}.npz"

    def _parameters(self, seed: int) -> Path:
        return self.path / f"parameters-seed{seed}.npz"

    def discard(self) -> None:
        """Forget the training: what force=true does. EnvironmentFault."""
        remove(self.path / "training.json", self.path / "curve.csv", self._error)
        remove(*self.path.glob("state-seed*.npz"), *self.path.glob("parameters-seed*.npz"))

    @property
    def made_anew(self) -> str:
        """The way out where a file is damaged that follows from the checkpoints."""
        how = "makes it anew from the checkpoints" if self.seeds_begun() else "trains anew"
        return f"remove training.json, and the same command {how}"

    # -- checkpoints

    def write_state(self, state: State) -> None:
        """EnvironmentFault from the disk; ConfigurationError above MAX_ARRAYS."""
        write_arrays(self._state(state.seed), pack_state(state))

    def read_state(self, seed: int) -> State | None:
        """The last checkpoint of a seed, or None. IntegrityError, EnvironmentFault."""
        advice = "remove it, and the same command trains this seed anew; the other seeds stay"
        return read(self._state(seed), 2 * MAX_ARRAYS, lambda stream: parse_state(stream, seed), advice)

    def seeds_begun(self) -> list[int]:
        """The seeds that have a checkpoint."""
        found = (re.fullmatch(r"state-seed(\d+)\.npz", path.name) for path in self.path.glob("state-seed*.npz"))
        return sorted(int(match[1]) for match in found if match)

    # -- the end

    def write(self, training: Training) -> None:
        """parameters-seed<k>.npz, curve.csv, then training.json, which declares them. EnvironmentFault; ValueError for a NaN."""
        table = format_curve(training.curve)
        digests = {str(seed): parameters.digest for seed, parameters in training.parameters.items()}
        declared = {"rows": len(training.curve), "sha256": hashlib.sha256(table).hexdigest()}
        data = sealed_json({**training.as_json(), "curve": declared, "parameters": digests})
        create_folder(self.path)
        remove(self.path / "training.json")  # an older one never stands beside a newer curve
        for seed, parameters in training.parameters.items():
            write_parameters(self._parameters(seed), parameters)
        atomic_write(self.path / "curve.csv", table)
        atomic_write(self.path / "training.json", data)
        if training.status != "failed":
            remove(self._error)

    def read(self) -> Training | None:
        """The training with its curve, without its parameters, or None. IntegrityError, EnvironmentFault."""
        parsed = read(self.path / "training.json", MAX_TEXT, parse_training, self.made_anew)
        if parsed is None:
            return None
        training, declared, _ = parsed
        curve = read(self.path / "curve.csv", MAX_TEXT, lambda stream: parse_curve(stream, declared), self.made_anew)
        if curve is None:
            raise IntegrityError(f"{self.path / 'curve.csv'}: missing, and training.json declares it; {self.made_anew}")
        return dataclasses.replace(training, curve=curve)

    def check(self, training: Training) -> None:
        """IntegrityError unless a complete training lies where it belongs, and parameters beside it, at which no more is looked."""
        check_address(self.path, training.training_id)
        for path in map(self._parameters, self.digests()):
            if read(path, 2 * MAX_ARRAYS, check_index, self.made_anew) is None:
                raise IntegrityError(f"{path}: missing, and training.json declares it; {self.made_anew}")

    def digests(self) -> dict[int, str]:
        """What training.json declares the parameters at the end of each seed to be. IntegrityError, EnvironmentFault."""
        parsed = read(self.path / "training.json", MAX_TEXT, parse_training, self.made_anew)
        training, _, declared = parsed or (None, None, {})
        return {seed: declared[str(seed)] for seed in (training.seeds if training else ()) if str(seed) in declared}

    def read_parameters(self, seed: int | None = None, advice: str | None = None) -> Parameters | None:
        """The parameters at the end of a seed, the first one's by default, or None. IntegrityError, EnvironmentFault.

        ``advice`` is for the user who meets a damaged one: whose training this is makes it anew, whoever only reads it may not.
        """
        advice = advice or self.made_anew
        parsed = read(self.path / "training.json", MAX_TEXT, parse_training, advice)
        if parsed is None:
            return None
        training, _, digests = parsed
        seed = training.seeds[0] if seed is None else seed
        if str(seed) not in digests:
            return None
        parameters = read_parameters(self._parameters(seed), advice)
        if parameters is None or parameters.digest != digests[str(seed)]:
            raise IntegrityError(f"{self._parameters(seed)}: missing, or not what training.json declares; {advice}")
        return parameters


# ------------------------------------------------------------------------------------------------------------------- parameters

_PARAMETER = "param."


def write_parameters(path: Path, parameters: Parameters) -> None:
    arrays = {_PARAMETER + name: plain(name, array) for name, array in parameters.arrays.items()}
    write_arrays(path, {"format_version": np.array(FORMAT_VERSION, dtype="<i8"), **arrays})


def read_parameters(path: Path, advice: str = ADVICE) -> Parameters | None:
    """Named arrays of finite floats, or None where there is no such file. IntegrityError, which ends with advice; EnvironmentFault."""
    return read(path, 2 * MAX_ARRAYS, lambda stream: parse_parameters(parse_arrays(stream)), advice)


def parse_parameters(arrays: Arrays) -> Parameters:
    _check_version(arrays)
    found = {name.removeprefix(_PARAMETER): array for name, array in arrays.items() if name.startswith(_PARAMETER)}
    if len(found) != len(arrays) - 1 or not found:
        raise ValueError("holds other things than parameters")
    for name, array in found.items():
        if array.dtype not in (np.dtype("<f4"), np.dtype("<f8")) or not np.isfinite(array).all():
            raise ValueError(f"parameter {name!r} is no array of finite floats")
    return Parameters(found)


def _check_version(arrays: Arrays) -> None:
    version = int(array_of(arrays, "format_version", "<i8", ()))
    if version != FORMAT_VERSION:
        raise ValueError(f"format version {version}, this gsx reads {FORMAT_VERSION}")


# ------------------------------------------------------------------------------------------------------------------- checkpoints

_STATE = "state."
_TYPES = {"step": "<i8", "value": "<f8", "se": "<f8"}


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
    _check_version(arrays)
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


# ------------------------------------------------------------------------------------------------------------------------- curve


def format_curve(curve: Sequence[Point]) -> bytes:
    """curve.csv in the order given; a NaN is an empty field."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Point._fields)
    writer.writerows([*point[:5], *("" if math.isnan(x) else repr(float(x)) for x in point[5:])] for point in curve)
    return text.getvalue().encode()


def parse_curve(stream: BinaryIO, declared: Mapping[str, Any]) -> tuple[Point, ...]:
    header, *rows = csv.reader(io.StringIO(declared_bytes(stream, declared).decode(), newline=""), strict=True)
    if tuple(header) != Point._fields or len(rows) != declared["rows"]:
        raise ValueError("its columns or its rows are not those that training.json declares")
    return tuple(
        Point(int(seed), int(step), split, estimator, metric, *(float(x) if x else math.nan for x in numbers))
        for seed, step, split, estimator, metric, *numbers in rows
    )


SCHEMA: Rule = {
    "training_id": str,
    "status": str,
    "config": dict,
    "model": str,
    "estimator": str,
    "seeds": [count],
    "steps": count,
    "probe": [str],
    "reference": dict,
    "summary": Each({"value": (number, None), "se": (number, None), "ci": (pair, None)}),
    "provenance": dict,
    "curve": {"rows": count, "sha256": str},
    "parameters": Each(str),
}


def parse_training(stream: BinaryIO) -> tuple[Training, dict[str, Any], dict[str, str]]:
    """The training, what it declares about curve.csv, and the digests of the parameters of each seed."""
    body = parse_json(stream)
    training = Training.from_json(body)
    check(body, SCHEMA)
    if training.status not in STATUSES:
        raise ValueError(f"status {training.status!r} is none of {', '.join(STATUSES)}")
    if not 1 <= len(training.seeds) <= _SEEDS or len(set(training.seeds)) < len(training.seeds):
        raise ValueError("its seeds are none")
    return training, body["curve"], body["parameters"]
