"""How long an estimate takes, in units that mean the same on every machine."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import torch

from gsx.estimators.base import Estimator
from gsx.estimators.reinforce import Reinforce
from gsx.noise import Block
from gsx.program import Program, gradient_of
from gsx.routes import Route
from gsx.routes.base import replicating

#: Pairs of timings: at least LEAST, and more for SECONDS of time, but never more than MOST.
LEAST, MOST, SECONDS = 3, 101, 0.5


def time_ratio(route: Route, block_size: int, seed: int) -> tuple[float, float]:
    """Time of a block, statistics included, over the time of the model's plain training step at equal batch; and its error as a log.

    The plain step is one sample of REINFORCE without a baseline, forward and backward, for as many replicates and without keeping them
    apart: what a researcher pays for one gradient. Both are timed in turn, a tile at a time, because absolute times drift by tens of per
    cent within minutes; the median of the paired ratios is taken, after one pair that warms up.
    """
    program, tile = route.program, route.tile(block_size)
    plain = Reinforce(num_samples=1)
    ratios: list[float] = []
    deadline = time.monotonic() + SECONDS
    while len(ratios) < 1 + LEAST or (len(ratios) < 1 + MOST and time.monotonic() < deadline):
        block = Block(seed, "yardstick", len(ratios), program.dtype, program.device)
        ours = seconds(lambda block=block: route.moments(block, tile, None), program.device)  # type: ignore[misc]
        theirs = seconds(lambda block=block: plain_step(program, plain, block, tile), program.device)  # type: ignore[misc]
        ratios.append(ours / theirs)
    logs = [math.log(ratio) for ratio in ratios[1:]]
    # The standard error of a median is 1.2533 times that of the mean for normal errors.
    return math.exp(statistics.median(logs)), 1.2533 * statistics.stdev(logs) / math.sqrt(len(logs))


def yardstick_seconds(pair: float) -> float:
    """How long `time_ratio` takes where a pair of timings takes so long."""
    return min(max(SECONDS, (1 + LEAST) * pair), (1 + MOST) * pair)


def plain_step(program: Program, estimator: Estimator, block: Block, replicates: int) -> None:
    """One ordinary training step on ``replicates`` times the rows, forward and backward, without statistics."""
    leaves = program.free_leaves()
    gradient_of(program.mean_loss(leaves, replicating(estimator.expect, block, replicates)), leaves)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The wall time of some work, on a GPU to its end."""
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
