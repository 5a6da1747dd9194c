"""What a training will cost, before it is made: counted where that can be done, else timed on a few steps of its own, here and now."""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gsx.estimators.base import Estimator
from gsx.forecast import speed
from gsx.noise import Block
from gsx.probe import Counts, Probe
from gsx.process import one_thread_each
from gsx.program import Program
from gsx.provenance import peak_bytes
from gsx.reference import ReferenceSettings as MeasuringSettings
from gsx.reference import cheap_kind, points, reference_gradient
from gsx.routes import choose
from gsx.training.evaluate import has_bound
from gsx.training.learner import NODES
from gsx.training.trajectory import Trajectory
from gsx.training.variance import CHEAP, cut
from gsx.yardstick import seconds

if TYPE_CHECKING:
    from gsx.training.session import Session

#: How long one piece of work is timed, in seconds, and how often at least, a first time aside.
TIMING_SECONDS, LEAST = 0.3, 3
#: Rows of each split on which an evaluation is timed.
ROWS = 64
#: Bytes of an array's name and header in a file, and of a point of a curve but for the letters of the longest estimator; arrays of a
#: checkpoint and of parameters that are neither.
ARRAY_BYTES, POINT_BYTES, OTHERS = 290, 76, 16


@dataclass(frozen=True)
class Times:
    """In seconds, of one seed."""

    step: float
    probe: float | None  # of all estimators and the reference; None where an enumeration takes too long to be timed
    evaluation: float  # on the way
    ending: float  # on all rows


@dataclass(frozen=True)
class Forecast:
    """What each step of a training, and each measurement on the way, costs. Trainings of one shape share it."""

    step: Counts
    probe: Counts
    points: tuple[int, int]  # of the curve, of an evaluation and of a probe
    array_bytes: int  # of a seed's checkpoint and its parameters, but for the curve
    point_bytes: int
    memory_bytes: int  # of a process
    times: Times | None  # None where they were not measured


@one_thread_each()
def forecast(session: Session, *, timed: bool = True) -> Forecast:
    """Within a few seconds. A trajectory is begun that nobody sees again; nothing is written."""
    trajectory = Trajectory(session, session.configuration.seed)
    times = _times(trajectory) if timed else None
    arrays = trajectory.state().arrays
    parameters = trajectory.parameters().arrays
    stored = OTHERS * ARRAY_BYTES + sum(array.nbytes + ARRAY_BYTES for array in (*arrays.values(), *parameters.values()))
    return Forecast(
        _step_counts(trajectory),
        _probe_counts(trajectory),
        _points(trajectory),
        stored,
        POINT_BYTES + 4 * max(map(len, session.labels)),
        peak_bytes(session.device),
        times,
    )


def together(each: list[float], workers: int) -> float:
    """How long seeds that take so long alone take beside each other."""
    free = [0.0] * workers
    for took in each:
        free[free.index(min(free))] += took
    return max(free) * workers / speed(workers)


# ------------------------------------------------------------------------------------------------------------------------- counted


def _step_counts(trajectory: Trajectory) -> Counts:
    chosen = trajectory.learners[0]
    return Counts(points(trajectory.program, NODES)) if chosen.exact else chosen.seen.counts


def _probe_counts(trajectory: Trajectory) -> Counts:
    """Of all estimators, and of what the cosine is to."""
    session, truth = trajectory.session, trajectory.session.truth
    replicates = cut(session.configuration.probe_replicates).num_replicates
    counts = [session.seen[label].counts.times(replicates) for label in _drawn(trajectory)]
    if truth.seen is not None:
        counts.append(truth.seen.counts.times(cut(truth.replicates).num_replicates))
    elif truth.kind in ("enumeration", "quadrature"):
        counts.append(Counts(points(session.probe_program)))
    return functools.reduce(Counts.plus, counts, Counts())


def _drawn(trajectory: Trajectory) -> list[str]:
    """The estimators of which a probe draws; that `exact` has no variance is known."""
    return [label for label, learner in zip(trajectory.session.labels, trajectory.learners, strict=True) if not learner.exact]


def _points(trajectory: Trajectory) -> tuple[int, int]:
    """How many numbers an evaluation and a probe write down."""
    session, drawn = trajectory.session, len(_drawn(trajectory))
    evaluated = 2 + (len(_samples(session)) if session.rows else int(session.exact_loss.possible))  # loss, seconds
    metrics = 2 if session.truth.kind is None else 4
    return evaluated, metrics * drawn + len(session.labels) - drawn


def _samples(session: Session) -> list[tuple[int, int]]:
    """For each number that an evaluation gives: the rows of its split, and the samples of each."""
    configuration = session.configuration
    found = []
    for split, rows in session.rows.items():
        found.append((len(rows), configuration.evaluate_samples))
        if has_bound(session.model) and split != "train":
            found.append((len(rows), configuration.bound_samples))
    return found


# --------------------------------------------------------------------------------------------------------------------------- timed


def _times(trajectory: Trajectory) -> Times:
    session = trajectory.session
    most = session.configuration.evaluate_rows
    step = _pace(trajectory.take_step, session)
    if not session.rows:
        loss = seconds(lambda: session.exact_loss.at(trajectory.program.at(trajectory.params, "all")), session.device)
        return Times(step, _probe_seconds(trajectory), loss if session.exact_loss.possible else 0.0, 0.0)
    some = _pace(lambda: trajectory.evaluated(ROWS), session)
    if not session.model.independent_rows:  # all rows, whatever is asked for
        return Times(step, _probe_seconds(trajectory), some, 0.0)

    def of(most: float) -> float:
        """By the number of rows x samples."""
        sizes = [sum(min(most, rows) * samples for rows, samples in _samples(session)) for most in (most, ROWS)]
        return some * sizes[0] / sizes[1]

    longer = any(len(rows) > most for rows in session.rows.values())
    return Times(step, _probe_seconds(trajectory), of(most), of(math.inf) if longer else 0.0)


def _probe_seconds(trajectory: Trajectory) -> float | None:
    """All estimators and the reference: a few of the 16 blocks of each."""
    session, truth = trajectory.session, trajectory.session.truth
    program, replicates = session.probe_program.at(trajectory.params), session.configuration.probe_replicates
    total = 0.0
    for label, learner in zip(session.labels, trajectory.learners, strict=True):
        if not learner.exact:
            took = seconds(lambda learner=learner: learner.ready(program, 0), session.device)  # type: ignore[misc]
            total += took + _measuring(session, program, learner.ready(program, 0), session.seen[label], replicates)
    if truth.kind is None:
        return total
    if truth.estimator is not None and truth.seen is not None:
        return total + _measuring(session, program, truth.estimator, truth.seen, truth.replicates)
    if cheap_kind(program, CHEAP * truth.replicates) is None:
        return None
    return total + _pace(lambda: reference_gradient(program, MeasuringSettings(kind=truth.kind or "auto"), seed=0), session)


def _measuring(session: Session, program: Program, estimator: Estimator, seen: Probe, replicates: int) -> float:
    plan, route = cut(replicates), choose("auto", program, estimator, seen)
    block = Block(0, "forecast", 0, program.dtype, program.device)
    return plan.blocks * _pace(lambda: route.moments(block, plan.block_size, None), session)


def _pace(work: Callable[[], object], session: Session) -> float:
    """How long some work takes: the mean, which whatever else this machine is doing has its share in, of a few times after a first one."""
    work()
    timings: list[float] = []
    deadline = time.monotonic() + TIMING_SECONDS
    while len(timings) < LEAST or time.monotonic() < deadline:
        timings.append(seconds(work, session.device))
    return statistics.fmean(timings)
