"""Names at the ends of curves, for panels in which a legend would be a puzzle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from gsx.report import escape, styles
from gsx.report.looks import Look


@dataclass(frozen=True)
class End:
    """A name, the point in the data that it belongs to, and the look of its curve."""

    name: str
    x: float
    y: float
    look: Look


def name_ends(axes: Axes, ends: Sequence[End]) -> None:
    """Each name at the right of the panel, as near its curve's last point as the others allow, and a hair line between. Limits are set.

    A point out of view has its name where the axis ends, on that side.
    """
    if not ends:
        return
    rows = axes.get_subplotspec().get_gridspec().nrows if axes.get_subplotspec() else 1  # type: ignore[union-attr]
    figure = axes.get_figure(root=True)
    assert figure is not None
    height = figure.get_figheight() / rows - 0.5 * styles.scale()
    inside = axes.transData + axes.transAxes.inverted()
    points = [(float(x), min(max(float(y), 0.0), 1.0)) for x, y in (inside.transform((end.x, end.y)) for end in ends)]
    order = sorted(range(len(ends)), key=lambda i: (points[i][1], ends[i].y, ends[i].name))
    heights = spread([points[i][1] for i in order], 1.2 * styles.small() / 72 / height)
    for i, at in zip(order, heights, strict=True):
        end, (x, y) = ends[i], points[i]
        style = {"color": end.look.colour, "transform": axes.transAxes, "clip_on": False}
        dashes = "-" if x > 0.9 else (0, (1, 4))  # a long hair line must not pass for a curve
        axes.plot([x, 1.03, 1.05], [y, at, at], linewidth=0.4 * styles.scale(), linestyle=dashes, alpha=0.7, zorder=1, **style)  # type: ignore[arg-type]
        marker = end.look.drawn | style | {"linestyle": "none"}
        axes.plot([1.07], [at], markersize=3.2 * styles.scale(), **marker)
        axes.text(1.1, at, escape.figure(end.name), transform=axes.transAxes, va="center", fontsize=styles.small())


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Heights in the order of those wanted (ascending), at least ``gap`` apart, the sum of the squared moves the least possible.

    Between 0 and 1 as long as there is room for all, else as far below as above.
    """
    clusters: list[tuple[float, int]] = []  # (mean of what remains of the wanted heights when the gaps are taken off, members)
    for i, height in enumerate(wanted):
        mean, count = height - i * gap, 1
        while clusters and clusters[-1][0] >= mean:  # pool adjacent violators
            before, members = clusters.pop()
            mean, count = (mean * count + before * members) / (count + members), count + members
        clusters.append((mean, count))
    extent = (len(wanted) - 1) * gap
    least, most = (0.0, 1.0 - extent) if extent <= 1 else (0.5 - extent / 2,) * 2
    level = [min(max(mean, least), most) for mean, count in clusters for _ in range(count)]
    return [mean + i * gap for i, mean in enumerate(level)]
