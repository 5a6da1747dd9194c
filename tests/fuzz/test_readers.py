"""Every reader of stored files, fed with damaged ones: raw, and sealed again as a forger would, who gets past every checksum."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gsx.data import idx
from gsx.experiment import experiments, load
from gsx.records import ConfigurationError, Parameters, canonical_json
from gsx.store import (
    PlannedCell,
    PlannedStep,
    RunDirectory,
    StoredExperiment,
    TrainingDirectory,
    read_experiment,
    read_sweep,
    write_experiment,
    write_sweep,
)
from gsx.store.arrays import Arrays, parse_arrays, seal, write_arrays
from tests.fuzz.guided import fuzz
from tests.fuzz.mutation import damaged_arrays, damaged_bytes, damaged_tree
from tests.store.factory import make_coordinates, make_layout, make_reference, make_result, reseal, written
from tests.store.test_training import state, training


@dataclass(frozen=True)
class File:
    """A stored file, and what reads it."""

    path: Path
    read: Callable[[], object]
    vouch: Callable[[Any], object] = lambda content: None  # after a change of its content, has the file beside it declare that content


def files(folder: Path) -> dict[str, File]:
    """One of each, by name."""
    layout = make_layout(2, 1)
    run, reference, trained = written(folder / "run"), RunDirectory(folder / "reference-abc"), TrainingDirectory(folder / "train-x")
    run.write_result(make_result(make_coordinates(layout)), {"replicate": np.arange(3.0), "cost": np.zeros(3), "g[0]": np.ones(3)})
    run.write_error("RuntimeError: no\n")
    reference.write_reference(make_reference(layout), layout, {"seed": 0})
    trained.write(training())
    trained.write_state(state())
    steps = {"one": PlannedStep(["gsx", "run"], [PlannedCell("a-b", "f" * 64, {"seed": 0})]), "two": PlannedStep(["gsx", "run"], None)}
    exact = {"f" * 64: {"mean": [0.5], "variance": [0.25], "error": 0.0, "how": "enumeration"}}
    write_experiment(folder, StoredExperiment("toy", "full", {"title": "t"}, steps, exact))

    write_sweep([(folder / f"toy-{letter * 12}", letter * 64) for letter in "ab"], "gsx run -m")
    (sweep,) = folder.glob("sweep-*.json")

    def declare(path: Path, key: str) -> Callable[[bytes], object]:
        def vouch(content: bytes) -> None:
            rows = max(0, content.count(b"\n") - 1)
            reseal(path, lambda body: body[key].update(rows=rows, sha256=hashlib.sha256(content).hexdigest()))

        return vouch

    def parameters(arrays: Arrays) -> None:
        found = Parameters({name.removeprefix("param."): array for name, array in arrays.items() if name != "format_version"})
        with contextlib.suppress(TypeError, ValueError):  # texts have no digest
            reseal(trained.path / "training.json", lambda body: body["parameters"].update({"0": found.digest}))

    def arrays_of_reference(arrays: Arrays) -> None:
        reseal(reference.path / "reference.json", lambda body: body.update(arrays_sha256=seal(arrays)))

    return {
        "result": File(run.path / "result.json", lambda: (run.read_result(), run.read_coordinates(), run.read_draws())),
        "coordinates": File(run.path / "coordinates.csv", run.read_coordinates, declare(run.path / "result.json", "coordinates")),
        "segments": File(run.path / "segments.npz", run.read_segments),
        "draws": File(run.path / "draws.csv", run.read_draws, declare(run.path / "result.json", "draws")),
        "error": File(run.path / "error.txt", run.read_error),
        "reference": File(reference.path / "reference.json", reference.read_reference),
        "gradient": File(reference.path / "reference.npz", reference.read_reference, arrays_of_reference),
        "training": File(trained.path / "training.json", lambda: (trained.read(), trained.read_parameters())),
        "curve": File(trained.path / "curve.csv", trained.read, declare(trained.path / "training.json", "curve")),
        "parameters": File(trained.path / "parameters-seed0.npz", trained.read_parameters, parameters),
        "state": File(trained.path / "state-seed3.npz", lambda: trained.read_state(3)),
        "experiment": File(folder / "experiment.json", lambda: read_experiment(folder)),
        "sweep": File(sweep, lambda: read_sweep(sweep)),
    }


JSON, ARRAYS, TABLES = (
    ("result", "reference", "training", "experiment", "sweep"),
    ("segments", "gradient", "parameters", "state"),
    ("coordinates", "curve", "draws"),
)
FILE = "train-labels-idx1-ubyte"
EVERY = (*JSON, *ARRAYS, *TABLES, "error")


def test_every_file_is_fuzzed(tmp_path: Path) -> None:
    made = {file.path for file in files(tmp_path).values()}
    assert set(files(tmp_path)) == set(EVERY)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - made == {tmp_path / "train-x" / "parameters-seed3.npz"}


@pytest.mark.parametrize("name", EVERY)
def test_damaged(name: str, tmp_path: Path) -> None:
    file = files(tmp_path)[name]

    def read(content: bytes) -> object:
        file.path.write_bytes(content)
        return file.read()

    refused = fuzz(file.path.read_bytes(), damaged_bytes, read)
    assert refused > 0 or name == "error"


@pytest.mark.parametrize("name", JSON)
def test_forged_json(name: str, tmp_path: Path) -> None:
    file = files(tmp_path)[name]

    def read(body: dict[str, Any]) -> object:
        seal = hashlib.sha256(canonical_json(body).encode()).hexdigest()
        file.path.write_text(json.dumps({**body, "sha256": seal}))
        return file.read()

    whole = json.loads(file.path.read_text())
    del whole["sha256"]
    assert fuzz(whole, damaged_tree, read) > 0


@pytest.mark.parametrize("name", ARRAYS)
def test_forged_arrays(name: str, tmp_path: Path) -> None:
    file = files(tmp_path)[name]

    def read(arrays: Arrays) -> object:
        write_arrays(file.path, arrays)
        file.vouch(arrays)
        return file.read()

    with file.path.open("rb") as stream:
        whole = parse_arrays(stream)
    assert fuzz(whole, damaged_arrays, read) > 0


@pytest.mark.parametrize("name", TABLES)
def test_forged_tables(name: str, tmp_path: Path) -> None:
    file = files(tmp_path)[name]

    def read(content: bytes) -> object:
        file.path.write_bytes(content)
        file.vouch(content)
        return file.read()

    assert fuzz(file.path.read_bytes(), damaged_bytes, read) > 0


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_damaged_data(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The IDX files that somebody else made."""
    path = tmp_path / f"{FILE}{ending}"
    whole = bytes((0, 0, 8, 1, 0, 0, 0, 9)) + bytes(9)

    def read(content: bytes) -> object:
        path.write_bytes(content)
        return idx.parse(idx.unfold(path), str(path), "mnist", FILE)

    def damage(rng: random.Random, content: bytes) -> bytes:
        if ending and rng.random() < 0.5:
            return gzip.compress(damaged_bytes(rng, whole), mtime=0)
        return damaged_bytes(rng, content)

    monkeypatch.setitem(idx.SOURCES["mnist"].sha256, FILE, hashlib.sha256(whole).hexdigest())
    assert fuzz(gzip.compress(whole, mtime=0) if ending else whole, damage, read) > 0


