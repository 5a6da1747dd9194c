"""The engine alone: moments of replicates, without reference, statistics and storing."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import torch

from gsx.accumulate import accumulate
from gsx.accumulator import Accumulator
from gsx.configuration import Configuration
from gsx.measurement import Measurement
from gsx.models.base import Model
from gsx.moments import Moments
from gsx.noise import Block
from gsx.worker import Work


def measurement(model: Mapping[str, Any] | Model, estimator: str, **settings: Any) -> Measurement:
    """What `gsx run` would measure."""
    configuration = Configuration.of({"model": model, "estimator": {"name": estimator}} | settings)
    return Measurement(configuration, model=model if isinstance(model, Model) else None)


class Engine:
    """A measurement's route, asked for one block after another."""

    def __init__(self, measured: Measurement) -> None:
        self.measured, self.route, self.program = measured, measured.route, measured.program
        self._blocks = count()
        # A real run has a reference, along which cosines are taken; any direction costs the same.
        size = self.program.layout.size
        self.direction = torch.full((size,), size**-0.5, dtype=torch.float64, device=self.program.device)

    def block(self, index: int) -> Block:
        return Block(0, "base", index, self.program.dtype, self.program.device)

    def moments(self, index: int, replicates: int) -> Moments:
        return self.route.moments(self.block(index), replicates, self.direction)

    def next(self, replicates: int) -> Moments:
        """The moments of the first replicates of a block that was not asked for before."""
        return self.moments(next(self._blocks), replicates)

    def run(self) -> Accumulator:
        """The moments of the whole plan, as a run computes them by one worker."""
        plan, materialises = self.measured.plan, self.route.materialises
        accumulator = Accumulator(self.program.layout, plan.segments, self.program.device, materialises=materialises)
        accumulate(accumulator, Work(self.route, plan.block_size, 0, "base", self.direction), plan)
        return accumulator
