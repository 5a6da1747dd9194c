"""JSON that holds its own sha256: no NaN, no infinity, no number beyond float64, no key twice, and no type believed unchecked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, BinaryIO, NoReturn

from gsx.records import Layout, canonical_json

#: Digits of a whole number, that it may still be taken for a float64.
MOST_DIGITS = 300
#: Lists and objects within each other: gsx writes about ten.
MOST_DEPTH = 64
#: Axes of a parameter, and its numbers along one of them.
MOST_AXES, LONGEST_AXIS = 64, 2**53


def sealed_json(body: dict[str, Any]) -> bytes:
    """Strict JSON with the sha256 of its canonical form inside. ValueError for NaN, infinities and non-JSON values."""
    body = json.loads(json.dumps(body, allow_nan=False))  # as a reader will see it: tuples are lists, keys are strings
    body["sha256"] = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    return (json.dumps(body, indent=2, allow_nan=False) + "\n").encode()


def parse_json(stream: BinaryIO) -> dict[str, Any]:
    """The body that `sealed_json` was given. ValueError or TypeError where it is anything else."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not strict JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        body = dict(pairs)
        if len(body) < len(pairs):  # two readers may disagree on which of the two holds
            raise ValueError("a key stands there twice")
        return body

    try:
        body = json.loads(stream.read().decode(), parse_constant=refuse, parse_int=_whole, object_pairs_hook=unique)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(body, dict):
        raise TypeError("not a JSON object")
    _check_depth(body)
    if body.pop("sha256", None) != hashlib.sha256(canonical_json(body).encode()).hexdigest():
        raise ValueError("the body does not match its sha256")
    return body


def require(body: dict[str, Any], kind: type, *keys: str) -> None:
    for key in keys:
        if not isinstance(body[key], kind):
            raise TypeError(f"{key!r} is no {kind.__name__}")


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _check_depth(body: Any) -> None:
    """Level by level, which no depth exhausts: whoever walks a stored body by recursion may rely on it."""
    level = [body]
    for _ in range(MOST_DEPTH):
        inner = [value for value in level if isinstance(value, (dict, list))]
        level = [entry for value in inner for entry in (value.values() if isinstance(value, dict) else value)]
        if not level:
            return
    if any(isinstance(value, (dict, list)) for value in level):
        raise ValueError("nested too deeply")


def check_shape(shape: Iterable[int]) -> None:
    """ValueError for one that no parameter has: a product of its numbers could take for ever."""
    numbers = list(shape)
    if len(numbers) > MOST_AXES or not all(0 <= n <= LONGEST_AXIS for n in numbers):
        raise ValueError("a shape that no parameter has")


def parse_layout(data: Any) -> Layout:
    """What `as_json` gave, or the text of it. ValueError."""
    layout = Layout.from_json(json.loads(data, parse_int=_whole) if isinstance(data, str) else data)
    for shape in layout.shapes:
        check_shape(shape)
    if len(set(layout.names)) != len(layout.names):
        raise ValueError("the layout has a name twice")
    return layout
