"""Multilayer perceptrons as functions of named parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, linear

from gsx.models.base import Params
from gsx.noise import Noise

Activation = Literal["tanh", "relu", "leaky_relu"]

#: Keras's slope, and so that of the published binary autoencoders.
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": partial(leaky_relu, negative_slope=0.3),
}


def init_perceptron(name: str, widths: list[int], noise: Noise) -> Params:
    """``{name}.{layer}.weight [out, in]`` ~ N(0, 2 / (in + out)) (Glorot & Bengio 2010) and ``{name}.{layer}.bias [out]`` = 0."""
    params: Params = {}
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        params[f"{name}.{layer}.weight"] = noise.standard_normal((outputs, inputs)) * (2 / (inputs + outputs)) ** 0.5
        params[f"{name}.{layer}.bias"] = torch.zeros(outputs, dtype=torch.float64)
    return params


def perceptron(params: Params, name: str, x: Tensor, activation: Activation = "tanh") -> Tensor:
    """x ``[*, in]`` -> ``[*, out]``, with the activation between the layers and none after the last."""
    activate = ACTIVATIONS[activation]
    layers = sum(key.startswith(f"{name}.") and key.endswith(".weight") for key in params)
    for layer in range(layers):
        x = linear(activate(x) if layer else x, params[f"{name}.{layer}.weight"], params[f"{name}.{layer}.bias"])
    return x
