"""Statistics against one varying setting, a curve per estimator: which runs are a curve, in which figure, and the data that are drawn."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from gsx.records import Interval
from gsx.report.collect import Cell, result_of
from gsx.report.looks import ORDER
from gsx.report.rerun import unusual

NAMES = {"variance": "variance", "bias_sq": "bias²", "mse": "mean squared error"}
#: More than these are not told apart: in one figure, and of one estimator (markers filled in half).
MOST_SERIES, MOST_OF_ONE = 10, 4
#: More names than this stand at the ends of the curves, not in a legend.
MOST_IN_LEGEND = 6
#: More figures of one kind are not looked through: the tables have what is in the others.
MOST_PAGES = 6

#: Curves that are nowhere further apart than this share of their height: the width of a line, so that one hides the other.
HIDDEN = 0.01

Points = list[tuple[str, float | None, Cell]]  # (series, x, run)


def gather(cells: Sequence[Cell], names: Sequence[str], at: Callable[[Cell], float | None], least: int = 1) -> Points:
    """(series, x, run), once per series and x: of runs that differ in R alone, the one with most replicates.

    Only series with so many runs; a run that is missing is a point of such a series where no other is.
    """
    best: dict[tuple[str, float | None], Cell] = {}
    for cell, name in zip(cells, names, strict=True):
        held = best.setdefault((name, at(cell)), cell)
        if (cell.state != "missing", result_of(cell).num_replicates) > (held.state != "missing", result_of(held).num_replicates):
            best[name, at(cell)] = cell
    there = Counter(name for (name, _), cell in best.items() if cell.state != "missing")
    return [(name, x, cell) for (name, x), cell in best.items() if there[name] >= least]


def numbered(points: Points) -> Iterator[tuple[int, str, Points]]:
    """The first pages, each with its number, and with what the title says of it where there are several."""
    every = pages(points)
    drawn = f", the first {MOST_PAGES} drawn" if len(every) > MOST_PAGES else ""
    for place, page in enumerate(every[:MOST_PAGES], 1):
        yield place, f" ({place} of {len(every)}{drawn})" if len(every) > 1 else "", page


def pages(points: Points) -> list[Points]:
    """The points in figures of no more series than can be told apart, relatives together; every series is in one of them."""
    of = {name: result_of(cell).estimator for name, _, cell in points}
    order = sorted(of, key=lambda name: (ORDER.get(of[name], len(ORDER)), of[name]))  # stable: the series of one as they came
    most = math.ceil(len(order) / max(1, math.ceil(len(order) / MOST_SERIES)))
    groups: list[list[str]] = [[]]
    for name in order:
        if len(groups[-1]) >= most or sum(of[other] == of[name] for other in groups[-1]) >= MOST_OF_ONE:
            groups.append([])
        groups[-1].append(name)
    place = {name: number for number, group in enumerate(groups) for name in group}
    found: list[Points] = [[] for _ in groups]
    for point in points:
        found[place[point[0]]].append(point)
    return [page for page in found if page]


def kind(interval: Interval | None) -> str:
    """How a number can stand on a log axis: as a point, as an upper limit where its interval reaches zero, on the axis, or not at all."""
    if interval is None or math.isnan(interval.value):
        return "absent"
    if interval.value > 0 and (interval.ci is None or interval.ci[0] > 0):
        return "point"
    if interval.ci is not None and 0 < interval.ci[1] < math.inf:
        return "upper limit"
    return "zero" if interval.value == 0 else "absent"


def frame(points: Points) -> pd.DataFrame:
    """As long-format data: a line per statistic. A series without x is a level, drawn across."""
    rows = []
    for series, rank, x, cell in ranked(points):
        result = result_of(cell)
        row = {"series": series, "estimator": result.estimator, "rank": rank, "x": x, "num_samples": result.num_samples}
        row |= {"tuned": bool(result.tuning), "verdict": result.verdict_word, "run": cell.name}
        rows += [row | {"statistic": name} | numbers(cell, result.summary.get(name)) for name in NAMES]
    return pd.DataFrame(rows, dtype=object)


def ranked(points: Points) -> Iterator[tuple[str, int, float | None, Cell]]:
    """(series, which of its estimator's series it is, x, run): the first is the one nearest to the defaults, so that a plain estimator
    looks the same in every figure."""
    of: dict[str, dict[str, int]] = {}
    for series, _, cell in points:
        known, own = of.setdefault(result_of(cell).estimator, {}), unusual(result_of(cell))
        known[series] = min(own, known.get(series, own))
    place = {name: {series: rank for rank, series in enumerate(sorted(known, key=known.__getitem__))} for name, known in of.items()}
    for series, x, cell in points:
        yield series, place[result_of(cell).estimator][series], x, cell


def numbers(cell: Cell, interval: Interval | None) -> dict[str, Any]:
    """Those of a run, or that there are none because there is no run."""
    return columns(interval) | ({"kind": "missing"} if cell.state == "missing" else {})


def columns(interval: Interval | None) -> dict[str, Any]:
    """A number as a figure's data hold it."""
    low, high = (interval.ci if interval else None) or (None, None)
    return {"value": interval and interval.value, "se": interval and interval.se, "ci_low": low, "ci_high": high, "kind": kind(interval)}


def limits(data: pd.DataFrame, pad: float = 1.5) -> tuple[float, float] | None:
    """The range of a log axis that holds all points and upper limits, with room for the arrows."""
    points, uppers = data[data["kind"] == "point"], data[data["kind"] == "upper limit"]
    lows = [v for v in [*points["value"], *points["ci_low"], *uppers["ci_high"]] if v is not None and v > 0]
    highs = [v for v in [*points["value"], *points["ci_high"], *uppers["ci_high"]] if v is not None and math.isfinite(v)]
    if not lows or not highs:
        return None
    low, high = min(lows), max(highs)
    if len(uppers):
        low = min(low, min(uppers["ci_high"]) * min(0.35, (low / high) ** 0.12))
    pad = max(pad, math.exp(0.03 * (math.log(high) - math.log(low))))  # over many decades a constant factor is no room
    return max(low / pad, sys.float_info.min), min(high * pad, sys.float_info.max)


def thin(data: pd.DataFrame) -> bool:
    """Whether no interval can be seen beside its curve: of each statistic, all are within a hundredth of the height of its axis."""
    for _, part in data[(data["kind"] == "point") & data["ci_low"].notna()].groupby("statistic"):
        low, high = limits(part) or (1.0, 1.0)
        widest = float((part["ci_high"].astype(float) / part["ci_low"].astype(float)).max())
        if math.log(widest) > HIDDEN * math.log(high / low):
            return False
    return True


def crowded(data: pd.DataFrame) -> bool:
    return bool(data.groupby(["estimator", "rank"]).ngroups > MOST_IN_LEGEND)


def named(part: pd.DataFrame) -> str:
    """The name of a series; one that was tuned first carries a dagger."""
    return str(part["series"].iloc[0]) + (" †" if part["tuned"].any() else "")
