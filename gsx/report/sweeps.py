"""Statistics against the number of samples N, and against a setting of the model."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gsx.records import canonical_json
from gsx.report import canvas, curves, escape, labels, notes
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Cell, Group, result_of


def over_samples(group: Group) -> Iterator[Plot]:
    """Variance and bias² against N, for the estimators measured at two or more N."""

    def at(cell: Cell) -> float:
        return float(result_of(cell).num_samples)

    cells = group.complete
    names = labels.series([result_of(cell) for cell in cells], "N")
    lead = (
        f"Variance and squared bias of one gradient estimate against its number of samples N on {group.label}. "
        "Dashed grey: 1/N, the line of an average of independent samples."
    )
    draw = functools.partial(_draw, x_label="samples per estimate, N", guide=True)
    points = _curves(curves.gather(cells, names, at), 2)
    yield from _plot(points, f"samples-{group.slug}", f"Variance and bias² against N: {group.label}", lead, group.cells, draw)


def over_settings(groups: Sequence[Group]) -> Iterator[Plot]:
    """Variance and bias² against each numeric setting of a model that takes three or more values while its others stay."""
    families: dict[tuple[str, str, str], list[Group]] = defaultdict(list)
    for group in groups:
        for key, value in group.settings.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and key != "seed":
                rest = {name: other for name, other in group.settings.items() if name != key}
                families[group.model, key, canonical_json(rest)].append(group)
    wide = {name: family for name, family in families.items() if len(family) >= 3}
    others = {name: [family[0].settings | {name[1]: None} for n, family in wide.items() if n[:2] == name[:2]] for name in wide}
    for name in sorted(wide):
        model, key, _ = name
        mine = wide[name][0].settings | {key: None}
        told = labels.differences(others[name])[others[name].index(mine)]
        yield from _sweep(wide[name], key, " ".join(filter(None, [model, ", ".join(told)])))


def _sweep(family: list[Group], key: str, name: str) -> Iterator[Plot]:
    value_of = {id(cell): float(group.settings[key]) for group in family for cell in group.complete}
    cells = [cell for group in family for cell in group.complete]
    points = _curves(curves.gather(cells, labels.series([result_of(cell) for cell in cells], key), lambda cell: value_of[id(cell)]), 3)
    slug, title = f"sweep-{escape.slug(key)}-{escape.slug(name)}", f"Variance and bias² against {key}: {name}"
    lead = f"Variance and squared bias of one gradient estimate against {key} of {name}."
    everything = [cell for group in family for cell in group.cells]
    yield from _plot(points, slug, title, lead, everything, functools.partial(_draw, x_label=key, guide=False))


def _plot(
    points: list[tuple[str, float | None, Cell]],
    slug: str,
    title: str,
    lead: str,
    cells: Sequence[Cell],
    draw: Callable[[pd.DataFrame], Figure],
) -> Iterator[Plot]:
    """The plot of these points, if there are any; ``cells`` are all that might have been in it."""
    if not points:
        return
    kept, said = curves.capped(points)
    results = [result_of(cell) for _, _, cell in kept]
    caption = f"{lead} {notes.extent(results)} {notes.interval(results)} {curves.INTERVAL_NOTE} {said}{notes.missing(cells)}"
    yield Plot(slug, title, curves.frame(kept), caption, draw)


def _curves(points: list[tuple[str, float | None, Cell]], least: int) -> list[tuple[str, float | None, Cell]]:
    """The points of the series that have at least so many."""
    count: dict[str, int] = defaultdict(int)
    for name, _, _ in points:
        count[name] += 1
    return [point for point in points if count[point[0]] >= least]


def _draw(data: pd.DataFrame, x_label: str, guide: bool) -> Figure:
    figure = Figure((canvas.PAGE, 3.3), layout="constrained")
    values = sorted(set(data["x"].astype(float)))
    x_range = values[0] / 1.25, values[-1] * 1.25
    for axes, statistic, letter in zip(figure.subplots(1, 2), ("variance", "bias_sq"), "ab", strict=True):
        curves.panel(axes, data, statistic, x_range)
        if values[0] > 0 and values[-1] / values[0] >= 4:
            canvas.log_axis(axes, "x", *x_range, ticks=canvas.measured_ticks(values) or (_thinned(values) if guide else None))
        axes.set_xlabel(escape.figure(x_label))
        axes.set_title(f"({letter}) {curves.NAMES[statistic]}", loc="left")
        if guide and statistic == "variance":
            _guides(axes, data[(data["statistic"] == "variance") & (data["kind"] == "point")])
    extra = [(Line2D([], [], color=GREY, linestyle=(0, (2, 2)), linewidth=0.8), "1/N")] if guide else []
    curves.legend(figure, data, extra)
    return figure


def _thinned(values: list[float]) -> list[float]:
    return values[:: math.ceil(len(values) / 10)]


def _guides(axes: Axes, points: pd.DataFrame) -> None:
    """1/N through the first point of each curve: where the curve leaves its guide, the samples are not an independent average."""
    for _, part in points.groupby(["estimator", "rank"], sort=True):
        first = part.sort_values("x").iloc[0]
        ends = [first["x"], float(part["x"].astype(float).max())]
        heights = [first["value"] * first["x"] / x for x in ends]
        axes.plot(ends, heights, color=GREY, linestyle=(0, (2, 2)), linewidth=0.8, zorder=1)
