"""Which estimator for this problem: the least mean squared error that a budget buys, from the results at hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gsx.records import Interval
from gsx.report import relative, rounding, tables
from gsx.report.collect import Cell, Group, result_of
from gsx.report.table import Table
from gsx.statistics import Traces, jackknife_se, student_t_quantile

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
    "the order is chance.",
    "Ratios are paired by segment where both saw the same random numbers and the bias of neither is in doubt: none, or clear of zero "
    "against an exact reference. At equal time the errors of both clocks are added. All other ratios take the two errors as independent.",
    "What tuning costs is left out. An estimator counts as unbiased where it is declared so on this model and not measured to be biased.",
    "Budgets with the same answer, ties and baseline share a line, with the numbers at the smallest and at the largest; the CSV file has "
    "a row for each.",
)


@dataclass(frozen=True)
class Candidate:
    """One run, and what a mean of its estimates is worth."""

    cell: Cell
    noise: Interval  # variance times price
    price: float
    bias_sq: float
    bias_sq_se: float
    doubtful: bool  # the bias: its interval reaches zero
    clock: float | None  # half the 95 % interval of the logarithm of the price; None where it is not known

    def error(self, budget: int) -> float:
        return self.noise.value / budget + self.bias_sq

    def log_se(self, budget: int) -> float:
        value = self.error(budget)
        return math.hypot((self.noise.se or 0.0) / budget, self.bias_sq_se) / value if value > 0 else 0.0

    def errors(self, budget: int, moments: Traces) -> np.ndarray | None:
        """The error, and that without each segment in turn; None where they are not known."""
        bias_sq = np.zeros_like(moments.trace) if self.bias_sq == self.bias_sq_se == 0 else moments.bias_sq
        if bias_sq is None or self.doubtful:
            return None
        found = moments.trace * self.price / budget + bias_sq
        return found if bool((found > 0).all()) else None


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
    clock = 0.0 if currency == "evaluations" else _clock(noise, result.summary["variance"])
    if bias is None or (result.facts["unbiased"] and result.verdict.status != "biased"):
        return Candidate(cell, noise, float(paid), 0.0, 0.0, False, clock)
    return Candidate(cell, noise, float(paid), max(bias.value, 0.0), bias.se or 0.0, bias.ci is None or bias.ci[0] <= 0, clock)


def _clock(noise: Interval, variance: Interval | None) -> float | None:
    """What the interval of variance times price has beyond that of the variance; both are symmetric in the logarithm."""
    if variance is None or noise.ci is None or variance.ci is None or min(noise.ci[0], variance.ci[0]) <= 0:
        return None
    both, alone = (math.log(high / low) / 2 for low, high in (noise.ci, variance.ci))
    return math.sqrt(max(both**2 - alone**2, 0.0))


def _of_group(group: Group, baseline: str, variances: relative.Variances) -> Iterator[dict[str, Any]]:
    able = [cell for cell in group.cells if _left_out(cell) is None]
    if len({result_of(cell).estimator for cell in able}) < 2:
        return
    distribution = ", ".join(sorted({str(name) for cell in able for name in result_of(cell).facts["distributions"]}))
    for (access, gradient), currency, budget in itertools.product(ACCESS.items(), CURRENCIES, BUDGETS):
        allowed = [cell for cell in able if gradient or not result_of(cell).facts["needs_cost_gradient"]]
        affordable = [c for cell in allowed if (c := _candidate(cell, currency)) and c.price <= SLACK * budget]
        if not affordable:
            continue
        ranked = sorted(affordable, key=lambda c: (c.error(budget), c.cell.label))
        best = ranked[0]
        ties = [c for c in ranked[1:] if _reaches_one(_ratio(c, best, budget, variances)[0])]
        compared = _baseline(allowed, baseline)
        base = next((c for c in ranked if result_of(c.cell).estimator == compared), None)
        row: dict[str, Any] = {"model": group.label, "distribution": distribution, "cost": access, "equal": currency, "budget": budget}
        row |= {"estimator": result_of(best.cell).estimator, "label": best.cell.label, "num_samples": result_of(best.cell).num_samples}
        row |= {"mse": best.error(budget), "mse_se": best.error(budget) * best.log_se(budget)}
        row |= {"ties": "; ".join(c.cell.label for c in ties), "baseline_estimator": compared}
        row |= {"baseline": base and base.cell.label}
        over, errors = (None, "") if base is None or base is best else _ratio(best, base, budget, variances)
        row |= tables.columns("ratio", over or (Interval(1.0, None, None) if base is best else None)) | {"errors": errors}
        yield row | {"candidates": len(affordable), "run": best.cell.name}


def _ratio(a: Candidate, b: Candidate, budget: int, variances: relative.Variances) -> tuple[Interval | None, str]:
    """The error of a over that of b, with its interval, None where b has no error; and how their errors were put together."""
    if b.error(budget) == 0:
        return (Interval(1.0, 0.0, (1.0, 1.0)) if a.error(budget) == 0 else None), ""
    value = a.error(budget) / b.error(budget)
    if value == 0:
        return Interval(0.0, 0.0, (0.0, 0.0)), ""
    t, errors = student_t_quantile(0.975, 63), "paired"
    half = _paired(a, b, budget, variances)
    if half is None:
        half, errors = t * math.hypot(a.log_se(budget), b.log_se(budget)), "independent"
    factor = math.exp(min(half, 700.0))
    return Interval(value, value * half / t, (value / factor, value * factor)), errors


def _paired(a: Candidate, b: Candidate, budget: int, variances: relative.Variances) -> float | None:
    """Half the 95 % interval of the logarithm of the ratio, segment by segment; None where the two do not go together."""
    one, other = variances.of(a.cell), variances.of(b.cell)
    if isinstance(one, str) or isinstance(other, str) or a.clock is None or b.clock is None:
        return None
    if not relative.segment_by_segment(result_of(a.cell), one, result_of(b.cell), other):
        return None
    rows = a.errors(budget, one), b.errors(budget, other)
    if rows[0] is None or rows[1] is None:
        return None
    half = student_t_quantile(0.975, len(one.count) - 2) * float(jackknife_se(one.count, np.log(rows[0] / rows[1])))
    # The price is in the noise alone: of a bias time buys nothing.
    clocks = [clock * c.noise.value / budget / c.error(budget) for c, clock in ((a, a.clock), (b, b.clock))]
    return math.hypot(half, *clocks) if math.isfinite(half) else None


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
