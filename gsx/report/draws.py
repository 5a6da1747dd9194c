"""The figure of single draws: a column for each cost, and below them the variance against the setting and the means beside the truth."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gsx.report import curve_panel, curves, escape, legend, parameters, rounding, styles, sweeps
from gsx.report.canvas import GREY
from gsx.report.looks import FAMILY, ORDER, look

#: Of the histogram: not the grey of intervals.
SAND = "#E8D5A6"
#: The share of the draws that the axis leaves out at either end: they lie too far apart to show a cost.
TAIL = 0.03


def draw(data: pd.DataFrame, x_label: str, symbol: str) -> Figure:
    clouds, means, variance = (data[data["part"] == part] for part in ("draw", "mean", "variance"))
    columns, narrow = list(dict.fromkeys(clouds["column"])), styles.narrow()
    parts = [len(variance) > 0, len(means) > 0]
    above, below = len(columns) if narrow else 2, sum(parts) if narrow else any(parts)
    figure = Figure((styles.width(), styles.fitted(1.6 * above + 2.2 * below + 0.7)), layout="constrained")
    halves = figure.add_gridspec(2 if below else 1, 1, height_ratios=[1.6 * above, 2.2 * below] if below else None)
    spec = halves[0].subgridspec(above, 2 if narrow else len(columns))
    letters = iter(string.ascii_lowercase)
    for place, column in enumerate(columns):
        part, last = clouds[clouds["column"] == column], place == len(columns) - 1
        top, bottom = (figure.add_subplot(spec[at]) for at in (((place, 0), (place, 1)) if narrow else ((0, place), (1, place))))
        top.set_title(f"({next(letters)}) cost, {escape.figure(column, 18)}", loc="left")
        bottom.set_title(f"({next(letters)}) from one draw", loc="left")
        x_range = _cost(top, part)
        _gradients(bottom, part, x_range)
        if place == 0 or narrow:
            top.set_ylabel("cost f(x)")
            bottom.set_ylabel(f"gradient in {symbol}")
        for axes in (top, bottom) if narrow and last else () if narrow else (bottom,):
            axes.set_xlabel("draw, x")
        top.tick_params(labelbottom=narrow)
    places = halves[-1].subgridspec(sum(parts), 1) if narrow else halves[-1].subgridspec(1, sum(parts), width_ratios=[1.2, 1][: sum(parts)])
    entries = _entries(clouds)
    if parts[0]:
        axes, shown = figure.add_subplot(places[0]), variance[variance["kind"] != "crossing"]
        curve_panel.draw(axes, shown, sweeps.x_axis(axes, shown["x"], x_label))
        parameters.mark(axes, variance[variance["kind"] == "crossing"], x_label)
        axes.set_title(f"({next(letters)}) variance of the gradient in {symbol}", loc="left")
        axes.set_ylabel("variance")
        if not curves.thin(shown):
            entries.append((Patch(facecolor=GREY, alpha=0.3, linewidth=0), "95 % interval"))
        if (variance["kind"] == "crossing").any():
            entries.append(parameters.dotted())
    if parts[1]:
        axes = figure.add_subplot(places[-1])
        _means(axes, means, columns)
        axes.set_title(f"({next(letters)}) mean of all estimates", loc="left")
        axes.set_ylabel(f"gradient in {symbol}")
    legend.below(figure, entries)
    return figure


def _entries(clouds: pd.DataFrame) -> list[tuple[Any, str]]:
    entries: list[tuple[Any, str]] = []
    for estimator in dict.fromkeys(clouds["estimator"]):
        family = f" ({FAMILY[estimator]})" if estimator in FAMILY else ""
        entries.append((Line2D([], [], **look(estimator).drawn), escape.figure(estimator + family)))
    entries.append((Line2D([], [], color="black"), "cost f(x)"))
    entries.append((Patch(facecolor=SAND, linewidth=0), "where x falls"))
    return [*entries, (Line2D([], [], color=GREY, linestyle="--", linewidth=styles.scale()), "true gradient")]


def _cost(axes: Axes, part: pd.DataFrame) -> tuple[float, float]:
    """A line through the draws, and their histogram; the range of x."""
    one = part[part["run"] == part["run"].iloc[0]].sort_values("draw")
    x, cost = one["draw"].to_numpy(dtype=float), one["cost"].to_numpy(dtype=float)
    low, high = (float(edge) for edge in np.quantile(x, (TAIL, 1 - TAIL)))
    held = (x >= low) & (x <= high)
    counts, edges = np.histogram(x[held], bins="sturges")
    heights = 0.4 * counts / counts.max()
    axes.fill_between(
        edges, 0, np.append(heights, heights[-1]), step="post", color=SAND, linewidth=0, zorder=1, transform=axes.get_xaxis_transform()
    )
    axes.plot(x[held], cost[held], color="black", zorder=3)
    axes.set_xlim(low, high)
    return low, high


def _gradients(axes: Axes, part: pd.DataFrame, x_range: tuple[float, float]) -> None:
    said = []
    for place, (estimator, cloud) in enumerate(part.groupby("estimator", sort=True)):
        style, held = look(str(estimator)), cloud[cloud["draw"].astype(float).between(*x_range)]
        dots: dict[str, Any] = {"color": style.colour, "marker": style.marker, "linestyle": "none", "markeredgewidth": 0}
        axes.plot(held["draw"], held["gradient"], markersize=2.2 * styles.scale(), alpha=0.6, zorder=3 + place, **dots)
        if cloud["variance_here"].notna().all():
            variance = float(f"{cloud['variance_here'].iloc[0]:.2g}")
            said.append((style, f"variance {rounding.concise(variance)}"))
    true = part["reference"].dropna()
    if len(true):
        axes.axhline(float(true.iloc[0]), color=GREY, linestyle="--", linewidth=styles.scale(), zorder=2)
    axes.set_xlim(*x_range)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (0.02 + 0.19 * len(said)) * (high - low))  # room for what is said
    for place, (style, text) in enumerate(said):
        y = 0.93 - 0.13 * place
        axes.plot([0.04], [y], color=style.colour, marker=style.marker, transform=axes.transAxes)
        axes.text(0.08, y, text, transform=axes.transAxes, va="center", fontsize=styles.small(), color=style.colour)


def _means(axes: Axes, means: pd.DataFrame, columns: list[str]) -> None:
    """Of each cost the truth as a dash, and beside one another what the estimators give on average."""
    order = sorted(set(means["estimator"]), key=lambda name: (ORDER.get(name, len(ORDER)), name))
    step = 0.5 / max(1, len(order) - 1)
    for row in means.to_dict("records"):
        place, style = columns.index(row["column"]), look(row["estimator"])
        at = place + (step * order.index(row["estimator"]) - 0.25 if len(order) > 1 else 0.0)
        if row["reference"] is not None:
            axes.hlines(row["reference"], place - 0.42, place + 0.42, color=GREY, linestyle="--", linewidth=styles.scale(), zorder=2)
        axes.vlines(at, row["ci_low"], row["ci_high"], color=style.colour, linewidth=1.2 * styles.scale(), zorder=3)
        axes.plot([at], [row["value"]], color=style.colour, marker=style.marker, linestyle="none", zorder=4)
        if row["verdict"] == "biased":
            told: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "top", "fontsize": styles.small()}
            axes.annotate("biased", (at, row["value"]), (0, -5 * styles.scale()), color=style.colour, **told)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_xticks(range(len(columns)), [escape.figure(column, 18) for column in columns])
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.15)
