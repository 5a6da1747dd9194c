"""The ball around an estimated vector that holds the truth, and the interval of a squared length that it gives."""

from __future__ import annotations

import math

import numpy as np

from gsx.statistics.jackknife import CONFIDENCE
from gsx.statistics.tails import f_quantile


def error_radius(deviation: np.ndarray, known_se: np.ndarray, *, total: float | None = None, across: np.ndarray | None = None) -> float:
    """The radius c of a ball around a vector's estimate that holds the truth with probability 0.95.

    The error's squared length is a sum of lambda_i chi^2_1 over the eigenvalues of its covariance; with two moments matched
    (Satterthwaite 1946) it is V chi^2_nu / nu, where V = sum lambda, nu = V^2 / sum lambda^2, so that::

        c^2 = V F_{0.95; nu, (G - 1) nu}

    For one coordinate F is Student's t^2 of G - 1 degrees of freedom; for many, c^2 tends to V, where t^2 V would be four times too large.

    Args:
        deviation: [G, P], see `Pool`: what the error's covariance is estimated from.
        known_se: [P], the standard deviations of a further error, independent of it and between coordinates.
        total: V, where it is known better than from these two.
        across: [P], a unit vector: only the part of the further error that is orthogonal to it counts (``deviation`` comes so already).
    """
    total, dimension, degrees = error_shape(deviation, known_se, total=total, across=across)
    return math.sqrt(total * f_quantile(CONFIDENCE, dimension, degrees * dimension)) if total > 0 else 0.0


def error_shape(
    deviation: np.ndarray, known_se: np.ndarray, *, total: float | None = None, across: np.ndarray | None = None
) -> tuple[float, float, int]:
    """``(V, nu, G - 1)`` of the error that `error_radius` bounds: its squared length is V chi^2_nu / nu."""
    degrees = max(len(deviation) - 1, 1)
    gram = deviation @ deviation.T  # [G, G], with the non-zero eigenvalues of the covariance; P x P would not fit
    trace, square = float(np.trace(gram)), float((gram**2).sum())
    if degrees > 1:  # tr(S^2) overshoots tr(Sigma^2) by the noise of S; for normal means this takes it away
        square = (square - trace**2 / degrees) * degrees**2 / ((degrees - 1) * (degrees + 2))
    known = known_se**2
    lost = np.zeros_like(known) if across is None else known * across**2
    trace += float(known.sum() - lost.sum())
    square += float((known**2).sum() - 2 * (lost * known).sum() + lost.sum() ** 2 + 2 * ((deviation**2).sum(0) * known).sum())
    size = deviation.shape[1]
    dimension = min(max(trace**2 / square, 1.0), size) if square > 0 else size
    return trace if total is None else total, dimension, degrees


def squared_length_se(jackknife: float, total: float, dimension: float) -> float:
    """The standard error of |estimate|^2 - V, for an estimate b + error with the error's squared length V chi^2_nu / nu.

    Its variance is 4 b' Sigma b + 2 V^2 / nu. The jackknife's square estimates 4 (b + error)' Sigma (b + error), which is 4 V^2 / nu too
    large on average and, where b is small, follows the error itself: small errors would claim to be exact. What is over is taken away.
    """
    noise = total**2 / dimension
    return math.sqrt(2 * noise + max(jackknife**2 - 4 * noise, 0.0))


def squared_length(vector: np.ndarray, c: float) -> tuple[float, float]:
    """The interval [max(0, b - c)^2, (b + c)^2] of a squared length, b = |vector|, c the radius of its error.

    By the triangle inequality it covers at least 95 %, and just 95 % where the true length is 0: it holds 0 exactly if b <= c.
    """
    b = float(np.linalg.norm(vector))
    return max(0.0, b - c) ** 2, (b + c) ** 2
