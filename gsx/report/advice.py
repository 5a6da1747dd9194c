"""Which estimator for this problem: the least mean squared error that a budget buys, from the results at hand."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gsx.records import Interval
from gsx.report import relative, rounding, tables
from gsx.report.collect import Cell, Group, result_of
from gsx.report.table import Table
from gsx.statistics import student_t_quantile

#: In evaluations of the cost, and in plain one-sample steps.
BUDGETS = (1, 10, 100, 1000, 10000)
#: Budget, the statistic that is the variance times its unit, and where the price of one estimate stands.
CURRENCIES = {
    "evaluations": ("variance_times_evaluations", "evaluations"),
    "time": ("variance_times_time_ratio", "time_ratio"),
}
#: Who may take part: whether the gradient of the cost is at hand.
ACCESS = {"black box": False, "with its gradient": True}
#: A plain step of any estimator takes about one plain step: what a budget of one is for.
SLACK = 1.25
MOST_TIES = 5

HEADINGS = ["model", "distribution", "cost is", "at equal", "budget", "least MSE", "ties with it", "baseline", "MSE"]
HEADINGS += ["MSE / baseline's", "95 % interval"]
CHOICES = HEADINGS[:4]

NOTES = (
    "How to read it: a budget of B buys B / c independent estimates of cost c, whose mean has the squared error variance c / B + bias². An "
    "unbiased estimator's falls as 1 / B; a biased one's stops at its bias², so that the best choice may change with the budget.",
    f"B / c is not rounded: it may be two and a half estimates. An estimate must cost no more than the budget ({SLACK} times it, so that a "
    "plain step fits into a budget of one); a budget at which none does has no line.",
    "Budgets are evaluations of the cost (gradients of the cost are not counted, though they cost time), or times of the model's plain "
    "one-sample step.",
    "A cost that is a black box leaves the estimators that need no gradient of it; with its gradient all are compared.",
    "Ties: the 95 % interval of their MSE over the least one's reaches 1. The best of many is picked by its measured value: among ties, "
    "the order is chance. Ratios of unbiased estimators at equal evaluations are paired by segment where both saw the same random numbers.",
    "Tuning is not paid for. An estimator counts as unbiased where it is declared so on this model and its measured verdict is not biased.",
    "Budgets with the same answer, ties and baseline share a line, with the numbers at the smallest and at the largest; the CSV file has "
    "a row for each.",
)


#: The ratio of the variances of two runs, by their names.
Variances = Callable[[str, str], Interval | None]


@dataclass(frozen=True)
class Candidate:
    """One run, and what a mean of its estimates is worth."""

    cell: Cell
    noise: Interval  # variance times price
    price: float
    bias_sq: float
    bias_sq_se: float

    @property
    def unbiased(self) -> bool:
        return self.bias_sq == self.bias_sq_se == 0

    def error(self, budget: int) -> float:
        return self.noise.value / budget + self.bias_sq

    def log_se(self, budget: int) -> float:
        value = self.error(budget)
        return math.hypot((self.noise.se or 0.0) / budget, self.bias_sq_se) / value if value > 0 else 0.0


def table(groups: Sequence[Group], baseline: str, variances: relative.Variances) -> Table | None:
    """None where no model has two estimators to choose from."""
    rows = [row for group in groups for row in _of_group(group, baseline, variances)]
    if not rows:
        return None
    left = sorted({f"{cell.name}: {why}" for group in groups for cell in group.cells if (why := _left_out(cell))})
    shown = left[:8] + ([f"{len(left) - 8} more"] if len(left) > 8 else [])
    notes = [*NOTES, _baselines(rows, baseline)]
    if left:
        notes.append(f"Left out: {'; '.join(shown)}.")
    compared = " or ".join(sorted({row["baseline_estimator"] for row in rows if row["baseline_estimator"]}))
    title = "Which estimator for my problem" + (f", beside {compared}" if compared else "")
    return Table("advice", title, HEADINGS, list(_body(rows)), pd.DataFrame(rows, dtype=object), notes, 8, CHOICES)


def _baselines(rows: Sequence[dict[str, Any]], wanted: str) -> str:
    """One sentence: what the last columns are relative to."""
    others = sorted({(row["model"], row["baseline_estimator"] or "none") for row in rows if row["baseline_estimator"] != wanted})
    told = "; ".join(f"{estimator} on {model}" for model, estimator in others)
    said = f"The baseline is {wanted}, at its own best number of samples"
    return f"{said}; where it was not measured, the unbiased estimator with the fewest evaluations: {told}." if told else f"{said}."


def _baseline(allowed: Sequence[Cell], wanted: str) -> str | None:
    """The estimator that others are compared with: the one wanted, else the cheapest unbiased one."""
    results = [result_of(cell) for cell in allowed]
    if any(result.estimator == wanted for result in results):
        return wanted
    unbiased = [r for r in results if r.facts["unbiased"] and r.verdict.status != "biased" and r.cost.evaluations]
    return min(unbiased, key=lambda r: (r.cost.evaluations, r.estimator)).estimator if unbiased else None


def _left_out(cell: Cell) -> str | None:
    """Why a run cannot be advised; None where it can."""
    result = cell.result
    if cell.state != "complete" or result is None:
        return cell.state
    facts = result.facts
    if not {"needs_cost_gradient", "unbiased"} <= facts.keys() or not isinstance(facts.get("distributions"), list):
        return "stored before results said what an estimator needs"
    if result.estimator == "exact":
        return "exact, no estimator"
    if result.summary["variance"] is None or not math.isfinite(result.summary["variance"].value):
        return "no variance"
    if not facts["unbiased"] and (result.verdict.status == "self_referenced" or result.summary["bias_sq"] is None):
        return "its bias is not known"
    return None


def _candidate(cell: Cell, currency: str) -> Candidate | None:
    result, (statistic, price) = result_of(cell), CURRENCIES[currency]
    noise, paid, bias = result.summary[statistic], getattr(result.cost, price), result.summary["bias_sq"]
    if noise is None or not paid or not math.isfinite(noise.value):
        return None
    if bias is None or (result.facts["unbiased"] and result.verdict.status != "biased"):
        return Candidate(cell, noise, float(paid), 0.0, 0.0)
    return Candidate(cell, noise, float(paid), max(bias.value, 0.0), bias.se or 0.0)


def _of_group(group: Group, baseline: str, variances: relative.Variances) -> Iterator[dict[str, Any]]:
    able = [cell for cell in group.cells if _left_out(cell) is None]
    if len({result_of(cell).estimator for cell in able}) < 2:
        return
    distribution = ", ".join(sorted({str(name) for cell in able for name in result_of(cell).facts["distributions"]}))
    named = {cell.name: cell for cell in able}

    @functools.cache
    def of_variances(a: str, b: str) -> Interval | None:
        one, other = named[a], named[b]
        return relative.ratio_of(result_of(one), variances.of(one), result_of(other), variances.of(other))[0]

    for (access, gradient), currency, budget in itertools.product(ACCESS.items(), CURRENCIES, BUDGETS):
        allowed = [cell for cell in able if gradient or not result_of(cell).facts["needs_cost_gradient"]]
        affordable = [c for cell in allowed if (c := _candidate(cell, currency)) and c.price <= SLACK * budget]
        if not affordable:
            continue
        ranked = sorted(affordable, key=lambda c: (c.error(budget), c.cell.label))
        best = ranked[0]
        ties = [c for c in ranked[1:] if _reaches_one(_ratio(c, best, budget, currency, of_variances))]
        compared = _baseline(allowed, baseline)
        base = next((c for c in ranked if result_of(c.cell).estimator == compared), None)
        row: dict[str, Any] = {"model": group.label, "distribution": distribution, "cost": access, "equal": currency, "budget": budget}
        row |= {"estimator": result_of(best.cell).estimator, "label": best.cell.label, "num_samples": result_of(best.cell).num_samples}
        row |= {"mse": best.error(budget), "mse_se": best.error(budget) * best.log_se(budget)}
        row |= {"ties": "; ".join(c.cell.label for c in ties), "baseline_estimator": compared}
        row |= {"baseline": base and base.cell.label}
        over = None if base is None or base is best else _ratio(best, base, budget, currency, of_variances)
        row |= tables.columns("ratio", over or (Interval(1.0, None, None) if base is best else None))
        yield row | {"candidates": len(affordable), "run": best.cell.name}


def _ratio(a: Candidate, b: Candidate, budget: int, currency: str, of_variances: Variances) -> Interval | None:
    """The error of a over that of b, with its interval; None where b has no error."""
    if b.error(budget) == 0:
        return Interval(1.0, 0.0, (1.0, 1.0)) if a.error(budget) == 0 else None
    value = a.error(budget) / b.error(budget)
    if value == 0:
        return Interval(0.0, 0.0, (0.0, 0.0))
    if a.unbiased and b.unbiased and currency == "evaluations":
        found = of_variances(a.cell.name, b.cell.name)
        if found is not None and found.ci is not None:
            prices = value / found.value  # known exactly
            return Interval(value, (found.se or 0.0) * prices, (found.ci[0] * prices, found.ci[1] * prices))
    log_se = math.hypot(a.log_se(budget), b.log_se(budget))
    factor = math.exp(min(student_t_quantile(0.975, 63) * log_se, 700.0))
    return Interval(value, value * log_se, (value / factor, value * factor))


def _reaches_one(ratio: Interval | None) -> bool:
    return ratio is not None and ratio.ci is not None and ratio.ci[0] <= 1


def _body(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Budgets for which the same can be said are one line, with the numbers of the first and of the last."""
    for (head, answer), same in itertools.groupby(rows, _said):
        run = list(same)
        numbers = zip(*map(_numbers, [run[0], run[-1]] if len(run) > 1 else run), strict=True)
        budget, *others = (" to ".join(dict.fromkeys(texts)) for texts in numbers)
        yield [*head, budget, *answer, *others]


def _said(row: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What a line says for every budget of it."""
    ties = row["ties"].split("; ") if row["ties"] else []
    told = "; ".join(ties[:MOST_TIES]) + (f"; {len(ties) - MOST_TIES} more" if len(ties) > MOST_TIES else "")
    head = [row[key] for key in ("model", "distribution", "cost", "equal")]
    return head, [row["label"], told, row["baseline"] or rounding.ABSENT]


def _numbers(row: dict[str, Any]) -> tuple[str, str, str, str]:
    ratio, se, low, high = (row[f"ratio{part}"] for part in ("", "_se", "_ci_low", "_ci_high"))
    ends = rounding.ends(None if low is None else (low, high), se)
    return str(row["budget"]), rounding.concise(row["mse"], row["mse_se"]), rounding.concise(ratio, se), ends
