"""What the tests of the continuous distributions share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gsx.distributions import Continuous, Distribution


def column(*values: float) -> Tensor:
    """A parameter of one coordinate and a batch: ``[len(values), 1]``."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(-1)


def probabilities() -> np.ndarray:
    """The middle and both tails, as far out as the noise goes; each is exact, and so is one less it."""
    tails = 2.0 ** -np.arange(1, 53, 3)
    return np.concatenate((np.arange(1, 64) / 64, tails, 1 - tails))


def at_probabilities(q: Distribution) -> Tensor:
    """`probabilities` as uniforms ``[S, *batch, *event]``."""
    u = torch.from_numpy(probabilities())
    return u.reshape(-1, *(1,) * (len(q.batch_shape) + q.event_ndim)).expand(-1, *q.batch_shape, *q.event_shape)


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found / wanted - 1).max())


def score_by_autograd(q: Distribution, z: Tensor) -> dict[str, Tensor]:
    """The gradient of log q at every sample: each has parameters of its own."""
    spread = q.map(lambda value: value.detach().expand(len(z), *value.shape).clone().requires_grad_())
    found = torch.autograd.grad(spread.log_prob(z.unsqueeze(0)).sum(), tuple(spread.parameters.values()))
    return dict(zip(q.parameter_names, found, strict=True))


def assert_score(q: Distribution, z: Tensor) -> None:
    for name, wanted in score_by_autograd(q, z).items():
        torch.testing.assert_close(q.score(z)[name], wanted, rtol=1e-9, atol=1e-10, msg=name)


def assert_slopes(q: Continuous, u: Tensor, step: float = 1e-4, rtol: float = 1e-6) -> None:
    """ds/dtheta at a fixed uniform is what central differences of the quantile say."""
    s = q.quantile(u)
    for name, slope in q.slopes(s).items():
        ends = [q.replace(q.parameters | {name: q.parameters[name] * (1 + h)}).quantile(u) for h in (-step, step)]
        differences = (ends[1] - ends[0]) / (2 * step * q.parameters[name])
        torch.testing.assert_close(slope, differences, rtol=rtol, atol=1e-6 * float(slope.abs().median()), msg=f"{type(q).__name__} {name}")


def assert_manners(q: Distribution) -> None:
    """Of parameters of unequal rows: dtypes, detached draws, the same under vmap as in a batch, and replicates in front."""
    for dtype in (torch.float32, torch.float64):
        some = q.map(lambda value: value.detach().to(dtype).requires_grad_())  # noqa: B023 - used at once
        u = torch.linspace(0.05, 0.95, 7, dtype=dtype).reshape(-1, *(1,) * (len(q.batch_shape) + q.event_ndim))
        u = u.expand(-1, *q.batch_shape, *q.event_shape)
        z = some.sample(u)
        assert z.dtype == dtype and not z.requires_grad and z.shape == u.shape
        assert some.log_prob(z).shape == u.shape[: u.ndim - q.event_ndim]
        assert all(value.dtype == dtype and not value.requires_grad for value in some.score(z).values())
        torch.testing.assert_close(torch.func.vmap(some.sample)(u), z)
        numbers = 2 if q.dimensions > 2 else 8
        for point, weight in (some.points(0, 5, numbers), some.coordinate_points(numbers)):
            assert point.dtype == weight.dtype == dtype and point.shape[1:] == (*q.batch_shape, *q.event_shape)


def expectation(q: Distribution, f, nodes: int = 128):  # type: ignore[no-untyped-def]
    """E f by `points`, and its gradients in the parameters."""
    free = q.map(lambda value: value.detach().clone().requires_grad_())
    z, weight = free.points(0, free.num_points(nodes), nodes)
    value = (weight * f(z)).sum(0)
    return value.detach(), dict(zip(q.parameter_names, torch.autograd.grad(value.sum(), tuple(free.parameters.values())), strict=True))
