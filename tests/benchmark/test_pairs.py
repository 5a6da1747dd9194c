"""Ours and theirs take turns, and who begins alternates."""

from __future__ import annotations

import time
from collections.abc import Callable

from gsx.benchmark.pairs import fastest, interleave, repeat, timed
from gsx.benchmark.row import Samples


def spy(log: list[str], name: str) -> Callable[[], float]:
    def measure() -> float:
        log.append(name)
        return float(len(log))

    return measure


def test_pairs_alternate_after_one_that_warms_up() -> None:
    log: list[str] = []
    samples = interleave(spy(log, "o"), spy(log, "t"), 3)
    assert "".join(log) == "ot" + "ot" + "to" + "ot"
    assert samples == Samples((3.0, 6.0, 7.0), (4.0, 5.0, 8.0))


def test_nothing_is_thrown_away_where_nothing_warms_up() -> None:
    log: list[str] = []
    assert interleave(spy(log, "o"), spy(log, "t"), 1, warm=False) == Samples((1.0,), (2.0,))
    assert repeat(spy(log, "o"), 2, warm=False) == Samples((3.0, 4.0))
    assert repeat(spy(log, "o"), 1) == Samples((6.0,))


def test_the_fastest_is_the_one_with_the_shortest_time() -> None:
    times = {"a": iter([9.0, 3.0, 3.0]), "b": iter([0.0, 5.0, 2.0]), "c": iter([1.0, 4.0, 4.0])}
    assert fastest({name: lambda seconds=seconds: next(seconds) for name, seconds in times.items()}, rounds=2) == "b"


def test_time_is_given_for_one_unit() -> None:
    seconds = timed(lambda: time.sleep(0.02), units=10)()
    assert 0.002 <= seconds < 0.02
