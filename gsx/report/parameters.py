"""Variance of the gradient in each parameter against a setting of the model, and where the estimator of least variance changes."""

from __future__ import annotations

import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gsx.report import canvas, curve_caption, curve_panel, curves, escape, legend, notes, remarks, styles, sweeps
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Group, result_of
from gsx.report.crossing import between, logarithmic
from gsx.report.families import Family, families

#: Rows and columns of panels.
MOST_PARAMETERS, MOST_FAMILIES = 3, 4
#: A variance is zero below this share of the largest in its panel.
ROUNDING = 1e-12
SYMBOLS = {"loc": "μ", "log_scale": "log σ"}


def plots(groups: Sequence[Group]) -> Iterator[Plot]:
    """For a model with two or three parameter tensors: a column for each family of models, a row for each parameter."""
    of: dict[tuple[str, str], list[Family]] = defaultdict(list)
    for family in families(groups):
        of[family.model, family.key].append(family)
    for (model, key), alike in sorted(of.items()):
        for start in range(0, len(alike), MOST_FAMILIES):
            yield from _plot(model, key, alike[start : start + MOST_FAMILIES])


def _plot(model: str, key: str, alike: list[Family]) -> Iterator[Plot]:
    names = list(dict.fromkeys(name for family in alike for _, cell in family.cells for name in result_of(cell).parameters))
    if not 2 <= len(names) <= MOST_PARAMETERS:
        return
    parts, drawn = [], []
    for family in alike:
        n = min(result_of(cell).num_samples for _, cell in family.cells)
        points = curves.pages(sweeps.points(family, n))[0]
        drawn += [result_of(cell) for _, _, cell in points]
        parts += [frame(points, name).assign(parameter=name, family=", ".join(family.told)) for name in names]
    data = pd.concat(parts, ignore_index=True)
    if data.empty:
        return
    axis, everything = alike[0].axis, [cell for family in alike for cell in family.everything]
    panels = [(_place_of(*key), part) for key, part in data.groupby(["parameter", "family"], sort=False)]
    marks = f"{curve_caption.THIN_NOTE} " if curves.thin(data[data["kind"] == "point"]) else ""
    marks += "Hollow markers on the axis: zero but for rounding. " if (data["kind"] == "zero").any() else ""
    marks += f"{curve_caption.MISSING_NOTE} " if (data["kind"] == "missing").any() else ""
    caption = (
        f"Variance of the gradient in each parameter of {model} against {axis}. {changes(data, axis)}{notes.extent(drawn)} "
        f"{notes.interval(drawn, ['variance'])} {marks}{curve_caption.coinciding(panels)}{notes.missing(everything)}"
    )
    draw_it = functools.partial(draw, x_label=axis)
    yield Plot(
        f"parameters-{escape.slug(key)}-{escape.slug(model)}", f"Variance by parameter against {axis}: {model}", data, caption, draw_it
    )


def frame(points: curves.Points, parameter: str) -> pd.DataFrame:
    """The curves, and where the least of them changes."""
    rows: list[dict[str, Any]] = []
    for series, rank, x, cell in curves.ranked(points):
        result = result_of(cell)
        row: dict[str, Any] = {"series": series, "estimator": result.estimator, "rank": rank, "x": x, "num_samples": result.num_samples}
        row |= {"tuned": bool(result.tuning), "run": cell.name, "statistic": "variance"}
        rows.append(row | curves.numbers(cell, result.parameters.get(parameter, {}).get("variance")))
    largest = max((float(row["value"]) for row in rows if row["kind"] == "point"), default=0.0)
    for row in rows:
        # What rounding leaves of a variance of zero would press all others into a corner.
        if row["kind"] == "point" and float(row["value"]) < ROUNDING * largest:
            row["kind"] = "zero"
    data = pd.DataFrame(rows, dtype=object)
    return pd.concat([data, pd.DataFrame(crossings(data), dtype=object)], ignore_index=True) if len(data) else data


def crossings(data: pd.DataFrame) -> list[dict[str, Any]]:
    """Where the curve of least variance changes: between the last setting at which one is the least beyond error and the first at which
    another is."""
    values = {(name, x): row for (name, x), row in data.set_index(["series", "x"])[["value", "ci_low", "ci_high", "kind"]].iterrows()}
    grid = sorted({x for _, x in values})
    least = [(x, name) for x in grid if (name := _least({s: row for (s, at), row in values.items() if at == x}))]
    found = []
    for (low, before), (high, after) in itertools.pairwise(least):
        if before == after:
            continue
        gap = {x: math.log(values[before, x]["value"] / values[after, x]["value"]) for x in grid
               if all(values.get((s, x), {"kind": ""})["kind"] == "point" for s in (before, after))}  # fmt: skip
        around = [(a, b) for a, b in itertools.pairwise(sorted(gap)) if low <= a and b <= high and gap[a] <= 0 < gap[b]]
        if not around:
            continue
        a, b = around[0]
        start, end = ((gap[x], _half(values[before, x], values[after, x])) for x in (a, b))
        crossed = between(a, b, start, end, logarithmic(grid))
        one, other = (math.log(values[before, x]["value"]) for x in (a, b))
        height = math.exp((1 - crossed.share) * one + crossed.share * other)
        found.append({"series": f"{before} / {after}", "estimator": "", "rank": 0, "x": crossed.at, "statistic": "crossing", "tuned": False,
                      "value": height, "kind": "crossing", "x_low": crossed.low, "x_high": crossed.high})  # fmt: skip
    return found


