"""Blocks of replicates, computed in any order by any number of workers, become the moments of segments, always in the same order."""

from __future__ import annotations

import contextlib
import heapq
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue

from gsx.accumulator import Accumulator, Plan
from gsx.process import one_thread_each
from gsx.worker import Work, Worker

#: How often a checkpoint is written, in seconds, and the least share of the time that must go into computing.
CHECKPOINT_SECONDS, CHECKPOINT_SHARE = 2.0, 20.0

#: Processes are started after so many seconds, where the threads would need so many more: a process needs two to be of use.
PROCESSES_AFTER, PROCESSES_PAY = 0.2, 5.0

#: How long the blocks that go together take, in seconds, about.
TASK_SECONDS = 0.03


def accumulate(
    accumulator: Accumulator,
    work: Work,
    plan: Plan,
    *,
    workers: int = 1,
    blocks_per_task: int | None = None,
    progress: Callable[[int], None] = lambda replicates: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> None:
    """Add every remaining block of the plan; `workers` and `blocks_per_task` change the time it takes and nothing else.

    ``progress(replicates)`` is called as blocks are added, ``checkpoint()`` every two seconds or so (and takes 1/20 of the time at most).
    On KeyboardInterrupt the blocks in progress are abandoned, what is complete is checkpointed, and the interrupt goes on. A worker process
    that fails or is killed costs nothing but time. An accumulator of as many writers as workers lets each of them have its process, where
    the work can be told to one.
    """
    schedule = Schedule(accumulator, plan, workers, blocks_per_task)
    added = _add_here(work, accumulator, schedule) if workers == 1 else _add_by_workers(work, accumulator, schedule, workers)
    next_checkpoint = time.monotonic() + CHECKPOINT_SECONDS
    try:
        with one_thread_each(), contextlib.closing(added):
            for blocks in added:
                progress(plan.block_size * len(blocks))
                if time.monotonic() >= next_checkpoint:
                    started = time.monotonic()
                    checkpoint()
                    now = time.monotonic()
                    next_checkpoint = now + max(CHECKPOINT_SECONDS, CHECKPOINT_SHARE * (now - started))
    except KeyboardInterrupt:
        checkpoint()
        raise


#: Some blocks, each of another segment.
Task = tuple[int, ...]


class Schedule:
    """The blocks that remain, handed out lowest first; a segment has one block in progress at a time, so that its order is kept."""

    def __init__(self, accumulator: Accumulator, plan: Plan, workers: int, blocks_per_task: int | None) -> None:
        self._plan, self._started = plan, time.monotonic()
        # Each worker can have a task and another one waiting.
        self._most = blocks_per_task or max(1, plan.segments // (2 * workers) if workers > 1 else plan.segments)
        self._together = blocks_per_task or 1
        self._next = [int(accumulator.blocks[segment]) * plan.segments + segment for segment in plan.own]
        self._next = [block for block in self._next if block < plan.blocks]
        heapq.heapify(self._next)
        self._left = sum(-(-(plan.blocks - block) // plan.segments) for block in self._next)
        self._done = 0

    def take(self) -> Task:
        """The next blocks; none where nothing is left, or what is left must wait for a block in progress."""
        return tuple(heapq.heappop(self._next) for _ in range(min(self._together, len(self._next))))

    def give_back(self, task: Task) -> None:
        """These are added."""
        for block in task:
            if block + self._plan.segments < self._plan.blocks:
                heapq.heappush(self._next, block + self._plan.segments)
        self._done += len(task)
        self._together = max(1, min(self._most, int(TASK_SECONDS * self._done / max(self.elapsed, 1e-9))))

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    @property
    def seconds_left(self) -> float:
        """At the pace so far."""
        return self.elapsed * (self._left - self._done) / self._done if self._done else 0.0


def _add_here(work: Work, accumulator: Accumulator, schedule: Schedule) -> Generator[Task]:
    """All blocks, by this thread."""
    while task := schedule.take():
        for block in task:
            accumulator.add(block, work.moments(block))
        schedule.give_back(task)
        yield task


def _add_by_workers(work: Work, accumulator: Accumulator, schedule: Schedule, workers: int) -> Generator[Task]:
    """All blocks, by threads; in a run that is long enough, all threads but one get a process to do their work.

    A model or an estimator made by hand stays with the threads: no other process could make it.
    """
    stopping = threading.Event()
    team = [_Thread(work, accumulator, stopping) for _ in range(workers)]
    free: SimpleQueue[_Thread] = SimpleQueue()
    for thread in team:
        free.put(thread)

    def add(task: Task) -> None:
        thread = free.get()
        try:
            thread.add(task)
        finally:
            free.put(thread)

    may_start = work.given is not None
    in_progress: dict[Future[None], Task] = {}
    pool = ThreadPoolExecutor(workers)
    try:
        while True:
            while len(in_progress) < 2 * workers and (task := schedule.take()):
                in_progress[pool.submit(add, task)] = task
            if not in_progress:
                return
            for future in wait(in_progress, return_when=FIRST_COMPLETED).done:
                task = in_progress.pop(future)
                future.result()
                schedule.give_back(task)
                yield task
            if may_start and schedule.elapsed > PROCESSES_AFTER and schedule.seconds_left > PROCESSES_PAY:
                may_start = False
                for thread in team[1:]:
                    thread.start_process()
    finally:
        stopping.set()
        for thread in team:
            thread.stop_process()
        pool.shutdown(cancel_futures=True)
        for thread in team:
            thread.close_process()


class _Thread:
    """What one thread adds blocks with: its own hands, or a process's."""

    def __init__(self, work: Work, accumulator: Accumulator, stopping: threading.Event) -> None:
        self._work, self._accumulator, self._stopping = work, accumulator, stopping
        self._process: Worker | None = None

    def start_process(self) -> None:
        """Have a process come up; where there can be none, or an estimator keeps no tensors, the thread goes on by itself."""
        with contextlib.suppress(OSError, AttributeError, TypeError):
            self._process = Worker(self._work, self._accumulator)

    def add(self, task: Task) -> None:
        process = self._process
        if process is not None:
            if not process.trusted:
                process.try_out(self._work, task[0])  # coming up, it needs the core that this thread leaves to it
            if not process.trusted or not process.add(task):
                process.close()
                self._process = None
        # All of it; or, after a process that has failed, what it has left undone: if that was the model's fault, it shows here.
        for block in task:
            if self._stopping.is_set():
                return
            if not self._accumulator.holds(block):
                self._accumulator.add(block, self._work.moments(block))

    def stop_process(self) -> None:
        if self._process is not None:
            self._process.stop()

    def close_process(self) -> None:
        if self._process is not None:
            self._process.close()
