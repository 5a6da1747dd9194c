"""Blocks of replicates, computed by a process of its own: python threads share one interpreter, which is what small blocks wait for."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import pickle
import sys
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gsx.accumulator import Accumulator
from gsx.moments import Moments
from gsx.noise import Block
from gsx.process import answering, shareable, start
from gsx.routes import Route


@dataclass(frozen=True)
class Work:
    """What is asked of every worker: the moments of any block."""

    route: Route
    replicates: int
    seed: int
    stream: str
    direction: Tensor | None

    def moments(self, block: int) -> Moments:
        program = self.route.program
        return self.route.moments(Block(self.seed, self.stream, block, program.dtype, program.device), self.replicates, self.direction)


class Worker:
    """A process that shares an accumulator's memory and adds blocks to it: no moments travel, and no work waits for another's.

    It starts afresh, with what it needs pickled. Before anything is asked of it, it is tried: its bits for one block must be those of this
    process, whatever a notebook has set or a user has edited since. It keeps to itself: of its own it ends when this process does.
    """

    def __init__(self, work: Work, accumulator: Accumulator) -> None:
        """Raises what `pickle` raises where the model or the estimator cannot be pickled, and OSError where no process can be had."""
        shape = (accumulator.layout, len(accumulator.blocks), accumulator.materialises, accumulator.writers)
        handed = pickle.dumps((work, *shape))
        memory, spare, parcel = accumulator.descriptor, accumulator.lend_spare(), shareable(len(handed))
        if memory is None or spare is None or parcel is None:
            raise OSError("no memory that processes can share, or no row of it to spare")
        try:
            mmap.mmap(parcel, len(handed))[:] = handed
            self._process = start(f"from gsx.worker import serve; serve({parcel}, {memory}, {spare})", (parcel, memory))
        finally:
            os.close(parcel)
        self.trusted = False

    def try_out(self, work: Work, block: int) -> None:
        """Wait until it is there, and have some replicates of a block computed by both: where the bits are equal, it is trusted."""
        if self._line() != "ready":
            return
        self._ask("try", block)
        here = _some_bits(work, block)
        self.trusted = self._line() == here

    def add(self, blocks: tuple[int, ...]) -> bool:
        """Have these blocks added; False where the process has failed, and then some of them may have been."""
        self._ask("add", *blocks)
        return self._line() == "added"

    def stop(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Nothing may be waiting for its answer any more."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, *words: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the missing answer will tell
            print(*words, file=self._process.stdin)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _some_bits(work: Work, block: int) -> str:
    """A digest of the moments of the first replicates of a block."""
    moments = replace(work, replicates=min(work.replicates, 64)).moments(block)
    content = hashlib.sha256(str(moments.count).encode())
    for tensor in moments.tensors():
        content.update(tensor.contiguous().numpy().tobytes())
    return content.hexdigest()


def serve(parcel: int, memory: int, spare: int) -> None:
    """The process's side: answer until nothing more is asked."""
    say = answering()
    work, layout, segments, materialises, writers = pickle.loads(mmap.mmap(parcel, 0))
    accumulator = Accumulator(
        layout, segments, torch.device("cpu"), materialises=materialises, writers=writers, descriptor=memory, spare=spare
    )
    say("ready")
    for line in sys.stdin:
        what, *blocks = line.split()
        if what == "try":
            say(_some_bits(work, int(blocks[0])))
        else:
            for block in map(int, blocks):
                accumulator.add(block, work.moments(block))
            say("added")
