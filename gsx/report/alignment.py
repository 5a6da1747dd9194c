"""How well a single gradient points in the true direction: 1 - cosine, the average over replicates, a panel for each setting of a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gsx.report import axis, canvas, curves, escape, notes, styles
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Cell, Group, result_of
from gsx.report.looks import ORDER, look

MOST_PANELS, MOST_BARS = 6, 14


def plots(groups: Sequence[Group]) -> Iterator[Plot]:
    """Of each model with a gradient of more than one coordinate, and more than one estimator whose replicates were seen."""
    for model in dict.fromkeys(group.model for group in groups):
        mine = [(group, _chosen(group)) for group in groups if group.model == model]
        mine = [(group, cells) for group, cells in mine if len(cells) > 1]
        for start in range(0, len(mine), MOST_PANELS):
            page = mine[start : start + MOST_PANELS]
            data = pd.DataFrame([_row(group, cell) for group, cells in page for cell in cells], dtype=object)
            results = [result_of(cell) for _, cells in page for cell in cells]
            caption = (
                f"1 − cosine between a single gradient estimate and the reference, the average over replicates, on {model}: 0 is the right "
                "direction every time, 1 is none on average. Of several runs of an estimator the one of least value is shown. "
                f"{notes.extent(results)} Bars end at the value, and lines are its 95 % interval (jackknife, Student t). "
                f"{notes.missing([cell for group, _ in page for cell in group.cells])}"
            )
            yield Plot(f"alignment-{escape.slug(model)}", f"Direction of single gradients: {model}", data, caption, draw)


def _chosen(group: Group) -> list[Cell]:
    best: dict[str, Cell] = {}
    for cell in group.complete:
        result = result_of(cell)
        coordinates = sum(math.prod(entry.get("shape", [])) for entry in result.parameters.values())
        if coordinates > 1 and _value(cell) is not None and result.estimator != "exact":
            held = best.setdefault(result.estimator, cell)
            best[result.estimator] = min((held, cell), key=lambda c: (_value(c), c.label))
    return sorted(best.values(), key=lambda cell: ORDER.get(result_of(cell).estimator, len(ORDER)))[:MOST_BARS]


def _value(cell: Cell) -> float | None:
    interval = result_of(cell).summary.get("cosine_single")
    return None if interval is None or math.isnan(interval.value) else 1 - interval.value


def _row(group: Group, cell: Cell) -> dict[str, Any]:
    interval = result_of(cell).summary["cosine_single"]
    assert interval is not None
    low, high = (1 - interval.ci[1], 1 - interval.ci[0]) if interval.ci else (None, None)
    row = {"panel": group.label, "label": cell.label, "estimator": result_of(cell).estimator, "statistic": "1 - cosine_single"}
    return row | {"value": 1 - interval.value, "se": interval.se, "ci_low": low, "ci_high": high, "run": cell.name}


def draw(data: pd.DataFrame) -> Figure:
    parts = [part.reset_index(drop=True) for _, part in data.groupby("panel", sort=False)]
    rows = max(len(part) for part in parts)
    figure, panels = canvas.panels(len(parts), least=2.2, most=3, height=0.5 + 0.19 * rows, below=0.4)
    # A value that rounding alone keeps from zero belongs at zero: on a log axis it would be all there is to see.
    shown = [v for v in data["value"].astype(float) if v > 1e-6]
    bounds = (min(0.5 * min(shown), 0.1), max(shown) * 1.4) if shown else (0.01, 1.0)
    for axes, part in zip(panels, parts, strict=True):
        axis.log_axis(axes, "x", *bounds)
        _bars(axes, part, bounds[0])
        axes.set_xlabel("1 − cosine")
        axes.set_title(escape.figure(str(part["panel"].iloc[0]), 40), loc="left")
        axes.set_ylim(len(part) - 0.4, -0.6)
    curves.below(figure, [(Patch(facecolor=GREY, alpha=0.6), "value"), (Patch(facecolor="black", alpha=1.0), "95 % interval (line)")])
    return figure


def _bars(axes: Axes, part: pd.DataFrame, left: float) -> None:
    for y, row in enumerate(part.to_dict("records")):
        colour = look(row["estimator"]).colour
        if row["value"] <= 1e-6:
            axes.text(left * 1.05, y, "0" if row["value"] > -1e-6 else f"{row['value']:.1g}", va="center", fontsize=styles.small())
            continue
        axes.barh(y, row["value"] - left, left=left, height=0.65, color=colour, alpha=0.75)
        if row["ci_low"] is not None:
            axes.hlines(y, max(row["ci_low"], left), row["ci_high"], color="black", linewidth=1.2 * styles.scale())
    axes.set_yticks(range(len(part)), [escape.figure(label, 26) for label in part["label"]])
    axes.tick_params(axis="y", length=0)
