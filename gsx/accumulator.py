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

import numpy as np
import torch
from torch import Tensor

from gsx.moments import Moments, merge
from gsx.process import shareable
from gsx.records import Layout, Segments


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
    """The moments of each segment so far, on the device: rows of arrays that are made once and added to in place.

    On a CPU they lie in memory that other processes can map (``descriptor`` is its file descriptor, None where there is no such memory):
    an accumulator made of the descriptor of another has the same rows. Each row has a lock against other threads and processes.
    """

    def __init__(
        self, layout: Layout, segments: int, device: torch.device, *, materialises: bool = True, descriptor: int | None = None
    ) -> None:
        self.layout, self.device, self.materialises = layout, device, materialises
        coordinates, per_replicate = layout.size, int(materialises)
        numbers = segments * ((3 + per_replicate) * coordinates + per_replicate + 5)
        self.descriptor = shareable(8 * numbers) if descriptor is None and device.type == "cpu" else descriptor
        memory = None
        if self.descriptor is not None:
            memory = mmap.mmap(self.descriptor, 8 * numbers)
            weakref.finalize(self, os.close, self.descriptor)
        offset = 0

        def zeros(*shape: int, dtype: torch.dtype = torch.float64, device: torch.device = device) -> Tensor:
            nonlocal offset
            if memory is None:
                return torch.zeros(segments, *shape, dtype=dtype, device=device)
            array = torch.frombuffer(memory, dtype=dtype, count=segments * int(np.prod(shape)), offset=offset).view(segments, *shape)
            offset += 8 * array.numel()
            return array

        self._arrays = {
            "mean": zeros(coordinates),
            "second": zeros(coordinates),
            "third": zeros(coordinates) if materialises else None,
            "largest": zeros(coordinates),
            "cosine": zeros() if materialises else None,
            "nonfinite": zeros(dtype=torch.int64),
        }
        self._nonfinite_blocks = zeros(dtype=torch.int64)  # 1 + the first block with a replicate that is not finite; 0 without one
        counters = [zeros(dtype=torch.int64, device=torch.device("cpu")).numpy() for _ in range(3)]
        self.blocks, self.count, self._merging = counters
        # Views: what is merged into a row is merged into the arrays.
        self._rows = [
            Moments(0, *(None if array is None else array[segment] for array in self._arrays.values()))  # type: ignore[arg-type]
            for segment in range(segments)
        ]
        self._locks = [threading.Lock() for _ in range(segments)]

    def add(self, block: int, of_block: Moments) -> None:
        """Merge the next block of its segment."""
        segment = block % len(self._rows)
        row, first = self._rows[segment], self._nonfinite_blocks[segment]
        with self._held(segment):
            self._merging[segment] = 1
            row.count = int(self.count[segment])
            merge(row, of_block)
            first.copy_(torch.where((first == 0) & (of_block.nonfinite > 0), block + 1, first))
            self.count[segment] = row.count
            self.blocks[segment] += 1
            self._merging[segment] = 0

    def holds(self, block: int) -> bool:
        """Whether this block has been added."""
        return block // len(self._rows) < int(self.blocks[block % len(self._rows)])

    @property
    def torn(self) -> bool:
        """Whether the merging of a block was broken off, so that the moments of its segment are lost: what is under way is waited for."""
        with self.still():
            return bool(self._merging.any())

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

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """While nothing is being merged."""
        with contextlib.ExitStack() as stack:
            for segment in range(len(self._rows)):
                stack.enter_context(self._held(segment))
            yield

    def segments(self) -> Segments:
        """A copy for the disk and the statistics; a segment without replicates holds zeros."""
        with self.still():
            arrays = {name: None if array is None else array.to("cpu", copy=True).numpy() for name, array in self._arrays.items()}
            blocks, count, first = self.blocks.copy(), self.count.copy(), self._nonfinite_blocks.to("cpu", copy=True).numpy() - 1
        mean, second, largest, nonfinite = arrays["mean"], arrays["second"], arrays["largest"], arrays["nonfinite"]
        assert mean is not None and second is not None and nonfinite is not None
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
    def resume(cls, stored: Segments, device: torch.device) -> Accumulator:
        """Go on from moments that `segments` gave: the same bits as never having stopped."""
        self = cls(stored.layout, len(stored.count), device, materialises=stored.third is not None)
        self.blocks[:], self.count[:] = stored.blocks, stored.count
        self._nonfinite_blocks.copy_(torch.from_numpy(stored.nonfinite_first_block + 1))
        arrays = (stored.mean, stored.second, stored.third, stored.largest, stored.cosine_mean, stored.nonfinite_replicates)
        for mine, kept in zip(self._arrays.values(), arrays, strict=True):
            if mine is not None and kept is not None:
                mine.copy_(torch.from_numpy(kept))
        return self