def _half(*rows: Any) -> float:
    """Half the 95 % interval of the log ratio of two variances, as if they were independent; none is known of one without interval."""
    ends = [(row["value"], row["ci_low"] or row["value"], row["ci_high"] or row["value"]) for row in rows]
    return math.hypot(*(max(math.log(high / value), math.log(value / low)) for value, low, high in ends))


def _least(rows: dict[str, Any]) -> str | None:
    """The series that is below all others beyond error; none where there is no such or some other is missing."""
    if len(rows) < 2 or any(row["kind"] not in ("point", "zero") for row in rows.values()):
        return None
    ends = {name: (0.0, 0.0) if row["kind"] == "zero" else (row["ci_low"], row["ci_high"]) for name, row in rows.items()}
    if any(end is None for pair in ends.values() for end in pair):
        return None
    best = min(ends, key=lambda name: ends[name][1])
    return best if all(ends[best][1] < low for name, (low, _) in ends.items() if name != best) else None


def changes(data: pd.DataFrame, axis: str, of: dict[str, str] | None = None) -> str:
    """The crossings in words; ``of`` are columns that the data do not have."""
    found = []
    for row in data[data["kind"] == "crossing"].to_dict("records"):
        row |= of or {}
        where = _place_of(row["parameter"], row.get("family"))
        found.append(f"{row['series'].replace(' / ', ' to ')} at {axis} = {_place(row)} ({where})")
    if not found:
        return ""
    return (
        f"Dotted: where the estimator of least variance changes, {'; '.join(found)}, by straight lines of the logarithms between the two "
        "settings around it. How the curves bend there is not known: the interval in brackets reaches from the one setting to the other, "
        "and beyond where the errors of the curves do. "
    )


def _place_of(parameter: str, family: str | None) -> str:
    """A panel in words."""
    return ", ".join(filter(None, [SYMBOLS.get(parameter, parameter), family]))


def _place(row: dict[str, Any]) -> str:
    """A crossing with its interval, both to two digits of half of that."""
    digits = max(0, 1 - math.floor(math.log10((row["x_high"] - row["x_low"]) / 2)))
    return f"{row['x']:.{digits}f} [{row['x_low']:.{digits}f}, {row['x_high']:.{digits}f}]"


def draw(data: pd.DataFrame, x_label: str) -> Figure:
    rows, columns = (list(dict.fromkeys(data[name])) for name in ("parameter", "family"))
    cells = [(parameter, family) for parameter in rows for family in columns]
    shown = data[data["kind"] != "crossing"]
    crowded = curves.crowded(shown)
    across = len(columns) if len(columns) > 1 else len(rows)
    figure, panels = canvas.panels(len(cells), least=3.2 if crowded else 2.0, most=min(across, 2) if crowded else across, height=2.0)
    for place, (axes, (parameter, family)) in enumerate(zip(panels, cells, strict=True)):
        part = shown[(shown["parameter"] == parameter) & (shown["family"] == family)]
        curve_panel.draw(axes, part, sweeps.x_axis(axes, part["x"], x_label))
        marked = data[(data["kind"] == "crossing") & (data["parameter"] == parameter) & (data["family"] == family)]
        mark(axes, marked, x_label)
        letter = "abcdefghijkl"[place]
        symbol = SYMBOLS.get(parameter, escape.figure(parameter, 20))
        axes.set_title(f"({letter}) {symbol}" + (f", {escape.figure(family, 24)}" if family else ""), loc="left")
    for axes in canvas.leftmost(panels):
        axes.set_ylabel("variance")
    legend.of_curves(figure, shown, [dotted()] if (data["kind"] == "crossing").any() else [])
    return figure


def dotted() -> tuple[Line2D, str]:
    """For a legend."""
    return Line2D([], [], color=GREY, linestyle=":", linewidth=styles.scale()), "crossing and its interval"


def mark(axes: Axes, crossed: pd.DataFrame, x_label: str) -> None:
    """A dotted line down from each crossing, and a bar for its interval."""
    rows = crossed.to_dict("records")
    for row in rows:
        axes.hlines(row["value"], row["x_low"], row["x_high"], color="black", linewidth=1.6 * styles.scale(), zorder=6)
        axes.vlines(row["x"], axes.get_ylim()[0], row["value"], color=GREY, linestyle=":", linewidth=styles.scale(), zorder=4)
        tick: dict[str, Any] = {"marker": "|", "markersize": 9 * styles.scale(), "markeredgewidth": 1.6 * styles.scale()}
        axes.plot([row["x"]], [row["value"]], color="black", zorder=6, **tick)
    if rows:
        name = escape.figure(x_label, 12)
        remarks.above(axes, [f"{name}* = {_place(row)}".replace("-", "−") for row in rows])
