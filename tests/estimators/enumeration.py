"""The exact law of an estimator that is a function of finitely many draws: every outcome replayed through the estimator itself.

Where an estimator sees its uniforms only through `q.sample`, one uniform for each state stands for all that give this state. Replaying them
all, each with its probability, gives the mean and the variance of the estimator to rounding: unbiasedness is then proven, not tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.estimators.exact import Exact
from gsx.noise import Block, Noise, replay


@dataclass
class Law:
    """Of the gradient of one estimate in the logits, flattened: ``mean [P]``, ``variance [P]``, and all outcomes with their weights."""

    mean: np.ndarray
    variance: np.ndarray
    gradients: np.ndarray  # [outcomes, P]
    weights: np.ndarray  # [outcomes]


def states(q: Discrete) -> tuple[Tensor, Tensor]:
    """A uniform ``[states, *event]`` that gives each joint state of one draw, and the state's probability ``[states]``."""
    z, weight = q.map(Tensor.detach).points(0, q.num_points(0), 0)
    p = q.mean.detach()
    if isinstance(q, Bernoulli):  # b = 1[u > 1 - p]
        u = torch.where(z > 0, 1 - p / 2, (1 - p) / 2)
    else:  # Gumbels far apart
        assert isinstance(q, Categorical)
        u = torch.where(z > 0, torch.tensor(1 - 1e-15, dtype=p.dtype), torch.tensor(1e-300, dtype=p.dtype))
    assert torch.equal(q.sample(u), z)
    return u, weight


def gradient_at(estimator: Estimator, q: Discrete, cost: Callable[[Tensor, Any], Tensor], numbers: dict[tuple[str, int], Tensor]) -> Tensor:
    """The flat gradient of one estimate with these uniforms."""
    free = q.map(lambda value: value.detach().requires_grad_())
    value = estimator.expect(free, cost, replay(numbers))
    (found,) = torch.autograd.grad(value, (free.logits,))
    return found.flatten()


def law_of(estimator: Estimator, q: Discrete, cost: Callable[[Tensor, Any], Tensor]) -> Law:
    """Of an estimator whose only request is ``noise.uniform((N,), q)``, seen through `q.sample` alone. q has no batch, float64 logits."""
    u, weight = states(q)
    n = estimator.num_samples
    outcomes = list(itertools.product(range(len(u)), repeat=n))
    gradients = torch.stack([gradient_at(estimator, q, cost, {("z", 0): u[list(outcome)]}) for outcome in outcomes]).numpy()
    weights = np.array([float(weight[list(outcome)].prod()) for outcome in outcomes])
    assert abs(weights.sum() - 1) < 1e-9
    mean = weights @ gradients
    return Law(mean, weights @ (gradients - mean) ** 2, gradients, weights)


def exact_gradient(q: Discrete, cost: Callable[[Tensor, Any], Tensor]) -> np.ndarray:
    """grad E f in the logits, by enumeration."""
    free = q.map(lambda value: value.detach().requires_grad_())
    noise: Noise = Block(0, "exact", 0, torch.float64, torch.device("cpu")).one()
    (found,) = torch.autograd.grad(Exact().expect(free, cost, noise), (free.logits,))
    return found.flatten().numpy()


def replayed(estimator: Estimator, q: Distribution, cost: Callable[[Tensor, Any], Tensor], numbers: list[Tensor]) -> np.ndarray:
    """The gradients ``[n, P]`` of n estimates at once, from the uniforms ``[N, n, *event]`` of each of their requests. q has no batch."""
    n = numbers[0].shape[1]
    free = q.map(lambda value: value.detach().expand(n, *value.shape).clone().requires_grad_())
    value = estimator.expect(free, cost, replay({("z", index): drawn for index, drawn in enumerate(numbers)}))
    found = torch.autograd.grad(value.sum(), tuple(free.parameters.values()))
    return torch.cat([slope.flatten(1) for slope in found], 1).numpy()


def logistic_nodes(edges: list[float], nodes: int = 16) -> tuple[Tensor, Tensor]:
    """Uniforms and weights with sum of weight x f(u) = the integral of f over (0, 1): Gauss-Legendre in logit(u), piece by piece.

    Give the places where f is not smooth, as logits, among the edges.
    """
    x, w = np.polynomial.legendre.leggauss(nodes)
    low, high = np.array(edges[:-1])[:, None], np.array(edges[1:])[:, None]
    at = ((low + high) / 2 + (high - low) / 2 * x).ravel()
    u = 1 / (1 + np.exp(-at))
    return torch.from_numpy(u), torch.from_numpy(((high - low) / 2 * w).ravel() * u / (1 + np.exp(at)))
