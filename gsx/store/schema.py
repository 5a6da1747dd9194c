"""What a stored JSON must look like, written as data: whatever reads a result later may rely on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

#: A type; None; a tuple of alternatives; ``[rule]``, a list; a mapping with at least these keys; `Each`; or a predicate.
Rule: TypeAlias = "type | tuple[Rule, ...] | list[Rule] | dict[str, Rule] | Each | Callable[[Any], bool] | None"


@dataclass(frozen=True)
class Each:
    """A mapping whose every value obeys a rule."""

    rule: Rule


def number(value: object) -> bool:
    """Of a size that a double holds; parsing has refused what is not finite, but for whole numbers of any length."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**1023


def count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


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
    elif isinstance(rule, dict):
        for key, one in rule.items():
            if key not in value:
                raise TypeError(f"{inside + key!r} is missing")
            check(value[key], one, f"{inside}{key}")


def _obeys(value: Any, rule: Rule) -> bool:
    """As far as can be told without looking inside."""
    match rule:
        case None:
            return value is None
        case tuple():
            return any(_obeys(value, one) for one in rule)
        case list():
            return isinstance(value, list)
        case dict() | Each():
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
        case dict() | Each():
            return "dict"
        case list():
            return "list"
        case _:
            return rule.__name__
