"""The summary table: one row per run, as CSV (every digit, with error and interval), Markdown and LaTeX (rounded to the error)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from gsx.records import STATISTICS, Interval
from gsx.report import escape, notes, rounding, verdicts
from gsx.report.collect import Cell, Group

#: The statistics that are printed, and their headings; the CSV has all.
PRINTED = {"bias_sq": "bias²", "variance": "variance", "mse": "MSE", "snr": "SNR", "cosine": "cosine"}
COSTS = {"evaluations": "evals", "gradient_evaluations": "grad evals", "time_ratio": "time ratio"}

_LATEX_HEAD = r"""%% needs \usepackage{booktabs,longtable,siunitx}
\begin{longtable}{%s}
\toprule
%s \\
\midrule
\endhead
\bottomrule
\endfoot
"""


def rows(groups: Sequence[Group], others: Sequence[Cell]) -> list[tuple[str, Cell]]:
    """(model, run) in the order of the tables: by model and estimator, then the runs without a result."""
    return [(group.label, cell) for group in groups for cell in group.cells] + [("", cell) for cell in others]


def columns(name: str, interval: Interval | None) -> dict[str, float | None]:
    """A number as the four columns that every CSV file of a report gives it."""
    low, high = (interval.ci if interval else None) or (None, None)
    value, se = (interval.value, interval.se) if interval else (None, None)
    return {name: value, f"{name}_se": se, f"{name}_ci_low": low, f"{name}_ci_high": high}


def summary(table: Sequence[tuple[str, Cell]]) -> pd.DataFrame:
    """Everything, unrounded."""
    return pd.DataFrame([_full(model, cell) for model, cell in table], dtype=object)


def _full(model: str, cell: Cell) -> dict[str, Any]:
    result = cell.result
    row: dict[str, Any] = {"run": cell.name, "state": cell.state, "reason": cell.reason, "model": model, "label": cell.label or cell.name}
    row |= {"estimator": None, "num_samples": None, "num_replicates": None, "seed": None, "dtype": None, "engine": None}
    row |= {"verdict": None, "max_abs_z": None, "p_value": None, "verdict_reason": None}
    for name in STATISTICS:
        row |= columns(name, result.summary.get(name) if result else None)
    row |= dict.fromkeys([*COSTS, "random_numbers", "seconds", "peak_bytes", "reference", "reference_error_norm"])
    if result is not None:
        verdict = result.verdict
        row |= {"estimator": result.estimator, "num_samples": result.num_samples, "num_replicates": result.num_replicates}
        row |= {key: result.config.get(key) for key in ("seed", "dtype")} | {"engine": result.engine}
        row |= {"verdict": verdict.status, "max_abs_z": verdict.max_abs_z, "p_value": verdict.p_value, "verdict_reason": verdict.reason}
        row |= {key: getattr(result.cost, key) for key in [*COSTS, "random_numbers", "seconds", "peak_bytes"]}
        row |= {"reference": result.reference.get("kind"), "reference_error_norm": (result.reference.get("error") or {}).get("norm")}
    return row | {"notes": "; ".join(notes.of(cell)), "result_id": result.result_id if result else None}


def csv(frame: pd.DataFrame) -> str:
    """Floats at their shortest exact form, integers as integers although some are missing, text that no spreadsheet runs."""

    def safe(value: Any) -> Any:
        if isinstance(value, str):
            return escape.csv(value)
        missing = value is None or (isinstance(value, float) and value != value)
        return "" if missing else repr(float(value)) if isinstance(value, float) else value

    written = pd.DataFrame({column: [safe(value) for value in frame[column].astype(object)] for column in frame})
    return str(written.to_csv(index=False, lineterminator="\n"))


def _printed(model: str, cell: Cell, text: Callable[[str], str], number: Callable[..., str]) -> list[str]:
    """One row as text; `text` escapes names and `number` writes numbers for the language at hand."""
    result = cell.result
    remarks = (
        notes.of(cell) + ([cell.reason] if cell.reason else []) + ([result.verdict.reason] if result and result.verdict.reason else [])
    )
    if result is None:
        return [
            text(model or "?"),
            text(cell.name),
            "",
            "",
            text(cell.state),
            *[""] * (len(PRINTED) + len(COSTS)),
            text("; ".join(remarks)),
        ]
    verdict = result.verdict_word if cell.state == "complete" else f"{cell.state}, {result.verdict_word}"
    numbers = [number(i.value, i.se) if (i := result.summary.get(name)) else number(None) for name in PRINTED]
    counts = [str(int(result.cost.evaluations)), str(int(result.cost.gradient_evaluations)), number(result.cost.time_ratio)]
    head = [text(model), text(cell.label), str(result.num_samples), str(result.num_replicates), text(verdict)]
    return [*head, *numbers, *counts, text("; ".join(remarks))]


HEADINGS = ["model", "estimator", "N", "R", "verdict", *PRINTED.values(), *COSTS.values(), "notes"]


def footnotes(cells: Iterable[Cell]) -> list[str]:
    cells = list(cells)
    standard = "1.234(5)e-3 is 0.001234 with a standard error of 0.000005; – means that the number does not exist."
    results = [cell.result for cell in cells if cell.result is not None]
    return [standard, notes.interval(results), notes.DEFINITIONS, *verdicts.explained(results), *notes.explanations(cells)]


def markdown(table: Sequence[tuple[str, Cell]]) -> str:
    body = [_printed(model, cell, escape.markdown, rounding.concise) for model, cell in table]
    below = "".join(f"- {escape.markdown(note, 2000)}\n" for note in footnotes(cell for _, cell in table))
    return aligned(HEADINGS, body, 2) + "\n" + below


def aligned(headings: list[str], body: list[list[str]], names: int) -> str:
    """A pipe table; the first `names` columns, the verdict and the notes are text."""
    sides = ["left" if i < names or heading in ("verdict", "notes", "errors") else "right" for i, heading in enumerate(headings)]
    return str(tabulate(body, headings, tablefmt="pipe", colalign=sides, disable_numparse=True)) + "\n"


def latex_head(sides: str, headings: Iterable[str]) -> str:
    return _LATEX_HEAD % (sides, " & ".join(escape.latex(heading) for heading in headings))


def latex(table: Sequence[tuple[str, Cell]]) -> str:
    sides = "".join("l" if heading in ("model", "estimator", "verdict", "notes") else "r" for heading in HEADINGS)
    head = latex_head(sides, HEADINGS)
    foot = "".join(f"% {line}\n" for note in footnotes(cell for _, cell in table) for line in [escape.line(note, 1000)])
    return head + "".join(_latex_rows(table)) + "\\end{longtable}\n" + foot


def _latex_rows(table: Sequence[tuple[str, Cell]]) -> Iterator[str]:
    before = None
    for model, cell in table:
        first = _printed(model, cell, escape.latex, rounding.latex)
        if before not in (None, model):
            yield "\\addlinespace\n"
        yield " & ".join([first[0] if model != before else "", *first[1:]]) + " \\\\\n"
        before = model
