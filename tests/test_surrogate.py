"""The four moves of autograd: values stay, gradients are what was planted, and all of it holds inside `torch.func`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from gsx.surrogate import cost_gradient, inject, replace_gradient, zero


@pytest.fixture
def x() -> Tensor:
    return torch.tensor([[0.3, -1.2, 2.0], [1.1, 0.4, -0.6]], dtype=torch.float64, requires_grad=True)


def gradient(y: Tensor, x: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(y.sum(), x)
    assert x.grad is None
    return found


def test_zero(x: Tensor) -> None:
    assert torch.equal(zero(x), torch.zeros_like(x))
    assert torch.equal(gradient(5 * zero(x**2), x), 5 * 2 * x.detach())


def test_inject_adds_to_the_gradient_that_is_there(x: Tensor) -> None:
    planted = torch.arange(6.0, dtype=torch.float64).reshape(2, 3)
    value = (x**2).sum(-1)
    injected = inject(value, planted, x)
    assert torch.equal(injected, value)
    assert torch.equal(gradient(injected, x), 2 * x.detach() + planted)


def test_inject_into_a_scalar_and_into_matrix_events(x: Tensor) -> None:
    planted = torch.full((2, 3), 1.5, dtype=torch.float64)
    value = inject(torch.tensor(7.0, dtype=torch.float64), planted, x)
    assert value.shape == () and value.item() == 7.0
    assert torch.equal(gradient(value, x), planted)
    theta = x.unsqueeze(0)  # batch 1, event [2, 3]
    assert inject(torch.zeros(1, dtype=torch.float64), planted[None], theta).shape == (1,)


def test_inject_does_not_differentiate_what_it_plants(x: Tensor) -> None:
    assert torch.equal(gradient(inject(torch.zeros(2, dtype=torch.float64), x**3, x), x), x.detach() ** 3)


def test_replace_gradient(x: Tensor) -> None:
    value = replace_gradient(x**2, torch.sin(x))
    assert torch.equal(value, x.detach() ** 2)
    assert torch.equal(gradient(value, x), torch.cos(x.detach()))


def test_cost_gradient(x: Tensor) -> None:
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    value, slope = cost_gradient(lambda z, q: (q * z**3).sum(-1), x, scale)
    assert torch.equal(value, (scale * x**3).sum(-1))
    torch.testing.assert_close(slope, 3 * scale * x**2)
    # Detached from nothing: the slope is differentiated again, in the point and in what the cost depends on besides.
    torch.testing.assert_close(gradient(slope, x), 6 * scale.detach() * x.detach())
    (in_scale,) = torch.autograd.grad(cost_gradient(lambda z, q: (q * z**3).sum(-1), x, scale)[1].sum(), scale)
    torch.testing.assert_close(in_scale, (3 * x.detach() ** 2).sum())


def test_cost_gradient_is_row_by_row(x: Tensor) -> None:
    """The points of a batch do not see each other: the vector of ones pulls back every cost at once."""
    _, slope = cost_gradient(lambda z, q: z.prod(-1), x, None)
    one_by_one = torch.stack([cost_gradient(lambda z, q: z.prod(-1), row[None], None)[1][0] for row in x])
    torch.testing.assert_close(slope, one_by_one)


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (lambda x: zero(x**2).sum(), lambda x: 2 * x),
        (lambda x: inject((x**2).sum(-1), x.detach() ** 3, x), lambda x: 2 * x + x**3),
        (lambda x: replace_gradient(x**2, torch.sin(x)).sum(), torch.cos),
        (lambda x: cost_gradient(lambda z, q: (z**3).sum(-1), x[None], None)[1].sum(), lambda x: 6 * x),
    ],
    ids=["zero", "inject", "replace_gradient", "cost_gradient"],
)
def test_under_vmap_of_grad(move: object, expected: object, x: Tensor) -> None:
    points = x.detach()
    torch.testing.assert_close(vmap(grad(move))(points), expected(points))  # type: ignore[arg-type, operator]
    torch.testing.assert_close(grad(lambda rows: vmap(move)(rows).sum())(points), expected(points))  # type: ignore[arg-type, operator]
