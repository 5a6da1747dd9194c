"""Where a figure will stand: its width and the size of its letters there, and with them everything else that is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As it is imported it reads the matplotlibrc of the current folder, which may be a stranger's: a pipe, or a file without end.
with chdir(Path(__file__).anchor):
    import matplotlib


@dataclass(frozen=True)
class Style:
    """Inches and points at the final size: a figure is never scaled afterwards."""

    width: float
    height: float  # at most
    font: float
    where: str


STYLES = {
    "page": Style(7.0, 9.0, 8, "the full width of a two-column page"),
    "column": Style(3.4, 9.0, 7.5, "one column of a two-column page"),
    "neurips": Style(5.5, 8.5, 8, "the text width of NeurIPS and ICLR"),
    "icml": Style(3.25, 8.7, 7, "one column of ICML"),
    "slides": Style(13.33, 7.5, 14, "a slide of 16:9, the whole of it"),
}

_COMMON: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # publishers refuse Type 3
    "svg.hashsalt": "gsx",  # else the ids in an SVG are random
    "text.hinting": "none",  # widths then scale with the resolution, and one layout serves all three formats
}
#: Points, at letters of 8 points.
_SIZES = {
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.8,
    "ytick.minor.size": 1.8,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "hatch.linewidth": 0.6,
}
_LETTERS = {"font.size": 1.0, "axes.titlesize": 1.0, "axes.labelsize": 1.0, "figure.titlesize": 1.0, "legend.fontsize": 0.94,
            "xtick.labelsize": 0.94, "ytick.labelsize": 0.94}  # fmt: skip


@contextmanager
def use(name: str) -> Iterator[None]:
    """Everything drawn inside is drawn for there; a user's matplotlibrc must not change the bytes."""
    style = STYLES[name]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        sizes = {key: size * style.font / 8 for key, size in _SIZES.items()} | {key: share * style.font for key, share in _LETTERS.items()}
        own = {"figure.figsize": (style.width, style.height), "figure.dpi": 200 if style.font <= 10 else 120}
        matplotlib.rcParams.update(_COMMON | sizes | own)  # type: ignore[arg-type]  # names as plain text
        yield


def width() -> float:
    """Of the figure, in inches."""
    return float(matplotlib.rcParams["figure.figsize"][0])


def fitted(height: float) -> float:
    """A height in inches on a page, in inches where the figure will stand: it shrinks to what there is."""
    return min(scale() * height, float(matplotlib.rcParams["figure.figsize"][1]))


def scale() -> float:
    """The size of letters, lines and gaps over that on a page."""
    return float(matplotlib.rcParams["font.size"]) / 8


def narrow() -> bool:
    """Whether panels stand one under another."""
    return width() / scale() < 5.2


def small() -> float:
    """Points of a remark inside a panel."""
    return 0.84 * float(matplotlib.rcParams["font.size"])
