"""What a model of a user's own does not do as is asked of one is said of it by its name, before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gsx.distributions import Bernoulli
from gsx.estimators.straight_through import StraightThrough
from gsx.models.base import Model
from gsx.probe import probe, sites
from gsx.program import Program
from gsx.records import ConfigurationError

LOGITS = torch.tensor([0.4, -1.1], dtype=torch.float64)
LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "its loss takes no expectation": lambda logits, expect: logits.sum(),
    "its loss is a tensor, a number for each row, and this one returned a float": lambda logits, expect: expect(
        Bernoulli(logits), lambda b, q: b.sum(-1)
    ).item(),
    "takes a distribution first, and was given a Tensor": lambda logits, expect: expect(logits, lambda b, q: b.sum(-1)),
    "a tensor [S], and this one returned a float": lambda logits, expect: expect(Bernoulli(logits), lambda b, q: 1.0),
    "a tensor [S], and this one returned one of [1, 2] for S = 1": lambda logits, expect: expect(Bernoulli(logits), lambda b, q: b),
    "a tensor [S, 3], and this one returned one of [1]": lambda logits, expect: expect(
        Bernoulli(logits.expand(3, 2)), lambda b, q: b.sum((-1, -2))
    ),
}


class Odd(Model):
    def __init__(self, start: Any, loss: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.start, self.made = start, loss

    def init(self, noise: Any) -> Any:
        return self.start

    def loss(self, params: Any, expect: Any) -> Any:
        return self.made(params["logits"], expect)


@pytest.mark.parametrize("said", LOSSES)
def test_a_loss(said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        sites(Program(Odd({"logits": LOGITS}, LOSSES[said])))
    assert str(refused.value).startswith("model=odd: ") and said in str(refused.value)


@pytest.mark.parametrize("start", [None, {}, {"logits": [0.4, -1.1]}])
def test_parameters(start: Any) -> None:
    with pytest.raises(ConfigurationError, match="model=odd: its init returns parameters"):
        Program(Odd(start, lambda logits, expect: logits))


class Nothing(StraightThrough):
    def expect(self, q: Any, cost: Any, noise: Any) -> Any:
        super().expect(q, cost, noise)


def test_an_estimate() -> None:
    model = Odd({"logits": LOGITS}, lambda logits, expect: expect(Bernoulli(logits), lambda b, q: b.sum(-1)))
    assert probe(Program(model), StraightThrough()).evaluations == 1
    with pytest.raises(ConfigurationError, match="estimator=nothing: expect returns a tensor, and this one returned a NoneType"):
        probe(Program(model), Nothing())
