"""Is the bias of single coordinates more than chance? z per coordinate, a small panel per run, against the thresholds of the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from gsx.records import GsxError
from gsx.report import axis, canvas, escape, legend, notes, styles, verdicts
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Cell, Group, result_of
from gsx.report.looks import ORDER, look

MOST_PANELS = 12
#: Above this a coordinate is less than a pixel wide: quantiles are drawn instead.
MOST_COORDINATES = 2000
FAMILY_WISE = 1e-3


def plots(group: Group) -> Iterator[Plot]:
    shown, left = _chosen([cell for cell in group.complete if result_of(cell).verdict.max_abs_z is not None])
    tables = [(cell, coordinates(cell)) for cell in shown]
    unread = [cell.label for cell, table in tables if table is None]
    drawn = [(cell, table) for cell, table in tables if table is not None and len(table)]
    pages = math.ceil(len(drawn) / MOST_PANELS)
    for place in range(pages):
        page = drawn[place * len(drawn) // pages : (place + 1) * len(drawn) // pages]
        of = f" ({place + 1} of {pages})" if pages > 1 else ""
        caption = (
            f"Bias of every coordinate of the gradient on {group.label}{of} in units of its standard error, z. Dashed: the threshold that "
            "no coordinate of an unbiased estimator passes in 999 of 1000 runs (Bonferroni over coordinates); shaded: where 95 % of z lie "
            f"for an unbiased one, N(0, 1). {_axes([table for _, table in page])}"
            f"{verdicts.told(result_of(cell) for cell, _ in page)}{notes.extent([result_of(cell) for cell, _ in page])} "
            + (f"Of each estimator the run with the largest |z| is shown; left out for want of room: {notes.some(left)}. " if left else "")
            + (f"coordinates.csv missing or unreadable: {', '.join(unread)}. " if unread else "")
            + notes.missing(group.everything)
        )
        data = pd.concat([frame(cell, table) for cell, table in page], ignore_index=True)
        yield Plot(f"bias-z-{group.slug}", f"Bias by coordinate: {group.label}{of}", data, caption, draw)


def _axes(tables: list[pd.DataFrame]) -> str:
    """What the axes of these panels are, where they are no plain ones."""
    far = [table for table in tables if float(table["z"].abs().max()) > 3 * _threshold(int(table["of"].iloc[0]))]
    said = "Where z goes far beyond the threshold, the axis is logarithmic there. " if far else ""
    if any(int(table["of"].iloc[0]) > MOST_COORDINATES for table in tables):
        said += f"Of more than {MOST_COORDINATES} coordinates: sorted |z| against the quantiles expected of |N(0, 1)|. "
    return said


def _threshold(coordinates: int) -> float:
    return NormalDist().inv_cdf(1 - FAMILY_WISE / (2 * coordinates))


def _chosen(cells: list[Cell]) -> tuple[list[Cell], list[str]]:
    """All runs while they fit in one figure, then the most biased one of each estimator; relatives stand together."""
    worst: dict[str, Cell] = {}
    for cell in cells:
        held = worst.setdefault(result_of(cell).estimator, cell)
        if (result_of(cell).verdict.max_abs_z or 0) > (result_of(held).verdict.max_abs_z or 0):
            worst[result_of(cell).estimator] = cell
    kept = cells if len(cells) <= MOST_PANELS else list(worst.values())
    kept = sorted(kept, key=lambda cell: ORDER.get(result_of(cell).estimator, len(ORDER)))
    return kept, [cell.label for cell in cells if all(cell is not other for other in kept)]


def coordinates(cell: Cell) -> pd.DataFrame | None:
    """The stored per-coordinate table; None where it is missing or unreadable."""
    try:
        table = cell.directory.read_coordinates()
    except (GsxError, OSError, ValueError):
        return None
    if table is None:
        return None
    return pd.DataFrame(table.columns).assign(of=table.of)


def frame(cell: Cell, table: pd.DataFrame) -> pd.DataFrame:
    """The panel's data: `of` says how many coordinates there are where the table holds the largest |z| only."""
    result = result_of(cell)
    data = table[["parameter", "index", "bias", "bias_se", "z", "of"]].dropna(subset=["z"])
    return data.assign(label=cell.label, estimator=result.estimator, verdict=result.verdict_word, run=cell.name)


def draw(data: pd.DataFrame) -> Figure:
    parts = [part for _, part in data.groupby("run", sort=False)]
    figure, panels = canvas.panels(len(parts), least=1.7, most=3, height=1.75, below=0.5)
    for axes, part in zip(panels, parts, strict=True):
        panel(axes, part)
        axes.set_title(f"{escape.figure(part['label'].iloc[0], 34)}\n{part['verdict'].iloc[0]}", loc="left")
    legend.below(figure, legend_entries(data))
    return figure


