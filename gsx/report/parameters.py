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

from gsx.report import canvas, curves, escape, notes, remarks, styles, sweeps
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Group, result_of
from gsx.report.crossing import bend, between, logarithmic
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
    marks = f"{curves.THIN_NOTE} " if curves.thin(data[data["kind"] == "point"]) else ""
    marks += "Hollow markers on the axis: zero but for rounding. " if (data["kind"] == "zero").any() else ""
    marks += f"{curves.MISSING_NOTE} " if (data["kind"] == "missing").any() else ""
    caption = (
        f"Variance of the gradient in each parameter of {model} against {axis}. {changes(data, axis)}{notes.extent(drawn)} "
        f"{notes.interval(drawn, ['variance'])} {marks}{curves.coinciding(panels)}{notes.missing(everything)}"
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
    """Where the curve of least variance changes, from the last setting at which one is the least beyond error to the first at which another
    is: between the two settings around the change of sign, by straight lines of the logarithms."""
    values = {(name, x): row for (name, x), row in data.set_index(["series", "x"])[["value", "ci_low", "ci_high", "kind"]].iterrows()}
    grid = sorted({x for _, x in values})
    least = [(x, name) for x in grid if (name := _least({s: row for (s, at), row in values.items() if at == x}))]
    log_x = logarithmic(grid)
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
        missed = bend(gap, a, b, log_x)
        crossed = between(a, b, start, end, log_x, missed or 0.0)
        far = b / a > 2 if log_x else b - a > (grid[-1] - grid[0]) / 4
        located = missed is not None and not far and crossed.high - crossed.low <= (b - a) / 2
        one, other = (math.log(values[before, x]["value"]) for x in (a, b))
        height = math.exp((1 - crossed.share) * one + crossed.share * other)
        # Close by a sign may be chance: named are the nearest settings at which it is not.
        sure = [x for x in gap if abs(gap[x]) > _half(values[before, x], values[after, x])]
        a, b = max((x for x in sure if x <= a), default=low), min((x for x in sure if x >= b), default=high)
        ends = (crossed.low, crossed.high) if located else (a, b)
        found.append({"series": f"{before} / {after}", "estimator": "", "rank": 0, "x": crossed.at, "statistic": "crossing", "tuned": False,
                      "value": height, "kind": "crossing", "located": located, "x_low": ends[0], "x_high": ends[1],
                      "grid_low": a, "grid_high": b})  # fmt: skip
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
        grid = f"between {row['grid_low']:g} and {row['grid_high']:g}"
        place = f"at {axis} = {_place(row)}, {grid}" if row["located"] else grid
        found.append(f"{row['series'].replace(' / ', ' to ')} {place} ({where})")
    if not found:
        return ""
    located = data.loc[data["kind"] == "crossing", "located"].astype(bool)
    told = f"Dotted: where the estimator of least variance changes, {'; '.join(found)}. "
    if located.any():
        told += (
            "± is the 95 % interval that the errors of the two curves give, and what a straight line between the two settings may miss, by "
            "the bend that their neighbours show. "
        )
    if not located.all():
        told += "Where the two lie far apart, or that is more than half of the way between them, no place is told. "
    return told


def _place_of(parameter: str, family: str | None) -> str:
    """A panel in words."""
    return ", ".join(filter(None, [SYMBOLS.get(parameter, parameter), family]))


def _place(row: dict[str, Any]) -> str:
    """A crossing, rounded to where its error begins."""
    half = (row["x_high"] - row["x_low"]) / 2
    if half <= 0:
        return f"{row['x']:.3g}"
    digits = max(0, -math.floor(math.log10(float(f"{half:.0e}"))))
    return f"{row['x']:.{digits}f} ± {half:.{digits}f}"


def draw(data: pd.DataFrame, x_label: str) -> Figure:
    rows, columns = (list(dict.fromkeys(data[name])) for name in ("parameter", "family"))
    cells = [(parameter, family) for parameter in rows for family in columns]
    shown = data[data["kind"] != "crossing"]
    crowded = curves.crowded(shown)
    figure, panels = canvas.panels(
        len(cells), least=3.2 if crowded else 2.0, most=min(len(columns), 2) if crowded else len(columns), height=2.0
    )
    for place, (axes, (parameter, family)) in enumerate(zip(panels, cells, strict=True)):
        part = shown[(shown["parameter"] == parameter) & (shown["family"] == family)]
        curves.panel(axes, part, sweeps.x_axis(axes, part["x"], x_label))
        marked = data[(data["kind"] == "crossing") & (data["parameter"] == parameter) & (data["family"] == family)]
        mark(axes, marked, x_label)
        letter = "abcdefghijkl"[place]
        symbol = SYMBOLS.get(parameter, escape.figure(parameter, 20))
        axes.set_title(f"({letter}) {symbol}" + (f", {escape.figure(family, 24)}" if family else ""), loc="left")
    for axes in canvas.leftmost(panels):
        axes.set_ylabel("variance")
    curves.legend(figure, shown, [dotted()] if (data["kind"] == "crossing").any() else [])
    return figure


def dotted() -> tuple[Line2D, str]:
    """For a legend."""
    return Line2D([], [], color=GREY, linestyle=":", linewidth=styles.scale()), "where the least changes, ± error"


def mark(axes: Axes, crossed: pd.DataFrame, x_label: str) -> None:
    """A dotted line down from each crossing and a bar for its error; where no place is known, the bar between the two settings."""
    for row in crossed.to_dict("records"):
        bar: dict[str, Any] = {"color": "black", "linewidth": 1.6 * styles.scale(), "zorder": 6}
        axes.hlines(row["value"], row["x_low"], row["x_high"], **bar)
        dotted: dict[str, Any] = {"color": GREY, "linestyle": ":", "linewidth": styles.scale(), "zorder": 4}
        if row["located"]:
            axes.vlines(row["x"], axes.get_ylim()[0], row["value"], **dotted)
            tick: dict[str, Any] = {"marker": "|", "markersize": 9 * styles.scale(), "markeredgewidth": 1.6 * styles.scale()}
            axes.plot([row["x"]], [row["value"]], color="black", zorder=6, **tick)
        else:
            axes.vlines([row["x_low"], row["x_high"]], axes.get_ylim()[0], row["value"], **dotted)
    name = escape.figure(x_label, 12)
    lines = [
        f"{name}* = {_place(row)}" if row["located"] else f"{row['grid_low']:g} < {name}* < {row['grid_high']:g}"
        for row in crossed.to_dict("records")
    ]
    if lines:
        remarks.in_a_corner(axes, [line.replace("-", "−") for line in lines])
