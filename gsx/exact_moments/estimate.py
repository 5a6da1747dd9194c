"""An estimate as a function of the uniforms it draws: its noise is replayed at points that are given."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gsx.costs import Cost
from gsx.distributions import Distribution
from gsx.estimators.arms import ARMS
from gsx.estimators.base import Estimator
from gsx.exact_moments.axes import Axis, Request, axes_of
from gsx.noise import Block, HasShapes, Noise, Shape, record
from gsx.probe import Probe
from gsx.program import Program
from gsx.routes import materialising
from gsx.routes.vmap import Loop

#: Samples of `arms` above which their states are too many: 2^n in each coordinate.
MOST_COUPLED = 12


class Estimate:
    """Gradients ``[n, P]`` at points ``[n, d]``."""

    def __init__(self, program: Program, estimator: Estimator, seen: Probe) -> None:
        self.program, self.estimator, self.seen = program, estimator, seen
        self.route = materialising(program, estimator, seen)
        self.requests = _requests(program, estimator)
        self.size = sum(math.prod(request.shape) for request in self.requests)

    def __call__(self, at: np.ndarray) -> np.ndarray:
        nodes = _Nodes(at, self.requests, self.program)
        return np.concatenate([self.route.gradients(nodes, *tile).numpy(force=True) for tile in self.route.tiles(len(at))])

    def replays(self) -> bool:
        """Whether one call of the noise is one draw, and the cost one that torch sees into."""
        return not isinstance(self.route, Loop) and not any(site.nested for site in self.seen.sites.values())

    def axes(self) -> list[Axis] | None:
        """None where they have too many cells to write down."""
        if isinstance(self.estimator, ARMS) and self.estimator.num_samples > MOST_COUPLED:
            return None
        return list(axes_of(self.requests, self.estimator))


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
