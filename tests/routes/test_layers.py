"""Linear layers laid open: what is written down, where the graph ends, and what is noticed of other uses of a parameter."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from gsx.models.base import Params
from gsx.routes.layers import Layers, Transformed, reaches


def leaves(*, grad: bool = True) -> Params:
    generator = torch.Generator().manual_seed(1)
    shapes = {"w": (3, 4), "b": (3,), "v": (2, 3), "square": (4, 4)}
    return {name: torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_(grad) for name, shape in shapes.items()}


def points(*shape: int) -> Tensor:
    return torch.linspace(-1, 2, torch.Size(shape).numel(), dtype=torch.float64).sin().reshape(shape)


# ----------------------------------------------------------------------------------------------------------------- what is recorded


def test_calls_in_order_with_names_inputs_and_values() -> None:
    p, x = leaves(), points(5, 4)
    with Layers(p) as layers:
        h = torch.tanh(linear(x, p["w"], p["b"]))
        y = linear(h, p["v"])
    first, second = layers.calls
    assert (first.names, second.names) == (("w", "b"), ("v", None))
    assert torch.equal(first.inputs, x) and torch.equal(second.inputs, h.detach())
    assert not first.inputs.requires_grad and not second.inputs.requires_grad
    assert torch.equal(first.output, linear(x, p["w"], p["b"])) and second.output is y
    assert torch.equal(y, linear(torch.tanh(linear(x, p["w"], p["b"])), p["v"]))


@pytest.mark.parametrize("measured", [("w",), ("b",), ("w", "b")], ids=str)
def test_names_of_what_is_not_measured_are_none(measured: tuple[str, ...]) -> None:
    p = leaves()
    with Layers({name: p[name] for name in measured}) as layers:
        linear(points(5, 4), p["w"], p["b"])
    assert layers.calls[0].names == tuple(name if name in measured else None for name in ("w", "b"))


def test_a_layer_without_measured_parameters_is_left_alone() -> None:
    p = leaves()
    with Layers({"v": p["v"]}) as layers:
        y = linear(points(5, 4), p["w"], p["b"])
    assert layers.calls == [] and reaches(y, {name: p[name] for name in ("w", "b")})


def test_arguments_may_be_named() -> None:
    p = leaves()
    with Layers(p) as layers:
        linear(input=points(5, 4), weight=p["w"], bias=p["b"])
        linear(points(5, 4), bias=p["b"], weight=p["w"])
        linear(points(5, 4), p["w"], None)
    assert [call.names for call in layers.calls] == [("w", "b"), ("w", "b"), ("w", None)]


def test_a_module_is_a_layer_too() -> None:
    module = torch.nn.Linear(4, 3, dtype=torch.float64)
    with Layers(dict(module.named_parameters())) as layers:
        module(points(5, 4))
    assert [call.names for call in layers.calls] == [("weight", "bias")]


def test_nothing_is_recorded_outside() -> None:
    p = leaves()
    linear(points(5, 4), p["w"], p["b"])
    with Layers(p) as layers:
        pass
    y = linear(points(5, 4), p["w"], p["b"])
    assert layers.calls == [] and reaches(y, p)


def test_another_tensor_of_equal_numbers_is_another_parameter() -> None:
    p = leaves()
    with Layers(p) as layers:
        linear(points(5, 4), p["w"].detach().clone())
    assert layers.calls == []


def test_without_gradients_it_records_all_the_same() -> None:
    """An estimator may look at the cost under no_grad, or at a detached sample; the parameters may be constants."""
    p, z = leaves(grad=False), points(5, 4).requires_grad_()
    with Layers(p) as layers, torch.no_grad():
        linear(z, p["w"])
    with layers:
        y = linear(z.detach(), p["w"])
    assert [call.names for call in layers.calls] == [("w", None)] * 2
    assert y.requires_grad and torch.autograd.grad(y.sum(), y)[0].shape == y.shape


# ------------------------------------------------------------------------------------------------------------ gradients at the outputs


@pytest.mark.parametrize("shape", [(5, 4), (2, 5, 4), (3, 2, 5, 4)], ids=str)
def test_outputs_times_inputs_are_the_gradients(shape: tuple[int, ...]) -> None:
    """Of a network that calls one layer twice: sum over calls of d' a is what autograd finds for the weight."""
    p, x = leaves(), points(*shape)

    def network() -> Tensor:
        h = torch.tanh(linear(x, p["square"]))
        h = torch.tanh(linear(h, p["square"])) * h
        return (linear(torch.tanh(linear(h, p["w"], p["b"])), p["v"]) ** 3).sum()

    truth = dict(zip(p, torch.autograd.grad(network(), tuple(p.values())), strict=True))
    with Layers(p) as layers:
        value = network()
    assert torch.equal(value.detach(), network().detach()) and not reaches(value, p)
    found = {name: torch.zeros_like(leaf) for name, leaf in p.items()}
    for call, d in zip(layers.calls, torch.autograd.grad(value, [call.output for call in layers.calls]), strict=True):
        weight, bias = call.names
        assert weight is not None
        found[weight] += d.flatten(0, -2).t() @ call.inputs.flatten(0, -2)
        if bias is not None:
            found[bias] += d.flatten(0, -2).sum(0)
    for name, slope in truth.items():
        torch.testing.assert_close(found[name], slope, rtol=1e-12, atol=1e-12)


