"""The replicates of a measurement become moments: from where they were left, up to the end, or until their error is small enough."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gsx.accumulate import accumulate
from gsx.accumulator import Accumulator, Plan
from gsx.moments import moments
from gsx.probe import Probe
from gsx.program import Program
from gsx.provenance import peak_bytes
from gsx.records import Cost, Reference, Segments
from gsx.reference import exact_gradient
from gsx.resume import Place, beginning
from gsx.routes import Route
from gsx.shards import own
from gsx.statistics import length
from gsx.stopping import looks, relative_error
from gsx.store import PLANNED
from gsx.worker import Work
from gsx.yardstick import time_ratio

#: ``progress(what, replicates)`` opens a bar for that many replicates and returns the function that moves it.
Progress = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True)
class Drawn:
    """The moments of all segments, what they cost, and how it was found that they are enough (`Result.stopping`)."""

    segments: Segments
    cost: Cost
    stopping: dict[str, Any]


def evaluate_once(program: Program, segments: int) -> Drawn:
    """`exact` has no noise: one replicate, in segment 0."""
    started = time.monotonic()
    gradient, evaluations = exact_gradient(program)
    accumulator = Accumulator(program.layout, segments, torch.device("cpu"))
    accumulator.add(0, moments(torch.from_numpy(gradient)[None], None))
    once = dataclasses.replace(accumulator.segments(), cosine_mean=None)
    return Drawn(once, Cost(evaluations, 0, 0, seconds=time.monotonic() - started, peak_bytes=peak_bytes(program.device)), {})


def replicate(
    route: Route,
    plan: Plan,
    seen: Probe,
    reference: Reference,
    place: Place | None,
    *,
    seed: int,
    given: Mapping[str, Any] | None = None,
    target_se: float | None = None,
    workers: int = 1,
    blocks_per_task: int | None = None,
    progress: Callable[[int], Callable[[int], None]] | None = None,
) -> Drawn:
    """The moments of all blocks of a plan, or of as many as it takes to know the variance to ``target_se``.

    With a place they are checkpointed there, and begun with what is there. The run is looked at where the counts of `looks` are complete,
    so that workers, kills and resuming do not decide where it ends. A variance that is not finite will not become so: then it ends at the
    first look.
    """
    started, device = time.monotonic(), route.program.device
    begin, before = (beginning(place) if place is not None else None) or (None, 0.0)
    if begin is None:
        accumulator = Accumulator(route.program.layout, plan.segments, device, materialises=route.materialises, writers=workers)
    else:
        accumulator = Accumulator.resume(begin, device, writers=workers)
    ratio, ratio_log_se = time_ratio(route, plan.block_size, seed)
    advance = progress(plan.own_replicates) if progress else lambda replicates: None
    advance(plan.block_size * int(accumulator.blocks[plan.own].sum()))
    norm = length(reference.gradient)
    direction = torch.from_numpy(reference.gradient / norm).to(device) if 0 < norm < math.inf else None
    work = Work(route, plan.block_size, seed, "base", direction, given)

    def seconds() -> float:
        return before + time.monotonic() - started

    def checkpoint() -> None:
        if place is not None:
            wanted = place.wanted
            mine = own(accumulator.segments(), wanted.shard)
            planned = {PLANNED: np.array(plan.blocks)}
            place.own.write_segments(mine, wanted.fingerprint, wanted.moments_id, planned, seconds=seconds())

    stopping: dict[str, Any] = {}
    for look in looks(plan.blocks, plan.block_size, target_se):
        if accumulator.blocks.sum() > look:  # it was looked at then, and was not enough
            continue
        accumulate(
            accumulator,
            work,
            dataclasses.replace(plan, blocks=look),
            workers=workers,
            blocks_per_task=blocks_per_task,
            progress=advance,
            checkpoint=checkpoint,
        )
        if target_se is not None:
            error = relative_error(accumulator.segments(), reference)
            reached = error is not None and error <= target_se
            stopping = {"target_se": target_se, "relative_se": error, "reached": reached, "limit": plan.num_replicates}
            if reached or error is None:
                break
    checkpoint()
    counted = seen.evaluations, seen.gradient_evaluations, seen.random_numbers
    cost = Cost(*counted, seconds=seconds(), time_ratio=ratio, time_ratio_log_se=ratio_log_se, peak_bytes=peak_bytes(device))
    return Drawn(accumulator.segments(), cost, stopping)
