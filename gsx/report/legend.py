"""The legend under the panels of a figure: which curve is whose, and what its marks mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gsx.report import escape, styles
from gsx.report.canvas import GREY
from gsx.report.curves import crowded, named, thin
from gsx.report.looks import ORDER, look


def of_curves(figure: Figure, data: pd.DataFrame, extra: Sequence[tuple[Any, str]] = ()) -> None:
    """What the marks mean and which interval is shaded; the names of the curves too, unless they stand at their ends."""
    entries: list[tuple[Any, str]] = []
    for (estimator, rank), part in [] if crowded(data) else sorted(data.groupby(["estimator", "rank"]), key=_place):
        style, flat = look(estimator, rank), part["x"].isna().all()
        marker = None if flat and not (part["kind"] == "upper limit").any() else style.marker
        handle = Line2D([], [], **style.drawn | {"marker": marker})
        entries.append((handle, escape.figure(named(part))))
    below(figure, [*entries, *meanings(data, extra)])


def meanings(data: pd.DataFrame, extra: Sequence[tuple[Any, str]] = ()) -> list[tuple[Any, str]]:
    """Of a legend, what is not the name of a curve."""
    entries: list[tuple[Any, str]] = [] if thin(data) else [(Patch(facecolor=GREY, alpha=0.3, linewidth=0), "95 % interval")]
    hollow = Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none")
    entries += [(hollow, "95 % upper limit (with an arrow)")] if (data["kind"] == "upper limit").any() else []
    entries += [(hollow, "zero, on the axis")] if ((data["kind"] == "zero") & data["x"].notna()).any() else []
    entries += [(Line2D([], [], color=GREY, marker="x", linestyle="none"), "missing")] if (data["kind"] == "missing").any() else []
    entries += extra
    return entries + ([(Line2D([], [], linestyle="none"), "† tuned first")] if data["tuned"].any() else [])


def _place(item: tuple[Any, Any]) -> tuple[int, int, str]:
    (estimator, rank), _ = item
    return ORDER.get(estimator, len(ORDER)), rank, estimator


def below(figure: Figure, entries: Sequence[tuple[Any, str]]) -> None:
    """A legend under the panels, in as many columns as there is room for; none where every curve is named at its end and nothing else is
    to be told."""
    if not entries:
        return
    handles, names = zip(*entries, strict=True)
    columns = max(1, min(len(names), int(figure.get_figwidth() / styles.scale() * 15 / (max(map(len, names)) + 7))))
    shape: dict[str, Any] = {"handlelength": 2.6, "handler_map": {tuple: HandlerTuple(ndivide=1)}}
    figure.legend(handles, names, loc="outside lower center", ncols=columns, **shape)
