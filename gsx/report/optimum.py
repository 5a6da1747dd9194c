"""The temperature of least mean squared error, for each number of samples N."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gsx.report import axis, canvas, curve_caption, curves, escape, legend, notes, styles
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Group, result_of
from gsx.report.curves import Points
from gsx.report.grid import neighbours
from gsx.report.looks import DASHES, ORDER, look

#: The curves of each N in turn, told apart in grey too.
_MARKERS = "osD^vPXp<>"


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
            f"{notes.extent(results)} {notes.interval(results, ['mse'])} {curve_caption.marks(data)}{told(data)}"
            f"{notes.missing(group.everything)}"
        )
        yield Plot(f"temperature-{group.slug}", f"The best temperature for each N: {group.label}", data, caption, draw)


def _panels_of_pages(points: Points) -> list[Points]:
    """At most six panels in a figure."""
    names = list(dict.fromkeys(name.rpartition(" N=")[0] for name, _, _ in points))
    return [[p for p in points if p[0].rpartition(" N=")[0] in names[i : i + 6]] for i in range(0, len(names), 6)]


def least(data: pd.DataFrame) -> pd.DataFrame:
    """The row of least MSE of each curve; `at_end` where no setting beyond it was measured."""
    mse = data[(data["statistic"] == "mse") & (data["kind"] == "point") & data["x"].notna()]
    of = [(part, part["value"].astype(float).idxmin()) for _, part in mse.groupby("series", sort=True)]
    found = mse.loc[[best for _, best in of]].assign(at_end=[part.loc[best, "x"] in (min(part["x"]), max(part["x"])) for part, best in of])
    return found.assign(order=[ORDER.get(name, len(ORDER)) for name in found["estimator"]]).sort_values(["order", "num_samples", "rank"])


def _range(low: float | None, high: float | None) -> str:
    """Beyond the ends of the grid nothing is known."""
    if low is None or high is None:
        return "anywhere" if low is high else f"below {high:g}" if high is not None else f"above {low:g}"
    return f"{low:g} to {high:g}"


def _between(curve: pd.DataFrame, best: dict[str, Any]) -> tuple[float | None, float | None]:
    """The settings between which the least lies: beyond the best of the grid, and beyond all that are within its error."""
    curve = curve[(curve["statistic"] == "mse") & (curve["kind"] == "point")].sort_values("x")
    level = [row["x"] for row in curve.to_dict("records") if (row["ci_low"] or row["value"]) <= (best["ci_high"] or best["value"])]
    return neighbours(curve["x"].astype(float).tolist(), level)


def told(data: pd.DataFrame) -> str:
    found = []
    for row in least(data).to_dict("records"):
        low, high = _between(data[data["series"] == row["series"]], row)
        found.append(f"{row['series']} at τ = {row['x']:g} ({_range(low, high)})")
    grid = "Stars, least mean squared error of the settings measured (in brackets one step of the grid beyond all within its error)"
    hollow = "Stars without filling: at the end of the grid, beyond which a lesser one may lie. " if least(data)["at_end"].any() else ""
    return f"{grid}: {'; '.join(found)}. {hollow}" if found else ""


def ramp(count: int) -> list[str]:
    """Colours from bright to dark, without the palest: all are seen on white, and where a page in the dark has turned light and dark."""
    return [to_hex(colormaps["plasma_r"](0.37 + 0.63 * i / max(1, count - 1))) for i in range(count)]


def draw(data: pd.DataFrame) -> Figure:
    parts = list(data.groupby("panel", sort=False))
    sizes = sorted(set(data["num_samples"]))
    figure, panels = canvas.panels(len(parts), least=2.2, most=3)
    x = sorted(set(data["x"].astype(float)))
    shades = dict(zip(sizes, ramp(len(sizes)), strict=True))
    lines = {n: {"marker": _MARKERS[i % len(_MARKERS)], "linestyle": dash, "color": shades[n]}
             for i, (n, dash) in enumerate(zip(sizes, itertools.cycle(DASHES.values())))}  # fmt: skip
    bounds = curves.limits(data)
    for axes, (name, part), letter in zip(panels, parts, "abcdef", strict=False):
        if bounds is None:
            continue
        axis.log_axis(axes, "x", x[0] / 1.25, x[-1] * 1.25, ticks=axis.measured_ticks(x))
        axis.log_axis(axes, "y", *bounds)
        for n, curve in part.sort_values("x").groupby("num_samples"):
            drawn = curve["kind"] == "point"  # elsewhere the line breaks
            missing = curve.loc[curve["kind"] == "missing", "x"].astype(float)
            if len(missing):  # nothing, drawn beyond the panel, would upset the layout
                axes.plot(missing, 0 * missing, "x", color=shades[n], transform=axes.get_xaxis_transform(), clip_on=False, zorder=5)
            at, value, low, high = (curve[column].astype(float) for column in ("x", "value", "ci_low", "ci_high"))
            axes.plot(at, value.where(drawn), **lines[n])
            axes.fill_between(at, low, high, where=drawn, color=shades[n], alpha=0.25, linewidth=0)
        stars(axes, part, {row["series"]: shades[row["num_samples"]] for row in part.to_dict("records")})
        axes.set_title(f"({letter}) {escape.figure(str(name))}", loc="left")
        axes.set_xlabel("temperature τ")
    for axes in canvas.leftmost(panels):
        axes.set_ylabel(curves.NAMES["mse"])
    handles: list[tuple[Any, str]] = [(Line2D([], [], **lines[n]), f"N = {n}") for n in sizes]
    legend.below(figure, [*handles, *legend.meanings(data, in_legend(data))])
    return figure


def stars(axes: Axes, data: pd.DataFrame, colours: dict[str, Any] | None = None) -> None:
    for row in least(data).to_dict("records"):
        star(axes, row["x"], row["value"], row, (colours or {}).get(row["series"]))


def star(axes: Axes, x: float, y: float, row: dict[str, Any], colour: Any = None) -> None:
    """For the best setting of a curve, wherever that is drawn; hollow at the end of the grid, beyond which a better one may lie."""
    colour = colour or look(row["estimator"], row["rank"]).colour
    axes.plot(x, y, zorder=5, **_star(colour, row["at_end"]))


def _star(colour: Any, hollow: bool) -> dict[str, Any]:
    size: dict[str, Any] = {"markersize": 10 * styles.scale(), "markeredgewidth": (1.2 if hollow else 0.6) * styles.scale()}
    fill = {"color": "white", "markeredgecolor": colour} if hollow else {"color": colour, "markeredgecolor": "black"}
    return size | fill | {"marker": "*", "linestyle": "none"}


def in_legend(data: pd.DataFrame) -> list[tuple[Any, str]]:
    """Those stars that there are."""
    words = {False: "least mean squared error", True: "least, at the grid's end"}
    return [(Line2D([], [], **_star(GREY, hollow)), words[hollow]) for hollow in sorted(set(least(data)["at_end"]))]
