"""What the README and CONTRIBUTING say is run: an example that does not work is worse than none."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gsx.benchmark.table import markdown
from gsx.cli import main
from gsx.document import stale, texts
from gsx.registry import names
from gsx.report import quick
from gsx.report.gallery import SUMMARY

ROOT = Path(__file__).parents[1]
README, CONTRIBUTING = (ROOT / "README.md").read_text(), (ROOT / "CONTRIBUTING.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


ESTIMATOR, PYTEST, MODEL = blocks(CONTRIBUTING, "python")
_, RUN_ESTIMATOR, CHECK, RUN_MODEL = (block.strip() for block in blocks(CONTRIBUTING, "sh"))


def test_the_example_estimator_of_contributing_is_measured_and_unbiased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two files as printed, in a user's own folder; at a family-wise rate of 1e-3 and one fixed seed a right estimator passes."""
    (tmp_path / "my_estimators.py").write_text(ESTIMATOR)
    (tmp_path / "conf" / "estimator").mkdir(parents=True)
    (tmp_path / "conf" / "estimator" / "leave_one_out.yaml").write_text(blocks(CONTRIBUTING, "yaml")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main([*RUN_ESTIMATOR.split()[1:], "num_replicates=16384", "model=bernoulli_ising", "-q"]) == 0
    (found,) = tmp_path.glob("outputs/default/*/result.json")
    result = json.loads(found.read_text())
    assert result["estimator"] == "leave_one_out"
    assert result["num_samples"] == 2
    assert result["verdict"]["status"] == "unbiased"


def test_the_example_estimator_of_contributing_passes_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command as printed, and by the pytest file as printed."""
    (tmp_path / "my_estimators.py").write_text(ESTIMATOR)
    (tmp_path / "test_mine.py").write_text(PYTEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(CHECK.split()[1:]) == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not bias and not planted", "test_mine.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


def test_the_example_model_of_contributing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_models.py").write_text(MODEL)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "two_coins.yaml").write_text(blocks(CONTRIBUTING, "yaml")[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main([*RUN_MODEL.split()[1:], "num_replicates=4096", "-q"]) == 0
    (found,) = tmp_path.glob("outputs/default/*/result.json")
    assert json.loads(found.read_text())["reference"]["kind"] == "enumeration"


@pytest.mark.parametrize("code", [ESTIMATOR, MODEL], ids=["estimator", "model"])
def test_the_examples_fit_the_25_lines_that_are_promised(code: str) -> None:
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 25


def test_the_notebook_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(README, "python")
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("biased ")


@pytest.mark.parametrize("name", names("estimators"))
def test_every_estimator_has_a_row_in_the_readme(name: str) -> None:
    assert re.search(rf"^\| \[`{name}`\]\(docs/estimators/{name}.md\) \|", README, re.MULTILINE)


def test_what_is_generated_is_up_to_date() -> None:
    assert stale(texts()) == [], "run ./scripts/document"


@pytest.mark.parametrize("path", sorted((ROOT / "conf").glob("[dem]*/*.yaml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_configuration_is_named_in_the_readme(path: Path) -> None:
    stem = path.stem.removesuffix("_200").removesuffix("_hidden")  # "and presets"
    assert path.stem == "auto" or stem in README


def test_the_readme_repeats_the_scoreboard() -> None:
    board = SUMMARY.of((ROOT / "docs" / "scoreboard.md").read_text())
    assert SUMMARY.of(README) == board and "published findings: " in board and "expectations of our own: " in board


def test_the_scoreboard_says_what_the_quick_run_recorded() -> None:
    """Not typed: what `scripts/gallery quick` wrote to docs/quick.json, or that it has not yet; and what it leaves out."""
    page = (ROOT / "docs" / "scoreboard.md").read_text()
    assert quick.PASSAGE.of(page) == quick.PASSAGE.around(quick.text(ROOT / "docs"))
    (left_out,) = re.findall(r"Left out at that size: (\d+) findings", page)
    assert f"without the {left_out} findings that take long runs" in README


def test_linked_files_exist() -> None:
    for text in (README, CONTRIBUTING):
        for target in re.findall(r"(?<=\w)\]\(([^)#:]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            assert (ROOT / target).exists(), target


def test_the_sample_output_of_the_readme_is_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but the time, and the folder, whose name follows the source."""
    sample = re.search(r"^\$ gsx run.*?(?=^```)", README, re.MULTILINE | re.DOTALL)
    assert sample
    command, *printed = sample[0].splitlines()
    monkeypatch.chdir(tmp_path)
    assert main([*command.split()[2:], "-q"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in printed if not line.startswith(("cost", "folder"))] == [
        line for line in shown if not line.startswith(("cost", "folder"))
    ]


def test_the_performance_section_is_made_from_the_benchmark() -> None:
    """Not typed: what `scripts/benchmark --json docs/benchmark.json` wrote, at the sizes that the targets are stated for."""
    report = json.loads((ROOT / "docs" / "benchmark.json").read_text())
    assert not report["quick"] and markdown(report) in README
