"""Why one estimator varies less than another, and where it is wrong: the cost, what single draws of it give, and what comes of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gsx.records import GsxError
from gsx.report import bias, curve_caption, curves, notes, parameters, sweeps
from gsx.report.canvas import Plot
from gsx.report.collect import Cell, Group, result_of
from gsx.report.draws import TAIL, draw
from gsx.report.families import Family, families

Draws = dict[str, np.ndarray]
#: What the cost of a model is, where its name would stand in a title.
WORDS = {"discontinuous_toy": "a jump"}


@dataclass(frozen=True)
class Column:
    """One cost: its name above the panels, and the runs on it whose draws were kept."""

    name: str
    where: str  # it was measured
    runs: tuple[tuple[Cell, Draws], ...]

    @property
    def estimators(self) -> set[str]:
        return {result_of(cell).estimator for cell, _ in self.runs}

    @property
    def biased(self) -> list[str]:
        return sorted(result_of(cell).estimator for cell, _ in self.runs if result_of(cell).verdict.status == "biased")


def plots(groups: Sequence[Group]) -> Iterator[Plot]:
    """For a model of one number that was swept, where the draws of two or more estimators were kept: the least and the largest setting, and
    the first other model with draws of the same estimators on which one of them is biased."""
    swept = families(groups)
    ids = {id(group) for family in swept for group in family.groups}
    others = [Column(WORDS.get(group.model, group.model), group.model, _kept(group.complete)) for group in groups if id(group) not in ids]
    for family in swept:
        settings = sorted({x for x, _ in family.cells})
        columns = [Column(f"{family.axis} = {x:g}", family.name, _kept([cell for at, cell in family.cells if at == x])) for x in settings]
        columns = [column for column in columns if len(column.estimators) > 1]
        if columns:
            failing = [other for other in others if other.biased and columns[0].estimators <= other.estimators]
            yield _plot(family, [columns[0], *columns[1:][-1:]], failing[:1])


def _kept(cells: Sequence[Cell]) -> tuple[tuple[Cell, Draws], ...]:
    return tuple((cell, columns) for cell in cells if (columns := _draws(cell)) is not None)


def _draws(cell: Cell) -> Draws | None:
    """The columns, where a draw is one number; None where none were kept, or where they cannot be read."""
    try:
        columns = cell.directory.read_draws()
    except (GsxError, OSError):
        return None
    return columns if columns and "z[0]" in columns and "z[1]" not in columns else None


def _plot(family: Family, columns: list[Column], failing: list[Column]) -> Plot:
    gradient = next(name for name in columns[0].runs[0][1] if name.startswith("gradient."))
    parameter = gradient.removeprefix("gradient.").rpartition("[")[0]
    n = min(result_of(cell).num_samples for _, cell in family.cells)
    points = curves.pages(sweeps.points(family, n))
    failing = [column for column in failing if all(gradient in draws for _, draws in column.runs)]
    parts = [_cloud(column.name, cell, draws, gradient) for column in (*columns, *failing) for cell, draws in column.runs]
    parts += [_means(column.name, cell, gradient) for column in (*columns, *failing) for cell, _ in column.runs]
    parts += [parameters.frame(points[0], parameter).assign(part="variance")] if points else []
    data = pd.concat([part for part in parts if len(part)], ignore_index=True).astype(object)
    symbol = parameters.SYMBOLS.get(parameter, parameter)
    results = [result_of(cell) for _, cell in family.cells] + [result_of(cell) for column in failing for cell, _ in column.runs]
    of = functools.partial(draw, x_label=family.axis, symbol=symbol)
    title = f"Single draws and variance against {family.axis}: {family.name}"
    caption = _caption(data, family, failing, parameter) + f"{notes.extent(results)} {notes.interval(results, ['variance'])} "
    caption += f"{curve_caption.THIN_NOTE} " if points and curves.thin(data[data["part"] == "variance"]) else ""
    caption += f"{curve_caption.MISSING_NOTE} " if (data["kind"] == "missing").any() else ""
    caption += "Those of means are 1.96 standard errors. " if (data["part"] == "mean").any() else ""
    caption += notes.missing(family.everything)
    return Plot(f"draws-{family.slug}", title, data, caption, of)


def _caption(data: pd.DataFrame, family: Family, failing: list[Column], parameter: str) -> str:
    symbol = parameters.SYMBOLS.get(parameter, parameter)
    clouds = data[data["part"] == "draw"]
    where = " and on ".join([family.name, *(column.where for column in failing)])
    said = (
        f"Why the variances differ, on {where}. Top: the cost, through the draws, and where x falls (a histogram of the draws); the axis "
        f"holds the middle {100 - 200 * TAIL:g} % of them. Below: what one draw gives as an estimate of the gradient in {symbol}, "
        f"{clouds.groupby('run').size().max()} draws of the same random numbers for each estimator; the dashed line is the true gradient. "
    )
    for column in failing:
        said += (
            f"On {column.where} {' and '.join(column.biased)} {'is' if len(column.biased) == 1 else 'are'} biased: neither the draws nor "
            "their variance say so, only the mean beside the true gradient does. "
        )
    if (data["part"] == "variance").any():
        said += f"Variance of the gradient in {symbol} against {family.axis}. "
        said += parameters.changes(data[data["part"] == "variance"], family.axis, {"parameter": parameter})
    return said


def _cloud(column: str, cell: Cell, draws: Draws, gradient: str) -> pd.DataFrame:
    result = result_of(cell)
    variance = result.parameters.get(gradient.removeprefix("gradient.").rpartition("[")[0], {}).get("variance")
    of = {
        "part": "draw",
        "column": column,
        "estimator": result.estimator,
        "run": cell.name,
        "reference": _coordinate(cell, gradient)["reference"],
    }
    frame = pd.DataFrame({"draw": draws["z[0]"], "cost": draws["cost"], "gradient": draws[gradient]})
    return frame.assign(**of, variance_here=variance and variance.value)


def _means(column: str, cell: Cell, gradient: str) -> pd.DataFrame:
    """The mean of all replicates, and the truth."""
    found, result = _coordinate(cell, gradient), result_of(cell)
    if found["mean"] is None:
        return pd.DataFrame()
    half = 1.96 * found["mean_se"]
    of = {"part": "mean", "column": column, "estimator": result.estimator, "run": cell.name, "reference": found["reference"]}
    ends = {"ci_low": found["mean"] - half, "ci_high": found["mean"] + half}
    return pd.DataFrame([of | ends | {"value": found["mean"], "se": found["mean_se"], "verdict": result.verdict_word}], dtype=object)


def _coordinate(cell: Cell, gradient: str) -> dict[str, Any]:
    """Of the stored table of coordinates the line of this one."""
    table = bias.coordinates(cell)
    if table is None:
        return {"mean": None, "mean_se": None, "reference": None}
    name, _, index = gradient.removeprefix("gradient.").removesuffix("]").rpartition("[")
    held = table[(table["parameter"] == name) & (table["index"] == int(index))]
    return held.iloc[0].to_dict() if len(held) else {"mean": None, "mean_se": None, "reference": None}
