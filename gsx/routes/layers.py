"""Linear layers seen from outside: where the gradient of a weight is an outer product that nobody has formed yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from gsx.models.base import Params

#: Of the weight and the bias of a layer; None for one that is not measured, or not there.
Names = tuple[str | None, str | None]


@dataclass
class Call:
    """One call of a linear layer, ``output = inputs weight' + bias``. Its weight's gradient is the output's, times the inputs."""

    names: Names
    inputs: Tensor  # [*, in], detached
    output: Tensor  # [*, out]


class Transformed(Exception):
    """A layer was called under a transform of torch.func, whose tensors cannot be taken out of it."""


class Layers(TorchFunctionMode):
    """Within it, each call of `torch.nn.functional.linear` on measured parameters is written down, and the graph ends at its output.

    The parameters take part as constants, and the output is what a gradient can be asked for. A measured parameter that is used in any
    other way is not noticed: `reaches` is.
    """

    def __init__(self, leaves: Params) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._names = {id(leaf): name for name, leaf in leaves.items()}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not linear:
            return func(*args, **(kwargs or {}))
        return self._linear(*args, **(kwargs or {}))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        names = self._names.get(id(weight)), self._names.get(id(bias))
        if names == (None, None):
            return linear(input, weight, bias)
        if torch.func.debug_unwrap(input) is not input:
            raise Transformed
        # Only what is measured is taken for a constant: what is made of it (a transposed weight, a scaled bias) must be seen by `reaches`.
        output = linear(input, weight if names[0] is None else weight.detach(), bias if bias is None or names[1] is None else bias.detach())
        if not output.requires_grad:
            try:
                output.requires_grad_()
            except RuntimeError:  # a transform that does not know this input
                raise Transformed from None
        self.calls.append(Call(names, input.detach(), output))
        return output


def reaches(value: Tensor, leaves: Params) -> bool:
    """Whether the graph of a value leads to any of the leaves."""
    if not value.requires_grad:
        return False
    return any(found is not None for found in torch.autograd.grad(value.sum(), tuple(leaves.values()), allow_unused=True))
