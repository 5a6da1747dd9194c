"""Damage: to bytes, to a tree of JSON, to named arrays. Every choice is the generator's, so that a seed is a file."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

#: What does not belong where it is put: sizes, signs, types, text that a terminal, a spreadsheet or a browser would obey.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**63, 10**400, -(10**400), 0.5, -0.0, 1e308, 5e-324),
    *("", "nan", "1e999", "..", "../../etc/passwd", "/etc/passwd", "\x1b[31m\n", "\ud800", "=cmd|' /C calc'!A0", "<script>", "$x$ \\input"),
    *("${oc.env:HOME}", "__import__('os').system('x')", "x" * 3000, "\u202e\u2028", "\0"),
    *([], {}, [[[[[[]]]]]], [None] * 50, {"_target_": "os.system"}, {"value": None, "se": None, "ci": None}),
)
TOKENS = (
    b"NaN",
    b"Infinity",
    b"1e999",
    b"{}",
    b"[" * 2000,
    b"\0",
    b"\xff\xfe",
    b"\r\n",
    b'"',
    b",",
    b",,",
    b"-",
    b"\x1b[31m",
    b"PK\x01\x02",
)


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """One to four of: a flipped bit, a cut, a piece repeated or moved, a token put in, a byte of an extreme value."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, end = sorted((rng.randint(0, len(out)), rng.randint(0, len(out))))
        match rng.randrange(6):
            case 0 if out:
                out[at % len(out)] ^= 1 << rng.randrange(8)
            case 1:
                del out[at:end]
            case 2:
                out[end:end] = out[at : at + min(end - at, 4096)]
            case 3:
                out[at:at] = rng.choice(TOKENS)
            case 4 if out:
                out[at % len(out)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 5:
                del out[at:]
    return bytes(out)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a tree with each of its keys."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()):
        yield tree, key
        yield from places(value)


def damaged_tree(rng: random.Random, tree: dict[str, Any]) -> dict[str, Any]:
    """One to three of: a value replaced, moved, negated or left out; a key renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randint(1, 3)):
        every = list(places(tree))
        if not every:
            break
        holder, key = rng.choice(every)
        match rng.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[str(rng.choice(VALUES))[:40]] = holder.pop(key)
            case 2:
                other, where = rng.choice(every)
                holder[key] = copy.deepcopy(other[where]) if where in other or (isinstance(other, list) and where < len(other)) else None
            case 3 if isinstance(holder[key], int | float):
                holder[key] = rng.choice((-holder[key], holder[key] * 10**6, holder[key] + 1, str(holder[key])))
            case _:
                holder[key] = copy.deepcopy(rng.choice(VALUES))
    return tree


def damaged_arrays(rng: random.Random, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One to three of: an array left out, renamed, reshaped, of another type, or with an extreme in it; a text replaced."""
    arrays = dict(arrays)
    for _ in range(rng.randint(1, 3)):
        if not arrays:
            break
        name = rng.choice(sorted(arrays))
        array = arrays[name]
        match rng.randrange(7):
            case 0:
                del arrays[name]
            case 1:
                arrays[rng.choice(("", "extra.x", "../x", "param.", "state.x", name + name, "\x1b[31m"))] = arrays.pop(name)
            case 2:
                arrays[name] = array.reshape(rng.choice(((-1,), (1, -1), (-1, 1))))
            case 3:
                arrays[name] = array[..., :-1] if array.ndim else np.array([array, array])
            case 4 if array.dtype.kind in "biuf" and np.isfinite(array).all():
                with np.errstate(all="ignore"):  # what does not fit is some other number, which is what is wanted
                    arrays[name] = array.astype(rng.choice(("<i8", "<f8", "<f4", "?", "<u1", "<U5")))
            case 5 if array.dtype.kind == "f" and array.size and array.ndim:
                changed = array.copy()
                changed.flat[rng.randrange(array.size)] = rng.choice((np.nan, np.inf, -np.inf, 1e38, -1.0, 0.0))
                arrays[name] = changed
            case _:
                text = (
                    "",
                    "{}",
                    "[]",
                    "null",
                    "[" * 5000,
                    '{"a": 1}',
                    '[["x", [-1]]]',
                    '[["x", [9999999999, 9999999999]]]',
                    "\x1b[31m",
                    "5",
                )
                arrays[name] = np.array(rng.choice((rng.choice(text), -1, 2**62, float("nan"), True)))
    return arrays
