"""The folder of a training: what is written is read again to the last bit, and nothing else is believed."""

from __future__ import annotations

import io
import json
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gsx.records import Busy, IntegrityError, Parameters, Point, Training
from gsx.store import State, TrainingDirectory, find_runs, find_trainings, read_parameters, write_parameters
from gsx.store.arrays import write_arrays
from gsx.store.curve import format_curve
from gsx.store.training_state import pack_state

CURVE = (
    Point(0, 0, "train", "", "elbo", -12.25, 0.5),
    Point(0, 10, "", "rloo", "variance", 0.1, math.nan),
    Point(3, 10, "", "reinforce(constant=1, decay=0.5)", "cosine", math.nan, math.nan),
)


def training(status: str = "complete") -> Training:
    parameters = {seed: Parameters({"decoder.0.weight": np.float32([[seed, 0.1]]), "eta": np.float32(0.3)}) for seed in (0, 3)}
    config = {"model": {"name": "tied_bernoulli"}}
    facts: dict[str, Any] = {"reference": {"kind": "closed_form"}, "summary": {}, "provenance": {"gsx": "0"}}
    return Training(
        "ab" * 32, status, config, "tied_bernoulli", "rloo", (0, 3), 10, ("disarm",), curve=CURVE, parameters=parameters, **facts
    )


def state(**changed: Any) -> State:
    arrays = {"param.eta": np.float32(0.1), "losses": np.zeros(0, np.float32), "optimizer.0.step": np.float32(3)}
    facts = {
        "training_id": "ab" * 32,
        "fingerprint": {"torch": "2"},
        "seed": 3,
        "step": 10,
        "seconds": 1.5,
        "arrays": arrays,
        "curve": CURVE[2:],
    }
    return State(**(facts | changed))  # type: ignore[arg-type]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    folder = TrainingDirectory(tmp_path)
    folder.write(training())
    found = folder.read()
    assert found is not None and repr(found.curve) == repr(CURVE)
    assert found.as_json() == training().as_json()
    for seed in (None, 0, 3):
        parameters = folder.read_parameters(seed)
        assert parameters is not None and parameters.digest == training().parameters[seed or 0].digest
        assert all(array.dtype == np.float32 for array in parameters.arrays.values())
    assert folder.read_parameters(7) is None
    assert format_curve(CURVE).decode().splitlines()[:2] == ["seed,step,split,estimator,metric,value,se", "0,0,train,,elbo,-12.25,0.5"]


def test_a_checkpoint_is_read_again(tmp_path: Path) -> None:
    folder = TrainingDirectory(tmp_path)
    assert folder.read_state(3) is None
    folder.write_state(state())
    found = folder.read_state(3)
    assert found is not None and repr(found.curve) == repr(CURVE[2:])
    assert (found.training_id, found.fingerprint, found.step, found.seconds) == ("ab" * 32, {"torch": "2"}, 10, 1.5)
    assert found.arrays.keys() == state().arrays.keys()
    assert all(
        np.array_equal(found.arrays[name], array) and found.arrays[name].dtype == array.dtype for name, array in state().arrays.items()
    )
    folder.write_state(state(curve=()))
    found = folder.read_state(3)
    assert found is not None and found.curve == ()


def test_nothing_there(tmp_path: Path) -> None:
    folder = TrainingDirectory(tmp_path)
    assert folder.read() is None and folder.read_parameters() is None and folder.read_error() is None
    folder.write_error("why")
    assert folder.read_error() == "why"
    folder.write(training())
    assert folder.read_error() is None
    folder.discard()
    assert list(tmp_path.iterdir()) == []


def test_two_at_once(tmp_path: Path) -> None:
    with TrainingDirectory(tmp_path).lock(), pytest.raises(Busy), TrainingDirectory(tmp_path).lock():
        raise AssertionError


