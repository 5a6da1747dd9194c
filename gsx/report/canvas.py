"""From a plot to files: PNG, PDF, SVG, the data drawn and the caption; same data, same bytes."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from gsx.report import tables
from gsx.store import atomic_write

COLUMN, PAGE = 3.4, 7.0  # inches: one column of a two-column page, and its full width
GREY = "#666666"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # publishers refuse Type 3
    "svg.hashsalt": "gsx",  # else the ids in an SVG are random
    "text.hinting": "none",  # widths then scale with the resolution, and one layout serves all three formats
    "figure.dpi": 200,
}
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


@contextmanager
def style() -> Iterator[None]:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's matplotlibrc must not change the bytes
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]  # names as plain text
        yield


def save(plot: Plot, folder: Path) -> list[Path]:
    """Writes the five files and returns their paths."""
    content = {"csv": tables.csv(plot.frame).encode(), "txt": (plot.caption + "\n").encode()}
    with style():
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
        atomic_write(written[-1], content[kind])
    return written


def log_axis(axes: Axes, which: str, low: float, high: float, ticks: list[float] | None = None) -> None:
    """A log axis from low to high (both positive) whose ticks can be read however short it is: 10ⁿ, then 1-3, 1-2-5, then every digit."""
    axis: Axis = axes.xaxis if which == "x" else axes.yaxis
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(low, high)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
    major = ticks or _log_ticks(low, high)
    plain = all(1e-3 <= value < 1e4 for value in major)  # else powers of ten for all: a mixture is hard to read
    axis.set_major_locator(FixedLocator(major))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if plain else tick(value)))
    minor = [digit * 10.0**power for power in _powers(low, high) for digit in range(1, 10)]
    axis.set_minor_locator(FixedLocator([value for value in minor if value not in major] if len(minor) < 50 and not ticks else []))
    axis.set_minor_formatter(NullFormatter())


def _powers(low: float, high: float) -> range:
    return range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)


def _log_ticks(low: float, high: float) -> list[float]:
    powers = _powers(low, high)
    decades = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(decades) >= 3:
        return decades[:: math.ceil(len(decades) / 7)]
    for digits in ((1, 3), (1, 2, 5), tuple(range(1, 10))):
        # Through text, so that 3e-5 is the double a reader would type.
        found = [v for power in powers for digit in digits if low <= (v := float(f"{digit}e{power}")) <= high]
        if 3 <= len(found) <= 7:
            return found
    step = 10.0 ** math.floor(math.log10(high - low))
    step *= next(factor for factor in (0.2, 0.5, 1.0, 2.0, 5.0) if (high - low) / (step * factor) <= 5)
    return [float(f"{i * step:.6g}") for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def tick(value: float) -> str:
    """3e-5 as 3×10⁻⁵, in plain text: mathtext would take a third of the time of a figure."""
    mantissa, _, exponent = f"{value:e}".partition("e")
    digits = f"{float(mantissa):g}"
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    return power if digits == "1" else f"{digits}×{power}"


def measured_ticks(values: list[float]) -> list[float] | None:
    """The measured values as the ticks of a log axis, where they are few and far enough apart; else None."""
    if not 2 <= len(values) <= 8:
        return None
    gaps = [math.log(b / a) for a, b in itertools.pairwise(values)]
    return values if min(gaps) > 0.07 * sum(gaps) else None
