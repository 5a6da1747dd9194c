"""Curves in a panel: their bands, arrows for upper limits, marks on the axis, horizontal lines, and their names where they end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gsx.report import axis, styles
from gsx.report.canvas import GREY
from gsx.report.curves import crowded, limits, named
from gsx.report.ends import End, name_ends
from gsx.report.looks import Look, look

Range = tuple[float, float]
#: Points on a page.
ARROW = 11


def draw(axes: Axes, data: pd.DataFrame, x_range: Range, *, bounds: Range | None = None, at_ends: bool = True) -> None:
    """Curves with bands, arrows for upper limits, horizontal lines for the series without x; the y axis is set here, the x axis before.

    ``bounds`` are those of the y axis, where it is not this panel's own.
    """
    bounds = bounds or limits(data)
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
    if at_ends and crowded(data):
        name_ends(axes, ends)


def _end(part: pd.DataFrame, style: Look, right: float) -> list[End]:
    """Where the name of a curve belongs: its last point, or the last upper limit."""
    shown = part[part["kind"].isin(["point", "upper limit"])]
    if shown.empty:
        return []
    row = shown.iloc[-1]
    x = right if pd.isna(row["x"]) else float(row["x"])
    return [End(named(part), x, float(row["value"] if row["kind"] == "point" else row["ci_high"]), style)]


def _curve(axes: Axes, part: pd.DataFrame, style: Look, bounds: Range) -> None:
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
        limit(axes, (at, upper), style)
    zero, missing = x[kinds == "zero"], x[kinds == "missing"]
    on_axis: dict[str, Any] = {"color": style.colour, "linestyle": "none", "transform": axes.get_xaxis_transform(), "clip_on": False}
    if len(zero):
        axes.plot(zero, 0 * zero, marker=style.marker, markerfacecolor="white", zorder=5, **on_axis)
    if len(missing):
        axes.plot(missing, 0 * missing, marker="x", zorder=5, **on_axis)


def limit(axes: Axes, at: tuple[float, float], style: Look, left: bool = False) -> None:
    """An upper limit: a hollow marker at the end of the interval, with an arrow down, or to the left."""
    length = -ARROW * styles.scale()
    arrow: dict[str, Any] = {"arrowstyle": "<-", "color": style.colour, "lw": 0.8 * styles.scale(), "shrinkA": 0, "shrinkB": 2}
    axes.annotate("", at, (length, 0) if left else (0, length), textcoords="offset points", arrowprops=arrow)
    axes.plot(*at, color=style.colour, marker=style.marker, markerfacecolor="white", linestyle="none", zorder=4)


def _level(axes: Axes, row: Any, style: Look, x_range: Range, bounds: Range, nth: int) -> None:
    if row["kind"] == "point":
        axes.axhline(row["value"], color=style.colour, linestyle=style.line, zorder=3)
        if row["ci_low"] is not None:
            axes.axhspan(max(row["ci_low"], bounds[0]), row["ci_high"], color=style.colour, alpha=0.2, linewidth=0, zorder=2)
    elif row["kind"] == "upper limit":
        axes.axhline(row["ci_high"], color=style.colour, linestyle=style.line, linewidth=0.8 * styles.scale(), zorder=2)
        # Side by side, inside the right edge, so that several do not cover each other.
        limit(axes, (x_range[1] * (x_range[0] / x_range[1]) ** (0.04 * (nth + 1)), row["ci_high"]), style)
