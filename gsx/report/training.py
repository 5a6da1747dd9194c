"""Training curves: the objective of several estimators against each other, and gradients of several estimators along one trajectory."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gsx.report import axis, canvas, curves, ends, escape, styles
from gsx.report.canvas import GREY, Plot
from gsx.report.looks import ORDER, look
from gsx.report.trainings import Course, Trajectory
from gsx.statistics import student_t_quantile

#: Seeds below which Student's t is so wide that the single seeds say more.
FEW = 5
#: What is drawn on a log axis: its mean and interval over seeds are those of the logarithm.
LOGARITHMIC = ("variance", "snr")
NAMES = {"elbo": "ELBO", "bound": "multi-sample bound", "loss": "loss", "exact_loss": "exact loss", "variance": "gradient variance",
         "snr": "signal-to-noise ratio", "cosine": "cosine to the reference"}  # fmt: skip
OBJECTIVES = (("elbo", "train"), ("elbo", "valid"), ("elbo", "test"), ("bound", "test"), ("bound", "valid"))


def plots(course: Course) -> Iterator[Plot]:
    yield from _objectives(course)
    for trajectory in course.trajectories:
        yield from _trajectory(course, trajectory)


def _objectives(course: Course) -> Iterator[Plot]:
    """What was optimised against the step, and the variance that each estimator had on its own way."""
    of = [(t, t.curve[(t.curve["metric"] != "variance") | (t.curve["estimator"] == t.estimator)]) for t in course.trajectories]
    there = {(metric, split) for _, curve in of for metric, split in zip(curve["metric"], curve["split"], strict=True)}
    wanted = [pair for pair in OBJECTIVES if pair in there]
    if not wanted:
        losses = [(metric, split) for metric in ("exact_loss", "loss") for split in ("", "train") if (metric, split) in there]
        wanted = losses[:1]
    wanted = wanted[:3] + sorted(pair for pair in there if pair[0] == "variance")[:1]
    rows = [
        summary(curve[(curve["metric"] == metric) & (curve["split"] == split)]).assign(
            panel=place, metric=metric, split=split, series=t.label, estimator=t.estimator, run=t.name
        )
        for place, (metric, split) in enumerate(wanted)
        for t, curve in of
    ]
    yield from _plot(rows, f"training-{course.slug}", f"Training: {course.label}", f"Training of {course.label}.",
                     course.trajectories)  # fmt: skip


def _trajectory(course: Course, trajectory: Trajectory) -> Iterator[Plot]:
    """The estimators measured beside the one that trains, at the same parameters."""
    curve = trajectory.curve
    names = [name for name in dict.fromkeys(curve.loc[curve["metric"] == "variance", "estimator"]) if name]
    if len(names) < 2:
        return
    rows = []
    for place, metric in enumerate(("variance", "snr", "cosine")):
        for name in names:
            part = curve[(curve["metric"] == metric) & (curve["estimator"] == name)]
            split = part["split"].iloc[0] if len(part) else ""
            found = summary(part[part["split"] == split])
            series = name + (" (trains)" if name == trajectory.estimator else "")
            rows.append(found.assign(panel=place, metric=metric, split=split, series=series, estimator=name, run=trajectory.name))
    slug = f"trajectory-{escape.slug(trajectory.label)}-{course.slug}"
    title = f"Gradients along one trajectory: {course.label} trained with {trajectory.label}"
    lead = f"Gradient estimators at the same parameters, on the trajectory of {course.label} trained with {trajectory.label}."
    yield from _plot(rows, slug, title, lead, [trajectory])


def summary(points: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds at each step with its 95 % interval: Student t over seeds, of the logarithm where the axis is logarithmic.

    Of fewer than `FEW` seeds there is no interval, but a row of the kind `seed` for each. With one seed the interval is that of the
    measurement (1.96 standard errors), where it has one. That of a cosine ends at 1.
    """
    rows = []
    points = points.dropna(subset=["value"])
    for step, at in points.groupby("step", sort=True):
        metric = at["metric"].iloc[0]
        log = metric in LOGARITHMIC
        values = at["value"].to_numpy()
        row: dict[str, Any] = {"step": int(step), "seeds": len(values), "kind": "point"}
        if log and (values <= 0).any():
            zero = bool((values == 0).all())
            rows.append(row | {"value": 0.0 if zero else None, "ci_low": None, "ci_high": None, "kind": "zero" if zero else "absent"})
            continue
        numbers = np.log(values) if log else values
        mean, error = float(numbers.mean()), math.nan
        if 1 < len(values) < FEW:
            rows += [row | {"seed": seed, "value": value, "kind": "seed"} for seed, value in zip(at["seed"], values.tolist(), strict=True)]
        elif len(values) > 1:
            error = student_t_quantile(0.975, len(values) - 1) * float(numbers.std(ddof=1)) / math.sqrt(len(values))
        elif math.isfinite(at["se"].iloc[0]):
            error = 1.96 * float(at["se"].iloc[0]) / (abs(float(values[0])) if log else 1.0)
        back = math.exp if log else float
        low, high = (None, None) if math.isnan(error) else (back(mean - error), back(mean + error))
        if metric == "cosine" and low is not None and high is not None:
            low, high = max(low, -1.0), min(high, 1.0)
        rows.append(row | {"value": back(mean), "ci_low": low, "ci_high": high})
    return pd.DataFrame(rows, columns=["step", "seeds", "seed", "value", "ci_low", "ci_high", "kind"], dtype=object)


