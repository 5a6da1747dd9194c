"""Everything about one run, as sections that the page's script lays out when the run is opened: pairs, tables and commands, all text."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from gsx.records import Interval, canonical_json
from gsx.report import escape, labels, notes, rerun, rounding
from gsx.report.collect import Cell
from gsx.report.html.marks import STATES, VERDICTS
from gsx.report.html.runs import Row, number

#: What of a result's provenance is shown: facts about software and machine; a stranger's file may hold anything else.
PROVENANCE = ("gsx", "python", "torch", "numpy", "noise", "device", "system", "workers", "commit", "time")

KINDS = {
    "closed_form": "closed form: exact",
    "enumeration": "enumeration of all states: exact",
    "quadrature": "quadrature to relative 1e-9",
    "long_run": "long run of another estimator: its own error is propagated",
}
STATISTICS = {
    "variance": "variance",
    "bias_sq": "bias²",
    "mse": "MSE",
    "snr": "SNR",
    "cosine": "cosine of the mean",
    "cosine_single": "cosine of single estimates",
    "variance_times_evaluations": "variance × evaluations",
    "variance_times_time_ratio": "variance × time ratio",
}
Section = dict[str, Any]


def details(row: Row) -> dict[str, Any]:
    cell = row.cell
    state = f"{cell.state}: {STATES[cell.state].meaning}" if cell.state in STATES else cell.state
    told = {"run": cell.name, "state": state, "reason": cell.reason, "notes": "; ".join(notes.of(cell))}
    sections = [_pairs("Run", told), *_measured(cell), *_commands(cell)]
    model = row.model if cell.result is not None else ""
    return {"title": row.label, "model": model, "sections": [section for section in sections if section]}


def _measured(cell: Cell) -> Iterator[Section | None]:
    result = cell.result
    if result is None:
        return
    verdict, cost, reference = result.verdict, result.cost, _mapping(result.reference)
    status = verdict.status.replace("_", "-")
    error = _mapping(reference.get("error"))
    kind = str(reference.get("kind"))
    yield _pairs(
        "Verdict on bias",
        {
            "verdict": f"{status}: {VERDICTS[status].meaning}",
            "reason": verdict.reason,
            "largest |z|": _concise(verdict.max_abs_z),
            "p, family-wise": _concise(verdict.p_value),
            "least detectable bias": _concise(verdict.delta_min_absolute),
            "relative to the largest reference": _concise(verdict.delta_min_relative),
        },
    )
    body = [[title, *_texts(result.summary.get(name))] for name, title in STATISTICS.items()]
    yield {"title": "Statistics", "head": ["", "value", "95 % interval"], "rows": body}
    columns = {"variance": "variance", "bias_sq": "bias²", "mse": "MSE", "snr": "SNR", "cosine": "cosine"}
    body = [
        [_line(name), _line(entry.get("shape")), *(_texts(entry.get(key))[0] for key in columns)]
        for name, entry in result.parameters.items()
    ]
    yield {"title": "Parameters", "head": ["parameter", "shape", *columns.values()], "rows": body}
    yield _pairs(
        "Reference",
        {
            "kind": KINDS.get(kind, kind),
            "estimator": reference.get("estimator"),
            "largest standard error": _concise(error.get("max")),
            "norm of its error": _concise(error.get("norm")),
            "id": reference.get("id"),
        },
    )
    yield _pairs(
        "Cost of one estimate",
        {
            "cost evaluations": cost.evaluations,
            "gradient evaluations": cost.gradient_evaluations,
            "random numbers": cost.random_numbers,
            "time ratio": _concise(cost.time_ratio),
            "seconds in all": _concise(cost.seconds),
            "peak memory": None if cost.peak_bytes is None else f"{cost.peak_bytes / 2**20:.0f} MiB",
        },
    )
    curve = _mapping(result.tuning).get("curve")
    tuning = {key: value for key, value in labels.flatten(_mapping(result.tuning)).items() if key != "curve"}
    if isinstance(curve, list) and curve:
        tuning["curve"] = f"{_concise(curve[0])} to {_concise(curve[-1])}"
    yield _pairs("Tuning, before the measuring", tuning)
    if _mapping(result.nonfinite).get("replicates"):
        yield _pairs("Not finite", result.nonfinite)
    yield _pairs("Configuration", labels.flatten(result.config))
    provenance = _mapping(result.provenance)
    yield _pairs("Provenance", {key: provenance.get(key) for key in PROVENANCE} | {"engine": result.engine, "result_id": result.result_id})


def _commands(cell: Cell) -> Iterator[Section]:
    if cell.result is not None:
        try:
            again = {"code": rerun.command(cell.result.config)}
        except rerun.Inexpressible as reason:
            again = {"text": f"No command says this configuration: {reason}."}
        yield {"title": "Measure it again"} | again
    elif cell.state in ("failed", "partial"):
        yield {
            "title": "Measure it again",
            "text": "The command that was given, once more: what is complete is skipped, what is not resumes.",
        }
    redraw = shlex.join(["gsx", "report", f"outputs/{cell.name}", "--html"])
    yield {"title": "Draw it again"} | ({"code": redraw} if redraw.isprintable() else {"text": "The name of its folder is not printable."})
    typed = _mapping(cell.result.provenance if cell.result else None).get("command")
    if isinstance(typed, (list, tuple)) and typed:
        # Without its folder: a report must not tell where a program was installed.
        typed = shlex.join([PurePath(str(typed[0])).name, *map(str, typed[1:])])
    if typed and isinstance(typed, str):
        yield {"title": "As it was typed", "code": escape.line(typed, 2000)}


def _pairs(title: str, pairs: Mapping[str, Any]) -> Section | None:
    told = [[_line(key), _line(value)] for key, value in pairs.items() if value not in (None, "", {}, [])]
    return {"title": title, "pairs": told} if told else None


def _line(value: Any) -> str:
    if isinstance(value, str):
        return escape.line(value, 600)
    return escape.line(canonical_json(value) if isinstance(value, (bool, list, dict)) or value is None else str(value), 600)


def _concise(value: Any) -> str | None:
    return rounding.concise(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _texts(interval: Any) -> tuple[str, str]:
    shown = number(interval if isinstance(interval, Interval) else None)
    return shown.text, shown.ends


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def embedded(rows: Iterable[Row]) -> dict[str, Any]:
    return {row.anchor: details(row) for row in rows}
