"""result.json, whose presence says that a run has ended."""

from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

from gsx.records import STATISTICS, VERDICTS, Result
from gsx.store.configured import CONFIG
from gsx.store.schema import Each, Rule, Some, amount, check, count, number, ordered, positive
from gsx.store.strict_json import check_shape, parse_json

STATUSES = ("complete", "partial", "failed")


def some(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def interval(value: Rule) -> Rule:
    return {"value": (value, None), "se": (amount, None), "ci": (ordered, None)}, None


#: Of bias², MSE and SNR an estimate may be negative.
STATISTIC: dict[str, Rule] = {name: interval(amount if name.startswith("variance") else number) for name in STATISTICS}
#: Of a run; a shard may have nothing.
WHOLE: Rule = dict.fromkeys(("num_samples", "num_replicates", "blocks"), positive)

SCHEMA: Rule = {
    "result_id": str,
    "status": str,
    "config": CONFIG,
    "estimator": str,
    "model": str,
    "engine": str,
    "num_samples": count,
    "num_replicates": count,
    "blocks": count,
    "summary": STATISTIC,
    "parameters": Each({"shape": [count]}),
    "reference": {"id": str, "kind": str, "estimator": (str, None), "error": {"max": (amount, None), "norm": (amount, None)}},
    "verdict": {
        "status": str,
        "max_abs_z": (amount, None),
        "p_value": (amount, None),
        "delta_min": {"absolute": (amount, None), "relative": (amount, None)},
    },
    "cost": {
        "evaluations": count,
        "gradient_evaluations": count,
        "random_numbers": count,
        "seconds": (amount, None),
        "time_ratio": (amount, None),
        "peak_bytes": (count, None),
    },
    "nonfinite": dict,
    "tuning": dict,
    "moments_sha256": str,
    "provenance": dict,
    "coordinates": ({"sha256": str, "rows": count, "of": count, "selection": str}, None),
}
TUNED: Rule = {"kind": str, "steps": count, "replicates": count, "curve": some}
TUNING: Rule = Some({"curve": [number], "variances": [{"value": amount, "se": amount}]})
NONFINITE: Rule = {"replicates": count, "coordinates": count, "first_block": (count, None)}
STOPPING: Rule = Some({"target_se": amount, "relative_se": (amount, None), "reached": bool, "limit": count})
FACTS: Rule = Some({"needs_cost_gradient": bool, "unbiased": bool, "distributions": [str]})


class StoredResult(NamedTuple):
    """What a result.json holds: the result, and what is declared of its tables, `coordinates` and `draws`: None where there is none."""

    result: Result
    declared: dict[str, dict[str, Any] | None]


def parse_result(stream: BinaryIO) -> StoredResult:
    body = parse_json(stream)
    result = Result.from_json(body)
    check(body, SCHEMA)
    for name, entry in body["parameters"].items():
        check_shape(entry["shape"])
        check(entry, {key: STATISTIC.get(key, interval(number)) for key in entry if key != "shape"}, f"parameters.{name}")
    for group, rule in {"tuning": TUNING, "facts": FACTS, "stopping": STOPPING}.items():  # of which a result has what there is to say
        found = body.get(group, {})
        check(found, dict, group)
        if group != "tuning" or "kind" in found:
            check(found, rule, group)
    if "kind" in result.tuning:
        check(result.tuning, TUNED, "tuning")
    if result.part is None:
        check(body, WHOLE)
        check(body["nonfinite"], NONFINITE, "nonfinite")
    check(result.verdict.reason, (str, None), "verdict.reason")
    if result.status not in STATUSES:
        raise ValueError(f"status {result.status!r} is none of {', '.join(STATUSES)}")
    if result.verdict.status not in VERDICTS:
        raise ValueError(f"verdict {result.verdict.status!r} is none of {', '.join(VERDICTS)}")
    for group in ("model", "estimator"):
        chosen = result.config.get(group)
        if isinstance(chosen, dict) and chosen.get("name") != body[group]:
            raise ValueError(f"names the {group} {body[group]!r}, and its configuration {chosen.get('name')!r}")
    declared = {"coordinates": body["coordinates"], "draws": body.get("draws", {})}
    check(declared["draws"], (dict, None), "draws")
    return StoredResult(result, declared)
