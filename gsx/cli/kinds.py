"""Cells of one kind cost the same: a dry run forecasts the first of each kind, and times it as long as there is time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from gsx.cli.failures import contained, reason
from gsx.records import canonical_json

#: Kinds of cells are timed for so long, in seconds; the others are counted only.
MOST_SECONDS = 60.0

F = TypeVar("F")


class Kinds(Generic[F]):
    """The forecast of each kind, made once."""

    def __init__(self) -> None:
        self._found: dict[str, F | None] = {}
        self._deadline = time.monotonic() + MOST_SECONDS
        self.faults: list[str] = []

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[F]:
        return (found for found in self._found.values() if found is not None)

    @property
    def in_time(self) -> bool:
        """Whether there is still time to time something."""
        return time.monotonic() < self._deadline

    def forecast(self, config: dict[str, Any], shown: str, make: Callable[[bool], F]) -> F | None:
        """That of a cell's kind, which its configuration tells; None where its code raises even if nothing is timed (`make(False)`)."""
        kind = canonical_json(shape(config))
        if kind not in self._found:
            self._found[kind] = self._first(shown, make)
        return self._found[kind]

    def _first(self, shown: str, make: Callable[[bool], F]) -> F | None:
        try:
            with contained():
                return make(self.in_time)
        except Exception as fault:  # a cell that will fail is told of when it runs
            self.faults.append(f"could not be timed: {shown}: {reason(fault)}")
        with contextlib.suppress(Exception), contained():
            return make(False)
        return None


def shape(value: Any) -> Any:
    """A configuration without what costs nothing: the values of numbers with a point, and seeds."""
    if isinstance(value, dict):
        return {key: shape(of) for key, of in value.items() if key != "seed"}
    if isinstance(value, list):
        return [shape(of) for of in value]
    return None if isinstance(value, float) else value
