"""A finding, held against what was measured: the verdict, by rules that are written down here and printed below the scoreboard."""

from __future__ import annotations

from dataclasses import dataclass

from gsx.experiment import Finding
from gsx.records import Interval
from gsx.report.estimate import Estimate, by_ratio, difference, ratio
from gsx.report.quantities import cells_of, evaluate
from gsx.report.study import Absent, Study

#: A claim of a publication reproduces or not; one of ours, which nobody published, has words of its own.
OURS = {"reproduced": "as expected", "not reproduced": "not as expected"}
VERDICTS = ("reproduced", "not reproduced", *OURS.values(), "inconclusive", "measured", "missing")

#: An interval this wide, relative to what was published, decides nothing.
TELLING = 0.10

#: Replicates are float32, and an exact zero may leave this of a gradient.
ROUNDING = 1e-6

RULES = (
    "origin: what a publication says, as its source has it (published), or what nobody published: closed forms, and expectations of our "
    "own (ours), whose verdict is as expected where the rules below say reproduced, and not as expected where they say not reproduced. "
    "Where there is neither, a number is measured and held against nothing.",
    "value: reproduced where the 95 % interval meets what is published or expected, widened by its tolerance (what the publication's "
    "rounding, or our reading of its figure, allows), and reaches no further from the measured value than tolerance and half range, "
    "or 10 % of that value where that is more; not reproduced where it lies outside; else inconclusive.",
    "less: reproduced where the 95 % interval of left / right lies below 1, not reproduced where above, else inconclusive; of numbers "
    "that may be negative (bias², logarithms, losses) it is that of left - right, and 0. Paired by segment, or by seed of a training, "
    "where both saw the same random numbers; else both intervals are combined as independent (MOVER).",
    "equal: reproduced where that interval lies within 1 ± tolerance (of a difference: ± tolerance of logarithms as they are, else "
    "relative to the right one), not reproduced where outside, else inconclusive.",
    "least: reproduced where left is less than each of right, not reproduced where it is surely not less than one of them; shown is "
    "the closest.",
    "Each interval holds with 95 % for itself, and nothing is adjusted for the number of findings: of true orderings about one in "
    "forty may look violated by chance, of true values one in twenty. A single training (one seed) has no interval, and decides "
    "nothing.",
    "between a and b: a crossing, by a straight line between two settings that were measured. How the curves bend between the two is not "
    "known, and so its interval reaches from the one to the other, and beyond where their errors do: settings far apart decide nothing.",
    "the best of a grid: the setting, of those that were measured, at which a number is least; its interval reaches one step of the "
    "grid beyond all that are not significantly worse, and is open at an end of the grid.",
    "exact: the same number by enumeration or quadrature, without sampling; of a crossing the root of a cubic of the exact log ratios at "
    "the four settings around it, with what it moves by without the furthest of them. The finding holds or fails for the exact number. "
    "≠ marks a measured value that is further from the exact one than twice its interval, which is a fault of ours and of no publication. "
    "Of an estimator that was tuned first it is that of the one that the tuning led to. Where there is none: random path, of a training "
    "that noise has led; out of reach, of what gsx sums or integrates by itself: too many numbers act together, or no quadrature settles.",
    "missing: a cell that the experiment asks for was not measured, or its result is gone; gsx reproduce computes it.",
)


@dataclass(frozen=True)
class Judged:
    """A row of the scoreboard."""

    finding: Finding
    verdict: str
    measure: str = ""  # value | ratio | difference
    measured: Interval | None = None
    exact: Interval | None = None  # its se and interval are the error of an interpolation, or 0
    agrees: bool | None = None  # measured with exact
    holds: bool | None = None  # what is claimed, of what is exact
    reason: str = ""
    num_replicates: int | None = None
    seed: int | None = None
    grid: tuple[float, float] | None = None  # the settings around a crossing
    closest: int = 0  # which of the right sides is shown
    unknown: str = ""  # why there is nothing exact


@dataclass(frozen=True)
class _Outcome:
    verdict: str
    measure: str
    interval: Interval
    closest: int = 0


def judge(study: Study, finding: Finding) -> Judged:
    try:
        estimates = [evaluate(study, quantity) for quantity in finding.quantities]
    except Absent as absent:
        return Judged(finding, absent.verdict, reason=absent.reason)
    outcome = _outcome(finding, estimates)
    exact, holds, unknown = _exactly(study, finding, outcome.closest)
    results = [study.result(cell.result_id, cell.folder) for quantity in finding.quantities for cell in cells_of(study, quantity)]
    return Judged(
        finding,
        OURS.get(outcome.verdict, outcome.verdict) if finding.origin == "ours" else outcome.verdict,
        outcome.measure,
        outcome.interval,
        exact,
        None if exact is None else _agree(outcome.interval, exact),
        holds,
        "no interval" if outcome.interval.ci is None else "",
        min((result.num_replicates for result in results if result.num_replicates > 1), default=None),
        next((int(result.config["seed"]) for result in results if isinstance(result.config.get("seed"), int)), None),
        estimates[0].grid if len(estimates) == 1 else None,
        outcome.closest,
        unknown,
    )


