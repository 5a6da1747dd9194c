"""Tuning before measuring: on random numbers of its own, and frozen afterwards."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Block
from gsx.program import Program


@torch.no_grad()
def warm_up(estimator: Estimator, program: Program, *, seed: int, stream: str = "tune") -> dict[str, Any]:
    """Let the estimator learn from as many draws as it asks for; what it learnt, for the result, or {}.

    Draw i is block i of the stream, which no measurement uses: a sample never meets a value that was learnt from it.
    """
    for draw in range(estimator.warmup):
        noise = Block(seed, stream, draw, program.dtype, program.device).one()

        def implementation(q: Distribution, cost: Cost, site: str, noise=noise) -> Tensor:  # type: ignore[no-untyped-def]
            estimator.update(q, cost, noise.at(site))
            return estimator.expect(q, cost, noise.at(site))

        program.mean_loss(program.leaves, implementation)
    return {"stream": stream, "draws": estimator.warmup, "values": estimator.tuned()} if estimator.warmup else {}
