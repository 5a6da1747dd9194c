"""Costs that torch cannot see into."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gsx.costs import LogMeanExp
from gsx.testing.problems.table import Table


class BlackBox(Table):
    """A cost that torch cannot see into."""

    cost_is = "black_box"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        numbers = z.detach().numpy()
        return torch.from_numpy(np.tanh(numbers.reshape(*numbers.shape[: -q.event_ndim], -1) @ np.arange(1, 1 + math.prod(q.event_shape))))


class BernoulliBlackBox(BlackBox):
    start: ClassVar[dict[str, Any]] = {"logits": [-0.5, 0.3, 0.8]}


class CategoricalBlackBox(BlackBox):
    start: ClassVar[dict[str, Any]] = {"logits": [[0.2, -0.4, 0.6]]}


class GaussianBlackBox(BlackBox):
    start: ClassVar[dict[str, Any]] = {"loc": [0.3, -0.2], "log_scale": [0.1, -0.4]}


class BernoulliBlackBoxes(BernoulliBlackBox):
    combine = LogMeanExp(2)


class GaussianBlackBoxes(GaussianBlackBox):
    combine = LogMeanExp(2)
