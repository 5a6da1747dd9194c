"""Tails and quantiles of Student's t and Snedecor's F, whose degrees of freedom need not be whole numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable


def incomplete_beta(a: float, b: float, x: float, complement: float) -> float:
    """The regularised incomplete beta function I_x(a, b), to relative precision; ``complement`` is 1 - x, free of cancellation.

    The continued fraction of Abramowitz & Stegun 26.5.8 by Lentz's method; it needs O(sqrt(max(a, b))) terms on its own side of the mean.
    """
    if x <= 0.0 or complement <= 0.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, complement, x)
    tiny = 1e-300
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1) or tiny)
    fraction = d
    for m in range(1, 100_000):
        step = 1.0
        for term in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d = 1.0 / (1.0 + term * d or tiny)
            c = 1.0 + term / c or tiny
            step *= c * d
        fraction *= step
        if abs(step - 1.0) < 1e-15:
            break
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log(complement) - log_beta) * fraction / a


def f_tail(x: float, numerator: float, denominator: float) -> float:
    """P(F > x) for Snedecor's F with real degrees of freedom, x >= 0."""
    total = denominator + numerator * x
    return incomplete_beta(denominator / 2, numerator / 2, denominator / total, numerator * x / total)


def student_t_tail(t: float, degrees: float) -> float:
    """P(T > t) for Student's t; T^2 is F(1, degrees)."""
    tail = f_tail(t * t, 1.0, degrees) / 2
    return tail if t >= 0 else 1.0 - tail


def _solve_tail(tail: Callable[[float], float], probability: float) -> float:
    """The x >= 0 at which a falling ``tail`` reaches ``probability``, by bisection to 1e-10 of x."""
    low, high = 0.0, 1.0
    while tail(high) > probability:
        low, high = high, 2 * high
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) > probability else (low, middle)
    return (low + high) / 2


@functools.lru_cache(maxsize=256)
def f_quantile(p: float, numerator: float, denominator: float) -> float:
    """The x with P(F <= x) = p, 0 < p < 1."""
    return _solve_tail(lambda x: f_tail(x, numerator, denominator), 1.0 - p)


@functools.lru_cache(maxsize=256)
def student_t_quantile(p: float, degrees: float) -> float:
    """The t with P(T <= t) = p, 0 < p < 1."""
    if p < 0.5:
        return -student_t_quantile(1.0 - p, degrees)
    return _solve_tail(lambda t: student_t_tail(t, degrees), 1.0 - p)
