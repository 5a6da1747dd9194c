"""Log axes whose ticks can be read, however short or long they are."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def log_axis(axes: Axes, which: str, low: float, high: float, ticks: Sequence[float] | None = None) -> None:
    """A log axis from low to high (both positive), with these ticks or with decades, 1-3, 1-2-5 or a few even steps."""
    axis: Axis = axes.xaxis if which == "x" else axes.yaxis
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(low, high)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
    major = list(ticks or _log_ticks(low, high))
    plain = all(1e-3 <= value < 1e4 for value in major)  # else powers of ten for all: a mixture is hard to read
    axis.set_major_locator(FixedLocator(major))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if plain else tick(value)))
    minor = [digit * 10.0**power for power in _powers(low, high) for digit in range(1, 10)]
    axis.set_minor_locator(FixedLocator([value for value in minor if value not in major] if len(minor) < 50 and not ticks else []))
    axis.set_minor_formatter(NullFormatter())


def _powers(low: float, high: float) -> range:
    return range(math.floor(math.log10(low)), min(math.ceil(math.log10(high)), sys.float_info.max_10_exp - 1) + 1)


def _log_ticks(low: float, high: float) -> list[float]:
    powers = _powers(low, high)
    decades = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(decades) >= 3:
        return decades[:: math.ceil(len(decades) / 6)]
    for digits in ((1, 3), (1, 2, 5), tuple(range(1, 10))):
        # Through text, so that 3e-5 is the double a reader would type.
        found = [v for power in powers for digit in digits if low <= (v := float(f"{digit}e{power}")) <= high]
        if 3 <= len(found) <= 7:
            return _apart(found, math.log(high / low) / 7)
    step = 10.0 ** math.floor(math.log10(high - low))
    step *= next(factor for factor in (0.2, 0.5, 1.0, 2.0, 5.0) if (high - low) / (step * factor) <= 5)
    return [float(f"{i * step:.6g}") for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _apart(values: Sequence[float], least: float) -> list[float]:
    """Those of the values whose logarithms are at least so far from the last one kept: 0.006 and 0.007 would stand on each other."""
    kept: list[float] = []
    for value in values:
        if not kept or math.log(value / kept[-1]) >= least:
            kept.append(value)
    return kept


def tick(value: float) -> str:
    """3e-5 as 3×10⁻⁵, in plain text: mathtext would take a third of the time of a figure."""
    mantissa, _, exponent = f"{abs(value):e}".partition("e")
    digits = f"{float(mantissa):g}"
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    return ("−" if value < 0 else "") + (power if digits == "1" else f"{digits}×{power}")


def measured_ticks(values: Sequence[float], most: int = 8, log: bool = True) -> list[float] | None:
    """The measured values as the ticks of an axis: all, every second one, ...; None where they are too few, lie too close or too
    unevenly, or take more than two digits and are not whole, as those of a log grid."""
    if any(float(f"{value:.2g}") != value != int(value) for value in values):
        return None
    gaps = [math.log(b / a) if log else b - a for a, b in itertools.pairwise(values)]
    # Of an uneven grid, some values picked out by their number would be odd ticks.
    even = bool(gaps) and max(gaps) < 1.5 * min(gaps)
    for stride in range(1, 5 if even else 2):
        shown = list(values[::stride])
        if 2 <= len(shown) <= most and stride * min(gaps) > 0.8 * sum(gaps) / most:
            return shown
    powers = [value for value in values if value > 0 and math.log2(value) % 1 == 0]
    return powers if log and len(powers) >= 3 and all(value == int(value) for value in values) else None
