"""What a stored JSON must look like, written as data: whatever reads a result later may rely on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

#: A type; None; a tuple of alternatives; ``[rule]``, a list; a mapping with at least these keys; `Some`; `Each`; or a predicate.
Rule: TypeAlias = "type | tuple[Rule, ...] | list[Rule] | dict[str, Rule] | Some | Each | Callable[[Any], bool] | None"


@dataclass(frozen=True)
class Some:
    """A mapping that may have these keys, and others; with those inside its values no more than ``most``."""

    rules: dict[str, Rule]
    most: int | None = None


@dataclass(frozen=True)
class Each:
    """A mapping whose every value obeys a rule."""

    rule: Rule


def number(value: object) -> bool:
    """Of a size that a double holds; parsing has refused what is not finite, but for whole numbers of any length."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**1023


def count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def positive(value: object) -> bool:
    return count(value) and value != 0


def amount(value: object) -> bool:
    """A number that is not negative."""
    return number(value) and value >= 0  # type: ignore[operator]


def ordered(value: object) -> bool:
    """The two ends of an interval, but for float32; null is one that is not finite."""
    if not (isinstance(value, list) and len(value) == 2 and all(end is None or number(end) for end in value)):
        return False
    return None in value or value[0] <= value[1] or math.isclose(*value, rel_tol=1e-6)


def check(value: Any, rule: Rule, at: str = "") -> None:
    """TypeError that says where a value breaks its rule; ``at`` is the place of the value."""
    alternatives = rule if isinstance(rule, tuple) else (rule,)
    for rule in alternatives:
        if _obeys(value, rule):
            break
    else:
        raise TypeError(f"{at!r} is no {_name(alternatives)}")
    inside = f"{at}." if at else ""
    if isinstance(rule, list):
        for position, entry in enumerate(value):
            check(entry, rule[0], f"{at}[{position}]")
    elif isinstance(rule, Each):
        for key, entry in value.items():
            check(entry, rule.rule, f"{inside}{key}")
    elif isinstance(rule, (dict, Some)):
        if isinstance(rule, Some) and rule.most is not None and _keys(value) > rule.most:
            raise TypeError(f"{at!r} has more than {rule.most} keys")
        for key, one in (rule if isinstance(rule, dict) else rule.rules).items():
            if key in value:
                check(value[key], one, f"{inside}{key}")
            elif isinstance(rule, dict):
                raise TypeError(f"{inside + key!r} is missing")


def _keys(value: Any) -> int:
    """Of a mapping and all mappings in it; depth is bounded by whoever has read it."""
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return sum(map(_keys, inside), len(value) if isinstance(value, Mapping) else 0)


def _obeys(value: Any, rule: Rule) -> bool:
    """As far as can be told without looking inside."""
    match rule:
        case None:
            return value is None
        case tuple():
            return any(_obeys(value, one) for one in rule)
        case list():
            return isinstance(value, list)
        case dict() | Some() | Each():
            return isinstance(value, Mapping)
        case type():
            return isinstance(value, rule)
        case _:
            return rule(value)


def _name(rule: Rule) -> str:
    match rule:
        case None:
            return "null"
        case tuple():
            return " or ".join(map(_name, rule))
        case dict() | Some() | Each():
            return "dict"
        case list():
            return "list"
        case _:
            return rule.__name__
