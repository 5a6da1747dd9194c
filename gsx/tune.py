"""Tuning before measuring: an estimator's own parameters, learnt on random numbers of their own, and frozen afterwards."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.noise import Block, Noise
from gsx.probe import Probe
from gsx.program import Program
from gsx.records import ConfigurationError
from gsx.routes import materialising
from gsx.routes.base import replicating

#: How many points a curve has at most, and how many numbers of a parameter a result tells.
CURVE, TOLD = 50, 16
#: Blocks of replicates on which repeated tunings are compared, and their size.
COMPARED, SIZE = 16, 512


@dataclass(frozen=True)
class TuneSettings:
    """The `tune` group. `auto` is what the estimator declares; `variance` minimises E|g|^2, `regression` the estimator's own loss."""

    kind: Literal["auto", "none", "variance", "regression"] = "auto"
    steps: int = 1000
    replicates: int = 32
    learning_rate: float = 0.01
    repeats: int = 1

    def of(self, estimator: Estimator) -> TuneSettings:
        """What these settings come to for an estimator. ConfigurationError where it cannot be tuned so."""
        for key in ("steps", "replicates", "repeats"):
            if getattr(self, key) < 1:
                raise ConfigurationError(f"tune.{key}={getattr(self, key)}: must be at least 1")
        if not self.learning_rate > 0:
            raise ConfigurationError(f"tune.learning_rate={self.learning_rate:g}: must be positive")
        kind = estimator.tuned_by if self.kind == "auto" else self.kind
        if kind == "none" and self.repeats > 1:
            raise ConfigurationError(f"tune.repeats={self.repeats}: {estimator.name} is not tuned here")
        if kind != "none" and estimator.tuned_by == "none":
            raise ConfigurationError(f"tune={kind}: {estimator.name} has no parameters of its own")
        if kind == "regression" and estimator.tuned_by != "regression":
            raise ConfigurationError(f"tune=regression: {estimator.name} has no baseline to fit; tune={estimator.tuned_by} is for it")
        if kind == "variance" and not estimator.unbiased:
            raise ConfigurationError(f"tune=variance: {estimator.name} is biased, and the least E|g|^2 is no aim for it")
        # What is not used is the same for everybody, so that one measurement has one identity.
        return TuneSettings("none") if kind == "none" else TuneSettings(kind, self.steps, self.replicates, self.learning_rate, self.repeats)


def tune(estimator: Estimator, program: Program, seen: Probe, settings: TuneSettings, *, seed: int, stream: str = "tune") -> dict[str, Any]:
    """Let the estimator learn, and freeze it; what it learnt and what that cost, for the result. {} where there was nothing to learn.

    ``settings`` are those that `TuneSettings.of` gave. A sample never meets a value that was learnt from it: the numbers come from
    ``stream``, which no measurement uses. With repeats every tuning starts anew, from other initial numbers; the first one is kept.
    """
    learnt = warm_up(estimator, program, seed=seed, stream=stream)
    if settings.kind == "none":
        return learnt
    variances: list[dict[str, float]] = []
    for repeat in reversed(range(settings.repeats)):
        noise = Block(seed, f"{stream}.init", repeat, program.dtype, program.device).one()
        for site, found in seen.sites.items():
            estimator.prepare(site, found.q, noise.at(site))
        curve = _minimise(estimator, program, seen, settings, seed, f"{stream}.{repeat}")
        if settings.repeats > 1:
            variances.insert(0, _variance(estimator, program, seen, seed, stream))
    learnt |= {
        "kind": settings.kind,
        "steps": settings.steps,
        "replicates": settings.replicates,
        "learning_rate": settings.learning_rate,
        "evaluations": settings.steps * settings.replicates * seen.evaluations * settings.repeats,
        "curve": curve,
        "parameters": {name: _told(value) for name, value in estimator.named_parameters()},
    }
    return learnt | ({"variances": variances} if variances else {})


def _minimise(estimator: Estimator, program: Program, seen: Probe, settings: TuneSettings, seed: int, stream: str) -> list[float]:
    """Adam on the estimator's own parameters; the loss on the way, averaged over pieces of it. ConfigurationError where it diverges."""
    loss_of = second_moment(estimator, program, seen) if settings.kind == "variance" else regression(estimator, program)
    own = list(estimator.parameters())
    optimiser = torch.optim.Adam(own, lr=settings.learning_rate)
    losses: list[Tensor] = []
    estimator.requires_grad_(True)
    try:
        with torch.enable_grad():
            for step in range(settings.steps):
                loss = loss_of(Block(seed, stream, step, program.dtype, program.device), settings.replicates)
                for parameter, slope in zip(own, torch.autograd.grad(loss, own, allow_unused=True), strict=True):
                    parameter.grad = slope
                optimiser.step()
                losses.append(loss.detach())
    finally:
        for parameter in own:
            parameter.grad = None
        estimator.requires_grad_(False)
    if not all(bool(torch.isfinite(parameter).all()) for parameter in own):
        raise ConfigurationError(
            f"tune.learning_rate={settings.learning_rate:g}: the tuning of {estimator.name} diverges; try a smaller one"
        )
    piece = -(-len(losses) // CURVE)
    return [float(torch.stack(losses[start : start + piece]).mean()) for start in range(0, len(losses), piece)]


#: ``loss(block, replicates)``: a number to be made small.
Loss = Callable[[Block, int], Tensor]


def second_moment(estimator: Estimator, program: Program, seen: Probe) -> Loss:
    """E|g|^2, which for an unbiased estimator is its variance and a constant."""
    route = materialising(program, estimator, seen)
    return lambda block, replicates: route.gradients(block, 0, replicates).square().sum(1).mean()


def regression(estimator: Estimator, program: Program) -> Loss:
    """The estimator's own loss, summed over its sites."""

    def loss(block: Block, replicates: int) -> Tensor:
        total: list[Tensor] = []

        def estimate(q: Distribution, cost: Cost, noise: Noise) -> Tensor:
            total.append(estimator.regression(q, cost, noise).mean())
            with torch.no_grad():
                return estimator.expect(q, cost, noise)

        leaves = {name: leaf.detach() for name, leaf in program.leaves.items()}
        program.mean_loss(leaves, replicating(estimate, block, replicates))
        return torch.stack(total).sum()

    return loss


def _variance(estimator: Estimator, program: Program, seen: Probe, seed: int, stream: str) -> dict[str, float]:
    """The trace of the covariance of one estimate and its standard error, on numbers that are the same for every tuning compared."""
    route = materialising(program, estimator, seen)
    blocks = (Block(seed, f"{stream}.compare", index, program.dtype, program.device) for index in range(COMPARED))
    found = torch.stack([route.moments(block, SIZE, None).second.sum() / (SIZE - 1) for block in blocks])
    return {"value": float(found.mean()), "se": float(found.std()) / math.sqrt(COMPARED)}


def _told(parameter: Tensor) -> Any:
    """A small parameter's numbers; of a large one its shape, its norm and a digest."""
    if parameter.numel() <= TOLD:
        return parameter.tolist()
    content = parameter.detach().cpu().contiguous().numpy().tobytes()
    norm = float(torch.linalg.vector_norm(parameter.double()))
    return {"shape": list(parameter.shape), "norm": norm if math.isfinite(norm) else None, "sha256": hashlib.sha256(content).hexdigest()}


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
