"""Scores are the gradients of log-probabilities, for every distribution; and following them is what differentiating log q would do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gsx.distributions import Bernoulli, Categorical, Distribution, Normal
from gsx.noise import Block
from gsx.surrogate import average, follow_score, zero

CPU = torch.device("cpu")


def parameter(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


CASES = {
    "bernoulli": Bernoulli(torch.stack((parameter(-1.2, 0.3, 2.0), parameter(0.7, -0.1, -3.0)))),
    "categorical": Categorical(torch.stack((parameter(0.5, -0.3, 1.1), parameter(-2.0, 0.4, 0.0))).unsqueeze(1)),
    "normal": Normal(torch.stack((parameter(0.4, -1.0), parameter(2.0, 0.1))), torch.stack((parameter(0.5, 1.5), parameter(0.2, 1.0)))),
}


@pytest.fixture(params=CASES)
def q(request: pytest.FixtureRequest) -> Distribution:
    return CASES[request.param].map(lambda value: value.clone().requires_grad_())


def draw(q: Distribution, samples: int) -> Tensor:
    return q.sample(Block(3, "score", 0, torch.float64, CPU).one().uniform((samples,), q))


def test_the_score_is_the_gradient_of_log_prob(q: Distribution) -> None:
    z = draw(q, 4)
    score = q.score(z)
    assert list(score) == list(q.parameter_names) and not any(value.requires_grad for value in score.values())
    for n in range(len(z)):
        gradients = torch.autograd.grad(q.log_prob(z[n : n + 1]).sum(), tuple(q.parameters.values()))
        for (name, found), gradient in zip(score.items(), gradients, strict=True):
            torch.testing.assert_close(found[n], gradient, rtol=1e-12, atol=1e-13, msg=name)


@pytest.mark.parametrize("samples", [1, 16])
def test_following_the_score_is_differentiating_log_prob(q: Distribution, samples: int) -> None:
    """Value and gradient, on top of the gradient that the value has; and with a signal that itself must not be differentiated."""
    z = draw(q, samples)
    first = next(iter(q.parameters.values()))
    flat = z.flatten(-q.event_ndim)
    f = (flat @ torch.linspace(-1, 1.4, flat.shape[-1], dtype=torch.float64) + 0.7) ** 2 + first.flatten(1).sum(-1)
    followed, by_hand = follow_score(average(f), f, q, z), (f + f.detach() * zero(q.log_prob(z))).mean(0)
    torch.testing.assert_close(followed, by_hand, rtol=1e-14, atol=0)
    found, wanted = (torch.autograd.grad(value.sum(), tuple(q.parameters.values())) for value in (followed, by_hand))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)
    # Negative control: averaging signals and scores apart and multiplying then is another number.
    if samples > 1:
        apart = average(f).unsqueeze(0).expand_as(f)
        wrong = torch.autograd.grad(follow_score(average(f), apart, q, z).sum(), tuple(q.parameters.values()))
        assert not torch.allclose(wrong[0], wanted[0])


def test_average_is_the_mean() -> None:
    x = torch.arange(12.0).reshape(3, 4)
    assert torch.equal(average(x), x.mean(0)) and torch.equal(average(x[:1]), x[0])
