"""The evidence of a quick run in one go: nothing of it is typed, and what is not one run is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gsx.records import MissingData
from gsx.report import quick
from gsx.report.passage import Passage
from gsx.store import PlannedCell, PlannedStep, RunDirectory, StoredExperiment, write_experiment
from tests.report import factory

COMMAND = "gsx reproduce all --quick"
PAGE = f"# A page\n\n{quick.PASSAGE.around('nothing yet')}\n\nthe rest\n"


def ran(root: Path, *commands: str, gone: bool = False) -> Path:
    """An experiment of two cells, measured by these commands; `gone`: the plan asks for a third."""
    cells = []
    for i, estimator in enumerate(("reinforce", "rloo")):
        said = {
            "command": commands[i % len(commands)],
            "time": f"2026-11-2{7 + i}T01:02:03+00:00",
            "system": "Linux x86_64",
            "gsx": "0.1.0",
        }
        path = factory.make(root, estimator, variance=0.1 / (i + 1), name="toy-quick", provenance=said)
        result = RunDirectory(path).read_result()
        assert result is not None
        cells.append(PlannedCell(path.name, result.result_id, result.config))
    cells += [PlannedCell("gone", "gone", {"estimator": {"name": "arm"}})] if gone else []

    def of(estimator: str, **more: float) -> dict[str, object]:
        return {"step": "sweep", "where": {"estimator": estimator}, "number": "variance", **more}

    below = {"kind": "less", "left": of("rloo"), "right": of("arm" if gone else "reinforce")}
    equal = {"kind": "equal", "tolerance": 1e-4, "left": of("rloo", times=2.005), "right": of("reinforce")}
    findings = [{"says": "below", **below}, {"says": "twice", "origin": "ours", **equal}]
    definition = {"title": "a toy", "source": "someone (2020)", "steps": [{"name": "sweep"}], "findings": findings}
    write_experiment(root / "toy-quick", StoredExperiment("toy", "quick", definition, {"sweep": PlannedStep(["gsx", "run"], cells)}))
    return root


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "scoreboard.md").write_text(PAGE)
    return tmp_path / "docs"


def test_a_run_in_one_go_is_recorded_and_said(tmp_path: Path, docs: Path) -> None:
    assert quick.text(docs).startswith("No run of all quick sizes in one go is recorded")
    assert quick.main(ran(tmp_path / "outputs", COMMAND), 374, docs) == 0
    found = json.loads((docs / "quick.json").read_text())
    assert (found["command"], found["date"], found["seconds"]) == (COMMAND, "2026-11-28", 374) and found["cores"] >= 1
    assert found["findings"] == {"published": {"reproduced": 1}, "ours": {"inconclusive": 1}, "": {}}
    page = (docs / "scoreboard.md").read_text()
    said = quick.PASSAGE.of(page)
    assert page == PAGE.replace(quick.PASSAGE.of(PAGE), said) and said == quick.PASSAGE.around(quick.text(docs))
    assert (
        f"`{COMMAND}`, into an empty folder, took 6 min 14 s on {found['cores']} cores (Linux x86_64) on 2026-11-28, with gsx 0.1.0" in said
    )
    assert "1 published finding: 1 reproduced; 1 expectation of our own: 1 inconclusive. Inconclusive at that size: toy: twice." in said


def test_what_was_not_one_run_is_no_evidence(tmp_path: Path, docs: Path) -> None:
    for name, outputs, said in (
        ("two", ran(tmp_path / "two", COMMAND, "gsx reproduce toy --quick"), "results of 2 commands, not of one"),
        ("gone", ran(tmp_path / "gone", COMMAND, gone=True), "1 of 2 findings are missing"),
        ("empty", tmp_path / "docs", "no finding"),
    ):
        with pytest.raises(MissingData, match=said):
            quick.main(outputs, 374, docs)
        assert not (docs / "quick.json").exists() and (docs / "scoreboard.md").read_text() == PAGE, name


def test_a_passage_is_there_once() -> None:
    passage = Passage("it")
    page = f"a\n{passage.around('old .*? words')}\nb\n"
    assert passage.replaced(page, r"new \1 words") == "a\n<!-- it -->\nnew \\1 words\n<!-- end of it -->\nb\n"
    for wrong in ("no passage", page + page):
        with pytest.raises(MissingData, match="must be one"):
            passage.replaced(wrong, "new")
