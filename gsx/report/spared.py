"""What numbers that nobody foresaw cost a report: the table or the figure in which they do not go, named, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from gsx.records import GsxError
from gsx.report import escape

T = TypeVar("T")

#: What a number can bring about in arithmetic, in a table or in a drawing. A fault the user can act on ends the report all the same.
SURPRISES: tuple[type[Exception], ...] = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Spared:
    """What was not made, a line each, and why."""

    def __init__(self) -> None:
        self.not_made: list[str] = []

    def of(self, what: str, make: Callable[[], T]) -> T | None:
        """What is made, or None where it is not."""
        return next(self.each(what, lambda: [make()]), None)

    def each(self, what: str, make: Callable[[], Iterable[T]]) -> Iterator[T]:
        """One after the other, up to that which is not made."""
        try:
            yield from make()
        except GsxError:
            raise
        except SURPRISES as fault:
            self.not_made.append(f"{what}: {type(fault).__name__}: {escape.line(str(fault))}")
