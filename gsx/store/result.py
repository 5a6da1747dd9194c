"""result.json, whose presence says that a run has ended."""

from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

from gsx.records import STATISTICS, VERDICTS, Result
from gsx.store.schema import Each, Rule, check, count, number
from gsx.store.strict_json import check_shape, parse_json

STATUSES = ("complete", "partial", "failed")


def pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(end is None or number(end) for end in value)


def some(value: object) -> bool:
    return isinstance(value, list) and bool(value)


INTERVAL: Rule = ({"value": (number, None), "se": (number, None), "ci": (pair, None)}, None)

SCHEMA: Rule = {
    "result_id": str,
    "status": str,
    "config": dict,
    "estimator": str,
    "model": str,
    "engine": str,
    "num_samples": count,
    "num_replicates": count,
    "blocks": count,
    "summary": dict.fromkeys(STATISTICS, INTERVAL),
    "parameters": Each({"shape": [count]}),
    "reference": {"id": str, "kind": str, "estimator": (str, None), "error": {"max": (number, None), "norm": (number, None)}},
    "verdict": {
        "status": str,
        "max_abs_z": (number, None),
        "p_value": (number, None),
        "delta_min": {"absolute": (number, None), "relative": (number, None)},
    },
    "cost": {
        "evaluations": count,
        "gradient_evaluations": count,
        "random_numbers": count,
        "seconds": (number, None),
        "time_ratio": (number, None),
        "peak_bytes": (count, None),
    },
    "nonfinite": dict,
    "tuning": dict,
    "moments_sha256": str,
    "provenance": dict,
    "coordinates": ({"sha256": str, "rows": count, "of": count, "selection": str}, None),
}
TUNED: Rule = {"kind": str, "steps": count, "replicates": count, "curve": some}
TUNING: dict[str, Rule] = {"curve": [number], "variances": [{"value": number, "se": number}]}
NONFINITE: Rule = {"replicates": count, "coordinates": count, "first_block": (count, None)}
STOPPING: dict[str, Rule] = {"target_se": number, "relative_se": (number, None), "reached": bool, "limit": count}
FACTS: dict[str, Rule] = {"needs_cost_gradient": bool, "unbiased": bool, "distributions": [str]}


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
        check({key: value for key, value in entry.items() if key != "shape"}, Each(INTERVAL), f"parameters.{name}")
    for group, rules in {"tuning": TUNING, "facts": FACTS, "stopping": STOPPING}.items():  # of which a result has what there is to say
        found = body.get(group, {})
        check(found, dict, group)
        if group != "tuning" or "kind" in found:
            check(found, {key: rule for key, rule in rules.items() if key in found}, group)
    if "kind" in result.tuning:
        check(result.tuning, TUNED, "tuning")
    if result.part is None:
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
