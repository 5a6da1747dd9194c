"""Words inside a panel, where there is room: above everything, or on the emptiest side of a point."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.text import Annotation

from gsx.report import axis, styles

Box = tuple[float, float, float, float]  # two opposite corners, in the coordinates of a panel


def above(axes: Axes, lines: Sequence[str]) -> None:
    """On top of all that is drawn, in room that is made for it on the log axis."""
    low, high = axes.get_ylim()
    _, height = _size(axes, lines[0])
    share = min(0.5, 1.6 * height * len(lines))  # the layout makes the panel lower by as much as that
    room = share / (1 - share) * (math.log10(high) - math.log10(low))
    axis.log_axis(axes, "y", low, 10.0 ** min(math.log10(high) + room, 308))  # within float64
    axes.text(0.03, 0.98, "\n".join(lines), fontsize=styles.small(), va="top", transform=axes.transAxes)


def beside(axes: Axes, at: tuple[float, float], text: str, colour: str) -> None:
    """Beside a point of the data, best at its right; after all curves are drawn."""
    width, height = _size(axes, text)
    px, py = (axes.transData + axes.transAxes.inverted()).transform(at)
    gap = 0.5 * height
    sides = [*itertools.product((1, -1), (0, 1, -1)), (0, 1), (0, -1)]
    centres = [(px + x * (gap + width / 2), py + y * (gap + height / 2)) for x, y in sides]
    boxes = [(x - width / 2, y - height / 2, x + width / 2, y + height / 2) for x, y in centres]
    left, bottom, right, top = _emptiest(_drawn(axes), boxes)
    x, side = (left, "left") if left > px else (right, "right") if right < px else (px, "center")
    style: dict[str, Any] = {"ha": side, "va": "center", "transform": axes.transAxes, "color": colour, "zorder": 6}
    axes.text(x, (bottom + top) / 2, text, fontsize=styles.small(), **style)


def _size(axes: Axes, text: str) -> tuple[float, float]:
    """About as much of the panel as a line of text takes; the layout is not known yet."""
    panel, letter = axes.get_window_extent(), styles.small() / 72 * axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    return 0.62 * letter * len(text) / panel.width, 1.3 * letter / panel.height


def _emptiest(points: np.ndarray, boxes: Sequence[Box]) -> Box:
    """The box that least is drawn in, the first of equals; what leaves the panel comes last."""

    def crowd(box: Box) -> tuple[bool, int]:
        low, high = np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])
        inside = ((points >= low - 0.01) & (points <= high + 0.01)).all(1)
        return bool((low < 0).any() or (high > 1).any()), int(inside.sum())

    return min(boxes, key=crowd)


def _drawn(axes: Axes) -> np.ndarray:
    """Points along curves, bars and arrows, in the coordinates of the panel, close enough to see what passes through."""
    paths = [np.column_stack(line.get_data()) for line in axes.get_lines() if line.get_transform() == axes.transData]
    paths += [np.asarray(path) for of in axes.collections if isinstance(of, LineCollection) for path in of.get_segments()]
    inside = axes.transData + axes.transAxes.inverted()
    paths += [_arrow(axes, note) for note in axes.texts if isinstance(note, Annotation)]
    found = [np.zeros((0, 2))]
    for path in paths:
        at = inside.transform(np.asarray(path, dtype=float))
        at = at[np.isfinite(at).all(1)]
        if len(at):
            steps = np.linspace(0, len(at) - 1, 1 if len(at) == 1 else 24 * len(at))
            found.append(np.column_stack([np.interp(steps, range(len(at)), at[:, i]) for i in (0, 1)]))
    return np.concatenate(found)


def _arrow(axes: Axes, note: Annotation) -> np.ndarray:
    """Its two ends, in the data."""
    start = axes.transData.transform(note.xy)
    end = start + np.asarray(note.xyann) * axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    return np.asarray(axes.transData.inverted().transform([start, end]))
