"""Variance relative to a baseline estimator, on the same model and at the same N where there is such a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gsx.records import Interval, Result, canonical_json
from gsx.report import escape, rounding
from gsx.report.collect import UNREADABLE, Cell, Group, result_of
from gsx.report.table import Table
from gsx.report.tables import columns
from gsx.statistics import Traces, relative_variance

HEADINGS = ["model", "estimator", "baseline", "variance / baseline", "95 % interval", "errors", "notes"]
NOTE = (
    "Variance of one N-sample estimate over the baseline's, with its 95 % interval (delete-one-segment jackknife of the logarithm, "
    "Student t). "
    "Paired: seed, block size and blocks agree, so both saw the same random numbers and segments are left out together; "
    "independent: they do not, and the two errors are added in squares. N differs: no run of the baseline has the same number of samples, "
    "and the ratio is one of unequal work."
)


class Variances:
    """Of each run the little of its moments that a ratio of variances or errors needs, read once; the moments are let go."""

    def __init__(self) -> None:
        self._read: dict[Path, Traces | str] = {}
        self._truths: dict[tuple[str, int], np.ndarray] = {}

    def of(self, cell: Cell) -> Traces | str:
        """The traces, or why there are none."""
        path = cell.directory.path
        if path not in self._read:
            self._read[path] = self._traces(cell)
        return self._read[path]

    def _traces(self, cell: Cell) -> Traces | str:
        try:
            stored = cell.directory.read_segments()
            return "no moments" if stored is None else Traces.of(stored.segments, self._truth(cell, stored.segments.layout.size))
        except UNREADABLE as fault:
            return "moments unreadable: " + escape.line(str(fault).replace(f"{cell.directory.path}/", ""), 80)

    def _truth(self, cell: Cell, size: int) -> np.ndarray | None:
        """The true gradient, for what may be biased; None where it is not known exactly, or not all of it can be read. Runs on one model
        share it, and it is read once."""
        result = result_of(cell)
        if result.facts.get("unbiased") is not False and result.verdict.status != "biased":
            return None
        if (result.reference.get("error") or {}).get("norm") != 0:
            return None
        key = (str(result.reference.get("id")), size)
        if key not in self._truths:
            try:
                table = cell.directory.read_coordinates()
            except UNREADABLE:
                return None
            if table is None or len(table.columns["reference"]) != size:
                return None
            self._truths[key] = np.array(table.columns["reference"])
        return self._truths[key]


def table(groups: Sequence[Group], baseline: str, variances: Variances) -> Table | None:
    """One row per complete run that is not its own baseline; None where no model has two estimators."""
    frame = pd.DataFrame([row for group in groups for row in _rows(group, baseline, variances)], dtype=object)
    if not len(frame):
        return None
    body = [_printed(row) for row in frame.to_dict("records")]
    return Table("relative_variance", f"Variance relative to {baseline}", HEADINGS, body, frame, [NOTE], 3, ("model", "baseline", "errors"))


def _rows(group: Group, baseline: str, variances: Variances) -> Iterator[dict[str, Any]]:
    candidates = _candidates(group, baseline)
    if not candidates:
        return
    nearest, own_baseline = _nearest(candidates), {id(candidate) for candidate in candidates}
    for cell in group.complete:
        if id(cell) in own_baseline:
            continue
        own, base = result_of(cell), nearest(result_of(cell))
        ratio, errors, remark = ratio_of(own, variances.of(cell), result_of(base), variances.of(base))
        row: dict[str, Any] = {"model": group.label, "label": cell.label, "baseline": base.label, "num_samples": own.num_samples}
        row |= {"baseline_num_samples": result_of(base).num_samples} | columns("relative_variance", ratio)
        if own.num_samples != result_of(base).num_samples:
            remark = "; ".join(filter(None, [remark, "N differs"]))
        yield row | {"errors": errors, "notes": remark, "run": cell.name, "baseline_run": base.name}


def _candidates(group: Group, baseline: str) -> list[Cell]:
    """The baseline's runs; where there is none, those of the first estimator that has a variance to be compared with."""
    if len({result_of(cell).estimator for cell in group.complete}) < 2:
        return []
    noisy = [cell for cell in group.complete if (variance := result_of(cell).summary.get("variance")) and variance.value > 0]
    named = [cell for cell in noisy if result_of(cell).estimator == baseline]
    return named or [cell for cell in noisy if result_of(cell).estimator == result_of(noisy[0]).estimator]


def _nearest(candidates: Sequence[Cell]) -> Callable[[Result], Cell]:
    """The baseline most like a run: of the same N, then one that can be paired with it, then of the nearest N.

    Found in a table where one is like it in all of that, as in most sweeps: a search for each of ten thousand runs would take minutes.
    """
    alike: dict[str, Cell] = {}

    def key(result: Result) -> str:
        settings = [result.config.get(name) for name in ("dtype", "seed", "block_size")]
        return canonical_json([result.num_samples, result.blocks, *settings])

    def search(own: Result) -> Cell:
        def distance(candidate: Cell) -> tuple[bool, bool, bool, int]:
            base = result_of(candidate)
            apart = abs(own.num_samples - base.num_samples)
            return apart > 0, own.config.get("dtype") != base.config.get("dtype"), not paired(own, base), apart

        return min(candidates, key=distance)

    for candidate in candidates:
        alike.setdefault(key(result_of(candidate)), candidate)

    def nearest(own: Result) -> Cell:
        known = key(own)
        if known not in alike:
            alike[known] = search(own)
        return alike[known]

    return nearest


def paired(a: Result, b: Result) -> bool:
    """Whether the two were measured on the same random numbers, so that their segments go together."""
    return all(a.config.get(key) == b.config.get(key) for key in ("seed", "block_size")) and a.blocks == b.blocks


def segment_by_segment(own: Result, a: Traces, base: Result, b: Traces) -> bool:
    """Whether what both lose without a segment can be held against each other."""
    return paired(own, base) and len(a.held) == len(b.held) and bool((a.held == b.held).all())


def ratio_of(own: Result, a: Traces | str, base: Result, b: Traces | str) -> tuple[Interval | None, str, str]:
    if isinstance(a, str) or isinstance(b, str):
        return None, "", a if isinstance(a, str) else f"baseline: {b}"
    if (len(a.held), a.coordinates) != (len(b.held), b.coordinates):
        return None, "", "the parameters differ from the baseline's"
    both = segment_by_segment(own, a, base, b)
    return relative_variance(a, b, both), "paired" if both else "independent", ""


def _printed(row: dict[str, Any]) -> list[str]:
    ratio, se, low, high = (row[f"relative_variance{part}"] for part in ("", "_se", "_ci_low", "_ci_high"))
    ends = rounding.ends(None if low is None else (low, high), se)
    return [row["model"], row["label"], row["baseline"], rounding.concise(ratio, se), ends, row["errors"], row["notes"]]
