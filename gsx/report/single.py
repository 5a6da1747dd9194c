"""One run alone: the mean gradient beside the reference, coordinate by coordinate, and the bias in units of its error."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gsx.report import bias, canvas, escape, legend, notes, styles, verdicts
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Group, result_of
from gsx.report.looks import look

#: Above this the mean is drawn against the reference instead of against the coordinate.
MOST_SIDE_BY_SIDE = 200


def plots(group: Group) -> Iterator[Plot]:
    cell = group.cells[0]
    result, table = result_of(cell), bias.coordinates(cell)
    if table is None or table[["mean", "z"]].dropna().empty:
        return
    data = table.assign(label=cell.label, estimator=result.estimator, verdict=result.verdict_word, run=cell.name)
    reference = result.reference.get("kind") or "none"
    caption = (
        f"Mean gradient of {cell.label} on {group.label} and the reference ({str(reference).replace('_', ' ')}), "
        f"and their difference in units of its standard error, z. "
        f"Error bars are 95 % (1.96 standard errors of the mean over {result.num_replicates} replicates). "
        f"{verdicts.told([result])}{notes.extent([result])} "
        + (
            f"The table holds {len(table)} of {table['of'].iloc[0]} coordinates, those of largest |z|. "
            if len(table) < table["of"].iloc[0]
            else ""
        )
        + notes.missing(group.cells)
    )
    slug = escape.slug(f"{cell.label} {group.label}")
    yield Plot(f"run-{slug}", f"One run: {cell.label} on {group.label}", data, caption, draw)


def draw(data: pd.DataFrame) -> Figure:
    figure, (left, right) = canvas.panels(2, least=2.4, height=2.5)
    style = look(data["estimator"].iloc[0])
    if len(data) <= MOST_SIDE_BY_SIDE:
        _side_by_side(left, data, style.colour)
    else:
        _against(left, data, style.colour)
    left.set_title("(a) mean and reference", loc="left")
    bias.panel(right, data.dropna(subset=["z"]))
    right.set_title(f"(b) bias: {data['verdict'].iloc[0]}", loc="left")
    mean = Line2D([], [], color=style.colour, marker="o", markersize=4 * styles.scale())
    reference = Line2D(
        [], [], color="black", marker="_" if len(data) <= MOST_SIDE_BY_SIDE else None, markersize=9 * styles.scale(), linestyle="none"
    )
    known = Line2D([], [], color=GREY, linewidth=0.8 * styles.scale())
    second = (reference, "reference") if len(data) <= MOST_SIDE_BY_SIDE else (known, "mean = reference")
    entries = [(mean, "mean, 95 % interval"), second, *bias.legend_entries(data)]
    legend.below(figure, entries)
    return figure


def _side_by_side(axes: Axes, data: pd.DataFrame, colour: str) -> None:
    x = range(len(data))
    axes.axhline(0, color="#dddddd", linewidth=0.6 * styles.scale())
    axes.plot(
        x,
        data["reference"],
        color="black",
        marker="_",
        markersize=max(7.0, min(14.0, 180 / len(data))) * styles.scale(),
        linestyle="none",
        zorder=2,
    )
    size = (4 if len(data) <= 12 else 2.5) * styles.scale()
    axes.errorbar(x, data["mean"], 1.96 * data["mean_se"], color=colour, fmt="o", markersize=size, elinewidth=styles.scale(), zorder=3)
    axes.set_xlabel("coordinate")
    axes.set_ylabel("gradient")
    axes.set_xlim(-0.6, len(data) - 0.4)
    if len(data) <= 12:
        axes.set_xticks(x, [str(i) for i in data["index"]])


def _against(axes: Axes, data: pd.DataFrame, colour: str) -> None:
    ends = [min(data["reference"].min(), data["mean"].min()), max(data["reference"].max(), data["mean"].max())]
    axes.plot(ends, ends, color=GREY, linewidth=0.8 * styles.scale(), zorder=1)
    axes.errorbar(
        data["reference"],
        data["mean"],
        1.96 * data["mean_se"],
        color=colour,
        fmt="o",
        markersize=2 * styles.scale(),
        elinewidth=0.5 * styles.scale(),
        zorder=2,
    )
    axes.set_xlabel("reference gradient")
    axes.set_ylabel("mean gradient")
