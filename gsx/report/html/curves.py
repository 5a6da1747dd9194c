"""The curves of one training, small: a line for each seed, as paths and labels that the page's script puts into a drawing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from gsx.report import escape, rounding
from gsx.report.seeds import LOGARITHMIC
from gsx.report.training_caption import NAMES
from gsx.report.trainings import Trajectory

WIDTH, HEIGHT = 360, 150
LEFT, RIGHT, TOP, BOTTOM = 58, 8, 8, 22
#: Seeds that are drawn, and points of each.
MOST_SEEDS, MOST_POINTS = 8, 120
#: What was optimised, best first, and on what; of one training there is one of them.
_OBJECTIVES = (
    *((metric, split) for split in ("test", "valid", "train") for metric in ("elbo", "log_likelihood_bound")),
    *(("exact_loss", ""), ("loss", "train"), ("loss", "")),
)


def of(trajectory: Trajectory) -> list[dict[str, Any]]:
    """What it optimised, and the variance of the gradient that it went along; empty where there is no curve."""
    curve = trajectory.curve
    there = set(zip(curve["metric"], curve["split"], strict=True))
    objective = [pair for pair in _OBJECTIVES if pair in there][:1]
    drawn: list[dict[str, Any]] = []
    for metric, split in objective:
        drawn += _drawing(curve[(curve["metric"] == metric) & (curve["split"] == split)], ", ".join(filter(None, [NAMES[metric], split])))
    own = curve[(curve["metric"] == "variance") & (curve["estimator"] == trajectory.estimator)]
    return drawn + list(_drawing(own, f"{NAMES['variance']}, {trajectory.estimator}"))


def _drawing(points: pd.DataFrame, title: str) -> Iterator[dict[str, Any]]:
    metric = points["metric"].iloc[0] if len(points) else ""
    log = metric in LOGARITHMIC
    points = points[points["value"].map(math.isfinite) & ((points["value"] > 0) | (not log))]
    if points["step"].nunique() < 2:
        return
    seeds = sorted(points["seed"].unique())[:MOST_SEEDS]
    points = points[points["seed"].isin(seeds)]
    values = points["value"].map(math.log10) if log else points["value"]
    last, low, high = int(points["step"].max()), float(values.min()), float(values.max())
    if not math.isfinite(high - low):
        return
    reach = high - low or 1.0

    def place(step: float, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * step / last
        return f"{x:.1f} {HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / reach:.1f}"

    lines = [f"M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"]
    for seed in seeds:
        own = points["seed"] == seed
        told = sorted(zip(points.loc[own, "step"], values[own], strict=True))
        stride = math.ceil(len(told) / MOST_POINTS)
        kept = told[::-stride][::-1]  # the last one is always among them
        lines.append("M" + "L".join(place(step, value) for step, value in kept))
    ends = [10**end if log else end for end in (low, high)]
    labels: list[tuple[float, float, str, str]] = [
        (LEFT - 4, HEIGHT - BOTTOM, "end", rounding.concise(ends[0])),
        (LEFT, HEIGHT - 6, "start", "0"),
        (WIDTH - RIGHT, HEIGHT - 6, "end", f"step {last}"),
    ]
    if high > low:
        labels.append((LEFT - 4, TOP + 8, "end", rounding.concise(ends[1])))
    scale = ", log scale" if log else ""
    several = f", a line for each of {len(seeds)} seeds" if len(seeds) > 1 else ""
    yield {"title": escape.line(f"{title}{scale}{several}"), "width": WIDTH, "height": HEIGHT, "lines": lines, "labels": labels}
