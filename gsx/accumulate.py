"""Blocks of replicates, computed in any order and by any number of threads, become the moments of segments, always in the same order."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from gsx.moments import Moments, merge
from gsx.noise import Block
from gsx.records import Layout, Segments
from gsx.routes import Route

#: How often a checkpoint is written, in seconds, and the least share of the time that must go into computing.
CHECKPOINT_SECONDS, CHECKPOINT_SHARE = 2.0, 20.0

#: From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


@dataclass(frozen=True)
class Plan:
    """How a number of replicates is cut: `blocks` blocks of `block_size`; block i belongs to segment i mod `segments`."""

    block_size: int
    blocks: int
    segments: int

    @property
    def num_replicates(self) -> int:
        return self.block_size * self.blocks

    @classmethod
    def of(cls, num_replicates: int, block_size: int | None, coordinates: int) -> Plan:
        """R is rounded up to a multiple of 64 blocks, whose size is min(16384, 16 ceil(R / 1024)) unless it is given."""
        size = min(16384, 16 * -(-num_replicates // 1024)) if block_size is None else block_size
        return cls(size, 64 * -(-num_replicates // (64 * size)), 16 if coordinates > 2**16 else 64)


class Accumulator:
    """The moments of each segment so far, on the device: rows of arrays that are made once and added to in place."""

    def __init__(self, layout: Layout, segments: int, device: torch.device, *, materialises: bool = True) -> None:
        self.layout, self.device = layout, device

        def zeros(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
            return torch.zeros(segments, *shape, dtype=dtype, device=device)

        coordinates = layout.size
        self._arrays = {
            "mean": zeros(coordinates),
            "second": zeros(coordinates),
            "third": zeros(coordinates) if materialises else None,
            "largest": zeros(coordinates),
            "cosine": zeros() if materialises else None,
            "nonfinite": zeros(dtype=torch.int64),
        }
        self._first_nonfinite = zeros(dtype=torch.int64) - 1
        self.blocks = [0] * segments
        # Views: what is merged into a row is merged into the arrays.
        self.moments = [
            Moments(0, *(None if array is None else array[segment] for array in self._arrays.values()))  # type: ignore[arg-type]
            for segment in range(segments)
        ]

    def add(self, block: int, of_block: Moments) -> None:
        """Merge the next block of its segment."""
        segment = block % len(self.moments)
        self.moments[segment] = merge(self.moments[segment], of_block)
        self.blocks[segment] += 1
        first = self._first_nonfinite[segment]
        first.copy_(torch.where((first < 0) & (of_block.nonfinite > 0), block, first))

    def remaining(self, plan: Plan) -> Iterator[int]:
        """The blocks of the plan that are not in here yet, in order."""
        return (block for block in range(plan.blocks) if block // plan.segments >= self.blocks[block % plan.segments])

    def segments(self) -> Segments:
        """A copy for the disk and the statistics; a segment without replicates holds zeros."""
        arrays = {name: None if array is None else array.to("cpu", copy=True).numpy() for name, array in self._arrays.items()}
        mean, second, largest, nonfinite = arrays["mean"], arrays["second"], arrays["largest"], arrays["nonfinite"]
        assert mean is not None and second is not None and nonfinite is not None
        return Segments(
            layout=self.layout,
            blocks=np.array(self.blocks, dtype=np.int64),
            count=np.array([moments.count for moments in self.moments], dtype=np.int64),
            mean=mean,
            second=second,
            third=arrays["third"],
            largest=largest,
            cosine_mean=arrays["cosine"],
            nonfinite_replicates=nonfinite,
            nonfinite_first_block=self._first_nonfinite.to("cpu", copy=True).numpy(),
        )

    @classmethod
    def resume(cls, stored: Segments, device: torch.device) -> Accumulator:
        """Go on from moments that `segments` gave: the same bits as never having stopped."""
        self = cls(stored.layout, len(stored.count), device, materialises=stored.third is not None)
        self.blocks = stored.blocks.tolist()
        self._first_nonfinite.copy_(torch.from_numpy(stored.nonfinite_first_block))
        arrays = (stored.mean, stored.second, stored.third, stored.largest, stored.cosine_mean, stored.nonfinite_replicates)
        for mine, kept in zip(self._arrays.values(), arrays, strict=True):
            if mine is not None and kept is not None:
                mine.copy_(torch.from_numpy(kept))
        for moments, count in zip(self.moments, stored.count.tolist(), strict=True):
            moments.count = count
        return self


def accumulate(
    accumulator: Accumulator,
    route: Route,
    plan: Plan,
    *,
    seed: int,
    stream: str,
    direction: Tensor | None,
    workers: int = 1,
    blocks_per_task: int = 1,
    progress: Callable[[int], None] = lambda replicates: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> None:
    """Add every remaining block of the plan; `workers` and `blocks_per_task` change the time it takes and nothing else.

    ``progress(replicates)`` is called as blocks are added, ``checkpoint()`` every two seconds or so (and takes 1/20 of the time at most).
    On KeyboardInterrupt the blocks in progress are abandoned, what is complete is checkpointed, and the interrupt goes on.
    """
    program = route.program

    def compute(blocks: tuple[int, ...]) -> Computed:
        computed = []
        for index in blocks:
            block = Block(seed, stream, index, program.dtype, program.device)
            computed.append((index, route.moments(block, plan.block_size, direction)))
        return computed

    next_checkpoint = time.monotonic() + CHECKPOINT_SECONDS
    remaining = accumulator.remaining(plan)
    tasks = iter(lambda: tuple(islice(remaining, blocks_per_task)), ())
    try:
        with one_thread_each(), contextlib.closing(_in_order(compute, tasks, workers)) as computed:
            for done in computed:
                for index, of_block in done:
                    accumulator.add(index, of_block)
                progress(plan.block_size * len(done))
                if time.monotonic() >= next_checkpoint:
                    started = time.monotonic()
                    checkpoint()
                    now = time.monotonic()
                    next_checkpoint = now + max(CHECKPOINT_SECONDS, CHECKPOINT_SHARE * (now - started))
    except KeyboardInterrupt:
        checkpoint()
        raise


#: The moments of some blocks, each with its number.
Computed = list[tuple[int, Moments]]


def _in_order(compute: Callable[[tuple[int, ...]], Computed], tasks: Iterator[tuple[int, ...]], workers: int) -> Generator[Computed]:
    """The results of the tasks in the order of the tasks; never more than 2 workers' worth of them are held."""
    if workers == 1:
        yield from map(compute, tasks)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Computed]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(compute, task))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@functools.cache
def keep_freed_memory() -> None:
    """Have the C library keep the memory of tensors that are gone, where it is glibc.

    As it comes, it gives memory back as soon as enough is free; asked for again, each page costs a fault, which on a virtual machine takes
    longer than the arithmetic on the page. At most 256 MiB are kept, in blocks of up to 32 MiB. All threads share one heap: in heaps of
    their own the small results that wait for their turn would keep the holes between large tensors apart. No number depends on it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for option, value in ((_M_TRIM_THRESHOLD, 256 << 20), (_M_MMAP_THRESHOLD, 32 << 20), (_M_ARENA_MAX, 1)):
        mallopt(option, value)


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Sums and matrix products change their bits with torch's thread count, so each is done by one thread; the count is put back after."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
