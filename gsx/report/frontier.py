"""Bias against variance as the temperature moves: what a relaxed estimator trades, and where its mean squared error is least."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gsx.report import canvas, curves, labels, notes
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Cell, Group, result_of
from gsx.report.looks import look

#: Horizontal lines of estimators without a temperature: more would hide the curves.
MOST_LEVELS = 6


def plots(group: Group) -> Iterator[Plot]:
    cells = [cell for cell in group.complete if temperature(cell) is not None]
    names = labels.series([result_of(cell) for cell in cells], "temperature")
    reached: dict[str, set[float | None]] = defaultdict(set)
    for name, cell in zip(names, cells, strict=True):
        reached[name].add(temperature(cell))
    points = [point for point in curves.gather(cells, names, temperature) if len(reached[point[0]]) >= 2]
    if not points:
        return
    points, said = curves.capped(points)
    flat, omitted = _levels(group, {result_of(cell).num_samples for _, _, cell in points})
    # Named once more, together: an N that is the same for all that is drawn need not be told.
    together = [cell for _, _, cell in points] + flat
    names = labels.series([result_of(cell) for cell in together], "temperature")
    count = len(points)
    points = curves.gather(together[:count], names[:count], temperature)
    levels = curves.gather(flat, names[count:], temperature)
    data = curves.frame(points + levels)
    drawn = [result_of(cell) for _, _, cell in points + levels]
    caption = (
        f"Variance, squared bias and mean squared error of the gradient estimate against temperature τ on {group.label}, "
        f"and bias² against variance along each curve. {notes.extent(drawn)} {notes.interval(drawn)} {curves.INTERVAL_NOTE} "
        "Horizontal lines, and the marker at the right edge of (b): estimators without a temperature. "
        f"{_least(data)}{omitted}{said}{notes.missing(group.cells)}"
    )
    yield Plot(f"frontier-{group.slug}", f"Bias and variance against temperature: {group.label}", data, caption, draw)


def temperature(cell: Cell) -> float | None:
    value = labels.tunables(result_of(cell)).get("temperature")
    ok = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
    return float(value) if ok and value is not None else None


def _levels(group: Group, samples: set[int]) -> tuple[list[Cell], str]:
    """One run of each estimator that has no temperature, at the least N of the curves if it can be; the baseline, then least variance."""
    runs: dict[str, Cell] = {}
    for cell in sorted((cell for cell in group.complete if temperature(cell) is None), key=lambda cell: result_of(cell).num_samples):
        held = runs.setdefault(result_of(cell).estimator, cell)
        if result_of(held).num_samples < min(samples) <= result_of(cell).num_samples:
            runs[result_of(cell).estimator] = cell
    variances = {cell.label: result_of(cell).summary.get("variance") for cell in runs.values()}
    zero = sorted(label for label, variance in variances.items() if variance is not None and variance.value == 0)
    noisy = [cell for cell in runs.values() if cell.label not in zero and variances[cell.label] is not None]
    noisy.sort(key=lambda cell: (result_of(cell).estimator != "reinforce", variances[cell.label].value))  # type: ignore[union-attr]
    kept, left = noisy[:MOST_LEVELS], noisy[MOST_LEVELS:]
    said = f"Variance zero, hence on no log axis: {', '.join(zero)}. " if zero else ""
    said += f"Without a temperature and not drawn: {', '.join(cell.label for cell in left)}. " if left else ""
    return kept, said


def least(data: pd.DataFrame) -> pd.DataFrame:
    """The row of least MSE of each curve."""
    mse = data[(data["statistic"] == "mse") & (data["kind"] == "point") & data["x"].notna()]
    return mse.loc[[part["value"].astype(float).idxmin() for _, part in mse.groupby("series", sort=True)]]


def _least(data: pd.DataFrame) -> str:
    found = [f"{row['series']} at τ = {row['x']:g}" for row in least(data).to_dict("records")]
    return f"Stars, least mean squared error: {'; '.join(found)}. " if found else ""


def draw(data: pd.DataFrame) -> Figure:
    figure = Figure((canvas.PAGE, 5.6), layout="constrained")
    (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(2, 2)
    x = sorted(set(data["x"].dropna().astype(float)))
    x_range = x[0] / 1.25, x[-1] * 1.25
    for axes, statistic, letter in ((top_left, "variance", "a"), (top_right, "bias_sq", "b"), (bottom_left, "mse", "c")):
        curves.panel(axes, data, statistic, x_range)
        canvas.log_axis(axes, "x", *x_range, ticks=canvas.measured_ticks(x))
        axes.set_xlabel("temperature τ")
        axes.set_title(f"({letter}) {curves.NAMES[statistic]}", loc="left")
    for row in least(data).to_dict("records"):
        colour = look(row["estimator"], row["rank"]).colour
        bottom_left.plot(row["x"], row["value"], "*", markersize=10, color=colour, markeredgecolor="black", markeredgewidth=0.6, zorder=5)
    _plane(bottom_right, data)
    star = Line2D([], [], marker="*", markersize=9, color="white", markeredgecolor="black", markeredgewidth=0.6, linestyle="none")
    curves.legend(figure, data, [(star, "least mean squared error")])
    return figure


def _plane(axes: Axes, data: pd.DataFrame) -> None:
    """Bias² and variance against each other, the temperature along the curve."""
    axes.set_title("(d) bias² against variance", loc="left")
    axes.set_xlabel(curves.NAMES["bias_sq"])
    axes.set_ylabel(curves.NAMES["variance"])
    bias, variance = (data[data["statistic"] == name].reset_index(drop=True) for name in ("bias_sq", "variance"))
    x_bounds, y_bounds = curves.limits(bias), curves.limits(variance)
    if x_bounds is None or y_bounds is None:
        return
    canvas.log_axis(axes, "x", *x_bounds)
    canvas.log_axis(axes, "y", *y_bounds)
    both = bias.join(variance[["value", "ci_low", "ci_high", "kind"]].add_suffix("_variance"))
    both = both[both["kind_variance"] == "point"]
    named: list[tuple[float, float]] = []
    crowded = both["series"].nunique() > 6  # the ends of many curves cannot all be named
    for (estimator, rank), part in both.groupby(["estimator", "rank"], sort=True):
        style, part = look(estimator, rank), part.sort_values("x")
        exact = part[part["kind"] == "point"]
        axes.plot(exact["value"], exact["value_variance"], color=style.colour, marker=style.marker, linestyle=style.line, zorder=3)
        for row in exact.to_dict("records"):
            across: dict[str, Any] = {"color": style.colour, "linewidth": 0.8, "zorder": 2}
            axes.hlines(row["value_variance"], max(row["ci_low"] or 0, x_bounds[0]), row["ci_high"] or row["value"], **across)
            axes.vlines(
                row["value"], row["ci_low_variance"] or row["value_variance"], row["ci_high_variance"] or row["value_variance"], **across
            )
        for row in part[part["kind"] == "upper limit"].to_dict("records"):
            at: Any = (row["ci_high"], row["value_variance"])
            pointing = {"arrowstyle": "->", "color": style.colour, "lw": 0.8, "shrinkA": 2, "shrinkB": 0}
            axes.annotate("", (0.42 * at[0], at[1]), at, arrowprops=pointing)
            axes.plot(*at, color=style.colour, marker=style.marker, markerfacecolor="white", linestyle="none", zorder=4)
        ends = part[part["x"].notna() & (part["kind"] != "zero")]
        for row in ends.iloc[[0, -1]].to_dict("records") if len(ends) > 1 and not crowded else []:
            at = (row["value"] if row["kind"] == "point" else row["ci_high"], row["value_variance"])
            # Curves that begin together share one name; a name near the right edge stands to the left of its point, below the curve.
            if any(abs(math.log10(at[0] / x)) < 0.8 and abs(math.log10(at[1] / y)) < 0.4 for x, y in named):
                continue
            inside = at[0] ** 2 < x_bounds[1] * math.sqrt(x_bounds[0] * x_bounds[1])
            offset, side = ((4, 4), "left") if inside else ((-6, -5), "right")
            axes.annotate(f"τ={row['x']:g}", at, offset, textcoords="offset points", ha=side, fontsize=6.5, color=GREY)
            named.append(at)
