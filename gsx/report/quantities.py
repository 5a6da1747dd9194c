"""A quantity of a finding, evaluated on an experiment: of one cell, along a grid of cells, or of a training."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from gsx.experiment import Argmin, Crossing, CurveNumber, Quantity, Statistic, flat
from gsx.experiment.fields import is_number
from gsx.records import Interval
from gsx.report import root
from gsx.report.crossing import between, logarithmic
from gsx.report.curve import curve_number
from gsx.report.estimate import Estimate, by_ratio, difference, ratio
from gsx.report.grid import neighbours
from gsx.report.study import Absent, Study, text
from gsx.store import PlannedCell

#: Relative: a mean over seeds, and the same without one of them, differ by this in rounding.
SAME = 1e-12


def evaluate(study: Study, quantity: Quantity, exactly: bool = False) -> Estimate:
    """As it was measured, or from the exact values that are stored with the experiment. Absent where it cannot be."""
    number = quantity.number
    if isinstance(number, CurveNumber):
        return _training(study, quantity, number, exactly)
    if isinstance(number, Statistic):
        found = _read(study, study.cell(quantity.step, quantity.where), number, exactly)
    elif isinstance(number, Argmin):
        found = _argmin(_grid(study, quantity, number.key, quantity.where, number.of, exactly), number.key)
    else:
        a, b = (_grid(study, quantity, number.key, quantity.where | one, number.of, exactly) for one in number.between)
        found = _crossing(a, b, number, exactly)
    return _scaled(found, quantity)


def _scaled(found: Estimate, quantity: Quantity) -> Estimate:
    found = found.scaled(quantity.times)
    if not quantity.log:
        return found
    logarithm = found.logarithm()
    if logarithm is None:
        raise Absent("inconclusive", f"the logarithm of {found.value:g} does not exist")
    return logarithm


def cells_of(study: Study, quantity: Quantity) -> list[PlannedCell]:
    """The cells of runs that a quantity is read from; none for a training."""
    if isinstance(quantity.number, CurveNumber):
        return []
    wheres = [quantity.where | one for one in quantity.number.between] if isinstance(quantity.number, Crossing) else [quantity.where]
    return [cell for where in wheres for cell in study.cells(quantity.step, where)]


def _read(study: Study, cell: PlannedCell, number: Statistic, exactly: bool) -> Estimate:
    return study.exactly(cell, number) if exactly else study.measured(cell, number)


def _training(study: Study, quantity: Quantity, number: CurveNumber, exactly: bool) -> Estimate:
    cell = study.cell(quantity.step, quantity.where)
    training = study.training(cell.result_id, cell.folder)
    stored = study.stored.exact.get(number.key(cell.result_id)) if exactly and number.at_start else None
    if stored is not None:
        return _scaled(Estimate.exactly(sum(stored["variance"]), True, stored["error"]), quantity)
    estimate = curve_number(training, number, quantity.times, quantity.log)
    if isinstance(estimate, str):
        raise Absent("missing", f"{cell.folder}: {estimate}")
    if not exactly:
        return estimate
    # The exact gradient leads all seeds along one path.
    spread = 0.0 if estimate.rows is None else float(np.ptp(estimate.rows))
    if training.estimator == "exact" and number.metric == "exact_loss" and spread <= SAME * abs(estimate.value):
        return Estimate.exactly(estimate.value, estimate.positive)
    raise Absent("inconclusive", "random path")


# ----------------------------------------------------------------------------------------------------------------------- along a grid


Grid = dict[float, Estimate]


def _grid(study: Study, quantity: Quantity, key: str, where: dict[str, Any], of: Statistic, exactly: bool) -> Grid:
    """The statistic by the value of a key, in the order of the values; every planned cell of the grid must be there."""
    grid: Grid = {}
    for cell in study.cells(quantity.step, where):
        value = flat(cell.config).get(key)
        if value is None or not is_number(value):
            raise Absent("missing", f"{key}={value} is not a number in a cell with {text(where)}")
        if float(value) in grid:
            raise Absent("missing", f"two cells with {text(where)} have {key}={value}")
        grid[float(value)] = _read(study, cell, of, exactly)
    if len(grid) < 2:
        raise Absent("missing", f"{len(grid)} cells have {text(where)}, too few for a grid of {key}")
    return dict(sorted(grid.items()))


def _argmin(grid: Grid, key: str) -> Estimate:
    """Where the statistic is least; the interval reaches one step of the grid beyond the settings whose statistic is not significantly
    above the least one, and is open where there is none."""
    best = min(grid, key=lambda x: grid[x].value)
    least = grid[best]
    near = [best]
    for x, estimate in grid.items():
        if x == best:
            continue
        compared = ratio(estimate, least) if by_ratio(estimate, least) else difference(estimate, least)
        level = 1.0 if by_ratio(estimate, least) else 0.0
        if compared.ci is None:
            raise Absent("inconclusive", f"no interval along {key}")
        if compared.ci[0] <= level:
            near.append(x)
    low, high = neighbours(list(grid), near)
    beyond = 0.0 if min(grid) > 0 else -math.inf
    return Estimate(Interval(best, None, (beyond if low is None else low, math.inf if high is None else high)), min(grid) > 0)


def _crossing(a: Grid, b: Grid, number: Crossing, exactly: bool) -> Estimate:
    """Where the first statistic passes the second, by `crossing.between`; of curves that are known exactly the root of `root.between`."""
    gaps = {}
    for x in (x for x in a if x in b):
        if not (a[x].value > 0 and b[x].value > 0):
            raise Absent("inconclusive", f"a statistic at {number.key}={x:g} is not positive")
        compared = ratio(a[x], b[x])
        if compared.ci is None:
            raise Absent("inconclusive", f"no interval along {number.key}")
        log = math.log(compared.value)
        gaps[x] = (log, max(math.log(compared.ci[1]) - log, log - math.log(compared.ci[0])))
    turns = [(x, y) for x, y in itertools.pairwise(gaps) if gaps[x][0] * gaps[y][0] < 0]
    if len(turns) != 1:
        raise Absent("inconclusive", f"the two cross {len(turns)} times on the grid of {number.key}")
    ((x, y),) = turns
    log = logarithmic(sorted(gaps))
    if exactly:
        crossed = root.between(x, y, {at: gap for at, (gap, _) in gaps.items()}, log)
        if crossed is None:
            raise Absent("inconclusive", f"two settings of {number.key} do not say how the curves bend")
        return Estimate(crossed, x > 0, grid=(x, y))
    found = between(x, y, gaps[x], gaps[y], log)
    return Estimate(Interval(found.at, None, (found.low, found.high)), found.low > 0, grid=found.grid)
