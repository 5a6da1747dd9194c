"""A number and its error, rounded together: ``1.234(5)e-3`` is 0.001234 with a standard error of 0.000005."""

from __future__ import annotations

import math
import re
from decimal import Decimal, localcontext

#: Stands where a number does not exist.
ABSENT = "–"


def concise(value: float | None, se: float | None = None) -> str:
    """The value to the digit its standard error reaches; four digits where there is no error or it is zero.

    The digits in brackets count in units of the last digit before them. An error keeps two digits where the first is a 1, else one; below
    the eighth digit of the value it is rounded up to 1 there, because float32 arithmetic reaches no further.
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    # Below 1e-15 of the value an error is smaller than the last bit of the double it belongs to.
    if se is None or not math.isfinite(se) or se <= 1e-15 * abs(value):
        return _without_error(value)
    with localcontext(prec=60):
        error = Decimal(se)
        leading = error.adjusted()
        place = leading - (1 if str(error.scaleb(-leading))[0] == "1" else 0)
        place = max(place, Decimal(value).adjusted() - 7 if value else place)
        if not -300 < place < 300:  # subnormal or absurd: beyond what quantize can hold
            return _without_error(value)
        unit = Decimal(1).scaleb(place)
        number = Decimal(value).quantize(unit)
        error = max(error.quantize(unit), unit)
        top = max(error.adjusted(), number.adjusted() if number else place)
        # Fixed notation while it is short and its last digit is not left of the point, where (5) would be read as units.
        exponent = 0 if place <= 0 and -2 <= top <= 3 else top
        digits = f"{abs(number).scaleb(-exponent):.{exponent - place}f}"
        sign = "-" if number < 0 else ""
        return f"{sign}{digits}({int(error.scaleb(-place))})" + (f"e{exponent}" if exponent else "")


def _without_error(value: float) -> str:
    """Four significant digits, written as the ones with errors are: ``1.5e-5``, not ``1.5e-05``."""
    return _plain(f"{value:.4g}")


def _plain(text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    return ("0" if float(mantissa) == 0 else mantissa) + (f"e{int(exponent)}" if exponent else "")


def beside(value: float, se: float | None) -> str:
    """To the digit that ``concise`` gives a value with that error, but without it: the end of its interval."""
    if not math.isfinite(value):
        return f"{'-' if value < 0 else ''}∞"
    return "0" if value == 0 else re.sub(r"\(\d+\)", "", concise(value, se))


def ends(ci: tuple[float, float] | None, se: float | None) -> str:
    """An interval, to the digit that its value is given to: ``[1.21, 1.26]``."""
    return ABSENT if ci is None else f"[{beside(ci[0], se)}, {beside(ci[1], se)}]"


def given(value: float) -> str:
    """A number that somebody wrote down, as they did: ``0.24904``."""
    return _plain(f"{value:.12g}")


def latex(value: float | None, se: float | None = None) -> str:
    r"""The same for siunitx: ``\num{1.234(5)e-3}``."""
    text = concise(value, se)
    return "--" if text == ABSENT else rf"\num{{{text}}}"
