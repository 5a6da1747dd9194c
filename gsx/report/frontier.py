"""Bias against variance as the temperature moves: what a relaxed estimator trades, and where its mean squared error is least."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gsx.report import axis, canvas, curves, escape, labels, notes, styles
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Cell, Group, result_of
from gsx.report.curves import Points
from gsx.report.looks import look

#: Horizontal lines of estimators without a temperature: more would hide the curves.
MOST_LEVELS = 6


def plots(group: Group) -> Iterator[Plot]:
    """The frontier at the least N that was measured; where there are several, the mean squared error at each of them too."""
    cells = [cell for cell in group.complete if temperature(cell) is not None]
    sizes = sorted({result_of(cell).num_samples for cell in cells})
    by_size = [(n, _curves([cell for cell in cells if result_of(cell).num_samples == n])) for n in sizes]
    by_size = [(n, points) for n, points in by_size if points]
    if not by_size:
        return
    pages = curves.pages(by_size[0][1])
    for place, points in enumerate(pages, 1):
        of = f" ({place} of {len(pages)})" if len(pages) > 1 else ""
        suffix = f"-{place}" if place > 1 else ""
        yield Plot(
            f"frontier-{group.slug}{suffix}", f"Bias and variance against temperature: {group.label}{of}", *_frontier(group, points), draw
        )
    if len(by_size) > 1:
        yield from _by_samples(group, [point for _, points in by_size for point in points])


def _curves(cells: list[Cell]) -> Points:
    """The estimators with two or more temperatures."""
    names = labels.series([result_of(cell) for cell in cells], "temperature")
    reached: dict[str, set[float | None]] = defaultdict(set)
    for name, cell in zip(names, cells, strict=True):
        reached[name].add(temperature(cell))
    return [point for point in curves.gather(cells, names, temperature) if len(reached[point[0]]) >= 2]


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
        f"and variance against bias² along each curve. {notes.extent(drawn)} {notes.interval(drawn)} {curves.INTERVAL_NOTE} "
        "Horizontal lines, and the marker at the edge of (d): estimators without a temperature. "
        f"{_least(data)}{omitted}{notes.missing(group.cells)}"
    )
    return data, caption


def _by_samples(group: Group, points: Points) -> Iterator[Plot]:
    """Mean squared error against temperature, a panel for each estimator and a curve for each N, and its optimum."""
    points = [(f"{name} N={result_of(cell).num_samples}", x, cell) for name, x, cell in points]
    for page in _panels_of_pages(points):
        data = curves.frame(page)
        data = data[data["statistic"] == "mse"].reset_index(drop=True)
        data["panel"] = [name.rpartition(" N=")[0] for name in data["series"]]
        results = [result_of(cell) for _, _, cell in page]
        caption = (
            f"Mean squared error of the gradient estimate against temperature τ on {group.label}, a curve for each number of samples N: "
            "more samples divide the variance and leave the bias, so that the best temperature falls with N. "
            f"{notes.extent(results)} {notes.interval(results)} {_least(data)}{notes.missing(group.cells)}"
        )
        yield Plot(f"temperature-{group.slug}", f"The best temperature for each N: {group.label}", data, caption, draw_by_samples)


def _panels_of_pages(points: Points) -> list[Points]:
    """At most six panels in a figure."""
    names = list(dict.fromkeys(name.rpartition(" N=")[0] for name, _, _ in points))
    return [[p for p in points if p[0].rpartition(" N=")[0] in names[i : i + 6]] for i in range(0, len(names), 6)]


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
    crowded = curves.crowded(data)
    figure, panels = canvas.panels(4, least=3.2 if crowded else 2.4, height=2.35)
    for axes, statistic, letter in zip(panels, ("variance", "bias_sq", "mse"), "abc", strict=False):
        _against_temperature(axes, data[data["statistic"] == statistic], data["x"])
        axes.set_title(f"({letter}) {curves.NAMES[statistic]}", loc="left")
    _stars(panels[2], data)
    _plane(panels[3], data)
    curves.legend(figure, data, [_STAR])
    return figure


_STAR = (
    Line2D([], [], marker="*", markersize=9, color="white", markeredgecolor="black", markeredgewidth=0.6, linestyle="none"),
    "least mean squared error",
)


def _against_temperature(axes: Axes, data: pd.DataFrame, all_x: pd.Series) -> None:
    x = sorted(set(all_x.dropna().astype(float)))
    x_range = x[0] / 1.25, x[-1] * 1.25
    axis.log_axis(axes, "x", *x_range, ticks=axis.measured_ticks(x))
    curves.panel(axes, data, x_range)
    axes.set_xlabel("temperature τ")


def _stars(axes: Axes, data: pd.DataFrame, colours: dict[str, Any] | None = None) -> None:
    for row in least(data).to_dict("records"):
        colour = (colours or {}).get(row["series"]) or look(row["estimator"], row["rank"]).colour
        edge: dict[str, Any] = {"color": colour, "markeredgecolor": "black", "markeredgewidth": 0.6 * styles.scale(), "zorder": 5}
        axes.plot(row["x"], row["value"], "*", markersize=10 * styles.scale(), **edge)


def draw_by_samples(data: pd.DataFrame) -> Figure:
    parts = list(data.groupby("panel", sort=False))
    sizes = sorted(set(data["num_samples"]))
    figure, panels = canvas.panels(len(parts), least=2.2, most=3)
    x = sorted(set(data["x"].astype(float)))
    shades = {n: colormaps["viridis_r"](0.15 + 0.8 * i / max(1, len(sizes) - 1)) for i, n in enumerate(sizes)}
    bounds = curves.limits(data)
    for axes, (name, part) in zip(panels, parts, strict=True):
        if bounds is None:
            continue
        axis.log_axis(axes, "x", x[0] / 1.25, x[-1] * 1.25, ticks=axis.measured_ticks(x))
        axis.log_axis(axes, "y", *bounds)
        for n, curve in part[part["kind"] == "point"].sort_values("x").groupby("num_samples"):
            axes.plot(curve["x"], curve["value"], color=shades[n], marker=look(curve["estimator"].iloc[0]).marker)
            low, high = (curve[end].astype(float) for end in ("ci_low", "ci_high"))
            axes.fill_between(curve["x"].astype(float), low, high, color=shades[n], alpha=0.25, linewidth=0)
        _stars(axes, part, {row["series"]: shades[row["num_samples"]] for row in part.to_dict("records")})
        axes.set_title(escape.figure(str(name)), loc="left")
        axes.set_xlabel("temperature τ")
    panels[0].set_ylabel(curves.NAMES["mse"])
    handles: list[tuple[Any, str]] = [(Line2D([], [], color=shades[n]), f"N = {n}") for n in sizes]
    curves.below(figure, [*handles, (Patch(facecolor=GREY, alpha=0.3, linewidth=0), "95 % interval"), _STAR])
    return figure


def _plane(axes: Axes, data: pd.DataFrame) -> None:
    """Bias² and variance against each other, the temperature along the curve."""
    axes.set_title("(d) variance against bias²", loc="left")
    axes.set_xlabel(curves.NAMES["bias_sq"])
    axes.set_ylabel(curves.NAMES["variance"])
    bias, variance = (data[data["statistic"] == name].reset_index(drop=True) for name in ("bias_sq", "variance"))
    x_bounds, y_bounds = curves.limits(bias), curves.limits(variance)
    if x_bounds is None or y_bounds is None:
        return
    axis.log_axis(axes, "x", *x_bounds)
    axis.log_axis(axes, "y", *y_bounds)
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
            axes.annotate("", (0.42 * at[0], at[1]), at, arrowprops=curves.pointing(style))
            axes.plot(*at, color=style.colour, marker=style.marker, markerfacecolor="white", linestyle="none", zorder=4)
        ends = part[part["x"].notna() & (part["kind"] != "zero")]
        for row in ends.iloc[[0, -1]].to_dict("records") if len(ends) > 1 and not crowded else []:
            at = (row["value"] if row["kind"] == "point" else row["ci_high"], row["value_variance"])
            # Curves that begin together share one name; a name near the right edge stands to the left of its point, below the curve.
            if any(abs(math.log10(at[0] / x)) < 0.8 and abs(math.log10(at[1] / y)) < 0.4 for x, y in named):
                continue
            inside = at[0] ** 2 < x_bounds[1] * math.sqrt(x_bounds[0] * x_bounds[1])
            offset, side = ((4, 4), "left") if inside else ((-6, -5), "right")
            axes.annotate(f"τ={row['x']:g}", at, offset, textcoords="offset points", ha=side, fontsize=styles.small(), color=GREY, zorder=6)
            named.append(at)
