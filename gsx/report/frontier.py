"""Bias against variance as the temperature moves: what a relaxed estimator trades, and where its mean squared error is least."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gsx.report import axis, canvas, curve_caption, curve_panel, curves, labels, legend, notes, optimum, remarks
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Cell, Group, result_of
from gsx.report.curves import Points
from gsx.report.looks import look

#: Horizontal lines of estimators without a temperature: more would hide the curves.
MOST_LEVELS = 6


def plots(group: Group) -> Iterator[Plot]:
    """The frontier at the least N that was measured; where there are several, the mean squared error at each of them too."""
    cells = [cell for cell in (*group.complete, *group.absent) if temperature(cell) is not None]
    sizes = sorted({result_of(cell).num_samples for cell in cells})
    by_size = [(n, _curves([cell for cell in cells if result_of(cell).num_samples == n])) for n in sizes]
    by_size = [(n, points) for n, points in by_size if points]
    if not by_size:
        return
    for place, of, points in curves.numbered(by_size[0][1]):
        suffix = f"-{place}" if place > 1 else ""
        yield Plot(
            f"frontier-{group.slug}{suffix}", f"Bias and variance against temperature: {group.label}{of}", *_frontier(group, points), draw
        )
    if len(by_size) > 1:
        yield from optimum.plots(group, [point for _, points in by_size for point in points])


def _curves(cells: list[Cell]) -> Points:
    """The estimators with two or more temperatures."""
    names = labels.series([result_of(cell) for cell in cells], "temperature")
    return curves.gather(cells, names, temperature, least=2)


def _frontier(group: Group, points: Points) -> tuple[pd.DataFrame, str]:
    """The data and the caption."""
    flat, omitted = _levels(group, {result_of(cell).num_samples for _, _, cell in points})
    # Named once more, together: an N that is the same for all that is drawn need not be told.
    together = [cell for _, _, cell in points] + flat
    names = labels.series([result_of(cell) for cell in together], "temperature")
    count = len(points)
    levels = curves.gather(flat, names[count:], temperature)
    points = curves.gather(together[:count], names[:count], temperature)
    data = curves.frame(points + levels)
    drawn = [result_of(cell) for _, _, cell in points + levels]
    caption = (
        f"Variance, squared bias and mean squared error of the gradient estimate against temperature τ on {group.label}, "
        f"and variance against bias² along each curve. {notes.extent(drawn)} {notes.interval(drawn, curves.NAMES)} "
        + curve_caption.marks(data)
        + ("Horizontal lines, and the markers in (d) that no line joins: estimators without a temperature. " if levels else "")
        + curve_caption.coinciding([("", data[data["statistic"] == "mse"])])
        + f"{optimum.told(data)}{omitted}{notes.missing(group.everything)}"
    )
    return data, caption


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


def draw(data: pd.DataFrame) -> Figure:
    crowded = curves.crowded(data)
    figure, panels = canvas.panels(4, least=3.2 if crowded else 2.4, height=2.35)
    for axes, statistic, letter in zip(panels, ("variance", "bias_sq", "mse"), "abc", strict=False):
        _against_temperature(axes, data[data["statistic"] == statistic], data["x"])
        axes.set_title(f"({letter}) {curves.NAMES[statistic]}", loc="left")
    optimum.stars(panels[2], data)
    _plane(panels[3], data)
    legend.of_curves(figure, data, optimum.in_legend(data))
    return figure


def _against_temperature(axes: Axes, data: pd.DataFrame, all_x: pd.Series) -> None:
    x = sorted(set(all_x.dropna().astype(float)))
    x_range = x[0] / 1.25, x[-1] * 1.25
    axis.log_axis(axes, "x", *x_range, ticks=axis.measured_ticks(x))
    curve_panel.draw(axes, data, x_range)
    axes.set_xlabel("temperature τ")


def _plane(axes: Axes, data: pd.DataFrame) -> None:
    """Bias² and variance against each other, the temperature along the curve; a star where the mean squared error is least."""
    axes.set_title("(d) variance against bias²", loc="left")
    axes.set_xlabel(curves.NAMES["bias_sq"])
    axes.set_ylabel(curves.NAMES["variance"])
    bias, variance = (data[data["statistic"] == name].reset_index(drop=True) for name in ("bias_sq", "variance"))
    x_bounds, y_bounds = curves.limits(bias), curves.limits(variance)
    if x_bounds is None or y_bounds is None:
        return
    x_bounds = x_bounds[0], x_bounds[1] * (x_bounds[1] / x_bounds[0]) ** 0.1  # the names of ends stand at the right
    axis.log_axis(axes, "x", *x_bounds)
    axis.log_axis(axes, "y", *y_bounds)
    both = bias.join(variance[["value", "ci_low", "ci_high", "kind"]].add_suffix("_variance"))
    named: dict[tuple[float, float], str] = {}
    crowded = both["series"].nunique() > 6  # the ends of many curves cannot all be named
    for (estimator, rank), part in both.groupby(["estimator", "rank"], sort=True):
        style, part = look(estimator, rank), part.sort_values("x")
        exact = (part["kind"] == "point") & (part["kind_variance"] == "point")
        line = part[["value", "value_variance"]].astype(float).where(exact)  # the line breaks where a temperature is missing
        axes.plot(*line.to_numpy().T, zorder=3, **style.drawn)
        part = part[part["kind_variance"] == "point"]
        for row in part[part["kind"] == "point"].to_dict("records"):
            across: dict[str, Any] = {"color": style.colour, "linewidth": 0.8, "zorder": 2}
            axes.hlines(row["value_variance"], max(row["ci_low"] or 0, x_bounds[0]), row["ci_high"] or row["value"], **across)
            axes.vlines(
                row["value"], row["ci_low_variance"] or row["value_variance"], row["ci_high_variance"] or row["value_variance"], **across
            )
        for row in part[part["kind"] == "upper limit"].to_dict("records"):
            at: Any = (row["ci_high"], row["value_variance"])
            curve_panel.limit(axes, at, style, left=True)
        ends = part[part["x"].notna() & part["kind"].isin(["point", "upper limit"])]
        for row in ends.iloc[[0, -1]].to_dict("records") if len(ends) > 1 and not crowded else []:
            at = (row["value"] if row["kind"] == "point" else row["ci_high"], row["value_variance"])
            # Curves that begin together share one name.
            if not any(abs(math.log10(at[0] / x)) < 0.8 and abs(math.log10(at[1] / y)) < 0.4 for x, y in named):
                named[at] = f"τ={row['x']:g}"
    for row in optimum.least(data).to_dict("records"):
        held = both[(both["series"] == row["series"]) & (both["x"] == row["x"])].iloc[0]
        optimum.star(axes, held["value"] if held["kind"] == "point" else held["ci_high"], held["value_variance"], row)
    for at, text in named.items():
        remarks.beside(axes, at, text, GREY)
