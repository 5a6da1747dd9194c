"""What cannot be made is named, and everything else is made; nothing but a table or a figure is spared."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from gsx.cli import main
from gsx.records import EnvironmentFault
from gsx.report import advice, build, canvas, report, spared, training
from tests.report import factory, trainings

SPARED = spared.SURPRISES


def fails(*given: Any, **named: Any) -> Any:
    raise ZeroDivisionError("division by\nzero")


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(spared, "SURPRISES", SPARED)
    for estimator in ("reinforce", "rloo"):
        factory.make(
            tmp_path / "outputs", estimator, samples=2, facts={"needs_cost_gradient": False, "unbiased": True, "distributions": ["B"]}
        )
    trainings.vae(tmp_path / "outputs", "rloo", -90.0, {"rloo": 1.0}, seeds=(0, 1))
    return tmp_path / "outputs"


def saved(plot: canvas.Plot, folder: Path, style: str) -> list[Path]:
    (folder / f"{plot.name}.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    return [folder / f"{plot.name}.svg"]


@pytest.mark.parametrize(
    ("room", "name", "what"),
    [
        (advice, "table", "tables/advice"),
        (training, "plots", "figures, curves of binary_vae"),
        (canvas, "save", "figures/training-binary_vae"),
        (importlib.import_module("gsx.report.html"), "page", "report.html"),
    ],
)
def test_one_that_fails(room: Any, name: str, what: str, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "save", saved)
    whole = report([outputs], outputs.parent / "whole", html=True)
    assert whole.not_made == ()
    monkeypatch.setattr(room, name, fails)
    made = report([outputs], outputs.parent / "report", html=True)
    assert any(line.startswith(f"{what}") and line.endswith("ZeroDivisionError: division by zero") for line in made.not_made)
    assert 0 < len(made.files) < len(whole.files) and made.table == whole.table
    page = (outputs.parent / "report" / "report.md").read_text()
    assert all(line.split(":")[-1] in page for line in made.not_made)
    assert name == "page" or "Not made: " in (outputs.parent / "report" / "report.html").read_text()


def test_the_command_says_so(outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(canvas, "save", saved)
    monkeypatch.setattr(advice, "table", fails)
    assert main(["report", str(outputs), "--out", str(outputs / "report")]) == 1
    said = capsys.readouterr()
    assert said.err == "gsx: not made: tables/advice: ZeroDivisionError: division by zero\n"
    assert "rloo" in said.out


def test_a_full_disk_ends_the_report(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise EnvironmentFault("no space")

    monkeypatch.setattr(build.canvas, "save", full)
    with pytest.raises(EnvironmentFault):
        report([outputs], outputs.parent / "report")
