"""What must be said beside the numbers: what the interval is, what the results are conditional on, what is missing."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from gsx.records import Result
from gsx.report.collect import Cell

_EXPLAINED = {
    "minibatch": "one minibatch, drawn once from the model's seed: every statistic is conditional on it.",
    "tuned": "tuned first on its own random stream and then frozen († in figures): its results are conditional on that tuning.",
    "self-referenced": "the reference is a long run of this same estimator: no statement on its bias is made.",
    "long-run reference": "the reference is a long run of another estimator; its own error is propagated.",
    "nonfinite": "some replicates were not finite: the statistics of their coordinates do not exist, and nothing was dropped.",
    "partial": "measuring has not finished: the numbers are those of the replicates so far.",
}

#: How many runs a caption names.
MOST_NAMES = 12

DEFINITIONS = (
    "Variance is the trace of the covariance of one N-sample gradient estimate, bias² the squared distance of its mean from the reference "
    "(an unbiased estimate of it, which may be negative), MSE their sum, SNR the squared mean over the variance; R is the number of "
    "independent replicates."
)


def of(cell: Cell) -> list[str]:
    """The notes that hold for one run, as keys of the foot-notes."""
    result = cell.result
    if result is None:
        return []
    name = result.config.get("data", {}).get("name")
    held = {
        "minibatch": name not in (None, "", "none") and _batch(result) is not None,
        "tuned": bool(result.tuning),
        "self-referenced": result.verdict.status == "self_referenced",
        "long-run reference": result.reference.get("kind") == "long_run" and result.verdict.status != "self_referenced",
        "nonfinite": bool(result.nonfinite.get("replicates")),
        "partial": cell.state == "partial",
    }
    return [key for key in _EXPLAINED if held[key]]


def _batch(result: Result) -> object:
    """The size of the minibatch, wherever the configuration keeps it; None for a model without data or on all of them."""
    for group in ("model", "data"):
        settings = result.config.get(group)
        for key in ("batch", "batch_size"):
            if isinstance(settings, dict) and settings.get(key) not in (None, 0, "all", "full"):
                return settings[key]
    return None


def explanations(cells: Iterable[Cell]) -> list[str]:
    found = {key for cell in cells for key in of(cell)}
    return [f"{key}: {text}" for key, text in _EXPLAINED.items() if key in found]


#: Statistics with an interval on a log scale, and what a sentence calls them.
_LOGARITHMIC = {"variance": "variance", "mse": "MSE", "ratio": "ratios"}


def interval(results: Sequence[Result], of: Collection[str] = (*_LOGARITHMIC, "bias_sq")) -> str:
    """One sentence: which interval is drawn and printed; ``of`` are the statistics that are."""
    log = [name for key, name in _LOGARITHMIC.items() if key in of]
    segments = " or ".join(map(str, sorted({_segments(result) for result in results}, reverse=True) or [64]))
    said = []
    if log:
        said.append(f"delete-one-segment jackknife with Student t over {segments} segments, on a log scale for {listed(log)}")
    if "bias_sq" in of:
        said.append("for bias² [max(0, b − c)², (b + c)²], where b is the distance of the mean from the reference and c its 95 % error")
    return f"Intervals are 95 %: {'; '.join(said)}."


def _segments(result: Result) -> int:
    """Segments are fewer for the largest models, so that the stored moments stay small."""
    coordinates = sum(math.prod(entry.get("shape", [])) for entry in result.parameters.values())
    return 16 if coordinates > 2**16 else 64


def extent(results: Sequence[Result]) -> str:
    """N, R and seed of the runs in a figure."""

    def span(values: Iterable[Any]) -> str:
        distinct = sorted({value if isinstance(value, int) else str(value) for value in values}, key=lambda v: (isinstance(v, str), v))
        return ", ".join(map(str, distinct)) if len(distinct) <= 8 else f"{distinct[0]} … {distinct[-1]} ({len(distinct)} values)"

    n, r = span(result.num_samples for result in results), span(result.num_replicates for result in results)
    seed = span(result.config.get("seed", "unknown") for result in results)
    samples, seeds = "sample" if n == "1" else "samples", "seed" if len({result.config.get("seed") for result in results}) == 1 else "seeds"
    return f"N = {n} {samples} per estimate; R = {r} replicates; {seeds} {seed}."


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def counted_once(names: Sequence[str]) -> str:
    """Of results that lie below the paths more than once."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{len(names)} {'copy' if len(names) == 1 else 'copies'} of results not counted again: {shown}."


def some(names: Sequence[str], between: str = ", ", where: str = "tables/summary.csv") -> str:
    """The first names, and how many more there are: a caption is no table."""
    shown = list(names[:MOST_NAMES]) + ([f"{len(names) - MOST_NAMES} more, in {where}"] if len(names) > MOST_NAMES else [])
    return between.join(shown)


def missing(cells: Sequence[Cell]) -> str:
    """The end of a caption: what the runs drawn are conditional on, and the runs on this model that the figure cannot show, by name."""
    held = [f"{text[:1].upper()}{text[1:]}" for text in explanations(cell for cell in cells if cell.state == "complete")]
    absent = [_because(cell, cell.reason) for cell in cells if cell.state == "missing"]
    others = [_because(cell, cell.state, cell.reason) for cell in cells if cell.state not in ("complete", "missing")]
    for said, names in (("Missing", absent), ("Not shown", others)):
        held += [f"{said}: {some(names, '; ')}."] if names else []
    return " ".join(held)


def _because(cell: Cell, *why: str | None) -> str:
    return f"{cell.label or cell.name} ({': '.join(filter(None, why))})"
