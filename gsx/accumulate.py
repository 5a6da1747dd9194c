"""Blocks of replicates, computed in any order and by any number of threads, become the moments of segments, always in the same order."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from gsx.moments import Moments, merge, moments
from gsx.noise import Block
from gsx.records import Layout, Segments
from gsx.routes import Route

#: How often a checkpoint is written, in seconds, and the least share of the time that must go into computing.
CHECKPOINT_SECONDS, CHECKPOINT_SHARE = 2.0, 20.0


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
    """The moments of each segment so far, on the device."""

    def __init__(self, layout: Layout, segments: int, device: torch.device) -> None:
        self.layout, self.device = layout, device
        self.moments: list[Moments | None] = [None] * segments
        self.blocks = [0] * segments
        self.first_nonfinite = [torch.full((), -1, dtype=torch.int64, device=device) for _ in range(segments)]

    def add(self, block: int, of_block: Moments) -> None:
        """Merge the next block of its segment."""
        segment = block % len(self.moments)
        before = self.moments[segment]
        self.moments[segment] = of_block if before is None else merge(before, of_block)
        self.blocks[segment] += 1
        first = self.first_nonfinite[segment]
        self.first_nonfinite[segment] = torch.where((first < 0) & (of_block.nonfinite > 0), block, first)

    def remaining(self, plan: Plan) -> Iterator[int]:
        """The blocks of the plan that are not in here yet, in order."""
        return (block for block in range(plan.blocks) if block // plan.segments >= self.blocks[block % plan.segments])

    def segments(self) -> Segments:
        """A copy for the disk and the statistics; a segment without replicates holds zeros."""
        coordinates = self.layout.size

        def stack(field: str) -> np.ndarray:
            zeros = torch.zeros(coordinates, dtype=torch.float64, device=self.device)
            return torch.stack([zeros if m is None else getattr(m, field) for m in self.moments]).cpu().numpy()

        def scalars(field: str, dtype: torch.dtype) -> np.ndarray:
            zero = torch.zeros((), dtype=dtype, device=self.device)
            return torch.stack([zero if m is None else getattr(m, field) for m in self.moments]).cpu().numpy()

        return Segments(
            layout=self.layout,
            blocks=np.array(self.blocks, dtype=np.int64),
            count=np.array([0 if m is None else m.count for m in self.moments], dtype=np.int64),
            mean=stack("mean"),
            second=stack("second"),
            third=stack("third"),
            largest=stack("largest"),
            cosine_mean=scalars("cosine", torch.float64),
            nonfinite_replicates=scalars("nonfinite", torch.int64),
            nonfinite_first_block=torch.stack(self.first_nonfinite).cpu().numpy(),
        )

    @classmethod
    def resume(cls, stored: Segments, device: torch.device) -> Accumulator:
        """Go on from moments that `segments` gave: the same bits as never having stopped."""
        self = cls(stored.layout, len(stored.count), device)
        self.blocks = stored.blocks.tolist()
        self.first_nonfinite = list(torch.from_numpy(stored.nonfinite_first_block).to(device))
        assert stored.third is not None and stored.largest is not None and stored.cosine_mean is not None
        arrays = (stored.mean, stored.second, stored.third, stored.largest, stored.cosine_mean, stored.nonfinite_replicates)
        tensors = [torch.from_numpy(array).to(device) for array in arrays]
        for segment, count in enumerate(stored.count.tolist()):
            if count:
                self.moments[segment] = Moments(count, *(tensor[segment].clone() for tensor in tensors))
        return self


def block_moments(route: Route, block: Block, block_size: int, direction: Tensor | None) -> Moments:
    """The moments of one block, always at full shape and in the same tiles."""
    tile = route.tile(block_size)
    total: Moments | None = None
    for start in range(0, block_size, tile):
        of_tile = moments(route.gradients(block, start, min(start + tile, block_size)), direction)
        total = of_tile if total is None else merge(total, of_tile)
    assert total is not None
    return total


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
            computed.append((index, block_moments(route, block, plan.block_size, direction)))
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


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Sums and matrix products change their bits with torch's thread count, so each is done by one thread; the count is put back after."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
