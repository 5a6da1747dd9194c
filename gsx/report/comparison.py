"""The estimators of a model side by side: variance, bias² and the verdict on bias, a line per run, sorted by variance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from gsx.report import axis, curve_caption, curve_panel, curves, escape, legend, notes, rounding, styles, verdicts
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Cell, Group, result_of
from gsx.report.looks import look

#: Above this a dot plot is no longer read; the table has all runs.
MOST_ROWS = 40
#: Of more in a narrow column, the panels stand side by side and only what is biased is said: two of them have no room below each other.
MOST_STACKED = 20
#: Below this share of the largest beside it, a number may be what rounding has left.
ROUNDING = 1e-12


def plots(group: Group) -> Iterator[Plot]:
    cells = group.complete
    if not cells:
        return
    shown, said = _chosen(cells)
    results, data = [result_of(cell) for cell in shown], _frame(shown)
    off = (
        "A number at the left edge is off the axis: zero, or no more than rounding may leave. "
        if data["kind"].isin(["zero", "rounding"]).any()
        else ""
    )
    limit = f"{curve_caption.INTERVAL_NOTE} " if (data["kind"] == "upper limit").any() else ""
    caption = (
        f"Variance and squared bias of the gradient estimators on {group.label}, sorted by variance; at the right the verdict on bias. "
        f"{verdicts.told(results)}{notes.extent(results)} {notes.interval(results, set(data['statistic']))} "
        f"{limit}{off}{said}{notes.missing(group.everything)}"
    )
    yield Plot(f"variance-{group.slug}", f"Variance and bias² by estimator: {group.label}", data, caption, draw)


def _chosen(cells: list[Cell]) -> tuple[list[Cell], str]:
    if len(cells) <= MOST_ROWS:
        return cells, ""
    best: dict[str, Cell] = {}
    for cell in cells:
        held = best.setdefault(result_of(cell).estimator, cell)
        if _value(cell, "mse") < _value(held, "mse"):
            best[result_of(cell).estimator] = cell
    chosen = sorted(best.values(), key=lambda cell: (_value(cell, "variance"), cell.label))[:MOST_ROWS]
    return chosen, f"Of {len(cells)} runs the one of least mean squared error per estimator is shown, {len(chosen)} in all. "


def _value(cell: Cell, statistic: str) -> float:
    interval = result_of(cell).summary.get(statistic)
    return math.inf if interval is None or math.isnan(interval.value) else interval.value


def _frame(cells: list[Cell]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for position, cell in enumerate(sorted(cells, key=lambda cell: (_value(cell, "variance"), cell.label))):
        result = result_of(cell)
        for statistic in ("variance", "bias_sq"):
            interval = result.summary.get(statistic)
            row: dict[str, Any] = {"position": position, "label": cell.label, "estimator": result.estimator, "statistic": statistic}
            row |= curves.columns(interval) | {"verdict": result.verdict_word, "num_samples": result.num_samples}
            row |= {"tuned": bool(result.tuning), "run": cell.name}
            rows.append(row)
    for statistic in ("variance", "bias_sq"):
        panel = [row for row in rows if row["statistic"] == statistic and row["kind"] == "point"]
        for row in panel:
            # What rounding leaves of a variance or bias of zero would press all others into a corner.
            if row["value"] < ROUNDING * max(other["value"] for other in panel):
                row["kind"] = "rounding"
    return pd.DataFrame(rows, dtype=object)


def draw(data: pd.DataFrame) -> Figure:
    lines = int(data["position"].max()) + 1
    narrow = styles.narrow() and lines <= MOST_STACKED
    height = 1.1 + (2 if narrow else 1) * 0.19 * max(lines, 3) + (0.5 if narrow else 0)
    figure = Figure((styles.width(), styles.fitted(height)), layout="constrained")
    first, second = figure.subplots(2, 1) if narrow else figure.subplots(1, 2, sharey=True)
    for axes, statistic in ((first, "variance"), (second, "bias_sq")):
        _dots(axes, data[data["statistic"] == statistic], curves.NAMES[statistic])
        if styles.narrow() and not narrow:  # half of a column has room for two numbers
            axes.xaxis.set_major_locator(FixedLocator([*axes.get_xticks()[[0, -1]]]))
    named = data[data["statistic"] == "variance"]
    for axes in (first, second) if narrow else (first,):
        axes.set_yticks(range(lines), [escape.figure(label) for label in named["label"] + np.where(named["tuned"], " †", "")])
        axes.set_ylim(lines - 0.4, -0.6)
    right = second.secondary_yaxis("right")
    told = list(named["verdict"])
    right.set_yticks(range(lines), [text if narrow or not styles.narrow() or text == "biased" else "" for text in told])
    right.tick_params(length=0, labelcolor=GREY)
    right.spines["right"].set_visible(False)
    full = (Line2D([], [], color=GREY), Line2D([], [], color=GREY, marker="o", linestyle="none"))
    hollow = Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none")
    entries: list[tuple[Any, str]] = [(full, "value and 95 % interval")]
    if (data["kind"] == "upper limit").any():
        entries.append((hollow, "95 % upper limit (with an arrow)"))
    if data["tuned"].any():
        entries.append((Line2D([], [], linestyle="none"), "† tuned first"))
    legend.below(figure, entries)
    return figure


def _dots(axes: Axes, data: pd.DataFrame, name: str) -> None:
    axes.set_xlabel(name)
    axes.grid(axis="y", color="#dddddd", linewidth=0.5 * styles.scale())
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    bounds = curves.limits(data)
    if bounds is None:
        axes.set_xticks([])
    else:
        axis.log_axis(axes, "x", *bounds)
    for row in data.to_dict("records"):
        style, y = look(row["estimator"]), row["position"]
        if row["kind"] == "point":
            if row["ci_low"] is not None:
                axes.hlines(y, row["ci_low"], row["ci_high"], color=style.colour, linewidth=1.2 * styles.scale())
            axes.plot([row["value"]], [y], color=style.colour, marker=style.marker, linestyle="none", zorder=3)
        elif row["kind"] == "upper limit":
            curve_panel.limit(axes, (row["ci_high"], y), style, left=True)
        else:
            small = rounding.given(float(f"{row['value'] or 0:.1g}"))
            text = {"zero": "0", "rounding": small}.get(row["kind"], "does not exist")
            remark: dict[str, Any] = {"va": "center", "fontsize": styles.small(), "color": GREY, "backgroundcolor": "white"}
            axes.text(0.01, y, text, transform=axes.get_yaxis_transform(), **remark)
