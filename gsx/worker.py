"""Blocks of replicates, computed by a process of its own: python threads share one interpreter, which is what small blocks wait for."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from gsx.accumulator import Accumulator
from gsx.learnt import learnt
from gsx.moments import Moments
from gsx.noise import Block
from gsx.parcel import pack
from gsx.process import start
from gsx.routes import Route


@dataclass(frozen=True)
class Work:
    """What is asked of every worker: the moments of any block of a stream.

    ``given`` is the measurement's configuration (`Setup.as_given`), of which another process makes the same route: that of the estimator,
    or on the reference's stream that of its long run. Objects made by hand have no such words.
    """

    route: Route
    replicates: int
    seed: int
    stream: str
    direction: Tensor | None
    given: Mapping[str, Any] | None = None

    def moments(self, block: int) -> Moments:
        program = self.route.program
        return self.route.moments(Block(self.seed, self.stream, block, program.dtype, program.device), self.replicates, self.direction)

    def some_bits(self, block: int) -> str:
        """A digest of the moments of the first replicates of a block."""
        moments = replace(self, replicates=min(self.replicates, 64)).moments(block)
        content = hashlib.sha256(str(moments.count).encode())
        for tensor in moments.tensors():
            content.update(tensor.contiguous().numpy().tobytes())
        return content.hexdigest()


class Worker:
    """A process that shares an accumulator's memory and adds blocks to it: no moments travel, and no work waits for another's.

    It starts afresh (`gsx.worker_process`), is told in JSON what to measure, and is handed the numbers that were learnt. Before anything is
    asked of it, it is tried: its bits for one block must be those of this process, whatever a notebook has set or a user has edited since.
    It keeps to itself: of its own it ends when this process does.
    """

    def __init__(self, work: Work, accumulator: Accumulator) -> None:
        """Raises OSError where no process can be had."""
        words = {
            "given": work.given,
            "replicates": work.replicates,
            "seed": work.seed,
            "stream": work.stream,
            "segments": len(accumulator.blocks),
            "materialises": accumulator.materialises,
            "writers": accumulator.writers,
        }
        tensors = learnt(work.route.estimator) | ({} if work.direction is None else {"direction": work.direction})
        memory, spare = accumulator.descriptor, accumulator.lend_spare()
        if memory is None or spare is None or (parcel := pack(words, tensors)) is None:
            raise OSError("no memory that processes can share, or no row of it to spare")
        try:
            self._process = start(f"from gsx.worker_process import serve; serve({parcel}, {memory}, {spare})", (parcel, memory))
        finally:
            os.close(parcel)
        self.trusted = False

    def try_out(self, work: Work, block: int) -> None:
        """Wait until it is there, and have some replicates of a block computed by both: where the bits are equal, it is trusted."""
        if self._line() != "ready":
            return
        self._ask("try", block)
        here = work.some_bits(block)
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
