"""Training curves: the objective of several estimators against each other, and gradients of several estimators along one trajectory."""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gsx.report import axis, canvas, curves, ends, escape, legend, styles
from gsx.report.canvas import GREY, Plot
from gsx.report.looks import ORDER, look
from gsx.report.seeds import summary
from gsx.report.training_caption import BOUNDS, NAMES, caption, interval
from gsx.report.trainings import Course, Trajectory
from gsx.report.view import view

OBJECTIVES = (("elbo", "train"), ("log_likelihood_bound", "train"), ("elbo", "test"), ("log_likelihood_bound", "test"), ("bound", "test"),
              ("elbo", "valid"), ("log_likelihood_bound", "valid"), ("bound", "valid"))  # fmt: skip
#: What the y axis holds, beside the title of a panel.
UNITS = dict.fromkeys(BOUNDS, "nats") | {"loss": "loss", "exact_loss": "loss", "variance": "variance", "snr": "ratio", "cosine": "cosine"}


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
    samples = {t.label: n for t in course.trajectories if (n := t.samples.get(t.estimator))}
    maximised = any(t.config.get("maximize") for t in course.trajectories)
    rows = []
    for place, (metric, split) in enumerate(wanted):
        for t, curve in of:
            told = {"series": _named(t.label, samples), "estimator": t.estimator, "num_samples": samples.get(t.label), "run": t.name}
            rows.append(_rows(curve, place, metric, split, maximised).assign(**told))
    own = " Gradients are each estimator's own, at the parameters it led to." if wanted and wanted[-1][0] == "variance" else ""
    lead = f"Training of {course.label}.{own}"
    yield from _plot(rows, f"training-{course.slug}", f"Training: {course.label}", lead, course.trajectories, samples, course.absent)


def _trajectory(course: Course, trajectory: Trajectory) -> Iterator[Plot]:
    """The estimators measured beside the one that trains, at the same parameters."""
    curve, samples = trajectory.curve, trajectory.samples
    names = [name for name in dict.fromkeys(curve.loc[curve["metric"] == "variance", "estimator"]) if name]
    if len(names) < 2:
        return
    rows = []
    for place, metric in enumerate(("variance", "snr", "cosine")):
        for name in names:
            part = curve[(curve["metric"] == metric) & (curve["estimator"] == name)]
            series = _named(name, samples)
            if name == trajectory.estimator:
                series = escape.line(series, 39) + " (trains)"  # so that a legend has room for this too
            found = _rows(part, place, metric, part["split"].iloc[0] if len(part) else "")
            rows.append(found.assign(series=series, estimator=name, num_samples=samples.get(name), run=trajectory.name))
    slug = f"trajectory-{escape.slug(trajectory.label)}-{course.slug}"
    title = f"Gradients along one trajectory: {course.label} trained with {trajectory.label}"
    lead = f"Gradient estimators at the same parameters, on the trajectory of {course.label} trained with {trajectory.label}."
    yield from _plot(rows, slug, title, lead, [trajectory], {name: samples[name] for name in names if name in samples})


def _named(label: str, samples: Mapping[str, int]) -> str:
    """With its N where those of a figure differ."""
    differ = len(set(samples.values())) > 1 and label in samples and "N=" not in label
    return f"{label} N={samples[label]}" if differ else label


def _rows(curve: pd.DataFrame, panel: int, metric: str, split: str, maximised: bool = False) -> pd.DataFrame:
    found = summary(curve[(curve["metric"] == metric) & (curve["split"] == split)])
    name = NAMES.get(metric, metric)
    title = (name.replace("loss", "objective, maximised") if maximised else name) + (f", {split}" if split and metric in BOUNDS else "")
    return found.assign(panel=panel, title=title, metric=metric, split=split)


def _plot(
    rows: Sequence[pd.DataFrame],
    slug: str,
    title: str,
    lead: str,
    of: Sequence[Trajectory],
    samples: Mapping[str, int],
    absent: Sequence[str] = (),
) -> Iterator[Plot]:
    rows = [row for row in rows if len(row)]
    if rows:
        data = pd.concat(rows, ignore_index=True)
        yield Plot(slug, title, data, caption(lead, data, of, samples, absent), functools.partial(draw, interval=interval(data)))


