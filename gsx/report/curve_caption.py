"""What is said under a figure of curves: what its marks mean, of those that are drawn, and which curves hide each other or end early."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from gsx.report import notes
from gsx.report.curves import HIDDEN, thin

INTERVAL_NOTE = "Hollow markers with an arrow are upper ends of 95 % intervals that reach zero or below, which a log axis cannot show."
THIN_NOTE = "Where no band is seen, it is narrower than the line."
ZERO_NOTE = "Hollow markers on the axis: exactly zero."
MISSING_NOTE = "Crosses on the axis, where lines break: planned, and not there."


def marks(data: pd.DataFrame) -> str:
    """What the marks are that need a word, of those that are drawn."""
    points = data[data["kind"] == "point"]
    said = [THIN_NOTE] if any(thin(part) for _, part in points.groupby("statistic")) else []
    said += [INTERVAL_NOTE] if (data["kind"] == "upper limit").any() else []
    said += [ZERO_NOTE] if ((data["kind"] == "zero") & data["x"].notna()).any() else []
    said += [MISSING_NOTE] if (data["kind"] == "missing").any() else []
    return "".join(f"{note} " for note in said)


def coinciding(parts: Iterable[tuple[str, pd.DataFrame]]) -> str:
    """The series of each part of a figure, named by its place, of which one lies on another; a zero lies on a zero alone."""
    found: dict[str, list[str]] = {}
    for place, part in parts:
        held: list[tuple[list[str], dict[float, float]]] = []
        for series, own in part[part["kind"].isin(["point", "zero"]) & part["x"].notna()].groupby("series", sort=True):
            curve = dict(zip(own["x"].astype(float), own["value"].astype(float).where(own["kind"] == "point", 0.0), strict=True))
            names = next((names for names, other in held if _alike(curve, other)), None)
            if names is None:
                held.append(([str(series)], curve))
            else:
                names.append(str(series))
        for names, _ in held:
            if len(names) > 1:
                found.setdefault(notes.listed(names), []).append(place)
    told = [f"{names} ({', '.join(places)})" if any(places) else names for names, places in found.items()]
    return f"One lies on the other, within {HIDDEN:.0%}: {'; '.join(told)}. ".replace("%", " %") if told else ""


def _alike(a: dict[float, float], b: dict[float, float]) -> bool:
    return len(a) > 1 and a.keys() == b.keys() and all(abs(a[x] - b[x]) <= HIDDEN * max(a[x], b[x]) for x in a)


def shorter(data: pd.DataFrame, axis: str) -> str:
    """The curves that end before others do, because nothing was planned beyond."""
    ends = data[data["x"].notna()].groupby("series", sort=False)["x"].max().astype(float)
    found = [f"{notes.listed(list(part.index))} up to {axis} = {x:g}" for x, part in ends.groupby(ends) if x < ends.max()]
    return f"Measured no further: {'; '.join(found)}. " if found else ""
