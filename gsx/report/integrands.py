"""Why one estimator varies less than another: the cost, what single draws of it give, and the variance that comes of it."""

from __future__ import annotations

import functools
import string
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gsx.records import GsxError
from gsx.report import bias, curves, escape, notes, parameters, rounding, styles, sweeps
from gsx.report.canvas import GREY, Plot
from gsx.report.collect import Cell, Group, result_of
from gsx.report.families import Family, families
from gsx.report.looks import look


def plots(groups: Sequence[Group]) -> Iterator[Plot]:
    """For a model of one number that was swept, where the draws of two or more estimators were kept."""
    for family in families(groups):
        kept = [(x, cell, columns) for x, cell in family.cells if (columns := _draws(cell)) is not None]
        settings = sorted(x for x in {x for x, _, _ in kept} if len({result_of(cell).estimator for at, cell, _ in kept if at == x}) > 1)
        if settings:
            yield _plot(family, [one for one in kept if one[0] in (settings[0], settings[-1])])


def _draws(cell: Cell) -> dict[str, np.ndarray] | None:
    """The columns, where a draw is one number; None where none were kept, or where they cannot be read."""
    try:
        columns = cell.directory.read_draws()
    except (GsxError, OSError):
        return None
    return columns if columns and "z[0]" in columns and "z[1]" not in columns else None


def _plot(family: Family, kept: list[tuple[float, Cell, dict[str, np.ndarray]]]) -> Plot:
    gradient = next(name for name in kept[0][2] if name.startswith("gradient."))
    parameter = gradient.removeprefix("gradient.").rpartition("[")[0]
    n = min(result_of(cell).num_samples for _, cell in family.cells)
    points = curves.pages(sweeps.points(family, n))
    parts = [_cloud(x, cell, columns, gradient) for x, cell, columns in kept]
    parts += [parameters.frame(points[0], parameter).assign(part="variance")] if points else []
    data = pd.concat(parts, ignore_index=True).astype(object)
    symbol = parameters.SYMBOLS.get(parameter, parameter)
    results = [result_of(cell) for _, cell in family.cells]
    clouds = data[data["part"] == "draw"]
    caption = (
        f"Why the variances differ, on {family.name}. Above: the cost (line) and where x falls (grey, a histogram of the draws). "
        f"Below: what one draw gives as an estimate of the gradient in {symbol}, {clouds.groupby('run').size().max()} draws of the same "
        f"random numbers for each estimator; the dashed line is the true gradient, the mean of whatever is unbiased. "
        f"At the right: the variance of the gradient in {symbol}. {parameters.changes(data, family.axis, {'parameter': parameter})}"
        f"{notes.extent(results)} {notes.interval(results)} {notes.missing(family.everything)}"
    )
    title = f"Single draws and variance against {family.axis}: {family.name}"
    return Plot(f"draws-{family.slug}", title, data, caption, functools.partial(draw, x_label=family.axis, symbol=symbol))


def _cloud(setting: float, cell: Cell, columns: dict[str, np.ndarray], gradient: str) -> pd.DataFrame:
    result, table = result_of(cell), bias.coordinates(cell)
    name = gradient.removeprefix("gradient.").rpartition("[")[0]
    variance = result.parameters.get(name, {}).get("variance")
    true = None if table is None else table.loc[table["parameter"] == name, "reference"].iloc[0]
    of = {"part": "draw", "setting": setting, "estimator": result.estimator, "run": cell.name}
    of |= {"reference": true, "variance_here": variance and variance.value}
    return pd.DataFrame({"draw": columns["z[0]"], "cost": columns["cost"], "gradient": columns[gradient]}).assign(**of)