def test_trainings_are_no_runs(tmp_path: Path) -> None:
    folder = tmp_path / "train-a"
    TrainingDirectory(folder).write(training())
    (folder / ".lock").touch()
    (tmp_path / "run-a").mkdir()
    (tmp_path / "run-a" / ".lock").touch()
    assert [found.path.name for found in find_runs([tmp_path])] == ["run-a"]
    assert [found.path.name for found in find_trainings([tmp_path])] == ["train-a"]


# ------------------------------------------------------------------------------------------------------------------ hostile files


def hostile(path: Path, kind: str) -> None:
    """A parameters file as somebody else may have written it."""
    good = {"format_version": np.array(1, "<i8"), "param.eta": np.float32([0.5])}
    if kind == "pickle":
        array = np.array([print], dtype=object)
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array, allow_pickle=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("param.eta.npy", buffer.getvalue())
    elif kind == "a pickle":
        path.write_bytes(pickle.dumps(good))
    elif kind == "no seal":
        np.savez(path, **good)
    elif kind == "compressed":
        np.savez_compressed(path, **good)
    elif kind == "truncated":
        write_arrays(path, good)
        path.write_bytes(path.read_bytes()[:-40])
    elif kind == "flipped":
        write_arrays(path, good)
        data = bytearray(path.read_bytes())
        data[data.index(np.float32([0.5]).tobytes(), 300)] ^= 1
        path.write_bytes(data)
    else:
        write_arrays(path, good | {
            "whole numbers": {"param.eta": np.array([1])},
            "not finite": {"param.eta": np.float32([math.nan])},
            "text": {"param.eta": np.array("0.5")},
            "something else": {"weights": np.float32([1])},
            "version": {"format_version": np.array(2, "<i8")},
        }[kind])  # fmt: skip


KINDS = [
    "pickle",
    "a pickle",
    "no seal",
    "compressed",
    "truncated",
    "flipped",
    "whole numbers",
    "not finite",
    "text",
    "something else",
    "version",
]


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_parameters(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "parameters-seed0.npz"
    hostile(path, kind)
    with pytest.raises(IntegrityError) as caught:
        read_parameters(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    write_parameters(path, training().parameters[0])
    found = read_parameters(path)
    assert found is not None and found.digest == training().parameters[0].digest and read_parameters(tmp_path / "q.npz") is None


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": np.array(0, "<i8")},
        {"step": np.array(-1, "<i8")},
        {"seconds": np.array(math.nan)},
        {"fingerprint": np.array('{"torch": 2}')},
        {"fingerprint": np.array("[")},
        {"training_id": np.array(3)},
        {"format_version": np.array(9, "<i8")},
        {"curve.value": np.zeros(5)},
        {"curve.metric": np.zeros(1)},
        {"curve.split": None},
        {"curve.step": np.zeros(1)},
    ],
    ids=str,
)
def test_hostile_checkpoints(changed: dict[str, Any], tmp_path: Path) -> None:
    arrays = {name: array for name, array in (pack_state(state()) | changed).items() if array is not None}
    write_arrays(tmp_path / "state-seed3.npz", arrays)
    with pytest.raises(IntegrityError, match="state-seed3"):
        TrainingDirectory(tmp_path).read_state(3)


def test_damage_is_named(tmp_path: Path) -> None:
    """A curve or parameters that training.json was not written with; a body that was edited."""
    folder = TrainingDirectory(tmp_path)
    folder.write(training())
    curve = (tmp_path / "curve.csv").read_bytes()
    (tmp_path / "curve.csv").write_bytes(curve.replace(b"12.25", b"12.26"))
    with pytest.raises(IntegrityError, match=r"curve\.csv"):
        folder.read()
    (tmp_path / "curve.csv").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        folder.read()
    write_parameters(tmp_path / "parameters-seed0.npz", training().parameters[3])
    with pytest.raises(IntegrityError, match="parameters-seed0"):
        folder.read_parameters()
    (tmp_path / "parameters-seed0.npz").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        folder.read_parameters()
    body = json.loads((tmp_path / "training.json").read_text())
    (tmp_path / "training.json").write_text(json.dumps(body | {"steps": 11}))
    with pytest.raises(IntegrityError, match="sha256"):
        folder.read()
