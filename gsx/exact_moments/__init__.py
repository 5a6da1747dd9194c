"""The exact mean and variance of an estimator: its noise replayed at nodes, with weights, instead of at random numbers.

An estimate is a function of the d uniforms it draws, so that its moments are integrals over a cube. Which of these numbers act together is
found by trying, not declared: where the mixed second differences of the function in two of them vanish, it is a sum of functions of the
parts, and a variance is the sum of theirs. An average over N independent samples falls apart like this, and so does a separable cost.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.estimators.base import Estimator
from gsx.exact_moments.axes import Axis, Request, axes_of
from gsx.exact_moments.integral import Function, Integral, integrate
from gsx.noise import Block, HasShapes, Noise, Shape, record
from gsx.probe import Probe, probe
from gsx.process import one_thread_each
from gsx.program import Program
from gsx.routes import materialising
from gsx.routes.vmap import Loop

__all__ = ["ExactMoments", "exact_moments"]

#: Axes above which what acts together is not looked for, and how often a pair of them is tried.
MOST_AXES, TRIES = 64, 64
#: A second difference below this, relative to the largest gradient, is rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class ExactMoments:
    """Of the gradient of one N-sample estimate, per coordinate ``[P]`` float64."""

    mean: np.ndarray
    variance: np.ndarray
    error: float  # relative: what the last refinement still changed, or rounding
    how: str

    @property
    def total_variance(self) -> float:
        """The trace of the covariance, which is what a result calls its variance."""
        return float(self.variance.sum())


@one_thread_each()
def exact_moments(program: Program, estimator: Estimator, seen: Probe | None = None) -> ExactMoments | None:
    """The moments in float64, at the program's numbers as they are rounded; None where they are out of reach.

    ``seen`` is the probe of an estimator that has been prepared already, and tuned: its own parameters are then taken as they are.
    Raises ConfigurationError where the estimator does not support the model.
    """
    program, estimator = program.in_float64(), copy.deepcopy(estimator)
    seen = probe(program, estimator) if seen is None else seen
    estimator.double()
    for parameter in estimator.parameters():
        parameter.requires_grad_(False)
    route = materialising(program, estimator, seen)
    if isinstance(route, Loop) or any(site.nested for site in seen.sites.values()):
        return None
    requests = _requests(program, estimator)
    axes = list(axes_of(requests, estimator))
    if len(axes) > MOST_AXES:
        return None

    def gradients(at: np.ndarray) -> np.ndarray:
        nodes = _Nodes(at, requests, program)
        return np.concatenate([route.gradients(nodes, *tile).numpy(force=True) for tile in route.tiles(len(at))])

    return _integrated(gradients, axes, sum(len(axis.positions) for axis in axes))


def _integrated(gradients: Function, axes: list[Axis], size: int) -> ExactMoments | None:
    """Each coordinate of the gradient as a sum over the parts its numbers fall into."""
    base, together = _interactions(gradients, axes, size)
    at_base = gradients(base[None])[0]
    mean, variance, error, hows = at_base.copy(), np.zeros_like(at_base), 0.0, [(1, "no random numbers")]
    integrals: dict[tuple[int, ...], Integral] = {}
    for i in range(len(at_base)):
        for part in _parts(together[i]):
            if part not in integrals:
                found = integrate(gradients, [axes[a] for a in part], base)
                if found is None:
                    return None
                integrals[part] = found
            integral = integrals[part]
            mean[i] += integral.mean[i] - at_base[i]
            variance[i] += integral.variance[i]
            error = max(error, integral.error)
            hows.append((integral.points, integral.how))
    parts = f"{len(integrals)} independent parts, the largest a " if len(integrals) > 1 else ""
    return ExactMoments(mean, variance, error, parts + max(hows)[1])


def _interactions(gradients: Function, axes: list[Axis], size: int) -> tuple[np.ndarray, np.ndarray]:
    """A point ``[d]`` to start from, and which axes act together on each coordinate of the gradient, ``[P, A, A]``.

    Tried at points that hit each cell alike, lest what happens in a rare state goes unseen.
    """
    rng = np.random.default_rng(1)
    one, other = (np.empty((TRIES, size)) for _ in range(2))
    for points in (one, other):
        for axis in axes:
            points[:, axis.positions] = axis.inside(1, rng.integers(0, len(axis.cells(1)), TRIES), rng)

    def moved(*which: Axis) -> np.ndarray:
        at = one.copy()
        for axis in which:
            at[:, axis.positions] = other[:, axis.positions]
        return gradients(at)

    still, single = moved(), [moved(axis) for axis in axes]
    scale = np.abs([still, *single]).max((0, 1))
    together = np.zeros((still.shape[1], len(axes), len(axes)), dtype=bool)
    for a in range(len(axes)):
        for b in range(a):
            mixed = np.abs(moved(axes[a], axes[b]) - single[a] - single[b] + still).max(0)
            together[:, a, b] = together[:, b, a] = mixed > ROUNDING * scale
    return one[0], together


def _parts(together: np.ndarray) -> Iterator[tuple[int, ...]]:
    """The connected components of a graph ``[A, A]``."""
    left = set(range(len(together)))
    while left:
        part, reached = set(), {min(left)}
        while reached:
            a = reached.pop()
            part.add(a)
            reached |= {int(b) for b in np.flatnonzero(together[a])} - part
        left -= part
        yield tuple(sorted(part))


# --------------------------------------------------------------------------------------------------------- what is drawn, and replayed


class _Listening(Noise):
    """Noise that writes down the distribution each request is made for."""

    def __init__(self, noise: Noise, heard: list[Distribution]) -> None:
        self.noise, self.heard, self.site = noise, heard, noise.site

    def at(self, site: str) -> Noise:
        return _Listening(self.noise.at(site), self.heard)

    def uniform(self, sample_shape: Shape, q: HasShapes) -> Tensor:
        assert isinstance(q, Distribution)
        self.heard.append(q.map(torch.Tensor.detach))
        return self.noise.uniform(sample_shape, q)


def _requests(program: Program, estimator: Estimator) -> list[Request]:
    log: list[tuple[str, int, Shape]] = []
    heard: list[Distribution] = []
    noise = _Listening(record(Block(0, "probe", 1, program.dtype, program.device).one(), log), heard)

    def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
        return estimator.expect(q, cost, noise.at(site))

    program.mean_loss(program.free_leaves(), implementation)
    return [Request(site, draw, shape, q) for (site, draw, shape), q in zip(log, heard, strict=True)]


class _Nodes(Block):
    """A block whose replicates see the numbers given, ``[n, d]``."""

    def __init__(self, at: np.ndarray, requests: list[Request], program: Program) -> None:
        super().__init__(0, "nodes", 0, program.dtype, program.device)
        sizes = [math.prod(request.shape) for request in requests]
        parts = torch.from_numpy(at).to(program.device).tensor_split(np.cumsum(sizes)[:-1].tolist(), 1)
        self._numbers: dict[tuple[str, int], Tensor] = {
            (request.site, request.draw): part for request, part in zip(requests, parts, strict=True)
        }

    def draw(self, site: str, draw: int, shape: Shape, start: int = 0, stop: int = 1) -> Tensor:
        return self._numbers[site, draw][start:stop].reshape(stop - start, *shape)
