"""What the tests of schedules share: a run that is interrupted, and what of its result does not depend on when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gsx.records import STATISTICS, Result


def statistics_of(result: Result) -> dict[str, Any]:
    """What does not depend on the clock."""
    return {name: result.summary[name] for name in STATISTICS if "time_ratio" not in name}


class Interrupter:
    """A progress callback that interrupts after so many calls."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, what: str, replicates: int) -> Callable[[int], None]:
        def advance(done: int) -> None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt

        return advance
