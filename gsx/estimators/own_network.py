"""The network of an estimator's own: a baseline or a control variate that is learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gsx.noise import Noise


class OwnNetwork(nn.Module):
    """``x [*, inputs] -> [*]``: one hidden layer of tanh. It begins as zero everywhere, so that what it is part of begins without it.

    Without inputs it is one number.
    """

    def __init__(self, inputs: int, hidden: int, noise: Noise, like: Tensor) -> None:
        super().__init__()

        def own(value: Tensor) -> nn.Parameter:
            return nn.Parameter(value.to(like), requires_grad=False)

        self.weight = own(noise.standard_normal((hidden, inputs)) / max(1, inputs) ** 0.5)
        self.bias = own(noise.standard_normal((hidden,)))
        self.out = own(torch.zeros(hidden if inputs else 0))
        self.constant = own(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if not len(self.out):
            return self.constant.expand(x.shape[:-1])
        return torch.tanh(x @ self.weight.t() + self.bias) @ self.out + self.constant
