"""What changes as a training goes on: learning rates, weights of a divergence, temperatures. One concept for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gsx import registry
from gsx.naming import did_you_mean
from gsx.records import ConfigurationError


@dataclass(frozen=True)
class Schedule:
    """A number as a function of the step t; with s = `every` floor(t / `every`):

    - linear: start + (end - start) min(s / steps, 1);
    - exponential over `steps`: start (end / start)^min(s / steps, 1);
    - exponential at a `rate`: start exp(-rate s), no further than `end`.
    """

    start: float
    end: float
    steps: int | None = None
    rate: float | None = None
    every: int = 1
    shape: Literal["linear", "exponential"] = "linear"

    @classmethod
    def of(cls, key: str, given: Any) -> Schedule:
        """From ``{from, to, steps | rate, every, shape}``. ConfigurationError names the key, the value and the rule."""
        if not isinstance(given, Mapping):
            raise ConfigurationError(f"{key}={given}: must be like {{from: 1, to: 0.5, steps: 1000}}")
        types: dict[str, Any] = {
            "from": float, "to": float, "steps": int, "rate": float, "every": int, "shape": Literal["linear", "exponential"]
        }  # fmt: skip
        for name, value in given.items():
            if name not in types:
                raise ConfigurationError(f"{key}.{name}={value}: unknown key{did_you_mean(name, types)}")
        if missing := sorted({"from", "to"} - given.keys()):
            raise ConfigurationError(f"{key}.{missing[0]}: must be given")
        values = {name: registry.convert(f"{key}.{name}", value, types[name]) for name, value in given.items() if value is not None}
        if ("steps" in values) == ("rate" in values):
            raise ConfigurationError(f"{key}: takes either steps or rate")
        for name in ("steps", "rate", "every"):
            if name in values and not values[name] > 0:
                raise ConfigurationError(f"{key}.{name}={values[name]:g}: must be positive")
        start, end, by_rate = values.pop("from"), values.pop("to"), "rate" in values
        shape = values.setdefault("shape", "exponential" if by_rate else "linear")
        if by_rate and shape != "exponential":
            raise ConfigurationError(f"{key}.rate={values['rate']:g}: is for shape exponential")
        if shape == "exponential" and not (start > 0 and end > 0):
            raise ConfigurationError(f"{key}: an exponential shape needs positive ends, not {start:g} and {end:g}")
        if by_rate and end > start:
            raise ConfigurationError(f"{key}.to={end:g}: a rate goes down, and this is above {start:g}")
        return cls(start, end, **values)

    def at(self, step: int) -> float:
        s = step - step % self.every
        if self.rate is not None:
            return max(self.end, self.start * math.exp(-self.rate * s))
        assert self.steps is not None
        share = min(s / self.steps, 1.0)
        if share == 1.0:
            return self.end
        if self.shape == "exponential":
            return self.start * math.exp(share * math.log(self.end / self.start))
        return self.start + (self.end - self.start) * share
