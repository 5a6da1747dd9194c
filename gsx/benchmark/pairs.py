"""Interleaved measuring: ours, theirs, theirs, ours, ... so that both meet the same machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from gsx.benchmark.row import Samples
from gsx.yardstick import seconds

#: Measures once; the seconds (or bytes) of one unit of work.
Measure = Callable[[], float]


def interleave(ours: Measure, theirs: Measure, pairs: int, *, warm: bool = True) -> Samples:
    """As many pairs, whose order alternates, after one that warms up and is not kept."""
    if warm:
        ours(), theirs()
    taken: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs):
        order = ((0, ours), (1, theirs)) if pair % 2 == 0 else ((1, theirs), (0, ours))
        for side, measure in order:
            taken[side].append(measure())
    return Samples(tuple(taken[0]), tuple(taken[1]))


def repeat(ours: Measure, times: int, *, warm: bool = True) -> Samples:
    """What has no peer."""
    if warm:
        ours()
    return Samples(tuple(ours() for _ in range(times)))


def timed(work: Callable[[], object], units: float = 1, device: str = "cpu") -> Measure:
    """The wall time of some work, in seconds a unit."""

    return lambda: seconds(work, torch.device(device)) / units


def fastest(candidates: Mapping[str, Measure], rounds: int = 3) -> str:
    """The name of the candidate with the shortest time; each is measured once to warm up, and then in turn."""
    for measure in candidates.values():
        measure()
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(rounds):
        for name, measure in candidates.items():
            best[name] = min(best[name], measure())
    return min(best, key=best.__getitem__)
