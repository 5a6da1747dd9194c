"""From a plot to files: PNG, PDF, SVG, the data drawn and the caption; same data, same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from gsx.report import styles, tables
from gsx.report.place import write

GREY = "#666666"
#: The least height of a row of panels, on a page.
LOW = 1.3
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": "gsx"},
    "pdf": {"Creator": "gsx", "CreationDate": None},
    "svg": {"Creator": "gsx", "Date": None},
}


@dataclass(frozen=True)
class Plot:
    """A figure to be: `draw` sees the frame and nothing else, so what lies beside the figure is what is drawn."""

    name: str
    title: str
    frame: pd.DataFrame
    caption: str
    draw: Callable[[pd.DataFrame], Figure]


def save(plot: Plot, folder: Path, style: str = "page") -> list[Path]:
    """Writes the five files and returns their paths."""
    content = {"csv": tables.csv(plot.frame).encode(), "txt": (plot.caption + "\n").encode()}
    with styles.use(style):
        figure = plot.draw(plot.frame)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not once a format: half of the time
        # The backends themselves: Figure.savefig draws everything twice.
        printers: dict[str, Callable[..., Any]] = {
            "png": FigureCanvasAgg(figure).print_png,
            "pdf": FigureCanvasPdf(figure).print_pdf,
            "svg": FigureCanvasSVG(figure).print_svg,
        }
        for kind, printer in printers.items():
            buffer = io.BytesIO()
            printer(buffer, metadata=_METADATA[kind])
            content[kind] = buffer.getvalue()
    written = []
    for kind in ("png", "pdf", "svg", "csv", "txt"):
        written.append(folder / f"{plot.name}.{kind}")
        write(written[-1], content[kind])
    return written


def panels(count: int, *, least: float = 2.2, most: int = 2, height: float = 2.3, below: float = 0.9) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, each at least so wide on a page; as many in a row as the style has room for.

    ``below`` is what legend and axis labels need. Where the style has not the height for all rows they are lower; where they would be lower
    than can be read, there are more in a row.
    """
    scale = styles.scale()
    room = max(1, int(styles.width() / scale / least))
    across = min(most, count, room)
    if count % across and across > 2 and count == 4:
        across = 2
    while across < min(count, room) and styles.fitted(height * math.ceil(count / across) + below) < scale * (
        LOW * math.ceil(count / across) + below
    ):
        across += 1
    down = math.ceil(count / across)
    wide = styles.width() if count > 1 or styles.narrow() else 3.4 * scale
    figure = Figure((wide, styles.fitted(height * down + below)), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return figure, list(grid.flat[:count])


def leftmost(panels: list[Axes]) -> list[Axes]:
    """The panels that begin a row: a label of theirs serves the row."""
    return [axes for axes in panels if (place := axes.get_subplotspec()) is not None and place.is_first_col()]
