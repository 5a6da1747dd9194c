"""What of a panel of curves is in view: where its axis ends, what lies outside, and which curves lie on each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gsx.report.seeds import FEW, LOGARITHMIC

#: How far bands of few seeds may widen the axis on either side, as a share of what the lines span: of two seeds they are 13 times as wide
#: as the seeds are apart, and nothing else would be seen.
ROOM = 0.5
#: So many times wider than in the other three quarters an axis would have to be for the first one: it is then left out of view.
EARLY = 3
#: Curves closer than this share of the axis, less than a marker, are hardly told apart.
CLOSE = 0.02


@dataclass(frozen=True)
class View:
    """Limits of the y axis, and whether lines of the first quarter of the steps, or bands of few seeds, reach beyond them."""

    low: float
    high: float
    log: bool
    early: bool
    cut: bool

    def scaled(self, values: pd.Series) -> pd.Series:
        return _scaled(values, self.log)


def _scaled(values: pd.Series, log: bool) -> pd.Series:
    """What is not finite stands nowhere."""
    numbers = values.astype(float)
    numbers = numbers.where(np.isfinite(numbers))
    return np.log10(numbers.where(numbers > 0)) if log else numbers


def view(panel: pd.DataFrame) -> View | None:
    """None where there is no point to show.

    All single seeds and means are in view, and all intervals but those of few seeds, which may be too wide. On a linear axis what came in
    the first quarter may lie outside, if it is far away: curves are read where they end up.
    """
    log = panel["metric"].iloc[0] in LOGARITHMIC
    points = panel[panel["kind"].isin(["point", "some zero", "seed"])]
    points = points[_scaled(points["value"], log).notna()]
    if points.empty:
        return None
    scaled = points[["value", "ci_low", "ci_high"]].apply(_scaled, log=log)
    few = points["seeds"].between(2, FEW - 1)
    low, high = _span(scaled, few)
    late = points["step"] >= int(panel["step"].max()) / 4
    if not log and points.loc[late, "step"].nunique() >= 3:  # fewer are no curve
        least, most = _span(scaled[late], few[late])
        if high - low >= EARLY * (most - least):
            low, high = least, most
    pad = max(math.log10(1.05), 0.06 * (high - low)) if log else 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - pad, high + pad
    inside = scaled["value"].between(low, high)
    cut = few & inside & ((scaled["ci_low"] < low) | (scaled["ci_high"] > high))
    low, high = (10.0 ** max(low, -307), 10.0 ** min(high, 308)) if log else (low, high)  # within float64
    return View(low, high, log, early=not inside.all(), cut=bool(cut.any()))


def _span(scaled: pd.DataFrame, few: pd.Series) -> tuple[float, float]:
    sure = pd.concat([scaled["value"], scaled.loc[~few, "ci_low"], scaled.loc[~few, "ci_high"]])
    low, high = float(sure.min()), float(sure.max())
    room = ROOM * (high - low) or math.inf
    bands = scaled.loc[few, ["ci_low", "ci_high"]].clip(low - room, high + room)
    return float(np.fmin(low, bands["ci_low"].min())), float(np.fmax(high, bands["ci_high"].max()))


def alike(panel: pd.DataFrame, seen: View) -> list[tuple[tuple[str, ...], bool]]:
    """Series that are hardly told apart at any of their steps, and whether they are equal: the lower one is hidden."""
    low, high = seen.scaled(pd.Series([seen.low, seen.high]))
    means = panel[panel["kind"].isin(["point", "some zero", "zero"])]
    curves = {}
    for name, part in means.groupby("series", sort=False):
        values = seen.scaled(part.set_index("step")["value"]).sort_index()
        # Out of view all are alike. Zero stands on the axis, below all that has a logarithm.
        curves[str(name)] = values.fillna(low - (high - low)) if seen.log else values.clip(low, high)
    groups: list[tuple[list[str], bool]] = []
    for name, values in curves.items():
        for place, (members, equal) in enumerate(groups):
            first = curves[members[0]]
            if first.index.equals(values.index):
                gap = float((first - values).abs().max())
                if gap < CLOSE * (high - low):
                    members.append(name)
                    groups[place] = members, equal and np.allclose(first, values, rtol=1e-9, atol=0.0)
                    break
        else:
            groups.append(([name], True))
    return [(tuple(members), equal) for members, equal in groups if len(members) > 1]
