"""Names: how a class is called in configurations, files and tables, and what a mistyped one was meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

#: Letters of a message: the key is at one of its ends, the rule at the other.
LONGEST_MESSAGE = 1000


def snake_case(name: str) -> str:
    """`StraightThrough` -> `straight_through`, `STGumbel` -> `st_gumbel`, `BinaryVAE` -> `binary_vae`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.75, listed: str = "") -> str:
    """The end of a message about an unknown word: the known one nearest to it, else all of them; ``cutoff`` is how alike is near.

    Where there are too many for a line, ``listed`` is the command that lists them.
    """
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    if near:
        return f"; did you mean {near[0]}?"
    if listed:
        return f"; {listed} names all {len(known)}"
    return f"; known: {', '.join(known)}" if known else ""


def label(name: str, settings: Mapping[str, Any], usual: Mapping[str, Any], samples: int | None) -> str:
    """``name(key=value, ...)`` with the settings that are not as usual."""
    telling = {key: value for key, value in settings.items() if key in usual and value != usual[key]}
    telling |= {} if samples is None else {"num_samples": samples}
    words = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in telling.items()]
    return f"{name}({', '.join(words)})" if words else name


def printable(text: str) -> str:
    """Foreign text, fit for a terminal, which would obey control characters; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def in_one_line(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """The same, with whatever breaks its lines as spaces, and an endless value, or line, without its middle."""
    line = re.sub(r"\S{300,}", lambda word: f"{word[0][:100]}[...]{word[0][-20:]}", printable(" ".join(text.split())))
    return line if len(line) <= longest else f"{line[: longest // 2]} [...] {line[-longest // 2 :]}"
