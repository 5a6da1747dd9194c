"""How well a single gradient points in the true direction: 1 - cosine, the average over replicates, a panel for each setting of a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gsx.report import canvas, escape, legend, notes, styles
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Cell, Group, result_of
from gsx.report.looks import ORDER, look

MOST_PANELS, MOST_BARS = 6, 14


def plots(groups: Sequence[Group]) -> Iterator[Plot]:
    """Of each model with a gradient of more than one coordinate, and more than one estimator whose replicates were seen."""
    for model in dict.fromkeys(group.model for group in groups):
        mine = [(group, _chosen(group)) for group in groups if group.model == model]
        mine = [(group, cells) for group, cells in mine if len(cells) > 1]
        mine.sort(key=lambda one: "checkpoint" in one[0].settings)  # in the order of training
        for start in range(0, len(mine), MOST_PANELS):
            page = mine[start : start + MOST_PANELS]
            data = pd.DataFrame([_row(group, cell) for group, cells in page for cell in cells], dtype=object)
            results = [result_of(cell) for _, cells in page for cell in cells]
            chosen = any(len(cells) < len(_usable(group)) for group, cells in page)
            several = "Of several runs of an estimator the one of least value is shown. " if chosen else ""
            caption = (
                f"1 − cosine between a single gradient estimate and the reference, the average over replicates, on {model}: 0 is the right "
                f"direction every time, 1 is none on average. {several}"
                f"{notes.extent(results)} Bars end at the value, and lines are its 95 % interval (jackknife, Student t). "
                f"{notes.missing([cell for group, _ in page for cell in group.everything])}"
            )
            yield Plot(f"alignment-{escape.slug(model)}", f"Direction of single gradients: {model}", data, caption, draw)


def _usable(group: Group) -> list[Cell]:
    def coordinates(cell: Cell) -> int:
        return sum(math.prod(entry.get("shape", [])) for entry in result_of(cell).parameters.values())

    return [c for c in group.complete if coordinates(c) > 1 and _value(c) is not None and result_of(c).estimator != "exact"]


def _chosen(group: Group) -> list[Cell]:
    best: dict[str, Cell] = {}
    for cell in _usable(group):
        held = best.setdefault(result_of(cell).estimator, cell)
        best[result_of(cell).estimator] = min((held, cell), key=lambda c: (_value(c), c.label))
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
    trained = any("checkpoint=" in panel for panel in data["panel"])
    titles = [_title(part, "initialisation" if trained else "") for part in parts]
    height = 0.5 + 0.19 * rows + 0.14 * (max(title.count("\n") for title in titles))
    figure, panels = canvas.panels(len(parts), least=2.2, most=3, height=height, below=0.4)
    right = 1.2 * max(max(data["ci_high"].fillna(0)), max(data["value"]))
    for axes, part, title in zip(panels, parts, titles, strict=True):
        _bars(axes, part)
        axes.set_xlim(0, right)
        axes.set_xlabel("1 − cosine")
        axes.set_title(title, loc="left")
        axes.set_ylim(len(part) - 0.4, -0.6)
    line = Line2D([], [], color="black")
    legend.below(figure, [(Patch(facecolor=GREY, alpha=0.75), "average over replicates"), (line, "95 % interval")])
    return figure


def _title(part: pd.DataFrame, otherwise: str) -> str:
    """The settings alone, a line each, where there are some: the model is that of the figure, and would run into the next panel."""
    model, _, settings = str(part["panel"].iloc[0]).partition(" ")
    return "\n".join(escape.figure(text, 24) for text in (settings or otherwise or model).split(", ")[:3])


def _bars(axes: Axes, part: pd.DataFrame) -> None:
    for y, row in enumerate(part.to_dict("records")):
        axes.barh(y, row["value"], height=0.65, color=look(row["estimator"]).colour, alpha=0.75)
        if row["ci_low"] is not None:
            axes.hlines(y, row["ci_low"], row["ci_high"], color="black", linewidth=1.2 * styles.scale())
        text = "0" if abs(row["value"]) < 1e-6 else f"{row['value']:#.2g}"
        axes.annotate(
            text, (max(row["ci_high"] or 0, row["value"]), y), (4, 0), textcoords="offset points", va="center", fontsize=styles.small()
        )
    axes.set_yticks(range(len(part)), [escape.figure(label, 26) for label in part["label"]])
    axes.tick_params(axis="y", length=0)
