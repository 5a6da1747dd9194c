"""What the page of a run or of a training is made of: pairs, tables and commands, as data for the page's script, all of it text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gsx.records import Interval, canonical_json
from gsx.report import escape, rounding
from gsx.report.html.runs import number

#: A title, and `pairs`, `head` with `rows`, or `text` and `code`, which is a list of commands.
Section = dict[str, Any]

#: What of a result's provenance is shown: facts about software and machine; a stranger's file may hold anything else.
PROVENANCE = ("gsx", "python", "torch", "numpy", "noise", "device", "system", "workers", "commit", "time")

KINDS = {
    "closed_form": "closed form: exact",
    "enumeration": "enumeration of all states: exact",
    "quadrature": "quadrature to relative 1e-9",
    "long_run": "long run of another estimator: its own error is propagated",
}


def pairs(title: str, told: Mapping[str, Any]) -> Section | None:
    """What is absent is left out. A value that is a tuple of two is a text and the anchor of the page that it names."""
    shown = [
        [line(key), [line(x) for x in value] if isinstance(value, tuple) else line(value)] for key, value in told.items() if _is(value)
    ]
    return {"title": title, "pairs": shown} if shown else None


def _is(value: Any) -> bool:
    return value not in (None, "", {}, [])


def provenance(stored: Any, more: Mapping[str, Any]) -> Section | None:
    facts = mapping(stored)
    return pairs("Provenance", {key: facts.get(key) for key in PROVENANCE} | dict(more))


def line(value: Any) -> str:
    if isinstance(value, str):
        return escape.line(value, 600)
    return escape.line(canonical_json(value) if isinstance(value, (bool, list, dict)) or value is None else str(value), 600)


def concise(value: Any) -> str | None:
    return rounding.concise(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def with_interval(interval: Any) -> tuple[str, str]:
    shown = number(interval if isinstance(interval, Interval) else None)
    return shown.text, shown.ends


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
