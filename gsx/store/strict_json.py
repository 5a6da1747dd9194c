"""JSON that holds its own sha256: no NaN, no infinity, no key twice, and nothing believed before its type is checked."""

from __future__ import annotations

import hashlib
import json
from typing import Any, BinaryIO, NoReturn

from gsx.records import Layout, canonical_json


def sealed_json(body: dict[str, Any]) -> bytes:
    """Strict JSON with the sha256 of its canonical form inside. ValueError for NaN, infinities and non-JSON values."""
    body = json.loads(json.dumps(body, allow_nan=False))  # as a reader will see it: tuples are lists, keys are strings
    body["sha256"] = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    return (json.dumps(body, indent=2, allow_nan=False) + "\n").encode()


def parse_json(stream: BinaryIO) -> dict[str, Any]:
    """The body that `sealed_json` was given. ValueError or TypeError where it is anything else."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not strict JSON")

    def integer(digits: str) -> int:
        if len(digits) > 400:  # Python refuses some of them too, with advice for whoever wrote the program
            raise ValueError(f"a number of {len(digits)} digits")
        return int(digits)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        body = dict(pairs)
        if len(body) < len(pairs):  # two readers may disagree on which of the two holds
            raise ValueError("a key stands there twice")
        return body

    try:
        body = json.loads(stream.read().decode(), parse_constant=refuse, parse_int=integer, object_pairs_hook=unique)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(body, dict):
        raise TypeError("not a JSON object")
    if body.pop("sha256", None) != hashlib.sha256(canonical_json(body).encode()).hexdigest():
        raise ValueError("the body does not match its sha256")
    return body


def require(body: dict[str, Any], kind: type, *keys: str) -> None:
    for key in keys:
        if not isinstance(body[key], kind):
            raise TypeError(f"{key!r} is no {kind.__name__}")


def parse_layout(data: Any) -> Layout:
    layout = Layout.from_json(data)
    if any(n < 0 for shape in layout.shapes for n in shape) or len(set(layout.names)) != len(layout.names):
        raise ValueError("the layout has a negative size or a name twice")
    return layout
