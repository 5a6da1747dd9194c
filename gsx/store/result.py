"""result.json, whose presence says that a run has ended."""

from __future__ import annotations

from typing import Any, BinaryIO

from gsx.records import Result
from gsx.store.strict_json import parse_json, require


def parse_result(stream: BinaryIO) -> tuple[Result, dict[str, dict[str, Any] | None]]:
    """The result, and what it declares about `coordinates` and `draws`, its tables: None where there is none."""
    body = parse_json(stream)
    result = Result.from_json(body)
    require(body, str, "result_id", "status", "estimator", "model", "engine", "moments_sha256")
    require(body, dict, "config", "parameters", "reference", "nonfinite", "tuning", "provenance")
    require({"facts": result.facts, "stopping": result.stopping}, dict, "facts", "stopping")
    if result.status not in ("complete", "partial", "failed"):
        raise ValueError(f"status {result.status!r} is none of complete, partial, failed")
    declared = {"coordinates": body["coordinates"], "draws": body.get("draws", {})}
    require(declared, dict, *(name for name, table in declared.items() if table is not None))
    return result, declared