def _plot(rows: Sequence[pd.DataFrame], slug: str, title: str, lead: str, of: Sequence[Trajectory]) -> Iterator[Plot]:
    rows = [row for row in rows if len(row)]
    if not rows:
        return
    data = pd.concat(rows, ignore_index=True)
    seeds = sorted({seed for trajectory in of for seed in trajectory.seeds})
    interval, said = _intervals(data)
    samples = sorted({n for t in of if isinstance(n := t.config.get("num_samples"), int)})
    unfinished = [f"{t.label} ({t.status})" for t in of if t.status != "complete"]
    caption = (
        f"{lead} {said}Seeds {_span(seeds)}; {f'N = {_span(samples)} samples per estimate; ' if samples else ''}"
        f"{_span([int(data['step'].max())])} steps. The axis of an objective may leave out what it was in the first quarter of the steps. "
        f"{curves.ZERO_NOTE + ' ' if (data['kind'] == 'zero').any() else ''}"
        + (f"Not finished: {', '.join(unfinished)}." if unfinished else "")
    )  # fmt: skip
    yield Plot(slug, title, data, caption.strip(), functools.partial(draw, interval=interval))


def _intervals(data: pd.DataFrame) -> tuple[str, str]:
    """What is shaded, for the legend, and what lines and bands are, for the caption."""
    shaded = data[data["ci_low"].notna()]
    several = sorted({int(n) for n in shaded["seeds"] if n > 1})
    single = bool((shaded["seeds"] == 1).any())
    over = f"95 % interval over {_span(several)} seeds" if several else ""
    interval = " or ".join(filter(None, [over, "95 % interval of the measurement" if single else ""]))
    said = "Lines are means over seeds (of the logarithm for variance and SNR). " if (data["seeds"] > 1).any() else "One seed. "
    if several:
        said += "Shaded are 95 % intervals, Student t over seeds. "
    if (data["kind"] == "seed").any():
        said += (
            f"Thin lines are the single seeds: they are fewer than {FEW}, and an interval from so few would be too wide to tell anything. "
        )
    if single:
        said += "Of a single seed, shaded is the 95 % interval of the measurement (1.96 standard errors). "
    return interval, said


def _span(values: Sequence[int]) -> str:
    return ", ".join(map(str, values)) if len(values) <= 8 else f"{values[0]} … {values[-1]}"


