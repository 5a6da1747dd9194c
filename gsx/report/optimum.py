"""The temperature of least mean squared error, for each number of samples N."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gsx.report import axis, canvas, curves, escape, notes, styles
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Group, result_of
from gsx.report.curves import Points
from gsx.report.looks import look

STAR = (
    Line2D([], [], marker="*", markersize=9, color="white", markeredgecolor="black", markeredgewidth=0.6, linestyle="none"),
    "least mean squared error",
)


def plots(group: Group, points: Points) -> Iterator[Plot]:
    """Mean squared error against temperature, a panel for each estimator and a curve for each N, and its optimum."""
    points = [(f"{name} N={result_of(cell).num_samples}", x, cell) for name, x, cell in points]
    for page in _panels_of_pages(points):
        data = curves.frame(page)
        data = data[data["statistic"] == "mse"].reset_index(drop=True)
        data["panel"] = [name.rpartition(" N=")[0] for name in data["series"]]
        results = [result_of(cell) for _, _, cell in page]
        caption = (
            f"Mean squared error of the gradient estimate against temperature τ on {group.label}, a curve for each number of samples N: "
            "more samples divide the variance and leave the bias. "
            f"{notes.extent(results)} {notes.interval(results, ['mse'])} {told(data)}{notes.missing(group.everything)}"
        )
        yield Plot(f"temperature-{group.slug}", f"The best temperature for each N: {group.label}", data, caption, draw)


def _panels_of_pages(points: Points) -> list[Points]:
    """At most six panels in a figure."""
    names = list(dict.fromkeys(name.rpartition(" N=")[0] for name, _, _ in points))
    return [[p for p in points if p[0].rpartition(" N=")[0] in names[i : i + 6]] for i in range(0, len(names), 6)]


def least(data: pd.DataFrame) -> pd.DataFrame:
    """The row of least MSE of each curve."""
    mse = data[(data["statistic"] == "mse") & (data["kind"] == "point") & data["x"].notna()]
    return mse.loc[[part["value"].astype(float).idxmin() for _, part in mse.groupby("series", sort=True)]]


def told(data: pd.DataFrame) -> str:
    found = [f"{row['series']} at τ = {row['x']:g}" for row in least(data).to_dict("records")]
    return f"Stars, least mean squared error: {'; '.join(found)}. " if found else ""


def draw(data: pd.DataFrame) -> Figure:
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
        for n, curve in part.sort_values("x").groupby("num_samples"):
            drawn = curve["kind"] == "point"  # elsewhere the line breaks
            at, value, low, high = (curve[column].astype(float) for column in ("x", "value", "ci_low", "ci_high"))
            axes.plot(at, value.where(drawn), color=shades[n], marker=look(curve["estimator"].iloc[0]).marker)
            axes.fill_between(at, low, high, where=drawn, color=shades[n], alpha=0.25, linewidth=0)
        stars(axes, part, {row["series"]: shades[row["num_samples"]] for row in part.to_dict("records")})
        axes.set_title(escape.figure(str(name)), loc="left")
        axes.set_xlabel("temperature τ")
    panels[0].set_ylabel(curves.NAMES["mse"])
    handles: list[tuple[Any, str]] = [(Line2D([], [], color=shades[n]), f"N = {n}") for n in sizes]
    curves.below(figure, [*handles, (Patch(facecolor=GREY, alpha=0.3, linewidth=0), "95 % interval"), STAR])
    return figure


def stars(axes: Axes, data: pd.DataFrame, colours: dict[str, Any] | None = None) -> None:
    for row in least(data).to_dict("records"):
        colour = (colours or {}).get(row["series"]) or look(row["estimator"], row["rank"]).colour
        edge: dict[str, Any] = {"color": colour, "markeredgecolor": "black", "markeredgewidth": 0.6 * styles.scale(), "zorder": 5}
        axes.plot(row["x"], row["value"], "*", markersize=10 * styles.scale(), **edge)
