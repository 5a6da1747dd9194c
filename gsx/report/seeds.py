"""Several seeds as one curve: their mean with an interval, and each of them where they are few."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from gsx.statistics import student_t_quantile

#: Fewer seeds than this are drawn one by one too: they tell how an interval so wide came about.
FEW = 5
#: What is drawn on a log axis: its mean and interval over seeds are those of the logarithm.
LOGARITHMIC = ("variance", "snr")


def summary(points: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds at each step with its 95 % interval: Student t over seeds, of the logarithm where the axis is logarithmic.

    Where some seeds are zero, which has no logarithm, the row is of the kind `some zero`, with the mean of the values themselves and its
    interval, which ends at 0. Fewer than `FEW` seeds have a row of the kind `seed` each, too. A training of one seed has the interval of
    the measurement (1.96 standard errors), if there is one. A cosine ends at 1: values stopped there agree too well, so its interval is
    at least that of the measurement.
    """
    rows = []
    alone = points["seed"].nunique() == 1
    points = points.dropna(subset=["value"])
    for step, at in points.groupby("step", sort=True):
        metric, n = at["metric"].iloc[0], len(at)
        log = metric in LOGARITHMIC
        values = at["value"].to_numpy()
        row: dict[str, Any] = {"step": int(step), "seeds": n, "kind": "point"}
        exists = values > 0 if log else np.full(n, True)
        zero = log and bool((values == 0).all())
        if 1 < n < FEW and not zero:
            single = zip(at["seed"], np.where(exists, values, math.nan).tolist(), strict=True)
            rows += [row | {"seed": seed, "value": value, "kind": "seed"} for seed, value in single]
        if zero or not (exists | (values == 0)).all():
            rows.append(row | {"value": 0.0 if zero else None, "ci_low": None, "ci_high": None, "kind": "zero" if zero else "absent"})
            continue
        if not exists.all():
            log = False
            row |= {"kind": "some zero", "zeros": int((values == 0).sum())}
        numbers = np.log(values) if log else values
        mean, error = float(numbers.mean()), math.nan
        measured = 1.96 * math.sqrt(float((at["se"] ** 2).sum(skipna=False))) / n
        if n > 1:
            error = student_t_quantile(0.975, n - 1) * float(numbers.std(ddof=1)) / math.sqrt(n)
            if metric == "cosine" and measured > error:
                error = measured
        elif alone:
            error = measured / (float(values[0]) if log else 1.0)
        back = _exp if log else float
        low, high = (None, None) if math.isnan(error) else (back(mean - error), back(mean + error))
        if metric == "cosine" and low is not None and high is not None:
            low, high = max(low, -1.0), min(high, 1.0)
        if row["kind"] == "some zero" and low is not None:
            low = max(low, 0.0)
        rows.append(row | {"value": back(mean), "ci_low": low, "ci_high": high})
    return pd.DataFrame(rows, columns=["step", "seeds", "seed", "value", "ci_low", "ci_high", "kind", "zeros"], dtype=object)


def _exp(power: float) -> float:
    """Of two seeds that differ by orders of magnitude the interval may go beyond all numbers."""
    return math.exp(min(max(power, -700.0), 700.0))
