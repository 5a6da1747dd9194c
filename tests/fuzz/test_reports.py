"""What a report makes of results, trainings and experiments that anyone may have written: rows and a page, whatever is in them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gsx.records import canonical_json
from gsx.report import build, report
from gsx.report.canvas import Plot
from gsx.store import PlannedCell, PlannedStep, RunDirectory, StoredExperiment, write_experiment
from tests.fuzz.guided import ROUNDS, fuzz
from tests.fuzz.mutation import damaged_tree
from tests.report import factory, trainings

#: A report takes a hundred times as long as a reader.
FEWER = max(1, ROUNDS // 8)


def planned(root: Path) -> Path:
    """A run, and an experiment with a finding about it."""
    folder = factory.make(
        root, "rloo", samples=2, name="toy", facts={"needs_cost_gradient": False, "unbiased": True, "distributions": ["B"]}
    )
    result = RunDirectory(folder).read_result()
    assert result is not None
    quantity = {"step": "one", "number": "variance", "where": {"estimator": "rloo"}}
    definition = {
        "title": "t",
        "source": "s",
        "notes": ["n"],
        "steps": [{"name": "one", "command": "run", "overrides": ["estimator=rloo"], "sweep": {}}],
        "findings": [{"says": "a", "kind": "value", "published": 0.02, "tolerance": 0.01, "measured": quantity}],
    }
    cells = [PlannedCell(folder.name, result.result_id, result.config)]
    stored = StoredExperiment("toy", "full", definition, {"one": PlannedStep(["gsx", "run", "estimator=rloo"], cells)})
    write_experiment(folder.parent, stored)
    return folder


def harmless(text: str, suffix: str) -> None:
    assert not {"\x1b", "\0", "\u202e"} & set(text)
    assert suffix != ".html" or text.count("<script") == 2
    for row in csv.reader(io.StringIO(text, newline="")) if suffix == ".csv" else ():
        assert not [cell for cell in row if cell.startswith(("=", "@"))], row


FORGED: dict[str, Callable[[Path], Path]] = {
    "result": lambda root: planned(root) / "result.json",
    "experiment": lambda root: planned(root).parent / "experiment.json",
    "training": lambda root: trainings.vae(root, "rloo", -90.0, {"rloo": 1.0}, seeds=(0, 1)) / "training.json",
}


@pytest.mark.parametrize("what", FORGED)
def test_a_report_of_forged_files(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FORGED[what](tmp_path / "outputs")
    factory.make(tmp_path / "outputs", "reinforce", name="toy")

    def undrawn(plot: Plot, folder: Path, style: str) -> list[Path]:
        """Where a figure's numbers come from is run; the drawing takes a second each."""
        (folder / f"{plot.name}.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
        return []

    monkeypatch.setattr(build.canvas, "save", undrawn)

    def read(body: dict[str, Any]) -> None:
        path.write_text(json.dumps({**body, "sha256": hashlib.sha256(canonical_json(body).encode()).hexdigest()}))
        made = report([tmp_path / "outputs"], tmp_path / "report", html=True)
        for file in made.files:
            harmless(file.read_text(encoding="utf-8"), file.suffix)

    whole = json.loads(path.read_text())
    del whole["sha256"]
    fuzz(whole, damaged_tree, read, rounds=FEWER)
