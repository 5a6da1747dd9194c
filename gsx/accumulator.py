"""The moments of segments, block by block: where they lie, and how a run is cut into blocks."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import torch
from torch import Tensor

from gsx.moments import Moments, merge
from gsx.process import shareable
from gsx.records import Layout, Segments, Shard


@dataclass(frozen=True)
class Plan:
    """How a number of replicates is cut: `blocks` blocks of `block_size`; block i belongs to segment i mod `segments`.

    Of a shard, the blocks of its own segments are drawn.
    """

    block_size: int
    blocks: int
    segments: int
    shard: Shard = Shard()  # noqa: RUF009 (it is frozen)

    @property
    def own(self) -> range:
        """The segments that are drawn."""
        return range(self.segments)[self.shard.rows]

    @property
    def num_replicates(self) -> int:
        return self.block_size * self.blocks

    @property
    def own_replicates(self) -> int:
        return self.num_replicates * len(self.own) // self.segments

    @classmethod
    def of(cls, num_replicates: int, block_size: int | None, coordinates: int) -> Plan:
        """R is rounded up to a multiple of 64 blocks, whose size is min(16384, 16 ceil(R / 1024)) unless it is given."""
        size = min(16384, 16 * -(-num_replicates // 1024)) if block_size is None else block_size
        return cls(size, 64 * -(-num_replicates // (64 * size)), 16 if coordinates > 2**16 else 64)


class Accumulator:
    """The moments of each segment so far, on the device: rows of arrays that are made once.

    A block is merged into a copy of its segment's row, which takes the row's place by a single store: whoever is killed or interrupted in
    the middle leaves the row as it was. The row that was replaced is the next one's copy; there is one for each of the `writers` at a time.

    On a CPU the rows lie in memory that other processes can map (``descriptor`` is its file descriptor, None where there is no such
    memory): an accumulator made of the descriptor of another, with one of its ``spare`` rows, adds to the same segments. Each segment has
    a lock against other threads and processes.
    """

    def __init__(
        self,
        layout: Layout,
        segments: int,
        device: torch.device,
        *,
        materialises: bool = True,
        writers: int = 1,
        descriptor: int | None = None,
        spare: int | None = None,
    ) -> None:
        self.layout, self.device, self.materialises, self.writers = layout, device, materialises, writers
        coordinates, per_replicate, rows = layout.size, int(materialises), segments + writers
        numbers = rows * ((3 + per_replicate) * coordinates + per_replicate + 4) + segments
        self.descriptor = shareable(8 * numbers) if descriptor is None and device.type == "cpu" else descriptor
        memory = None
        if self.descriptor is not None:
            memory = mmap.mmap(self.descriptor, 8 * numbers)
            weakref.finalize(self, os.close, self.descriptor)
        offset = 0

        def zeros(*shape: int, dtype: torch.dtype = torch.float64, device: torch.device = device) -> Tensor:
            nonlocal offset
            if memory is None:
                return torch.zeros(shape, dtype=dtype, device=device)
            array = torch.frombuffer(memory, dtype=dtype, count=int(np.prod(shape)), offset=offset).view(shape)
            offset += 8 * array.numel()
            return array

        self._arrays = {
            "mean": zeros(rows, coordinates),
            "second": zeros(rows, coordinates),
            "third": zeros(rows, coordinates) if materialises else None,
            "largest": zeros(rows, coordinates),
            "cosine": zeros(rows) if materialises else None,
            "nonfinite": zeros(rows, dtype=torch.int64),
        }
        self._nonfinite_blocks = zeros(rows, dtype=torch.int64)  # 1 + the first block with a replicate that is not finite; 0 without one
        on_host = torch.device("cpu")
        self._blocks, self._count = (zeros(rows, dtype=torch.int64, device=on_host).numpy() for _ in range(2))
        self._row = zeros(segments, dtype=torch.int64, device=on_host).numpy()  # which row is a segment's
        # Views: what is merged into a row is merged into the arrays.
        self._rows = [
            Moments(0, *(None if array is None else array[row] for array in self._arrays.values()))  # type: ignore[arg-type]
            for row in range(rows)
        ]
        self._locks = [threading.Lock() for _ in range(segments)]
        self._spare: SimpleQueue[int] = SimpleQueue()
        self._lent = 0
        if spare is None:
            self._row[:] = range(segments)
        for row in range(segments, rows) if spare is None else [spare]:
            self._spare.put(row)

    def add(self, block: int, of_block: Moments) -> None:
        """Merge the next block of its segment."""
        segment = block % len(self._row)
        with self._held(segment), self._copy(segment) as row:
            moments, first = self._rows[row], self._nonfinite_blocks[row]
            moments.count = int(self._count[row])
            merge(moments, of_block)
            first.copy_(torch.where((first == 0) & (of_block.nonfinite > 0), block + 1, first))
            self._count[row] = moments.count
            self._blocks[row] += 1

    @contextlib.contextmanager
    def _copy(self, segment: int) -> Iterator[int]:
        """A spare row that begins as a copy of a segment's; it becomes the segment's row where no exception, or worse, comes between."""
        old, new = int(self._row[segment]), self._spare.get()
        try:
            for array in (*self._arrays.values(), self._nonfinite_blocks, self._blocks, self._count):
                if array is not None:
                    array[new] = array[old]
            yield new
            self._row[segment] = new
        finally:
            self._spare.put(old if self._row[segment] == new else new)

    def lend_spare(self) -> int | None:
        """A row for another process to merge into, which does not come back; None where the last one would go."""
        if self._lent + 1 >= self.writers:
            return None
        self._lent += 1
        return self._spare.get()

    @property
    def blocks(self) -> np.ndarray:
        """How many blocks of each segment have been added."""
        return np.asarray(self._blocks[self._row])

    def holds(self, block: int) -> bool:
        """Whether this block has been added."""
        return block // len(self._row) < int(self._blocks[self._row[block % len(self._row)]])

    @contextlib.contextmanager
    def _held(self, segment: int) -> Iterator[None]:
        """Hold a row against the threads of this process, and against the processes that share it."""
        with self._locks[segment]:
            if self.descriptor is None:
                yield
                return
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX, 1, segment)
            try:
                yield
            finally:
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, segment)

    def segments(self) -> Segments:
        """A copy for the disk and the statistics; a segment without replicates holds zeros."""
        with contextlib.ExitStack() as stack:
            for segment in range(len(self._row)):
                stack.enter_context(self._held(segment))
            rows = torch.from_numpy(self._row.copy())
            arrays = {name: None if array is None else array[rows.to(array.device)].cpu().numpy() for name, array in self._arrays.items()}
            blocks, count = self._blocks[self._row], self._count[self._row]
            first = self._nonfinite_blocks[rows.to(self._nonfinite_blocks.device)].cpu().numpy() - 1
        mean, second, largest, nonfinite = arrays["mean"], arrays["second"], arrays["largest"], arrays["nonfinite"]
        assert mean is not None and second is not None and largest is not None and nonfinite is not None
        return Segments(
            layout=self.layout,
            blocks=blocks,
            count=count,
            mean=mean,
            second=second,
            third=arrays["third"],
            largest=largest,
            cosine_mean=arrays["cosine"],
            nonfinite_replicates=nonfinite,
            nonfinite_first_block=first,
        )

    @classmethod
    def resume(cls, stored: Segments, device: torch.device, *, writers: int = 1) -> Accumulator:
        """Go on from moments that `segments` gave: the same bits as never having stopped."""
        segments = len(stored.count)
        self = cls(stored.layout, segments, device, materialises=stored.third is not None, writers=writers)
        self._blocks[:segments], self._count[:segments] = stored.blocks, stored.count
        self._nonfinite_blocks[:segments] = torch.from_numpy(stored.nonfinite_first_block + 1).to(device)
        arrays = (stored.mean, stored.second, stored.third, stored.largest, stored.cosine_mean, stored.nonfinite_replicates)
        for mine, kept in zip(self._arrays.values(), arrays, strict=True):
            if mine is not None and kept is not None:
                mine[:segments] = torch.from_numpy(kept).to(device)
        return self
