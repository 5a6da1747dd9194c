"""How far a run is and how long it takes yet: a bar on a terminal, a line now and then elsewhere, on stderr both."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable

from tqdm import tqdm

log = logging.getLogger("gsx")

#: Seconds to the first log line; each takes twice as long as the one before, up to the last number.
FIRST, LONGEST = 5.0, 300.0

#: A pace is told after so many seconds and reports, and is that of the last so many seconds: workers come up, machines get busy.
ENOUGH_SECONDS, ENOUGH_REPORTS, RECENT = 2.0, 3, 60.0


def progress(what: str, total: int, unit: str = "replicates", cell: str = "") -> Callable[[int], None]:
    """A function that is told of finished replicates, or of whatever else is counted; first of all, of what a checkpoint held.

    ``cell`` says which one of a sweep it is.
    """
    what = f"{cell}: {what}" if cell else what
    return _bar(what, total) if sys.stderr.isatty() else _lines(what, total, unit)


class Pace:
    """How fast it goes, by this session alone: what was read from a checkpoint took no time."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self._seen: deque[tuple[float, int]] = deque()
        self._reports = -1  # the first one starts the clock
        self._started = 0.0

    def advance(self, done: int) -> None:
        now = time.monotonic()
        if self._reports < 0:
            self._started = now
        self.done += done
        self._reports += 1
        if len(self._seen) > 1 and now - self._seen[-2][0] < 1:  # one entry a second is enough
            self._seen.pop()
        self._seen.append((now, self.done))
        while len(self._seen) > 2 and now - self._seen[1][0] > RECENT:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """So many a second; None while too little is known."""
        if self._reports < ENOUGH_REPORTS or time.monotonic() - self._started < ENOUGH_SECONDS:
            return None
        (since, before), (last, done) = self._seen[0], self._seen[-1]
        return (done - before) / (last - since) if done > before and last > since else None

    def __str__(self) -> str:
        """`1.2e+06/s, 41 s left`, or nothing."""
        rate = self.rate
        return "" if rate is None else f"{rate:.2g}/s, {duration((self.total - self.done) / rate)} left"


def duration(seconds: float) -> str:
    """In one or two units: `41 s`, `12 min`, `3 h 20 min`, `5 d 2 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def _bar(what: str, total: int) -> Callable[[int], None]:
    """tqdm's own rate would begin with what a checkpoint held."""
    pace = Pace(total)
    shown = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt}{postfix}"
    bar = tqdm(total=total, desc=what, unit_scale=True, leave=False, miniters=1, bar_format=shown)

    def advance(done: int) -> None:
        pace.advance(done)
        bar.set_postfix_str(str(pace), refresh=False)
        bar.update(done)
        if bar.n >= total:
            bar.close()

    return advance


def _lines(what: str, total: int, unit: str) -> Callable[[int], None]:
    pace = Pace(total)
    pause, due = FIRST, time.monotonic() + FIRST

    def advance(done: int) -> None:
        nonlocal pause, due
        pace.advance(done)
        now = time.monotonic()
        if now >= due and pace.done < total:
            pause = min(2 * pause, LONGEST)
            due = now + pause
            text = f"{what} {100 * pace.done // total} % {pace.done} of {total} {unit}"
            log.info(", ".join(filter(None, [text, str(pace)])))

    return advance


def silent(what: str, total: int, cell: str = "") -> Callable[[int], None]:
    return lambda done: None
