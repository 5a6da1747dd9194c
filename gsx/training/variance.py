"""The variance of an estimator's gradient at one point of a training, and how far its mean is from the truth."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gsx import registry, statistics
from gsx.accumulator import Plan
from gsx.distributions import Normal
from gsx.estimators.base import Estimator
from gsx.moments import Moments
from gsx.noise import Block
from gsx.probe import Probe, probe
from gsx.program import Program
from gsx.records import ConfigurationError, Interval, Reference, Segments
from gsx.reference import Kind, cheap_kind, check_reference, reference_gradient
from gsx.reference import ReferenceSettings as MeasuringSettings
from gsx.routes import choose
from gsx.training.configuration import ReferenceSettings

#: Blocks of replicates, each a segment of its own.
BLOCKS = 16
#: Points x rows up to which the exact gradient is cheap, whatever a long run would cost.
CHEAP = 2**14


def cut(replicates: int) -> Plan:
    """So many gradients, rounded up to whole blocks."""
    return Plan(-(-replicates // BLOCKS), BLOCKS, BLOCKS)


def measured(program: Program, estimator: Estimator, seen: Probe, *, seed: int, stream: str, replicates: int) -> Segments:
    """The moments of so many gradients, as `cut` rounds them up: block i is that of (seed, stream, i)."""
    plan = cut(replicates)
    route = choose("auto", program, estimator, seen)
    found: list[Moments] = []
    for index in range(plan.blocks):
        found.append(route.moments(Block(seed, stream, index, program.dtype, program.device), plan.block_size, None))

    def rows(tensors: list[Tensor]) -> np.ndarray:
        return torch.stack(tensors).cpu().numpy()

    nonfinite = rows([moments.nonfinite for moments in found])
    return Segments(
        layout=program.layout,
        blocks=np.ones(plan.blocks, np.int64),
        count=np.full(plan.blocks, plan.block_size, np.int64),
        mean=rows([moments.mean for moments in found]),
        second=rows([moments.second for moments in found]),
        third=None,
        largest=None,
        cosine_mean=None,
        nonfinite_replicates=nonfinite,
        nonfinite_first_block=np.where(nonfinite > 0, np.arange(plan.blocks), -1),
    )


def described(segments: Segments, reference: Reference | None) -> dict[str, Interval | None]:
    """`variance` and `snr`, and with a reference `bias_sq` and `cosine`, by the formulas of `gsx.statistics`."""
    size = segments.layout.size
    truth, se = (np.zeros(size), np.zeros(size)) if reference is None else (reference.gradient, reference.se)
    with np.errstate(all="ignore"):
        pool = statistics.Pool.of(segments, truth, se)
        found = {"variance": statistics.variance(pool), "snr": statistics.signal_to_noise(pool)}
        if reference is not None:
            found |= {"bias_sq": statistics.bias_sq(pool), "cosine": _cosine(pool)}
    return found


def _cosine(pool: statistics.Pool) -> Interval | None:
    """The cosine to the truth: the reference's own error is taken out of its length, |reference|^2 - sum of se^2.

    None where that is not clear of zero by two errors, 2 (sum of se^2 (2 reference^2 + se^2))^(1/2) or so.
    """
    length, noise = float(pool.reference @ pool.reference), float((pool.reference_se**2).sum())
    signal = length - noise
    error = math.sqrt(float((pool.reference_se**2 * (4 * pool.reference**2 + 2 * pool.reference_se**2)).sum()))
    if not signal > 2 * error:
        return None
    found = statistics.cosine(pool)
    if found is None or noise == 0:
        return found
    factor = math.sqrt(length / signal)
    return Interval(min(found.value * factor, 1.0), None if found.se is None else found.se * factor, None)


class Truth:
    """The gradient that cosines are to: exact where it is cheap, else the pooled mean of a long run, of noise of its own at each step.

    `auto` takes the exact one where its points x rows are at most `CHEAP`, or at most the replicates x rows of the long run that would be
    made instead: it is had anew at every point of the curve.
    """

    def __init__(self, program: Program, settings: ReferenceSettings) -> None:
        self.replicates = settings.num_replicates
        self.kind: Kind | None = None if settings.kind == "none" else settings.kind
        if self.kind == "auto":
            rows = math.prod(program.outermost(program.leaves).batch_shape)
            self.kind = cheap_kind(program, max(CHEAP, self.replicates * rows)) or "long_run"
        elif self.kind is not None:
            check_reference(program, MeasuringSettings(kind=self.kind))
        self.estimator: Estimator | None = None
        self.seen: Probe | None = None
        if self.kind == "long_run":
            name = settings.estimator
            if name == "auto":
                gaussian = isinstance(program.outermost(program.leaves), Normal) and program.model.cost_is == "differentiable"
                name = "reparameterization" if gaussian else "rloo"
            self.estimator = registry.estimator(registry.settings("estimators", {"name": name}))
            if reason := self.estimator.biased_because(program.model):
                raise ConfigurationError(f"reference.estimator={name}: must be unbiased on {program.model.name}; it is {reason}")
            if self.estimator.tuned_by != "none" or self.estimator.warmup:
                raise ConfigurationError(f"reference.estimator={name}: must be one that learns nothing for itself")
            try:
                self.seen = probe(program, self.estimator)
            except ConfigurationError as error:
                raise ConfigurationError(f"reference.{error}") from None

    def at(self, program: Program, seed: int, step: int) -> Reference | None:
        if self.kind is None:
            return None
        if self.estimator is None or self.seen is None:
            return reference_gradient(program, MeasuringSettings(kind=self.kind), seed=seed)
        segments = measured(program, self.estimator, self.seen, seed=seed, stream=f"reference.{step}", replicates=self.replicates)
        total = statistics.pooled(segments)
        se = np.sqrt(total.second / (total.count - 1) / total.count)
        return Reference("", "long_run", self.estimator.name, total.mean, se)

    def as_json(self) -> dict[str, object]:
        name = None if self.estimator is None else self.estimator.name
        return {"kind": self.kind or "none", "estimator": name, "num_replicates": None if name is None else self.replicates}