def draw(data: pd.DataFrame, x_label: str, symbol: str) -> Figure:
    clouds, variance = data[data["part"] == "draw"], data[data["part"] == "variance"]
    settings = sorted(set(clouds["setting"].astype(float)))
    narrow = styles.narrow()
    height = styles.scale() * (6.6 if narrow else 4.2)
    figure = Figure((styles.width(), height), layout="constrained")
    columns = len(settings)
    spec = figure.add_gridspec(
        3 if narrow else 2, columns if narrow else columns + 1, width_ratios=None if narrow else [1] * columns + [1.15]
    )
    letters = iter(string.ascii_lowercase)
    for place, setting in enumerate(settings):
        part = clouds[clouds["setting"] == setting]
        top, bottom = figure.add_subplot(spec[0, place]), figure.add_subplot(spec[1, place])
        top.set_title(f"({next(letters)}) cost, {escape.figure(x_label, 12)} = {setting:g}", loc="left")
        bottom.set_title(f"({next(letters)}) from one draw", loc="left")
        _cost(top, part)
        _gradients(bottom, part)
        bottom.set_xlabel("draw, x")
        bottom.sharex(top)
        top.tick_params(labelbottom=False)
    right = figure.add_subplot(spec[2, :] if narrow else spec[:, columns])
    entries = _entries(clouds)
    if len(variance):
        shown = variance[variance["kind"] != "crossing"]
        curves.panel(right, shown, sweeps.x_axis(right, shown["x"], x_label))
        parameters.mark(right, variance[variance["kind"] == "crossing"], x_label)
        right.set_title(f"({next(letters)}) variance, {symbol}", loc="left")
        entries.append((Patch(facecolor=GREY, alpha=0.3, linewidth=0), "95 % interval"))
    curves.below(figure, entries)
    return figure


def _entries(clouds: pd.DataFrame) -> list[tuple[Any, str]]:
    entries: list[tuple[Any, str]] = []
    for estimator in dict.fromkeys(clouds["estimator"]):
        style = look(estimator)
        entries.append((Line2D([], [], color=style.colour, marker=style.marker, linestyle=style.line), escape.figure(estimator)))
    entries.append((Line2D([], [], color="black"), "cost f(x)"))
    entries.append((Patch(facecolor="#cccccc", linewidth=0), "where x falls"))
    return [*entries, (Line2D([], [], color=GREY, linestyle="--", linewidth=0.8 * styles.scale()), "true gradient")]


def _cost(axes: Axes, part: pd.DataFrame) -> None:
    one = part[part["run"] == part["run"].iloc[0]].sort_values("draw")
    x, cost = one["draw"].to_numpy(dtype=float), one["cost"].to_numpy(dtype=float)
    counts, edges = np.histogram(x, bins=32)
    heights = 0.45 * counts / counts.max()
    axes.fill_between(
        edges, 0, np.append(heights, heights[-1]), step="post", color="#cccccc", linewidth=0, transform=axes.get_xaxis_transform()
    )
    # A line through the draws, where they lie close enough to show the cost and not their gaps.
    sparse = 1 + np.flatnonzero(np.diff(x) > (x[-1] - x[0]) / 50)
    axes.plot(np.insert(x, sparse, np.nan), np.insert(cost, sparse, np.nan), color="black", zorder=3)


def _gradients(axes: Axes, part: pd.DataFrame) -> None:
    said = []
    for place, (estimator, cloud) in enumerate(part.groupby("estimator", sort=True)):
        style = look(str(estimator))
        dots: dict[str, Any] = {"color": style.colour, "marker": style.marker, "linestyle": "none", "markeredgewidth": 0}
        axes.plot(cloud["draw"], cloud["gradient"], markersize=2.2 * styles.scale(), alpha=0.6, zorder=3 + place, **dots)
        if cloud["variance_here"].notna().all():
            variance = float(f"{cloud['variance_here'].iloc[0]:.2g}")
            said.append((style.colour, f"variance {rounding.concise(variance)}"))
    true = part["reference"].dropna()
    if len(true):
        axes.axhline(float(true.iloc[0]), color=GREY, linestyle="--", linewidth=0.8 * styles.scale(), zorder=2)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.28 * (high - low))  # room for what is said
    for place, (colour, text) in enumerate(said):
        axes.text(0.02, 0.98 - 0.11 * place, text, transform=axes.transAxes, va="top", fontsize=styles.small(), color=colour)
