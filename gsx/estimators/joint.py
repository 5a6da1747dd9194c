"""The D coordinates of a discrete distribution as one variable over its C^D joint states, for estimators that choose among these."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from gsx.distributions import Bernoulli, Discrete, Distribution

#: More joint states are not listed.
MOST_STATES = 4096


def log_probabilities(q: Discrete) -> Tensor:
    """log q of every joint state, ``[states, *batch]``, detached, in the order of `q.points`."""
    logits = q.logits.detach()
    if isinstance(q, Bernoulli):
        coordinates = torch.stack((logsigmoid(-logits), logsigmoid(logits))).movedim(-1, 0)
    else:
        coordinates = torch.log_softmax(logits, -1).movedim((-2, -1), (0, 1))
    log_p: Tensor = coordinates[0]
    for coordinate in coordinates[1:]:  # [C, *batch]
        # One coordinate after the other: a sum over an axis may round otherwise on another route, and these numbers decide ties.
        log_p = (coordinate.unsqueeze(1) + log_p).flatten(0, 1)
    return log_p


def states(q: Discrete, index: Tensor) -> Tensor:
    """The joint states of an index ``[N, *batch]``: ``[N, *batch, *event]``."""
    table, _ = q.replace({"logits": q.logits.new_zeros(q.event_shape)}).points(0, q.num_points(0), 0)
    return table[index]


def too_many(q: Distribution, model: Any, num_samples: int) -> str | None:
    """Why the joint states of this distribution cannot be listed, or N of them not chosen; None where they can."""
    count = q.num_points(0)
    if count > MOST_STATES:
        return f"lists at most {MOST_STATES} joint states, and {model.name} has more"
    if num_samples > count:
        return f"num_samples={num_samples}: chooses among the joint states, and {model.name} has only {count}"
    return None