def _exactly(study: Study, finding: Finding, closest: int) -> tuple[Interval | None, bool | None, str]:
    """The number that is shown, exactly, and whether what is claimed is true; None where it cannot be known, and why not.

    Of `least` the pair that is shown is the one that is closest as measured, which another may be in truth.
    """
    known: list[Estimate | None] = []
    reasons = []
    for quantity in finding.quantities:
        try:
            known.append(evaluate(study, quantity, exactly=True))
        except Absent as absent:
            known.append(None)
            reasons.append(absent.reason)
    left, *right = known
    shown = [left, *right[closest : closest + 1]]
    if left is None or None in shown:
        return None, None, reasons[0]
    every = [one for one in known if one is not None]
    verdict = _outcome(finding, every).verdict
    if len(every) < len(known) and verdict != "not reproduced":  # one that is less is enough against it
        verdict = ""
    number = _outcome(finding, [one for one in shown if one is not None])
    return number.interval, {"reproduced": True, "not reproduced": False}.get(verdict), ""


def _agree(measured: Interval, exact: Interval) -> bool | None:
    """Whether the measured interval, twice as long, meets the exact value with its error: about four standard errors."""
    if measured.ci is None or exact.ci is None:
        return None
    (low, high), value = measured.ci, measured.value
    # An exact zero is one of float64, and its measurement that of float32 gradients.
    slack = max(ROUNDING * abs(exact.value), ROUNDING**2 if abs(exact.value) < ROUNDING**3 else 0.0)
    return value - 2 * (value - low) - slack <= exact.ci[1] and exact.ci[0] <= value + 2 * (high - value) + slack


def _outcome(finding: Finding, estimates: list[Estimate]) -> _Outcome:
    left, *right = estimates
    if finding.kind == "measured":
        return _Outcome("measured", "value", left.interval)
    if finding.kind == "value":
        return _Outcome(_value(finding, left.interval), "value", left.interval)
    if finding.kind == "equal":
        return _equal(left, right[0], finding.tolerance, finding.left.log)
    outcomes = [_less(left, other) for other in right]
    verdicts = [outcome.verdict for outcome in outcomes]
    verdict = next((word for word in ("not reproduced", "inconclusive") if word in verdicts), "reproduced")
    # Shown is the one that is nearest to being violated, or most violated.
    ends = [(outcome.interval.ci or (0, outcome.interval.value))[1] for outcome in outcomes]
    closest = ends.index(max(ends))
    return _Outcome(verdict, outcomes[closest].measure, outcomes[closest].interval, closest)


def _value(finding: Finding, measured: Interval) -> str:
    assert finding.claimed is not None
    if measured.ci is None:
        return "inconclusive"
    low, high = finding.claimed[0] - finding.tolerance, finding.claimed[1] + finding.tolerance
    if measured.ci[1] < low or measured.ci[0] > high:
        return "not reproduced"
    reach = max(measured.value - measured.ci[0], measured.ci[1] - measured.value)
    allowed = max((high - low) / 2, TELLING * abs(sum(finding.claimed) / 2))
    return "reproduced" if reach <= allowed else "inconclusive"


def _less(left: Estimate, right: Estimate) -> _Outcome:
    measure, found, level = ("ratio", ratio(left, right), 1.0) if by_ratio(left, right) else ("difference", difference(left, right), 0.0)
    if found.ci is None:
        verdict = "inconclusive"
    elif found.ci[1] < level:
        verdict = "reproduced"
    elif found.ci[0] > level or found.ci == (level, level):  # equal, and known exactly, is not less
        verdict = "not reproduced"
    else:
        verdict = "inconclusive"
    return _Outcome(verdict, measure, found)


def _equal(left: Estimate, right: Estimate, tolerance: float, logarithms: bool) -> _Outcome:
    if by_ratio(left, right):
        measure, found, level = "ratio", ratio(left, right), 1.0
    else:
        measure, found, level = "difference", difference(left, right), 0.0
        tolerance *= 1.0 if logarithms else abs(right.value)
    if found.ci is None:
        verdict = "inconclusive"
    elif level - tolerance <= found.ci[0] and found.ci[1] <= level + tolerance:
        verdict = "reproduced"
    elif found.ci[1] < level - tolerance or found.ci[0] > level + tolerance:
        verdict = "not reproduced"
    else:
        verdict = "inconclusive"
    return _Outcome(verdict, measure, found)