def draw(data: pd.DataFrame, interval: str) -> Figure:
    parts = [part for _, part in data.groupby("panel", sort=True)]
    series = sorted(set(zip(data["series"], data["estimator"], strict=True)), key=lambda item: (ORDER.get(_plain(item[1]), 99), item))
    ranks: dict[str, list[str]] = {}
    for name, estimator in series:
        ranks.setdefault(_plain(estimator), []).append(name)
    looks = {name: look(_plain(estimator), ranks[_plain(estimator)].index(name)) for name, estimator in series}
    crowded = len(series) > curves.MOST_IN_LEGEND
    figure, panels = canvas.panels(len(parts), least=3.2 if crowded else 2.2, most=2 if crowded or len(parts) in (2, 4) else 3)
    for axes, part in zip(panels, parts, strict=True):
        _panel(axes, part, looks, crowded)
    entries: list[tuple[Any, str]] = []
    if not crowded:
        for name, _ in series:
            style = looks[name]
            entries.append((Line2D([], [], color=style.colour, marker=style.marker, linestyle=style.line), escape.figure(name)))
    if interval:
        entries.append((Patch(facecolor=GREY, alpha=0.3, linewidth=0), interval))
    if (data["kind"] == "seed").any():
        entries.append((Line2D([], [], color=GREY, linewidth=0.6 * styles.scale()), "single seeds"))
    if (data["kind"] == "zero").any():
        entries.append((Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none"), "zero"))
    if entries:
        curves.below(figure, entries)
    return figure


def _plain(estimator: str) -> str:
    """The name alone: a probe may carry settings behind it."""
    found = re.match(r"\w+", estimator)
    return found.group() if found else estimator


def _panel(axes: Axes, data: pd.DataFrame, looks: dict[str, Any], crowded: bool) -> None:
    metric, split = data["metric"].iloc[0], data["split"].iloc[0]
    axes.set_title(NAMES.get(metric, metric) + (f", {split}" if split and metric in ("elbo", "bound") else ""), loc="left")
    axes.set_xlabel("step")
    last = int(data["step"].max())
    axes.set_xlim(0, last * 1.01 or 1)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", "\u202f")))
    points = data[data["kind"].isin(["point", "seed"])].assign(kind="point")
    if points.empty:
        axes.text(
            0.5, 0.5, "zero throughout" if (data["kind"] == "zero").any() else "none", transform=axes.transAxes, ha="center", color=GREY
        )
        axes.set_yticks([])
        return
    if metric in LOGARITHMIC:
        axis.log_axis(axes, "y", *(curves.limits(points, 1.3) or (0.1, 1.0)))
    else:
        _linear(axes, points, last)
    named = []
    for name, part in data.groupby("series", sort=True):
        style, part = looks[name], part.sort_values("step")
        for _, seed in part[part["kind"] == "seed"].groupby("seed"):
            thin: dict[str, Any] = {"color": style.colour, "linewidth": 0.6 * styles.scale(), "alpha": 0.6, "zorder": 2}
            axes.plot(seed["step"].to_numpy(dtype=float), seed["value"].to_numpy(dtype=float), **thin)
        part = part[part["kind"] != "seed"]
        x = part["step"].to_numpy(dtype=float)
        value, low, high = (
            part[column].astype(float).where(part["kind"] == "point").to_numpy() for column in ("value", "ci_low", "ci_high")
        )
        some = max(1, len(x) // 8)
        axes.plot(x, value, color=style.colour, marker=style.marker, linestyle=style.line, markevery=some, zorder=3)
        axes.fill_between(x, low, high, color=style.colour, alpha=0.2, linewidth=0, zorder=2)
        zero = x[(part["kind"] == "zero").to_numpy()][::some]
        if len(zero):
            hollow: dict[str, Any] = {"color": style.colour, "marker": style.marker, "markerfacecolor": "white", "linestyle": "none"}
            axes.plot(zero, 0 * zero, transform=axes.get_xaxis_transform(), clip_on=False, zorder=5, **hollow)
        if np.isfinite(value).any():
            at = int(np.flatnonzero(np.isfinite(value))[-1])
            named.append(ends.End(str(name), float(x[at]), float(value[at]), style))
    if crowded:
        ends.name_ends(axes, named)


def _linear(axes: Axes, points: pd.DataFrame, last: int) -> None:
    """Limits that show where the curves end up: what came in the first quarter may lie outside, if it is far away."""

    def span(part: pd.DataFrame) -> tuple[float, float]:
        edges = part[["value", "ci_low", "ci_high"]].astype(float)
        return float(edges.min().min()), float(edges.max().max())

    late = points[points["step"] >= last / 4]
    (low, high), (least, most) = span(late if len(late) else points), span(points)
    if most - least < 4 * (high - low):
        low, high = least, most
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_ylim(low - pad, high + pad)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.ticklabel_format(axis="y", useOffset=False)