def legend_entries(data: pd.DataFrame) -> list[tuple[Any, str]]:
    diagonal = Line2D([], [], color=GREY, linewidth=0.8 * styles.scale())
    return [
        (Line2D([], [], color=GREY, marker="o", markersize=3 * styles.scale(), linestyle="none"), "z of a coordinate"),
        (Line2D([], [], color=GREY, linestyle="--", linewidth=0.8 * styles.scale()), "family-wise 0.1 % threshold"),
        (Patch(facecolor=GREY, alpha=0.18, linewidth=0), "95 % of N(0, 1)"),
        *([(diagonal, "as expected of N(0, 1)")] if (data["of"] > MOST_COORDINATES).any() else []),
    ]


def panel(axes: Axes, part: pd.DataFrame) -> None:
    total = int(part["of"].iloc[0])
    style = look(part["estimator"].iloc[0])
    (_quantiles if total > MOST_COORDINATES else _coordinates)(axes, part, _threshold(total), style.colour)


def _coordinates(axes: Axes, part: pd.DataFrame, threshold: float, colour: Any) -> None:
    z = part["z"].to_numpy()
    x = range(len(z))
    axes.axhspan(-1.96, 1.96, color=GREY, alpha=0.18, linewidth=0)
    for side in (-threshold, threshold):
        axes.axhline(side, color=GREY, linestyle="--", linewidth=0.8 * styles.scale())
    axes.plot(x, z, color=colour, marker="o", markersize=(4 if len(z) <= 60 else 1.5) * styles.scale(), linestyle="none", zorder=3)
    reach = max(threshold * 1.25, 1.15 * float(abs(z).max()))
    if float(abs(z).max()) > 3 * threshold:
        _beyond(axes, threshold, reach)
    else:
        axes.set_ylim(-reach, reach)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("bias / s.e., z")
    axes.set_xlim(-0.6, len(z) - 0.4)
    starts = [i for i, name in enumerate(part["parameter"]) if i == 0 or name != part["parameter"].iloc[i - 1]]
    names = [part["parameter"].iloc[i] for i in starts]
    for start in starts[1:]:
        axes.axvline(start - 0.5, color="#bbbbbb", linewidth=0.6 * styles.scale())
    ends = [*starts[1:], len(z)]
    middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
    # A name needs room: about a twelfth of the panel for each.
    told = [(m, name) for m, name, start, end in zip(middles, names, starts, ends, strict=True) if (end - start) * 9 >= len(z)]
    axes.set_xticks(
        [m for m, _ in told], [f"{escape.figure(name, 20)}\n({count})" for (_, name), count in zip(told, _sizes(part, told), strict=True)]
    )
    axes.tick_params(axis="x", length=0)


def _sizes(part: pd.DataFrame, told: list[tuple[float, str]]) -> list[int]:
    return [int((part["parameter"] == name).sum()) for _, name in told]


def _beyond(axes: Axes, threshold: float, reach: float) -> None:
    """Linear up to the threshold, logarithmic beyond: a z of 900 must not flatten the rest."""
    linear = math.ceil(threshold * 1.2)
    axes.set_yscale("symlog", linthresh=linear, linscale=1.2)
    axes.set_ylim(-reach * 2.5, reach * 2.5)
    powers = [10.0**p for p in range(math.ceil(math.log10(linear + 1)), math.floor(math.log10(reach * 1.4)) + 1)]
    powers = powers[:: math.ceil(len(powers) / 2)]
    ticks = [-v for v in powers[::-1]] + [0.0] + powers
    axes.set_yticks(ticks, [f"{v:g}".replace("-", "−") if abs(v) < 1e4 else axis.tick(v) for v in ticks])
    axes.set_yticks([], minor=True)


def _quantiles(axes: Axes, part: pd.DataFrame, threshold: float, colour: Any) -> None:
    total = int(part["of"].iloc[0])
    z = part["z"].abs().sort_values(ascending=False).to_numpy()
    if len(z) < total:
        # Each parameter was cut at its own smallest |z|: below the largest of those cuts the ranks are not known.
        cut = part.assign(size=part["z"].abs()).groupby("parameter")["size"].min().max()
        z = z[z >= cut]
    expected = [NormalDist().inv_cdf(1 - (i + 0.5) / (2 * total)) for i in range(len(z))]
    axes.plot(expected, z, color=colour, marker="o", markersize=2 * styles.scale(), linestyle="none", zorder=3)
    low, high = min(expected[-1], float(z[-1])), max(threshold, expected[0])
    diagonal = np.linspace(low, high, 200)  # a curve where the axis is logarithmic
    axes.plot(diagonal, diagonal, color=GREY, linewidth=0.8 * styles.scale())
    axes.axhline(threshold, color=GREY, linestyle="--", linewidth=0.8 * styles.scale())
    axes.axhspan(low, max(1.96, low), color=GREY, alpha=0.18, linewidth=0)
    if float(z[0]) > 3 * threshold:
        axis.log_axis(axes, "y", max(low, 0.3), float(z[0]) * 1.4)
    axes.set_xlabel("|z| expected of N(0, 1)")
    axes.set_ylabel("|z|")