def test_damaged_experiments(tmp_path: Path) -> None:
    """The YAML of an experiment: another's file, with --config-dir."""
    path = tmp_path / "experiment" / "arms_toy.yaml"
    path.parent.mkdir()
    shipped = Path(__file__).parents[2] / "conf" / "experiment" / "arms_toy.yaml"

    def read(content: bytes) -> object:
        path.write_bytes(content)
        return load("arms_toy", [tmp_path]) if experiments([tmp_path]) else None

    assert fuzz(shipped.read_bytes(), damaged_bytes, read) > 0


# ------------------------------------------------------------------------------------------------------------ that it would find


def test_a_planted_crash_is_found() -> None:
    """A reader that trips over a negative number, which only a change of the tree makes."""

    def read(body: dict[str, Any]) -> float:
        if not isinstance(body.get("n"), int | float) or body["n"] > 1e9:
            raise ConfigurationError("n: must be a number")
        return float(body["n"]) ** 0.5 * (1 if body["n"] >= 0 else [][0])

    with pytest.raises(AssertionError, match="IndexError"):
        fuzz({"n": 4.0}, damaged_tree, read, rounds=500)


def test_a_planted_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.guided.SECONDS", 0.2)

    def read(content: bytes) -> None:
        while len(content) < 3:
            pass

    with pytest.raises(AssertionError, match="not answered"):
        fuzz(b"abcdef", damaged_bytes, read, rounds=200)
