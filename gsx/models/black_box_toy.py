"""A cost that torch cannot see into."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gsx.costs import Expect
from gsx.distributions import Bernoulli
from gsx.models.base import Model, Params
from gsx.noise import Noise
from gsx.records import ConfigurationError


class BlackBoxToy(Model):
    """L(logits) = E_{b ~ Bernoulli(sigmoid(logits))} of the longest run of ones in b, computed by NumPy.

    A stand-in for a simulator: no gradient of the cost exists, and none is defined between the states. Parameter: `logits` [D].
    """

    cost_is = "black_box"
    start: Tensor

    def __init__(self, *, logits: list[float] = [0.8, -0.3, 1.1, 0.4, -0.7, 0.5], seed: int = 0) -> None:  # noqa: B006 - never written
        super().__init__(seed=seed)
        if not logits:
            raise ConfigurationError("logits=[]: must hold at least one number")
        self.register_buffer("start", torch.tensor(logits, dtype=torch.float64))

    def init(self, noise: Noise) -> Params:
        return {"logits": self.start.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Bernoulli(params["logits"]), lambda b, q: torch.as_tensor(longest_run(b.numpy(force=True))).to(b))


def longest_run(b: np.ndarray) -> np.ndarray:
    """The length ``[*]`` of the longest run of ones in ``b [*, D]``."""
    run = longest = np.zeros(b.shape[:-1], dtype=b.dtype)
    for bit in np.moveaxis(b, -1, 0):
        run = (run + 1) * bit
        longest = np.maximum(longest, run)
    return longest
