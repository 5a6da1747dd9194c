"""Statistics against the number of samples N, and against a setting of the model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gsx.records import NO_BIAS_FOUND
from gsx.report import axis, canvas, curve_caption, curve_panel, curves, escape, labels, legend, notes, styles
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Cell, Group, result_of
from gsx.report.crossing import logarithmic
from gsx.report.curves import Points
from gsx.report.families import Family, families
from gsx.report.looks import look


def over_samples(group: Group) -> Iterator[Plot]:
    """Variance and bias² against N, for the estimators measured at two or more N."""
    cells = [*group.complete, *group.absent]
    names = labels.series([result_of(cell) for cell in cells], "N")
    points = curves.gather(cells, names, lambda cell: float(result_of(cell).num_samples), least=2)
    lead = (
        f"against its number of samples N on {group.label}; thin dashes are 1/N from the first point of a curve on, in its colour: the "
        "line of an average of independent samples."
    )
    title = f"Variance and bias² against N: {group.label}"
    draw = functools.partial(_draw, x_label="samples per estimate, N", guide=True)
    told = functools.partial(_told, axis="N")
    yield from paged(points, f"samples-{group.slug}", title, lead, group.everything, _frame, draw, told)


def over_settings(groups: Sequence[Group]) -> Iterator[Plot]:
    """Variance and bias² side by side against each number of a model that takes three or more values while its other settings stay."""
    for family in families(groups):
        if not at_several(family):
            yield from _sweep(family)


def at_several(family: Family) -> bool:
    """Whether it was measured at several N, each of which has a panel of its own in `by_samples`."""
    return len({result_of(cell).num_samples for _, cell in family.cells}) > 1


def points(family: Family, num_samples: int | None = None) -> Points:
    """The curves over the family, at one N or at all."""
    held = [(x, cell) for x, cell in (*family.cells, *family.absent) if num_samples in (None, result_of(cell).num_samples)]
    at = {id(cell): x for x, cell in held}
    cells = [cell for _, cell in held]
    names = labels.series([result_of(cell) for cell in cells], family.key)
    return curves.gather(cells, names, lambda cell: at[id(cell)], least=3)


def _sweep(family: Family) -> Iterator[Plot]:
    lead = f"against {family.axis} of {family.name}."
    title = f"Variance and bias² against {family.axis}: {family.name}"
    draw = functools.partial(_draw, x_label=family.axis, guide=False)
    told = functools.partial(_told, axis=family.axis)
    yield from paged(points(family), f"sweep-{family.slug}", title, lead, family.everything, _frame, draw, told)


def _frame(points: Points) -> pd.DataFrame:
    """Variance, and bias² unless every verdict on a series is that none was found: an axis of upper limits says no more."""
    data = curves.frame(points)
    open_ = data.loc[~data["verdict"].isin(["unbiased", NO_BIAS_FOUND, "deterministic"]) & (data["kind"] != "missing"), "series"]
    return data[(data["statistic"] == "variance") | ((data["statistic"] == "bias_sq") & data["series"].isin(open_))].reset_index(drop=True)


def paged(
    points: Points,
    slug: str,
    title: str,
    lead: str,
    cells: Sequence[Cell],
    frame: Callable[[Points], pd.DataFrame],
    draw: Callable[[pd.DataFrame], Figure],
    told: Callable[[pd.DataFrame], str],
) -> Iterator[Plot]:
    """The figures of these points, if there are any; ``cells`` are all that might have been in them, and ``told`` says of the data what
    is said of no other kind of figure."""
    absent = notes.missing(cells)
    for place, of, page in curves.numbered(points):
        results = [result_of(cell) for _, _, cell in page]
        data = frame(page)
        statistics = set(data["statistic"])
        subject = " and ".join({"variance": "variance", "bias_sq": "squared bias"}[name] for name in sorted(statistics, reverse=True))
        caption = (
            f"{subject.capitalize()} of one gradient estimate {lead[:-1]}{of}. {notes.extent(results)} "
            f"{notes.interval(results, statistics)} {curve_caption.marks(data)}{told(data)}{absent}"
        )
        yield Plot(slug if place == 1 else f"{slug}-{place}", title + of, data, caption, draw)


def _told(data: pd.DataFrame, axis: str) -> str:
    """Whose bias is not drawn, and which curves of the variance end early or lie on each other."""
    first = data[data["statistic"] == "variance"]
    return _left_out(data) + curve_caption.shorter(first, axis) + curve_caption.coinciding([("", first)])


def _left_out(data: pd.DataFrame) -> str:
    """Whose bias is not drawn."""
    biased = set(data.loc[data["statistic"] == "bias_sq", "series"])
    others = [name for name in dict.fromkeys(data["series"]) if name not in biased]
    if not biased:
        return "Bias is not drawn: none was found. "
    return f"Not in (b), because no bias was found: {notes.listed(others)}. " if others else ""


def _draw(data: pd.DataFrame, x_label: str, guide: bool) -> Figure:
    statistics = [name for name in ("variance", "bias_sq") if (data["statistic"] == name).any()]
    crowded, alone = curves.crowded(data), len(statistics) == 1
    below = 0.9 if crowded or not alone else 0.8 + 0.16 * data["series"].nunique()  # there the legend has one column
    figure, panels = canvas.panels(len(statistics), least=3.2 if crowded else 2.4, below=below)
    for axes, statistic, letter in zip(panels, statistics, "ab", strict=False):
        part = data[data["statistic"] == statistic]
        curve_panel.draw(axes, part, x_axis(axes, data["x"], x_label))
        axes.set_title(f"({letter}) {curves.NAMES[statistic]}" if not alone else "", loc="left")
        axes.set_ylabel(curves.NAMES[statistic] if alone else "")
        if guide and statistic == "variance":
            _guides(axes, part[part["kind"] == "point"])
    extra = (
        [(Line2D([], [], color=GREY, linestyle=(0, (2, 2)), linewidth=0.8 * styles.scale()), "1/N through the first point")]
        if guide
        else []
    )
    legend.of_curves(figure, data, extra)
    return figure


def x_axis(axes: Axes, values: pd.Series, label: str) -> tuple[float, float]:
    """The axis of what was varied, logarithmic where it is positive and spans a factor of four; its range."""
    x = sorted(set(values.dropna().astype(float)))
    axes.set_xlabel(escape.figure(label))
    if logarithmic(x) and label != "p":
        bounds = x[0] / 1.25, x[-1] * 1.25
        axis.log_axis(axes, "x", *bounds, ticks=axis.measured_ticks(x))
        return bounds
    ticks = axis.measured_ticks(x, log=False, most=6)
    if ticks is not None:
        axes.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
    pad = 0.04 * (x[-1] - x[0]) or 0.5
    return x[0] - pad, x[-1] + pad


def _guides(axes: Axes, points: pd.DataFrame) -> None:
    """1/N through the first point of each curve: where the curve leaves its guide, the samples are not an independent average."""
    for (estimator, rank), part in points.groupby(["estimator", "rank"], sort=True):
        first = part.sort_values("x").iloc[0]
        ends = [first["x"], float(part["x"].astype(float).max())]
        heights = [first["value"] * first["x"] / x for x in ends]
        colour = look(estimator, rank).colour
        axes.plot(ends, heights, color=colour, linestyle=(0, (2, 2)), linewidth=0.8 * styles.scale(), zorder=1)
