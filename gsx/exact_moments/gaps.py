"""The mean and the variance of a function of one categorical's Gumbel noise that asks only how far the others are behind the winner.

Latents l_c = log p_c + G_c: that k wins, and each other is at least d_c behind, has the probability p_k / S, S = p_k + sum_c p_c e^{d_c}
(McFadden 1974). Hence the density of winner and gaps is p_k (C - 1)! prod_c p_c e^{d_c} / S^C: one number less than there are uniforms, and
the jumps, which are where the winner changes, are at its border.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from gsx.exact_moments import integral
from gsx.exact_moments.axes import Axis, Ranking, anywhere
from gsx.exact_moments.integral import Function, Integral

#: Nodes of a gap d = START (e^v - 1), Gauss-Legendre in v: what is steep at the border, at a low temperature, and the slow fall of the law
#: far from it take about as many. A gap beyond the furthest has a probability below 1e-11 / p.
ORDERS, START, FURTHEST = (28, 36, 44, 52, 58, 64, 80, 100), 0.4, 26.0
#: Points at which a shift of all latents must change nothing, relative to the largest gradient.
TRIES, SAME = 256, 1e-8


def by_gaps(function: Function, axes: Sequence[Axis], base: np.ndarray) -> Integral | None:
    """Over one ranking, all other numbers at ``base [d]``; None where the function asks more, or no order settles."""
    ranking = axes[0]
    if len(axes) > 1 or not isinstance(ranking, Ranking) or len(ranking.possible) < len(ranking.positions):
        return None
    at = anywhere(axes, TRIES, len(base), np.random.default_rng(6), base)
    shifted = at.copy()
    shifted[:, ranking.positions] **= 2  # all Gumbels less log 2
    values = function(at)
    if np.abs(function(shifted) - values).max() > SAME * np.abs(values).max():
        return None
    count, width = len(ranking.positions), max(len(base), values.shape[1])
    previous: Integral | None = None
    for nodes in ORDERS:
        points = count * nodes ** (count - 1)
        if points > count * integral.MOST_POINTS or points * width > integral.MOST_NUMBERS:
            return None
        u, weight = _nodes(np.exp(ranking.log_p), nodes)
        at = np.tile(base, (points, 1))
        at[:, ranking.positions] = u
        how = f"quadrature over the gaps of {count} outcomes, {' x '.join([str(nodes)] * (count - 1))} nodes for each winner"
        current = integral.moments(function(at), weight / weight.sum(), 0.0, how)
        error = math.inf if previous is None else integral.difference(current, previous)
        if error <= integral.AGREEMENT and not integral.refuted(function, axes, base, current):
            return dataclasses.replace(current, error=error)
        previous = current
    return None


def _nodes(p: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """The C uniforms ``[n, C]`` of each winner and its gaps, and their weights."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    half = math.log1p(FURTHEST / START) / 2
    gap, step = START * np.expm1((x + 1) * half), w * half * START * np.exp((x + 1) * half)
    others = len(p) - 1
    growth = np.stack(np.meshgrid(*[np.exp(gap)] * others, indexing="ij"), -1).reshape(-1, others)
    steps = functools.reduce(np.multiply.outer, [step] * others).ravel()
    # What of the hazard falls to each outcome: u_c = exp(-e^-G_c), and e^-G_c is p_c e^{d_c}, but for what all share.
    rates = np.concatenate([p * np.insert(growth, winner, 1.0, 1) for winner in range(len(p))])
    hazard = rates / rates.sum(1, keepdims=True)
    weight = np.tile(steps, len(p)) * math.factorial(others) * hazard.prod(1)
    return np.exp(-np.maximum(hazard, 2.0**-52)), weight
