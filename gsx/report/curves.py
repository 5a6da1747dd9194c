"""Statistics against one varying setting, a curve per estimator: the shared part of the temperature, sample-size and sweep figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gsx.records import Interval
from gsx.report import canvas, escape
from gsx.report.canvas import GREY
from gsx.report.collect import Cell, result_of
from gsx.report.looks import Look, look

NAMES = {"variance": "variance", "bias_sq": "bias²", "mse": "mean squared error"}
#: More than these are not told apart: in a figure, and of one estimator (the paler colours).
MOST_SERIES, MOST_OF_ONE = 10, 4

INTERVAL_NOTE = "Hollow markers with an arrow are upper ends of 95 % intervals that reach zero or below, which a log axis cannot show."


def kind(interval: Interval | None) -> str:
    """How a number can stand on a log axis: as a point, as an upper limit where its interval reaches zero, or not at all."""
    if interval is None or math.isnan(interval.value):
        return "absent"
    if interval.value > 0 and (interval.ci is None or interval.ci[0] > 0):
        return "point"
    return "upper limit" if interval.ci is not None and 0 < interval.ci[1] < math.inf else "zero"


def frame(points: Sequence[tuple[str, float | None, Cell]]) -> pd.DataFrame:
    """(series, x, run) as long-format data: a line per statistic. A series without x is a level, drawn across."""
    rows = []
    rank: dict[str, list[str]] = {}
    for series, x, cell in points:
        result = result_of(cell)
        known = rank.setdefault(result.estimator, [])
        if series not in known:
            known.append(series)
        for statistic in NAMES:
            interval = result.summary.get(statistic)
            low, high = (interval.ci if interval else None) or (None, None)
            row: dict[str, Any] = {
                "series": series,
                "estimator": result.estimator,
                "rank": known.index(series),
                "x": x,
                "statistic": statistic,
            }
            row |= {
                "value": interval and interval.value,
                "se": interval and interval.se,
                "ci_low": low,
                "ci_high": high,
                "kind": kind(interval),
            }
            rows.append(row | {"num_samples": result.num_samples, "run": cell.name})
    return pd.DataFrame(rows, dtype=object)


def limits(data: pd.DataFrame, pad: float = 1.5) -> tuple[float, float] | None:
    """The range of a log axis that holds all points and upper limits, with room for the arrows."""
    points, uppers = data[data["kind"] == "point"], data[data["kind"] == "upper limit"]
    lows = [v for v in [*points["value"], *points["ci_low"]] if v is not None and v > 0] + [0.35 * v for v in uppers["ci_high"]]
    highs = [v for v in [*points["value"], *points["ci_high"], *uppers["ci_high"]] if v is not None and math.isfinite(v)]
    return (min(lows) / pad, max(highs) * pad) if lows and highs else None


def panel(axes: Axes, data: pd.DataFrame, statistic: str, x_range: tuple[float, float]) -> None:
    """One statistic: curves with bands, arrows for upper limits, horizontal lines for the series without x."""
    data = data[data["statistic"] == statistic]
    bounds = limits(data)
    axes.set_ylabel(NAMES[statistic])
    if bounds is None:
        axes.text(0.5, 0.5, "zero everywhere", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_yticks([])
        return
    canvas.log_axis(axes, "y", *bounds)
    flat = 0
    for (estimator, rank), part in data.groupby(["estimator", "rank"], sort=True):
        if part["x"].isna().all():
            _level(axes, part.iloc[0], look(estimator, rank), x_range, bounds, flat)
            flat += 1
        else:
            _curve(axes, part.sort_values("x"), look(estimator, rank), bounds)


def _curve(axes: Axes, part: pd.DataFrame, style: Look, bounds: tuple[float, float]) -> None:
    x = part["x"].astype(float).to_numpy()
    drawn = (part["kind"] == "point").to_numpy()
    value = np.where(drawn, part["value"].astype(float), math.nan)
    axes.plot(x, value, color=style.colour, marker=style.marker, linestyle=style.line, zorder=3)
    low = part["ci_low"].astype(float).clip(lower=bounds[0]).to_numpy()
    high = part["ci_high"].astype(float).to_numpy()
    shown = part["kind"].isin(["point", "upper limit"]).to_numpy() & (high > 0)
    if drawn.any():  # else the arrows say it all, and bands down to the edge would only cover each other
        axes.fill_between(x, low, high, where=shown, color=style.colour, alpha=0.2, linewidth=0, zorder=2)
    for at, upper in zip(x[part["kind"] == "upper limit"], high[part["kind"] == "upper limit"], strict=True):
        arrow(axes, at, upper, style)


def arrow(axes: Axes, x: float, upper: float, style: Look) -> None:
    """An upper limit: a hollow marker at the end of the interval, pointing down."""
    axes.annotate(
        "", (x, 0.42 * upper), (x, upper), arrowprops={"arrowstyle": "->", "color": style.colour, "lw": 0.8, "shrinkA": 2, "shrinkB": 0}
    )
    axes.plot([x], [upper], color=style.colour, marker=style.marker, markerfacecolor="white", linestyle="none", zorder=4)


def _level(axes: Axes, row: Any, style: Look, x_range: tuple[float, float], bounds: tuple[float, float], nth: int) -> None:
    if row["kind"] == "point":
        axes.axhline(row["value"], color=style.colour, linestyle=style.line, linewidth=1, zorder=1)
        if row["ci_low"] is not None:
            axes.fill_between(x_range, max(row["ci_low"], bounds[0]), row["ci_high"], color=style.colour, alpha=0.12, linewidth=0, zorder=0)
    elif row["kind"] == "upper limit":
        # No line: it would read as a value. The marker stands at the right edge, each in its own place.
        arrow(axes, x_range[1] / (x_range[1] / x_range[0]) ** (0.03 + 0.04 * nth), row["ci_high"], style)


def legend(figure: Figure, data: pd.DataFrame, extra: Sequence[tuple[Any, str]] = ()) -> None:
    """Below the panels, where it covers no data: the series, then what the band and the arrow are."""
    entries: list[tuple[Any, str]] = []
    for (estimator, rank), part in data.groupby(["estimator", "rank"], sort=True):
        style, flat = look(estimator, rank), part["x"].isna().all()
        marker = None if flat and not (part["kind"] == "upper limit").any() else style.marker
        handle = Line2D([], [], color=style.colour, marker=marker, linestyle=style.line)
        entries.append((handle, escape.figure(part["series"].iloc[0])))
    entries.append((Patch(facecolor=GREY, alpha=0.3, linewidth=0), "95 % interval"))
    if (data["kind"] == "upper limit").any():
        hollow = Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none")
        entries.append((hollow, "upper limit: interval reaches 0"))
    entries += extra
    handles, names = zip(*entries, strict=True)
    longest = max(map(len, names))
    columns = max(1, min(len(names), int(figure.get_figwidth() * 15 / (longest + 7))))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, handlelength=2.6, handler_map={tuple: HandlerTuple()})


def gather(cells: Sequence[Cell], names: Sequence[str], at: Callable[[Cell], float | None]) -> list[tuple[str, float | None, Cell]]:
    """(series, x, run), once per series and x: of runs that differ in R alone, the one with most replicates."""
    best: dict[tuple[str, float | None], Cell] = {}
    for cell, name in zip(cells, names, strict=True):
        held = best.setdefault((name, at(cell)), cell)
        if result_of(cell).num_replicates > result_of(held).num_replicates:
            best[name, at(cell)] = cell
    return [(name, x, cell) for (name, x), cell in best.items()]


def capped(points: list[tuple[str, float | None, Cell]]) -> tuple[list[tuple[str, float | None, Cell]], str]:
    """The first series that fit in a legend, and a sentence on the others."""
    of: dict[str, list[str]] = {}  # the series of each estimator
    for name, _, cell in points:
        series = of.setdefault(result_of(cell).estimator, [])
        if name not in series:
            series.append(name)
    # The first of every estimator, then the second of each, and so on.
    order = [series[turn] for turn in range(MOST_OF_ONE) for series in of.values() if turn < len(series)]
    kept = order[:MOST_SERIES]
    left = [name for series in of.values() for name in series if name not in kept]
    said = f"Left out for want of room: {', '.join(left)}. " if left else ""
    return [point for point in points if point[0] in kept], said
