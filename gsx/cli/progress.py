"""How far a run is: a bar on a terminal, a line every few seconds elsewhere, on stderr both."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

from tqdm import tqdm

log = logging.getLogger("gsx")

#: Seconds between two log lines.
EVERY = 5.0


def progress(what: str, replicates: int, unit: str = "replicates") -> Callable[[int], None]:
    """A function that is told of finished replicates, or of whatever else is counted."""
    return _bar(what, replicates, unit) if sys.stderr.isatty() else _lines(what, replicates, unit)


def _bar(what: str, replicates: int, unit: str) -> Callable[[int], None]:
    bar = tqdm(total=replicates, desc=what, unit=f" {unit}", unit_scale=True, leave=False, smoothing=0.1)

    def advance(done: int) -> None:
        bar.update(done)
        if bar.n >= replicates:
            bar.close()

    return advance


def _lines(what: str, replicates: int, unit: str) -> Callable[[int], None]:
    started = last = time.monotonic()
    resumed_at: int | None = None
    total = 0

    def advance(done: int) -> None:
        nonlocal total, last, resumed_at
        total += done
        if resumed_at is None:  # the first report is of what a checkpoint held
            resumed_at = total
        now = time.monotonic()
        if now - last >= EVERY and total < replicates and total > resumed_at:
            last = now
            rate = (total - resumed_at) / (now - started)
            log.info(f"{what}: {total:,} of {replicates:,} {unit}, {rate:,.0f} a second, {(replicates - total) / rate:.0f} s left")

    return advance


def silent(what: str, replicates: int) -> Callable[[int], None]:
    return lambda done: None
