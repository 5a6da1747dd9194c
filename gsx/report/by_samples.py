"""Variance and bias² against a setting of the model that was measured at several N: a panel for each, all on one scale."""

from __future__ import annotations

import functools
import string
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gsx.report import axis, canvas, curve_caption, curve_panel, curves, escape, legend, notes, styles, sweeps
from gsx.report.canvas import Plot
from gsx.report.collect import Group, result_of
from gsx.report.curves import Points
from gsx.report.families import Family, families
from gsx.report.looks import look

#: A curve so many times above all others is left out of view, and told by its numbers: a decade of nothing would press the others flat.
FAR = 10


def plots(groups: Sequence[Group]) -> Iterator[Plot]:
    for family in families(groups):
        if sweeps.at_several(family):
            yield from _plots(family)


def _plots(family: Family) -> Iterator[Plot]:
    """The variance, and bias² where an estimator is biased."""
    everything = [point for n in sorted({result_of(cell).num_samples for _, cell in family.cells}) for point in sweeps.points(family, n)]
    biased = any(result_of(cell).verdict.status == "biased" for _, _, cell in everything)
    for statistic in ("variance", "bias_sq") if biased else ("variance",):
        what = curves.NAMES[statistic]
        lead = f"against {family.axis} of {family.name}, a panel for each number of samples N, all on one scale."
        slug = f"sweep-{family.slug}" + ("" if statistic == "variance" else "-bias")
        of = functools.partial(draw, x_label=family.axis)
        frame = functools.partial(_frame, statistic=statistic)
        title = f"{what.capitalize()} against {family.axis}: {family.name}"
        yield from sweeps.paged(everything, slug, title, lead, family.everything, frame, of, _told)


def _frame(points: Points, statistic: str) -> pd.DataFrame:
    data = curves.frame(points)
    return data[data["statistic"] == statistic].reset_index(drop=True)


def far(data: pd.DataFrame) -> list[str]:
    """The series that lie, all of each, at least FAR times above everything else in the figure."""
    points = data[data["kind"] == "point"]
    sure = data.groupby("series")["kind"].agg(lambda kinds: set(kinds) <= {"point", "missing"})
    ends = points.groupby("series")["value"].agg(["min", "max"]).astype(float).sort_values("min")
    for place in range(1, len(ends)):
        above = list(ends.index[place:])
        if ends["min"].iloc[place] >= FAR * ends["max"].iloc[:place].max() and sure[above].all():
            return above
    return []


def _told(data: pd.DataFrame) -> str:
    """Which curves are out of view, and which lie on each other, in which panel."""
    said = "Far above the others and out of view, named at the top of each panel with what they span: "
    above = f"{said}{notes.listed(names)}. " if (names := far(data)) else ""
    return above + curve_caption.coinciding((f"N = {n}", part) for n, part in data.groupby("num_samples"))


def draw(data: pd.DataFrame, x_label: str) -> Figure:
    above = far(data)
    near = data[~data["series"].isin(above)]
    crowded = curves.crowded(near)
    parts = [(n, part) for n, part in data.groupby("num_samples", sort=True)]
    figure, panels = canvas.panels(len(parts), least=3.2 if crowded else 2.1, most=2 if crowded else 3, height=2.0)
    bounds = curves.limits(near)
    if bounds is not None and above:
        bounds = bounds[0], bounds[1] * (bounds[1] / bounds[0]) ** (0.12 * len(above))  # room for what is said
    first = canvas.leftmost(panels)
    for axes, (n, part), letter in zip(panels, parts, string.ascii_lowercase, strict=False):
        curve_panel.draw(axes, part[~part["series"].isin(above)], sweeps.x_axis(axes, data["x"], x_label), bounds=bounds)
        axes.set_title(f"({letter}) N = {n}", loc="left")
        axes.grid(axis="y", color="#dddddd", linewidth=0.5 * styles.scale())
        axes.tick_params(labelleft=axes in first)
        for line, name in enumerate(above):
            _above(axes, part[part["series"] == name], line)
    for axes in first:
        axes.set_ylabel(curves.NAMES[data["statistic"].iloc[0]])
    legend.of_curves(figure, near)
    return figure


def _above(axes: Axes, part: pd.DataFrame, line: int) -> None:
    """Of a curve above the panel, its name and between which numbers it lies."""
    points = part.loc[part["kind"] == "point", "value"].astype(float)
    if points.empty:
        return
    ends = " to ".join(dict.fromkeys(axis.tick(float(f"{value:.1e}")) for value in (points.min(), points.max())))
    style = look(part["estimator"].iloc[0], part["rank"].iloc[0])
    said: dict[str, Any] = {"va": "top", "ha": "center", "fontsize": styles.small(), "color": style.colour, "transform": axes.transAxes}
    axes.text(0.5, 0.98 - 0.1 * line, f"↑ {escape.figure(str(part['series'].iloc[0]), 20)}, {ends}", **said)
