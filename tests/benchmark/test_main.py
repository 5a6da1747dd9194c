"""The program from its arguments to its file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gsx.benchmark import __main__ as program
from gsx.benchmark.row import Effort, Job, NotMeasured, Row, Samples
from gsx.benchmark.works import WORKS


def test_a_smoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.json"
    assert program.main(["--quick", "--only", "toy-engine", "growth", "gpu", "--json", str(path)]) == 0
    printed = capsys.readouterr()
    report = json.loads(path.read_text())
    works = [row["work"] for row in report["rows"]]
    assert set(works) == {"toy-engine", "growth", "gpu"} and len(works) == sum(len(WORKS[name](Effort(True))) for name in set(works))
    assert printed.out.count("toy-engine") == 3 and printed.err.count("toy-engine") == 3
    assert "pass" not in printed.out and "MISSED" not in printed.out
    assert not re.search(r'"/|\b/(work|tmp|root|home)\b', path.read_text())
    assert program.main(["render", str(path)]) == 0
    assert capsys.readouterr().out.startswith("## Performance\n\n*A smoke")


def test_the_list_names_every_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(WORKS)


@pytest.mark.parametrize("name", list(WORKS))
def test_rows_carry_the_name_of_their_work(name: str) -> None:
    for effort in (Effort(True), Effort(False)):
        jobs = WORKS[name](effort)
        assert jobs and {job.row.work for job in jobs} == {name}
        assert len({(job.row.what, job.row.peer, job.row.size) for job in jobs}) == len(jobs)


def job(error: Exception | None = None) -> Job:
    def measure() -> Samples:
        if error is not None:
            raise error
        return Samples((1.0,), (3.0,))

    return Job(Row("fake", "what", "faster", "run", "peer", target=2.0), measure)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 0, "pass"),
        (NotMeasured("no module 'storch' in /some/folder/lib.so"), 0, "(no module 'storch' in lib.so)"),
        (RuntimeError("broken"), 1, "(fault: RuntimeError: broken)"),
    ],
)
def test_one_row_that_fails_leaves_the_others(
    error: Exception | None, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(WORKS, "fake", lambda effort: [job(error), job()])
    assert program.main(["--only", "fake"]) == code
    out = capsys.readouterr().out
    assert said in out and out.splitlines()[-1].split()[-1] == "1" and "pass" in out
