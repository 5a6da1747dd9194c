"""The numbers of a training, from its curve: one metric between two steps, reduced, with its interval over the seeds."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from gsx.experiment import CurveNumber
from gsx.records import Interval, Training, canonical_json
from gsx.report.estimate import Estimate
from gsx.statistics import jackknife_se, student_t_quantile

#: Metrics that are never negative, and compared by ratio.
POSITIVE = ("variance", "seconds")
_REDUCED: dict[str, Callable[[np.ndarray], float]] = {
    "median": np.median,
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    "last": lambda values: float(values[-1]),
}


def curve_number(training: Training, number: CurveNumber, times: float, log: bool) -> Estimate | str:
    """The mean over the seeds, or why there is none. The logarithm is taken at each step, before the steps are reduced to one number."""
    chosen = [point for point in training.curve if point.metric == number.metric]
    for key in ("estimator", "split"):
        if wanted := getattr(number, key):
            chosen = [point for point in chosen if getattr(point, key) == wanted]
        elif len(kinds := sorted({getattr(point, key) for point in chosen})) > 1:
            return f"{number.metric} is there for several of {key}: {', '.join(kinds)}; the finding must say which"
    chosen = [point for point in chosen if number.first <= point.step <= number.last]
    if not chosen:
        return f"curve.csv has no {number.metric} there"
    of_seed: dict[int, list[float]] = defaultdict(list)
    for point in sorted(chosen, key=lambda point: (point.seed, point.step)):
        value = point.value * times
        of_seed[point.seed].append(value if not log else math.log(value) if value > 0 else math.nan if math.isnan(value) else -math.inf)
    reduced = np.array([float(_REDUCED[number.of](np.array(values))) for values in of_seed.values()])
    if not np.isfinite(reduced).all():
        return f"{number.metric} is not always finite"
    positive = not log and number.metric in POSITIVE and bool((reduced >= 0).all())
    found = over_seeds(reduced, positive, canonical_json([str(seed) for seed in of_seed]))
    return _within(found, -times, times) if number.metric == "cosine" and not log else found


def _within(found: Estimate, least: float, most: float) -> Estimate:
    """The interval without what the number cannot be."""
    ci = found.interval.ci
    if ci is None:
        return found
    return dataclasses.replace(found, interval=dataclasses.replace(found.interval, ci=(max(ci[0], least), min(ci[1], most))))


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
