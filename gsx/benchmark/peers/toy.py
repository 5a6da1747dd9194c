"""The toy that all peers share: `bernoulli_toy` at its defaults."""

from __future__ import annotations

from gsx.models.bernoulli_toy import BernoulliToy

_toy = BernoulliToy()

LOGITS: list[float] = _toy.start.tolist()
TARGET = _toy.target
#: Of `concrete`, at its default.
TEMPERATURE = 0.5
