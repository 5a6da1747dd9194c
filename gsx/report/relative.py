"""Variance relative to a baseline estimator, on the same model and at the same N where there is such a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from gsx.records import GsxError, Interval, Result, Segments
from gsx.report import escape, rounding
from gsx.report.collect import Cell, Group, result_of
from gsx.report.table import Table
from gsx.report.tables import columns
from gsx.statistics import relative_variance

HEADINGS = ["model", "estimator", "baseline", "variance / baseline", "95 % interval", "errors", "notes"]
NOTE = (
    "Variance of one N-sample estimate over the baseline's, with its 95 % interval (delete-one-segment jackknife of the logarithm, "
    "Student t). "
    "Paired: seed, block size and blocks agree, so both saw the same random numbers and segments are left out together; "
    "independent: they do not, and the two errors are added."
)


def table(groups: Sequence[Group], baseline: str) -> Table | None:
    """One row per complete run that is not its own baseline; None where no model has two estimators."""
    frame = pd.DataFrame([row for group in groups for row in _rows(group, baseline)], dtype=object)
    if not len(frame):
        return None
    body = [_printed(row) for row in frame.to_dict("records")]
    return Table("relative_variance", f"Variance relative to {baseline}", HEADINGS, body, frame, [NOTE], words=3)


def _rows(group: Group, baseline: str) -> Iterator[dict[str, Any]]:
    candidates = _candidates(group, baseline)
    if not candidates:
        return
    held: dict[int, Segments | str] = {}  # the baselines' moments, read once; everyone else's are let go
    for cell in group.complete:
        own = result_of(cell)
        base = min(candidates, key=lambda candidate: _distance(own, result_of(candidate)))
        if cell is base:
            continue
        if id(base) not in held:
            held[id(base)] = moments_of(base)
        ratio, errors, remark = ratio_of(own, moments_of(cell), result_of(base), held[id(base)])
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


def _distance(own: Result, base: Result) -> tuple[bool, bool, bool, bool, int]:
    """The baseline is the run most like this one: itself, then the same N, then one that can be paired with it, then the nearest N."""
    return (
        own is not base,
        own.num_samples != base.num_samples,
        own.config.get("dtype") != base.config.get("dtype"),
        not paired(own, base),
        (abs(own.num_samples - base.num_samples)),
    )


def paired(a: Result, b: Result) -> bool:
    """Whether the two were measured on the same random numbers, so that their segments go together."""
    return all(a.config.get(key) == b.config.get(key) for key in ("seed", "block_size")) and a.blocks == b.blocks


def moments_of(cell: Cell) -> Segments | str:
    """The moments, or why there are none."""
    try:
        stored = cell.directory.read_segments()
    except (GsxError, OSError, ValueError, KeyError) as fault:
        return "moments unreadable: " + escape.line(str(fault).replace(f"{cell.directory.path}/", ""), 80)
    return stored.segments if stored is not None else "no moments"


def ratio_of(own: Result, a: Segments | str, base: Result, b: Segments | str) -> tuple[Interval | None, str, str]:
    if isinstance(a, str) or isinstance(b, str):
        return None, "", a if isinstance(a, str) else f"baseline: {b}"
    if a.mean.shape != b.mean.shape:
        return None, "", "the parameters differ from the baseline's"
    both = paired(own, base) and bool((a.count == b.count).all())
    return relative_variance(a, b, both), "paired" if both else "independent", ""


def _printed(row: dict[str, Any]) -> list[str]:
    low, high = row["relative_variance_ci_low"], row["relative_variance_ci_high"]
    ends = rounding.ABSENT if low is None else f"[{low:.4g}, {high:.4g}]"
    ratio = rounding.concise(row["relative_variance"], row["relative_variance_se"])
    return [row["model"], row["label"], row["baseline"], ratio, ends, row["errors"], row["notes"]]
