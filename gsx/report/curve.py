"""The numbers of a training, read from its curve.csv: one metric between two steps, reduced, with its interval over the seeds."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gsx.experiment import CurveNumber
from gsx.records import Interval, canonical_json
from gsx.report.estimate import Estimate
from gsx.statistics import jackknife_se, student_t_quantile
from gsx.store import read_training

COLUMNS = ["seed", "step", "split", "estimator", "metric", "value", "se"]
#: Metrics that are never negative, and compared by ratio.
POSITIVE = ("variance", "seconds")
_REDUCED: dict[str, Callable[[np.ndarray], float]] = {
    "median": np.median,
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    "last": lambda values: float(values[-1]),
}


def trainings(folder: Path) -> dict[Path, dict[str, Any]]:
    """training.json of every training in the folder of an experiment. IntegrityError where one is damaged."""
    found = {path.parent: read_training(path.parent) for path in sorted(folder.glob("train-*/training.json"))}
    return {path: body for path, body in found.items() if body is not None}


def curve_number(path: Path, number: CurveNumber, times: float, log: bool) -> Estimate | str:
    """The mean over the seeds, or why there is none. The logarithm is taken at each step, before the steps are reduced to one number."""
    frame = pd.read_csv(io.BytesIO((path / "curve.csv").read_bytes()), keep_default_na=False)
    if list(frame.columns) != COLUMNS:
        return f"curve.csv: its columns are not {', '.join(COLUMNS)}"
    chosen = frame[frame["metric"] == number.metric]
    for key in ("estimator", "split"):
        if wanted := getattr(number, key):
            chosen = chosen[chosen[key] == wanted]
        elif len(kinds := sorted(set(chosen[key]))) > 1:
            return f"{number.metric} is there for several of {key}: {', '.join(map(str, kinds))}; the finding must say which"
    chosen = chosen[(chosen["step"] >= number.first) & (chosen["step"] <= number.last)]
    if chosen.empty:
        return f"curve.csv has no {number.metric} there"
    of_seed: dict[Any, list[float]] = defaultdict(list)
    for seed, _, value in sorted(zip(chosen["seed"], chosen["step"], chosen["value"], strict=True), key=lambda row: row[:2]):
        try:
            value = float(value) * times
        except ValueError:
            return f"{number.metric} is not always a number"
        of_seed[seed].append(math.log(value) if log and value > 0 else -math.inf if log else value)
    reduced = np.array([float(_REDUCED[number.of](np.array(values))) for values in of_seed.values()])
    if not np.isfinite(reduced).all():
        return f"{number.metric} is not always finite"
    positive = not log and number.metric in POSITIVE and bool((reduced >= 0).all())
    return over_seeds(reduced, positive, canonical_json([str(seed) for seed in of_seed]))


def over_seeds(values: np.ndarray, positive: bool, pairing: str) -> Estimate:
    """The mean of independent trainings with Student's t of n - 1 degrees of freedom; of a single one there is no interval."""
    n = len(values)
    mean = float(values.mean())
    if n < 2:
        return Estimate(Interval(mean, None, None), positive)
    rows = np.concatenate([[mean], (values.sum() - values) / (n - 1)])
    count = np.array([float(n), *[n - 1.0] * n])
    # Of two groups the jackknife wants a third row, which this has: the mean and n means of the others.
    se = float(jackknife_se(count, rows))
    t = student_t_quantile(0.975, n - 1)
    return Estimate(Interval(mean, se, (mean - t * se, mean + t * se)), positive, rows, count, pairing)
