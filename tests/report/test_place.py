"""Where a report is written: a folder of its own, and what is said where it cannot be."""

import resource
from pathlib import Path

import pytest

from gsx.cli import main
from gsx.records import EnvironmentFault
from gsx.report import build, report
from tests.report import factory


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "MOST_FIGURES", 0)
    return factory.make(tmp_path / "outputs", "reinforce")


def test_a_report_goes_into_a_folder_of_its_own(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its default, one of before, or one that a disk was full for; and never among results or another's files, report.md or not."""
    home = str(run.parent.relative_to(Path.cwd()))
    Path("conf").mkdir()
    for file in ("conf/config.yaml", "outputs/report.md", f"{home}/report.md"):
        Path(file).touch()
    before = sorted(Path.cwd().rglob("*"))
    for out, why in {".": "is not empty", "conf": "is not empty", "outputs": "holds results", home: "holds results"}.items():
        assert main(["report", "--out", out]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"gsx: --out={out}: {why}") and said.count("\n") == 1
        assert sorted(Path.cwd().rglob("*")) == before
    Path("full", "tables").mkdir(parents=True)
    for out in ("outputs/report", "outputs/report", "full", "new/one"):
        assert main(["report", "--out", out]) == 0 and Path(out, "report.md").exists()
    assert main(["report", "--out", "conf/config.yaml/x"]) == 5
    assert "conf/config.yaml: is a file where a folder should be; move it away, or work elsewhere" in capsys.readouterr().err


def test_of_a_full_disk_it_is_said_that_the_report_is_incomplete(run: Path) -> None:
    """A limit of a file's size stands for it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        with pytest.raises(EnvironmentFault) as caught:
            report([Path("outputs")], Path("outputs/report"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = str(caught.value)
    assert said.startswith(f"{Path.cwd()}/outputs/report/tables/")
    advice = "raise the limit of a file's size (ulimit -f), and the same command makes it anew"
    assert said.endswith(f"; the report is incomplete, no result was changed: {advice}")
