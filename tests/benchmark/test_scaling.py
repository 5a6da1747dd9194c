"""The page that scripts/scaling fills, and the cells that it fabricates."""

from __future__ import annotations

import json
from pathlib import Path

from gsx.benchmark.fabricate import fabricate
from gsx.benchmark.scaling import DOCS, filled
from gsx.cli import main
from gsx.store import RunDirectory, find_runs


def test_the_page_tells_what_was_measured() -> None:
    page, found = (DOCS / "scaling.md").read_text(encoding="utf-8"), json.loads((DOCS / "scaling.json").read_text(encoding="utf-8"))
    assert filled(page, found) == page and found["run"] and found["sweep"]["rows"] and found["report"]
    found["sweep"]["cell"] *= 2
    assert filled(page, found) != page  # the planted bug: a table that is not this file's


def test_fabricated_cells_are_results_and_all_are_reported(tmp_path: Path) -> None:
    """Seven pages of one figure: six are drawn, and it is said; the tables have every run."""
    fabricate(tmp_path / "outputs", 120)
    runs = [run.read_result() for run in find_runs([tmp_path / "outputs"])]
    assert len({run.result_id for run in runs if run is not None}) == 120
    assert all(RunDirectory(run.path).read_segments() is not None for run in find_runs([tmp_path / "outputs"]))
    assert main(["report", str(tmp_path / "outputs"), "--out", str(tmp_path / "report")]) == 0
    assert len((tmp_path / "report/tables/summary.csv").read_text().splitlines()) == 121