def draw(data: pd.DataFrame, interval: str) -> Figure:
    parts = [part for _, part in data.groupby("panel", sort=True)]
    series = sorted(set(zip(data["series"], data["estimator"], strict=True)), key=lambda item: (ORDER.get(_plain(item[1]), 99), item))
    ranks: dict[str, list[str]] = {}
    for name, estimator in series:
        ranks.setdefault(_plain(estimator), []).append(name)
    looks = {name: look(_plain(estimator), ranks[_plain(estimator)].index(name)) for name, estimator in series}
    crowded = len(series) > curves.MOST_IN_LEGEND
    entries: list[tuple[Any, str]] = []
    for name, _ in [] if crowded else series:
        entries.append((Line2D([], [], **looks[name].drawn), escape.figure(name)))
    if interval:
        entries.append((Patch(facecolor=GREY, alpha=0.3, linewidth=0), interval))
    if (data["kind"] == "seed").any():
        entries.append((Line2D([], [], color=GREY, linewidth=0.6 * styles.scale()), "single seeds"))
    hollow: dict[str, Any] = {"color": GREY, "marker": "o", "markerfacecolor": "white"}
    if (data["kind"] == "some zero").any():
        entries.append((Line2D([], [], **hollow), "some seeds zero"))
    if (data["kind"] == "zero").any():
        entries.append((Line2D([], [], linestyle="none", **hollow), "zero, on the axis"))
    # Where there is one panel in a row, the legend may have one column.
    below = 0.6 + 0.16 * len(entries) if len(parts) == 1 or styles.narrow() else 0.9
    most = 2 if crowded or len(parts) in (2, 4) else 3
    figure, panels = canvas.panels(len(parts), least=3.2 if crowded else 2.2, most=most, below=below)
    for axes, part, letter in zip(panels, parts, string.ascii_lowercase, strict=False):
        _panel(axes, part, looks, crowded)
        axes.set_title(f"({letter}) {part['title'].iloc[0]}" if len(parts) > 1 else part["title"].iloc[0], loc="left")
    if entries:
        legend.below(figure, entries)
    return figure


def _unit(panel: pd.DataFrame) -> str:
    unit = UNITS.get(panel["metric"].iloc[0], "")
    return "objective" if unit == "loss" and "maximised" in panel["title"].iloc[0] else unit


def _round(most: int) -> MaxNLocator:
    """Ticks at round numbers."""
    return MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])


def _plain(estimator: str) -> str:
    """The name alone: a probe may carry settings behind it."""
    found = re.match(r"\w+", estimator)
    return found.group() if found else estimator


def _panel(axes: Axes, data: pd.DataFrame, looks: dict[str, Any], crowded: bool) -> None:
    axes.set_xlabel("step")
    axes.set_ylabel(_unit(data))
    last = int(data["step"].max()) or 1
    axes.set_xlim(-0.02 * last, 1.02 * last)
    across = axes.get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    axes.xaxis.set_major_locator(_round(5 if styles.width() / styles.scale() / across > 3 else 4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", "\u202f")))
    seen = view(data)
    if seen is None:
        axes.text(
            0.5, 0.5, "zero throughout" if (data["kind"] == "zero").any() else "none", transform=axes.transAxes, ha="center", color=GREY
        )
        axes.set_yticks([])
        return
    if seen.log:
        axis.log_axis(axes, "y", seen.low, seen.high)
    else:
        axes.set_ylim(seen.low, seen.high)
        axes.yaxis.set_major_locator(_round(6))
        axes.ticklabel_format(axis="y", useOffset=False)
    named = []
    for name, part in data.groupby("series", sort=True):
        style, part = looks[name], part.sort_values("step")
        for _, seed in part[part["kind"] == "seed"].groupby("seed"):
            thin: dict[str, Any] = {"color": style.colour, "linewidth": 0.6 * styles.scale(), "alpha": 0.6, "zorder": 2}
            axes.plot(seed["step"].to_numpy(dtype=float), seed["value"].to_numpy(dtype=float), **thin)
        part = part[part["kind"] != "seed"]
        x, kinds = part["step"].to_numpy(dtype=float), part["kind"].to_numpy()
        shown = part["kind"].isin(["point", "some zero"])
        value, low, high = (part[column].astype(float).where(shown).to_numpy() for column in ("value", "ci_low", "ci_high"))
        some = max(1, len(x) // 8)
        marked = np.arange(len(x)) % some == 0
        axes.plot(x, value, markevery=marked & (kinds != "some zero"), zorder=3, **style.drawn)
        low = np.maximum(low, seen.low) if seen.log else low  # of a mean with zeros it may be 0
        axes.fill_between(x, low, high, color=style.colour, alpha=0.2, linewidth=0, zorder=2)
        hollow: dict[str, Any] = {"color": style.colour, "marker": style.marker, "markerfacecolor": "white", "linestyle": "none"}
        on_line, zero = (np.flatnonzero(kinds == kind)[::some] for kind in ("some zero", "zero"))
        if len(on_line):
            axes.plot(x[on_line], value[on_line], zorder=4, **hollow)
        if len(zero):
            axes.plot(x[zero], 0 * zero, transform=axes.get_xaxis_transform(), clip_on=False, zorder=5, **hollow)
        if np.isfinite(value).any():
            at = int(np.flatnonzero(np.isfinite(value))[-1])
            named.append(ends.End(str(name), float(x[at]), float(value[at]), style))
    if crowded:
        ends.name_ends(axes, named)
