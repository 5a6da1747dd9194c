"""Multilayer perceptrons as functions of named parameters."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import linear

from gsx.models.base import Params
from gsx.noise import Noise


def init_perceptron(name: str, widths: list[int], noise: Noise) -> Params:
    """``{name}.{layer}.weight [out, in]`` ~ N(0, 2 / (in + out)) (Glorot & Bengio 2010) and ``{name}.{layer}.bias [out]`` = 0."""
    params: Params = {}
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        params[f"{name}.{layer}.weight"] = noise.standard_normal((outputs, inputs)) * (2 / (inputs + outputs)) ** 0.5
        params[f"{name}.{layer}.bias"] = torch.zeros(outputs, dtype=torch.float64)
    return params


def perceptron(params: Params, name: str, x: Tensor) -> Tensor:
    """x ``[*, in]`` -> ``[*, out]``, with tanh between the layers and none after the last."""
    layers = sum(key.startswith(f"{name}.") and key.endswith(".weight") for key in params)
    for layer in range(layers):
        x = linear(torch.tanh(x) if layer else x, params[f"{name}.{layer}.weight"], params[f"{name}.{layer}.bias"])
    return x
