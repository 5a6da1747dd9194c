"""A training as a terminal shows it."""

from __future__ import annotations

import math

from gsx.cli.columns import aligned
from gsx.records import Interval, Training

#: What is told of a training in a line of its own, where there is such a number.
_TOLD = (
    "exact_loss",
    *(f"{metric}.{split}" for metric in ("elbo", "log_likelihood_bound") for split in ("train", "valid", "test")),
    "bound.valid",
    "bound.test",
)
#: Of which a row of a table tells the first that there is.
_END = ("elbo.test", "log_likelihood_bound.test", "elbo.train", "log_likelihood_bound.train", "exact_loss")


def describe(training: Training, folder: str) -> str:
    """One training, a fact a line."""
    seeds = f"{len(training.seeds)} seeds" if len(training.seeds) > 1 else "1 seed"
    lines = [
        ("model", f"{training.model}, {training.config['dtype']}"),
        ("estimator", f"{training.estimator}, N={training.config['num_samples']}, {training.steps} steps, {seeds}"),
        *([("cosines to", _reference(training))] if any(point.metric == "cosine" for point in training.curve) else []),
        *((_title(training, key), _number(training, key)) for key in _TOLD if key in training.summary),
        *((f"variance of {name}", _number(training, f"variance.{name}")) for name in _measured(training)),
        ("folder", folder),
    ]
    width = max(len(label) for label, _ in lines) + 2
    return "\n".join(f"{label:<{width}}{text}" for label, text in lines)


def _reference(training: Training) -> str:
    """What the cosines are to."""
    kind, name, replicates = (training.reference.get(key) for key in ("kind", "estimator", "num_replicates"))
    return f"a long run of {name}, R={replicates}" if kind == "long_run" else str(kind).replace("_", " ")


def _measured(training: Training) -> list[str]:
    return [name for name in (training.estimator, *training.probe) if f"variance.{_split(training)}{name}" in training.summary]


def _split(training: Training) -> str:
    return "train." if any(key.startswith("variance.train.") for key in training.summary) else ""


def _title(training: Training, key: str) -> str:
    metric, _, split = key.partition(".")
    return f"{split} bound, K={training.config['bound_samples']}" if metric == "bound" else f"{split} {metric}".strip().replace("_", " ")


def _number(training: Training, key: str) -> str:
    """A mean over the seeds, with its interval where there are several."""
    metric, _, name = key.partition(".")
    entry = training.summary[f"{metric}.{_split(training)}{name}" if metric == "variance" else key]
    found = Interval.from_json({"value": entry["value"], "se": entry["se"], "ci": entry["ci"]})
    assert found is not None
    if found.ci is None or found.se is None:
        return f"{found.value:.6g}"
    low, high = (_to(end, found.se) for end in found.ci)
    return f"{_to(found.value, found.se)} ± {found.se:.2g}  [{low}, {high}]"


def _to(value: float, error: float) -> str:
    """As far as two digits of its standard error go."""
    if not 0 < error < math.inf:
        return f"{value:.6g}"
    return f"{round(value, 1 - math.floor(math.log10(error))):.10g}"


def table(rows: list[tuple[str, str, Training | None, str]]) -> str:
    """The trainings of a sweep: what became of each, and how it ended."""
    lines: list[tuple[str, ...]] = [("state", "training", "end", "variance", "folder")]
    for state, what, training, folder in rows:
        numbers = ["", ""]
        if training is not None and training.status == "complete":
            ends = [key for key in _END if key in training.summary]
            numbers[0] = f"{ends[0]} {_number(training, ends[0])}" if ends else ""
            numbers[1] = _number(training, f"variance.{training.estimator}") if training.estimator in _measured(training) else ""
        lines.append((state, what, *numbers, folder))
    return aligned(lines)
