"""A result as a terminal shows it."""

from __future__ import annotations

from gsx.cli.columns import aligned
from gsx.records import Interval, Result
from gsx.registry import find, schema


def describe(result: Result, folder: str) -> str:
    """One result, a fact a line."""
    verdict = result.verdict
    lines = [
        ("model", f"{result.model}, wrt={result.config['wrt']}, {result.config['dtype']}"),
        ("estimator", f"{named(result)}, N={result.num_samples}, R={result.num_replicates}, engine={result.engine}"),
        ("reference", _reference(result)),
        ("verdict", _verdict(result)),
        *((label, number(result.summary[key])) for key, label in _LABELS.items()),
        *((("tuning", _tuning(result)),) if "kind" in result.tuning else ()),
        *((("stopped", _stopping(result)),) if result.stopping else ()),
        ("cost", _cost(result)),
    ]
    if verdict.reason:
        lines.insert(4, ("", verdict.reason))
    if result.nonfinite["replicates"]:
        count, where = result.nonfinite["replicates"], result.nonfinite["coordinates"]
        lines.append(
            ("warning", f"{count} replicates were not finite, in {where} coordinates; first in block {result.nonfinite['first_block']}")
        )
    lines.append(("folder", folder))
    return "\n".join(f"{label:<12}{text}" for label, text in lines)


def describe_part(result: Result, folder: str) -> str:
    """A shard, which has no statistics of its own."""
    assert result.part is not None
    lines = [
        ("model", f"{result.model}, wrt={result.config['wrt']}, {result.config['dtype']}"),
        ("estimator", f"{named(result)}, N={result.num_samples}, engine={result.engine}"),
        ("shard", f"{result.part.shard}, {result.num_replicates} of R={result.config['num_replicates']} replicates; gsx merge joins all"),
        ("folder", folder),
    ]
    return "\n".join(f"{label:<12}{text}" for label, text in lines)


def _stopping(result: Result) -> str:
    stopping = result.stopping
    error = "n/a" if stopping["relative_se"] is None else f"{stopping['relative_se']:.2g}"
    reached = f"target {stopping['target_se']:g} {'reached' if stopping['reached'] else 'not reached'}"
    return f"relative error of the variance {error}, {reached} with {result.num_replicates} of at most {stopping['limit']} replicates"


_LABELS = {"variance": "variance", "bias_sq": "bias^2", "mse": "mse", "snr": "snr", "cosine": "cosine"}


def named(result: Result) -> str:
    """The estimator with the tunables that are not as usual, or with its only one."""
    given = {key: value for key, value in result.config["estimator"].items() if key != "name"}
    usual = schema(find("estimators", result.estimator, result.config["plugins"]))
    telling = {key: value for key, value in given.items() if len(given) == 1 or value != usual[key].default}
    tunables = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in telling.items()]
    return f"{result.estimator}({', '.join(tunables)})" if tunables else result.estimator


def number(interval: Interval | None) -> str:
    """A value with its standard error and 95 % interval."""
    if interval is None:
        return "n/a"
    text = f"{interval.value:.5g}"
    if interval.se is not None:
        text += f" ± {rounded(interval.se, 1)}"
    return text if interval.ci is None else f"{text}  [{rounded(interval.ci[0], 4)}, {rounded(interval.ci[1], 4)}]"


def rounded(value: float, digits: int) -> str:
    """Without an exponent up to a million, however few the digits."""
    return f"{float(f'{value:.{digits}g}'):g}"


def _reference(result: Result) -> str:
    kind, estimator = str(result.reference["kind"]), result.reference["estimator"]
    error = result.reference["error"]["norm"]
    return kind.replace("_", " ") + (f" of {estimator}, its own error {error:.2g}" if estimator else "")


def _verdict(result: Result) -> str:
    verdict = result.verdict
    text = result.verdict_word
    if verdict.max_abs_z is not None:
        text += f", max |z| {verdict.max_abs_z:.2f}"
    if verdict.delta_min_relative is not None and verdict.status == "unbiased":
        text += f"; only a bias above {rounded(100 * verdict.delta_min_relative, 2)} % of max |reference| was sure to be seen"
    return text


def _tuning(result: Result) -> str:
    tuning = result.tuning
    text = f"by {tuning['kind']}, {tuning['steps']} steps of {tuning['replicates']} replicates; "
    text += f"loss from {tuning['curve'][0]:.4g} to {tuning['curve'][-1]:.4g}"
    repeats = ", ".join(f"{rounded(one['value'], 4)} ± {rounded(one['se'], 1)}" for one in tuning.get("variances", []))
    return f"{text}; variance of each tuning {repeats}" if repeats else text


def _cost(result: Result) -> str:
    cost = result.cost
    text = f"{cost.evaluations} evaluations, {cost.gradient_evaluations} gradients, {cost.random_numbers} random numbers an estimate"
    return text if cost.time_ratio is None else f"{text}; {cost.time_ratio:.2f} x the time of a plain step"


def table(rows: list[tuple[str, str, Result | None, str]]) -> str:
    """The cells of a sweep: what became of each, and its numbers where it has any."""
    lines: list[tuple[str, ...]] = [("state", "model", "estimator", "N", "verdict", "bias^2", "variance", "mse", "folder")]
    for state, measurement, result, folder in rows:
        if result is None or state in ("failed", "unfinished", "missing"):
            model, _, estimator = measurement.partition(" ")
            lines.append((state, model, estimator, "", "", "", "", "", folder))
            continue
        values = (_short(result.summary[key]) for key in ("bias_sq", "variance", "mse"))
        verdict = result.verdict_word if result.part is None else f"shard {result.part.shard}"
        lines.append((state, result.model, named(result), str(result.num_samples), verdict, *values, folder))
    return aligned(lines)


def _short(interval: Interval | None) -> str:
    if interval is None:
        return "n/a"
    return rounded(interval.value, 4) + ("" if interval.se is None else f" ± {rounded(interval.se, 1)}")
