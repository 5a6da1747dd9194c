"""Statistics against one varying setting, a curve per estimator: the shared part of the temperature, sample-size and sweep figures."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gsx.records import Interval
from gsx.report import axis, escape, notes, styles
from gsx.report.canvas import GREY
from gsx.report.collect import Cell, result_of
from gsx.report.ends import End, name_ends
from gsx.report.looks import ORDER, Look, look
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

INTERVAL_NOTE = "Hollow markers with an arrow are upper ends of 95 % intervals that reach zero or below, which a log axis cannot show."
THIN_NOTE = "Where no band is seen, it is narrower than the line."
ZERO_NOTE = "Hollow markers on the axis: exactly zero."
MISSING_NOTE = "Crosses on the axis, where lines break: planned, and not there."

Points = list[tuple[str, float | None, Cell]]  # (series, x, run)


def marks(data: pd.DataFrame) -> str:
    """What the marks are that need a word, of those that are drawn."""
    points = data[data["kind"] == "point"]
    said = [THIN_NOTE] if any(thin(part) for _, part in points.groupby("statistic")) else []
    said += [INTERVAL_NOTE] if (data["kind"] == "upper limit").any() else []
    said += [ZERO_NOTE] if ((data["kind"] == "zero") & data["x"].notna()).any() else []
    said += [MISSING_NOTE] if (data["kind"] == "missing").any() else []
    return "".join(f"{note} " for note in said)


def coinciding(parts: Iterable[tuple[str, pd.DataFrame]]) -> str:
    """The series of each part of a figure, named by its place, of which one lies on another; a zero lies on a zero alone."""
    found: dict[str, list[str]] = {}
    for place, part in parts:
        held: list[tuple[list[str], dict[float, float]]] = []
        for series, own in part[part["kind"].isin(["point", "zero"]) & part["x"].notna()].groupby("series", sort=True):
            curve = dict(zip(own["x"].astype(float), own["value"].astype(float).where(own["kind"] == "point", 0.0), strict=True))
            names = next((names for names, other in held if _alike(curve, other)), None)
            if names is None:
                held.append(([str(series)], curve))
            else:
                names.append(str(series))
        for names, _ in held:
            if len(names) > 1:
                found.setdefault(notes.listed(names), []).append(place)
    told = [f"{names} ({', '.join(places)})" if any(places) else names for names, places in found.items()]
    return f"One lies on the other, within {HIDDEN:.0%}: {'; '.join(told)}. ".replace("%", " %") if told else ""


def _alike(a: dict[float, float], b: dict[float, float]) -> bool:
    return len(a) > 1 and a.keys() == b.keys() and all(abs(a[x] - b[x]) <= HIDDEN * max(a[x], b[x]) for x in a)


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
        row |= {"tuned": bool(result.tuning), "verdict": result.verdict.status, "run": cell.name}
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
    lows = [v for v in [*points["value"], *points["ci_low"]] if v is not None and v > 0] + [0.35 * v for v in uppers["ci_high"]]
    highs = [v for v in [*points["value"], *points["ci_high"], *uppers["ci_high"]] if v is not None and math.isfinite(v)]
    if not lows or not highs:
        return None
    low, high = min(lows), max(highs)
    pad = max(pad, math.exp(0.03 * (math.log(high) - math.log(low))))  # over many decades a constant factor is no room
    return max(low / pad, sys.float_info.min), min(high * pad, sys.float_info.max)


def panel(axes: Axes, data: pd.DataFrame, x_range: tuple[float, float], named: bool = True) -> None:
    """Curves with bands, arrows for upper limits, horizontal lines for the series without x; the y axis is set here, the x axis before."""
    bounds = limits(data)
    axes.set_xlim(*x_range)
    if bounds is None:
        said = "zero everywhere" if (data["kind"] == "zero").any() else "does not exist"
        axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", color=GREY)
        axes.set_yticks([])
        return
    axis.log_axis(axes, "y", *bounds)
    flat, ends = 0, []
    for (estimator, rank), part in data.groupby(["estimator", "rank"], sort=True):
        style = look(estimator, rank)
        if part["x"].isna().all():
            _level(axes, part.iloc[0], style, x_range, bounds, flat)
            flat += 1
        else:
            _curve(axes, part.sort_values("x"), style, bounds)
        ends += _end(part.sort_values("x"), style, x_range[1])
    if named and crowded(data):
        name_ends(axes, ends)


def _end(part: pd.DataFrame, style: Look, right: float) -> list[End]:
    """Where the name of a curve belongs: its last point, or the last upper limit."""
    shown = part[part["kind"].isin(["point", "upper limit"])]
    if shown.empty:
        return []
    row = shown.iloc[-1]
    x = right if pd.isna(row["x"]) else float(row["x"])
    return [End(_named(part), x, float(row["value"] if row["kind"] == "point" else row["ci_high"]), style)]


def _named(part: pd.DataFrame) -> str:
    """The name of a series; one that was tuned first carries a dagger."""
    return str(part["series"].iloc[0]) + (" †" if part["tuned"].any() else "")


def shorter(data: pd.DataFrame, axis: str) -> str:
    """The curves that end before others do, because nothing was planned beyond."""
    ends = data[data["x"].notna()].groupby("series", sort=False)["x"].max().astype(float)
    found = [f"{notes.listed(list(part.index))} up to {axis} = {x:g}" for x, part in ends.groupby(ends) if x < ends.max()]
    return f"Measured no further: {'; '.join(found)}. " if found else ""


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


def _curve(axes: Axes, part: pd.DataFrame, style: Look, bounds: tuple[float, float]) -> None:
    x = part["x"].astype(float).to_numpy()
    kinds = part["kind"].to_numpy()
    drawn = kinds == "point"
    value = np.where(drawn, part["value"].astype(float), math.nan)
    axes.plot(x, value, zorder=3, **style.drawn)
    low = part["ci_low"].astype(float).clip(lower=bounds[0]).to_numpy()
    high = part["ci_high"].astype(float).to_numpy()
    # At an upper limit the arrow says it all: bands down to the edge would only cover each other.
    axes.fill_between(x, low, high, where=drawn, color=style.colour, alpha=0.2, linewidth=0, zorder=2)
    for at, upper in zip(x[kinds == "upper limit"], high[kinds == "upper limit"], strict=True):
        arrow(axes, at, upper, style)
    zero, missing = x[kinds == "zero"], x[kinds == "missing"]
    on_axis: dict[str, Any] = {"color": style.colour, "linestyle": "none", "transform": axes.get_xaxis_transform(), "clip_on": False}
    if len(zero):
        axes.plot(zero, 0 * zero, marker=style.marker, markerfacecolor="white", zorder=5, **on_axis)
    if len(missing):
        axes.plot(missing, 0 * missing, marker="x", zorder=5, **on_axis)


def arrow(axes: Axes, x: float, upper: float, style: Look) -> None:
    """An upper limit: a hollow marker at the end of the interval, pointing down."""
    axes.annotate("", (x, 0.42 * upper), (x, upper), arrowprops=pointing(style))
    axes.plot([x], [upper], color=style.colour, marker=style.marker, markerfacecolor="white", linestyle="none", zorder=4)


def pointing(style: Look) -> dict[str, Any]:
    return {"arrowstyle": "->", "color": style.colour, "lw": 0.8 * styles.scale(), "shrinkA": 2, "shrinkB": 0}


def _level(axes: Axes, row: Any, style: Look, x_range: tuple[float, float], bounds: tuple[float, float], nth: int) -> None:
    if row["kind"] == "point":
        axes.axhline(row["value"], color=style.colour, linestyle=style.line, zorder=3)
        if row["ci_low"] is not None:
            axes.axhspan(max(row["ci_low"], bounds[0]), row["ci_high"], color=style.colour, alpha=0.2, linewidth=0, zorder=2)
    elif row["kind"] == "upper limit":
        axes.axhline(row["ci_high"], color=style.colour, linestyle=style.line, linewidth=0.8 * styles.scale(), zorder=2)
        # Side by side, inside the right edge, so that several do not cover each other.
        arrow(axes, x_range[1] * (x_range[0] / x_range[1]) ** (0.04 * (nth + 1)), row["ci_high"], style)


def legend(figure: Figure, data: pd.DataFrame, extra: Sequence[tuple[Any, str]] = ()) -> None:
    """What the marks mean and which interval is shaded; the names of the curves too, unless they stand at their ends."""
    entries: list[tuple[Any, str]] = []
    for (estimator, rank), part in [] if crowded(data) else sorted(data.groupby(["estimator", "rank"]), key=_place):
        style, flat = look(estimator, rank), part["x"].isna().all()
        marker = None if flat and not (part["kind"] == "upper limit").any() else style.marker
        handle = Line2D([], [], **style.drawn | {"marker": marker})
        entries.append((handle, escape.figure(_named(part))))
    below(figure, [*entries, *meanings(data, extra)])


def meanings(data: pd.DataFrame, extra: Sequence[tuple[Any, str]] = ()) -> list[tuple[Any, str]]:
    """Of a legend, what is not the name of a curve."""
    entries: list[tuple[Any, str]] = [] if thin(data) else [(Patch(facecolor=GREY, alpha=0.3, linewidth=0), "95 % interval")]
    hollow = Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none")
    entries += [(hollow, "95 % upper limit (with an arrow)")] if (data["kind"] == "upper limit").any() else []
    entries += [(hollow, "zero, on the axis")] if ((data["kind"] == "zero") & data["x"].notna()).any() else []
    entries += [(Line2D([], [], color=GREY, marker="x", linestyle="none"), "missing")] if (data["kind"] == "missing").any() else []
    entries += extra
    return entries + ([(Line2D([], [], linestyle="none"), "† tuned first")] if data["tuned"].any() else [])


def _place(item: tuple[Any, Any]) -> tuple[int, int, str]:
    (estimator, rank), _ = item
    return ORDER.get(estimator, len(ORDER)), rank, estimator


def below(figure: Figure, entries: Sequence[tuple[Any, str]]) -> None:
    """A legend under the panels, in as many columns as there is room for; none where every curve is named at its end and nothing else is
    to be told."""
    if not entries:
        return
    handles, names = zip(*entries, strict=True)
    columns = max(1, min(len(names), int(figure.get_figwidth() / styles.scale() * 15 / (max(map(len, names)) + 7))))
    shape: dict[str, Any] = {"handlelength": 2.6, "handler_map": {tuple: HandlerTuple(ndivide=1)}}
    figure.legend(handles, names, loc="outside lower center", ncols=columns, **shape)


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
