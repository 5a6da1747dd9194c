"""What a measurement will cost, before it is made: counted where that can be done, else timed on a piece of its own work, here and now."""

from __future__ import annotations

import copy
import dataclasses
import statistics
import time
from dataclasses import dataclass

import torch

from gsx.accumulator import Accumulator
from gsx.measurement import Measurement
from gsx.moments import Moments
from gsx.noise import Block
from gsx.process import one_thread_each
from gsx.provenance import peak_bytes
from gsx.reference import MOST_POINTS, cheap_kind, exact_evaluations, long_run, points
from gsx.routes import Route
from gsx.tune import tune
from gsx.yardstick import seconds, yardstick_seconds

#: How long one piece of work is timed, in seconds, and how often at least, a first time aside.
TIMING_SECONDS, LEAST = 0.1, 2
#: Steps of a tuning that are timed.
STEPS = 3

#: What every further worker adds to the speed of the first, as measured for docs/scaling.md; a process that is one, to the memory.
WORKER_SHARE = 0.8
#: Statistics and files of a cell: seconds at least, and for each number of its checkpoint (docs/scaling.md).
STORING_SECONDS, NUMBER_SECONDS = 0.05, 1e-7
#: Bytes of a checkpoint that are no moments: names, seals, the zip around them.
ENVELOPE = 5300
#: Copies of the moments while a checkpoint is written, and of what autograd holds while a tile is computed.
MOMENT_COPIES, TILE_COPIES = 4, 3


@dataclass(frozen=True)
class Times:
    """In seconds."""

    replicate: float  # computing the moments of one, by one worker
    merge: float  # adding those of a block to its segment
    tuning: float
    yardstick: float  # timing a plain step beside the estimator


@dataclass(frozen=True)
class Forecast:
    """What each replicate of a measurement costs, and what is paid once. Cells of one model, estimator, route and shape share it."""

    evaluations: int
    gradient_evaluations: int
    random_numbers: int
    checkpoint_bytes: int
    memory_bytes: int
    workers: int
    times: Times | None  # None where they were not measured

    def seconds(self, blocks: int, block_size: int) -> float | None:
        """How long so many blocks take, with everything around them but the reference."""
        if self.times is None:
            return None
        work = blocks * (block_size * self.times.replicate + self.times.merge)
        once = self.times.tuning + self.times.yardstick + STORING_SECONDS + NUMBER_SECONDS * self.checkpoint_bytes / 8
        return once + work / speed(self.workers)


def speed(workers: int) -> float:
    """How many workers so many are worth."""
    return 1 + WORKER_SHARE * (workers - 1)


@one_thread_each()
def forecast(measurement: Measurement, *, timed: bool = True) -> Forecast:
    """Within about a second; nothing of the measurement is changed, and none of its random numbers is used."""
    if measurement.exact:  # an enumeration, which is not cut into pieces that could be timed
        size = 8 * measurement.plan.segments * (4 * measurement.program.layout.size + 6) + ENVELOPE
        memory = peak_bytes(measurement.program.device) + MOMENT_COPIES * size
        return Forecast(points(measurement.program), 0, 0, size, memory, 1, None)
    route, seen, workers = measurement.route, measurement.seen, measurement.workers
    times = _times(measurement) if timed else None
    rows = _rows(route, measurement.plan.segments)
    tile = route.tile(measurement.plan.block_size) * route.footprint * measurement.program.dtype.itemsize
    # This process has computed tiles by one worker.
    memory = peak_bytes(measurement.program.device) + MOMENT_COPIES * rows + TILE_COPIES * (workers - 1) * tile
    counts = (seen.evaluations, seen.gradient_evaluations, seen.random_numbers)
    return Forecast(*counts, rows + ENVELOPE, memory, workers, times)


def _rows(route: Route, segments: int) -> int:
    """Bytes of the moments of all segments, as a checkpoint holds them."""
    coordinates, per_replicate = route.program.layout.size, int(route.materialises)
    return 8 * segments * ((3 + per_replicate) * coordinates + per_replicate + 5)


def _times(measurement: Measurement) -> Times:
    route = measurement.route
    replicate, merge, tile = _pace(route, measurement.plan.block_size)
    tuning, settings = 0.0, measurement.tuned_so
    if settings.kind != "none":

        def learn(steps: int) -> None:
            few = dataclasses.replace(settings, steps=steps, repeats=1)
            learner = copy.deepcopy(measurement.estimator)
            tune(learner, measurement.program, measurement.seen, few, seed=measurement.configuration.seed, stream="forecast.tune")

        learn(1)  # the first step sets much up
        tuning = settings.repeats * settings.steps * seconds(lambda: learn(STEPS), measurement.program.device) / STEPS
    return Times(replicate, merge, tuning, yardstick_seconds(2 * tile))


def _pace(route: Route, block_size: int) -> tuple[float, float, float]:
    """Seconds of a replicate, of merging a block, and of a tile."""
    program, tile = route.program, route.tile(block_size)
    direction = torch.full((program.layout.size,), program.layout.size**-0.5, dtype=torch.float64, device=program.device)
    accumulator = Accumulator(program.layout, 1, program.device, materialises=route.materialises)

    def once(index: int) -> tuple[float, float]:
        found: list[Moments] = []
        block = Block(0, "forecast", index, program.dtype, program.device)
        computing = seconds(lambda: found.append(route.moments(block, tile, direction)), program.device)
        return computing, seconds(lambda: accumulator.add(index, found[0]), program.device)

    once(0)
    timings: list[tuple[float, float]] = []
    deadline = time.monotonic() + TIMING_SECONDS
    while len(timings) < LEAST or time.monotonic() < deadline:
        timings.append(once(1 + len(timings)))
    computing, merging = map(statistics.median, zip(*timings, strict=True))
    return computing / tile, merging, computing


# ------------------------------------------------------------------------------------------------------------------- the reference


@one_thread_each()
def reference_seconds(measurement: Measurement, evaluation: float | None) -> float | None:
    """How long the reference takes; an exact one by what an evaluation takes the estimator, None where that is not known."""
    program, settings = measurement.program.in_float64(), measurement.configuration.reference
    kind = cheap_kind(program, MOST_POINTS) if settings.kind == "auto" else settings.kind
    if kind not in (None, "long_run"):
        return exact_evaluations(program) * evaluation if evaluation is not None else None
    route, plan = long_run(program, settings)
    replicate, merge, _ = _pace(route, plan.block_size)
    return plan.blocks * (plan.block_size * replicate + merge) / speed(measurement.workers)
