"""Files sealed anew by somebody who changed what they say: refused where a reader would divide by it, sort it or draw it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gsx.records import IntegrityError, Point
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
from gsx.store.arrays import seal, write_arrays
from tests.store.factory import make_layout, make_reference, refused, reseal, written
from tests.store.test_training import training

Change = Callable[[dict[str, Any]], object]


def summary(name: str, **changes: Any) -> Change:
    return lambda body: body["summary"][name].update(changes)


RESULTS: dict[str, Change] = {
    "config.seed": lambda body: body["config"].update(seed={"a": 1}),
    "config.wrt": lambda body: body["config"].update(wrt=[1]),
    "config.num_replicates": lambda body: body["config"].update(num_replicates="abc"),
    "config.data": lambda body: body["config"].update(data=[1]),
    "config.data.name": lambda body: body["config"].update(data={"name": []}),
    "config.plugins[1]": lambda body: body["config"].update(plugins=["a", 1]),
    "num_samples": lambda body: body.update(num_samples=0),
    "num_replicates": lambda body: body.update(num_replicates=0),
    "blocks": lambda body: body.update(blocks=0),
    "summary.variance.value": summary("variance", value=-1.0),
    "summary.variance_times_evaluations.value": summary("variance_times_evaluations", value=-1e-300),
    "summary.bias_sq.se": summary("bias_sq", se=-3),
    "summary.snr.ci": summary("snr", ci=[5, -5]),
    "parameters.logits.variance.value": lambda body: body["parameters"]["logits"]["variance"].update(value=-1),
    "cost.seconds": lambda body: body["cost"].update(seconds=-1),
    "cost.time_ratio": lambda body: body["cost"].update(time_ratio=-5.0),
    "verdict.max_abs_z": lambda body: body["verdict"].update(max_abs_z=-1),
    "reference.error.norm": lambda body: body["reference"]["error"].update(norm=-1),
}


@pytest.mark.parametrize("where", RESULTS)
def test_a_result(where: str, tmp_path: Path) -> None:
    run = written(tmp_path)
    reseal(tmp_path / "result.json", RESULTS[where])
    refused(run.read_result, tmp_path / "result.json", f"{where!r} is no ")


def test_a_configuration_of_too_many_keys(tmp_path: Path) -> None:
    run = written(tmp_path)
    reseal(tmp_path / "result.json", lambda body: body["config"]["model"].update(deep=[dict.fromkeys(map(str, range(500)), 0)]))
    refused(run.read_result, tmp_path / "result.json", "'config' has more than 500 keys")


SOUND: dict[str, Change] = {
    "a bias² below zero": summary("bias_sq", value=-1.0, ci=[None, 0.5]),
    "an end above the other by float32": summary("cosine_single", value=1.0000001, ci=[1.0000001, 1.0]),
    "no error": summary("variance", se=None, ci=None),
    "a setting of another gsx": lambda body: body["config"].update(new={"a": [1]}),
}


@pytest.mark.parametrize("what", SOUND)
def test_a_sound_result(what: str, tmp_path: Path) -> None:
    run = written(tmp_path)
    reseal(tmp_path / "result.json", SOUND[what])
    assert run.read_result() is not None


TRAININGS: dict[str, Change] = {
    "config.steps": lambda body: body["config"].update(steps="many"),
    "config.optimizer.lr": lambda body: body["config"].update(optimizer={"lr": "x"}),
    "config.probe[0].name": lambda body: body["config"].update(probe=[{"name": 1}]),
    "steps": lambda body: body.update(steps=0),
    "reference.kind": lambda body: body["reference"].update(kind=[1]),
    "summary.elbo.test.se": lambda body: body["summary"].update({"elbo.test": {"value": 1, "se": -1, "ci": None}}),
}


@pytest.mark.parametrize("where", TRAININGS)
def test_a_training(where: str, tmp_path: Path) -> None:
    folder = TrainingDirectory(tmp_path)
    folder.write(training())
    reseal(tmp_path / "training.json", TRAININGS[where])
    refused(folder.read, tmp_path / "training.json", f"{where!r} is no ")


@pytest.mark.parametrize(
    "point", [Point(-1, 0, "", "", "loss", 1.0, 0.1), Point(0, 2**63, "", "", "loss", 1.0, 0.1), Point(0, 0, "", "", "loss", 1.0, -0.1)]
)
def test_a_curve(point: Point, tmp_path: Path) -> None:
    folder = TrainingDirectory(tmp_path)
    folder.write(dataclasses.replace(training(), curve=(point,)))
    refused(folder.read, tmp_path / "curve.csv")


def test_the_configuration_of_a_plan(tmp_path: Path) -> None:
    config = {"num_replicates": "abc"}
    write_sweep([(tmp_path / f"a-{'a' * 12}", "a" * 64)], "gsx run -m", {"a" * 64: config})
    (sweep,) = tmp_path.glob("sweep-*.json")
    write_experiment(tmp_path, StoredExperiment("toy", "full", {}, {"one": PlannedStep(["gsx"], [PlannedCell("a-b", "f" * 64, config)])}))
    for read in (lambda: read_sweep(sweep), lambda: read_experiment(tmp_path)):
        with pytest.raises(IntegrityError, match="num_replicates' is no positive"):
            read()


def test_what_is_exact(tmp_path: Path) -> None:
    write_experiment(tmp_path, StoredExperiment("toy", "full", {}, {}, {"f" * 64: {"mean": [0.5], "variance": [-1], "error": 0.0}}))
    with pytest.raises(IntegrityError, match=r"variance\[0\]' is no amount"):
        read_experiment(tmp_path)


@pytest.mark.parametrize(("gradient", "se"), [(np.nan, 0.0), (1.0, np.inf), (1.0, -1.0)])
def test_a_reference(gradient: float, se: float, tmp_path: Path) -> None:
    layout, run = make_layout(1), RunDirectory(tmp_path)
    run.write_reference(make_reference(layout), layout, {})
    arrays = {"format_version": np.array(1), "gradient": np.array([gradient]), "se": np.array([se])}
    write_arrays(tmp_path / "reference.npz", arrays)
    reseal(tmp_path / "reference.json", lambda body: body.update(arrays_sha256=seal(arrays)))
    refused(run.read_reference, tmp_path / "reference.npz", "standard error")
