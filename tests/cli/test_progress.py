"""How far and how long yet: by this session's pace, not before it is known, and never by what a checkpoint held."""

from __future__ import annotations

import logging
import sys
import time

import pytest
from tqdm import tqdm

from gsx.cli import progress
from gsx.cli.progress import Pace, duration


class Clock:
    """A time that passes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def steady(pace: Pace, clock: Clock, rate: float, seconds: float, every: float = 0.5) -> None:
    """So many reports at a steady rate."""
    for _ in range(round(seconds / every)):
        clock.now += every
        pace.advance(round(rate * every))


def test_nothing_is_said_at_the_start(clock: Clock) -> None:
    pace = Pace(10_000)
    assert str(pace) == ""
    pace.advance(0)
    steady(pace, clock, 100, 1.5)
    assert str(pace) == "" and pace.done == 150
    steady(pace, clock, 100, 1)
    assert str(pace) == "1e+02/s, 98 s left"


def test_one_long_block_is_no_pace(clock: Clock) -> None:
    pace = Pace(10_000)
    pace.advance(0)
    clock.now += 30
    pace.advance(100)
    assert pace.rate is None


def test_what_a_checkpoint_held_took_no_time(clock: Clock) -> None:
    """The planted bug: a pace that counts it would promise the rest in less than a second."""
    pace = Pace(1_000_000)
    pace.advance(900_000)
    steady(pace, clock, 100, 10)
    assert pace.rate == pytest.approx(100)
    assert str(pace) == "1e+02/s, 16 min left"
    mistaken = pace.done / 10
    assert (pace.total - pace.done) / mistaken < 2


def test_the_pace_is_that_of_the_last_minute(clock: Clock) -> None:
    """Workers come up: what was slow ten minutes ago says nothing."""
    pace = Pace(10**9)
    pace.advance(0)
    steady(pace, clock, 10, 600)
    steady(pace, clock, 1000, 70, every=0.1)
    assert len(pace._seen) <= 64  # an entry a second, however many reports
    assert pace.rate == pytest.approx(1000, rel=0.05)


def test_durations() -> None:
    seconds = (0.4, 41, 99.4, 99.6, 5990, 12_000, 86_399, 90_000, 600_000)
    assert [duration(one) for one in seconds] == [
        "0 s", "41 s", "99 s", "2 min", "1 h 40 min", "3 h 20 min", "1 d 0 h", "1 d 1 h", "6 d 22 h",
    ]  # fmt: skip


def test_lines_come_ever_more_seldom(clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    caplog.set_level(logging.INFO, "gsx")
    advance = progress.progress("concrete", 100_000)
    advance(40_000)
    for _ in range(600):
        clock.now += 0.5
        advance(50)
    assert caplog.messages[0] == "concrete 40 % 40500 of 100000 replicates, 1e+02/s, 10 min left"
    assert len(caplog.messages) == 5  # after 5, 15, 35, 75 and 155 seconds: not sixty in five minutes


@pytest.mark.parametrize("no_color", [False, True])
def test_a_bar_on_a_terminal(clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    """With the time left, and without a colour whatever is asked for."""
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "tqdm", lambda **keys: tqdm(**keys, mininterval=0, file=sys.stderr))
    advance = progress.progress("cell 3 of 40: concrete", 1000)
    advance(500)
    for _ in range(5):
        clock.now += 1
        advance(50)
    advance(250)
    said = capsys.readouterr().err
    assert "cell 3 of 40: concrete:  75%" in said and "750 of 1.00k, 50/s, 5 s left" in said and "\x1b[3" not in said
    assert "left" not in said.split("55%")[0]
