"""Everything about one run, as sections that the page's script lays out when the run is opened: pairs, tables and commands, all text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gsx.report import labels, notes
from gsx.report.collect import Cell
from gsx.report.html import commands
from gsx.report.html.commands import Known
from gsx.report.html.marks import STATES, VERDICTS
from gsx.report.html.runs import Row
from gsx.report.html.sections import KINDS, Section, concise, line, mapping, pairs, provenance, with_interval

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


def details(row: Row, known: Known) -> dict[str, Any]:
    cell = row.cell
    state = f"{cell.state}: {STATES[cell.state].meaning}" if cell.state in STATES else cell.state
    told = {"run": cell.name, "state": state, "reason": cell.reason, "notes": "; ".join(notes.of(cell))}
    sections = [pairs("Run", told), *_measured(cell, known), *_commands(cell, known)]
    lead = f"on {row.model}" if cell.result is not None else ""
    return {"title": row.label, "lead": lead, "sections": [section for section in sections if section]}


def _measured(cell: Cell, known: Known) -> Iterator[Section | None]:
    result = cell.result
    if result is None:
        return
    verdict, cost, reference = result.verdict, result.cost, mapping(result.reference)
    status = result.verdict_word
    error = mapping(reference.get("error"))
    kind = str(reference.get("kind"))
    yield pairs(
        "Verdict on bias",
        {
            "verdict": f"{status}: {VERDICTS[status].meaning}",
            "reason": verdict.reason,
            "largest |z|": concise(verdict.max_abs_z),
            "p, family-wise": concise(verdict.p_value),
            "least detectable bias": concise(verdict.delta_min_absolute),
            "relative to the largest reference": concise(verdict.delta_min_relative),
        },
    )
    body = [[title, *with_interval(result.summary.get(name))] for name, title in STATISTICS.items()]
    yield {"title": "Statistics", "head": ["", "value", "95 % interval"], "rows": body}
    columns = {"variance": "variance", "bias_sq": "bias²", "mse": "MSE", "snr": "SNR", "cosine": "cosine"}
    body = [
        [line(name), line(entry.get("shape")), *(with_interval(entry.get(key))[0] for key in columns)]
        for name, entry in result.parameters.items()
    ]
    yield {"title": "Parameters", "head": ["parameter", "shape", *columns.values()], "rows": body}
    yield commands.parameters("Parameters it was measured at", result.config, known)
    yield pairs(
        "Reference",
        {
            "kind": KINDS.get(kind, kind),
            "estimator": reference.get("estimator"),
            "largest standard error": concise(error.get("max")),
            "norm of its error": concise(error.get("norm")),
            "id": reference.get("id"),
        },
    )
    yield pairs(
        "Cost of one estimate",
        {
            "cost evaluations": cost.evaluations,
            "gradient evaluations": cost.gradient_evaluations,
            "random numbers": cost.random_numbers,
            "time ratio": concise(cost.time_ratio),
            "seconds in all": concise(cost.seconds),
            "peak memory": None if cost.peak_bytes is None else f"{cost.peak_bytes / 2**20:.0f} MiB",
        },
    )
    curve = mapping(result.tuning).get("curve")
    tuning = {key: value for key, value in labels.flatten(mapping(result.tuning)).items() if key != "curve"}
    if isinstance(curve, list) and curve:
        tuning["curve"] = f"{concise(curve[0])} to {concise(curve[-1])}"
    yield pairs("Tuning, before the measuring", tuning)
    if mapping(result.nonfinite).get("replicates"):
        yield pairs("Not finite", result.nonfinite)
    yield pairs("Configuration", labels.flatten(result.config))
    yield provenance(result.provenance, {"engine": result.engine, "result_id": result.result_id})


def _commands(cell: Cell, known: Known) -> Iterator[Section]:
    if cell.result is not None:
        yield commands.again("Measure it again", cell.result.config, known)
    elif cell.state in ("failed", "partial"):
        yield commands.unfinished("Measure it again")
    yield commands.draw(cell.name)
    if cell.result is not None:
        yield from commands.typed(cell.result.provenance)


def embedded(rows: Iterable[Row], known: Known) -> dict[str, Any]:
    return {row.anchor: details(row, known) for row in rows}