def test_gradients_still_reach_the_inputs() -> None:
    p, z = leaves(), points(5, 4).requires_grad_()
    with Layers(p):
        y = linear(z, p["w"], p["b"])
    (slope,) = torch.autograd.grad(y.sum(), z)
    torch.testing.assert_close(slope, p["w"].detach().sum(0).expand(5, 4))


# --------------------------------------------------------------------------------------------------------------------- other uses


OTHER_USES: dict[str, Callable[[Params, Tensor], Tensor]] = {
    "product": lambda p, x: x @ p["w"].T,
    "transposed": lambda p, x: linear(linear(x, p["w"]), p["w"].T),
    "rows": lambda p, x: linear(x, p["w"][:2]),
    "input": lambda p, x: linear(p["square"], p["w"]),
    "scaled": lambda p, x: linear(x, 2 * p["w"]),
    "penalty": lambda p, x: linear(x, p["w"]).sum() + (p["w"] ** 2).sum(),
    "bias": lambda p, x: linear(x, p["w"]) + p["b"],
    "transposed beside a bias": lambda p, x: linear(linear(x, p["w"]), p["w"].T[:3], p["b"]),
    "scaled bias beside a weight": lambda p, x: linear(x, p["w"], 2 * p["b"]),
}


@pytest.mark.parametrize("use", OTHER_USES)
def test_any_other_use_of_a_parameter_is_noticed(use: str) -> None:
    p = leaves()
    with Layers(p):
        value = OTHER_USES[use](p, points(5, 4))
    assert reaches(value, p)


def test_reaches() -> None:
    p = leaves()
    assert not reaches(points(3), p)
    assert not reaches(points(3).requires_grad_() * 2, p)
    assert not reaches(p["w"].detach() * points(4).requires_grad_(), p)
    assert reaches(p["w"] * 0, p)
    assert reaches(p["b"] + points(2, 3), p) and not reaches(p["b"] + 1, {"w": p["w"]})


# ------------------------------------------------------------------------------------------------------------------ transforms


def test_a_layer_under_a_transform_is_refused() -> None:
    p, x = leaves(), points(5, 4)

    def value(z: Tensor) -> Tensor:
        return linear(z, p["w"]).sum()

    for transformed in (lambda: torch.func.vjp(value, x), lambda: torch.func.grad(value)(x), lambda: torch.func.vmap(value)(x)):
        with Layers(p), pytest.raises(Transformed):
            transformed()
    with Layers({"v": p["v"]}):
        torch.func.vjp(value, x)  # none of its parameters is measured


def test_a_layer_on_constants_under_a_transform_is_refused_as_well() -> None:
    """Its input is no tensor of the transform's, but its output could not be asked for a gradient either."""
    p, x = leaves(), points(5, 4)
    with Layers(p), pytest.raises(Transformed):
        torch.func.vjp(lambda z: (linear(x, p["w"]) * z).sum(), points(5, 3))
