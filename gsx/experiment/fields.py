"""A mapping that somebody wrote, taken key by key; every mistake is one line with place, key and rule."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gsx.naming import did_you_mean
from gsx.records import ConfigurationError


@dataclass(frozen=True)
class Fields:
    given: Mapping[str, Any]
    at: str  # "arms_toy.yaml: findings[2]"

    @classmethod
    def of(cls, given: object, at: str, known: Collection[str], needed: Collection[str] = ()) -> Fields:
        """ConfigurationError where `given` is no mapping, has a key that is not known, or lacks one that is needed."""
        if not isinstance(given, Mapping):
            raise ConfigurationError(f"{at}: must be a mapping, with the keys {', '.join(known)}")
        for key in given:
            if key not in known:
                raise ConfigurationError(f"{at}.{key}: unknown key{did_you_mean(str(key), known)}")
        for key in needed:
            if key not in given:
                raise ConfigurationError(f"{at}.{key}: must be given")
        return cls(given, at)

    def wrong(self, key: str, rule: str) -> ConfigurationError:
        return ConfigurationError(f"{self.at}.{key}={self.given.get(key)}: must be {rule}")

    def text(self, key: str, default: str = "") -> str:
        value = self.given.get(key, default)
        if not isinstance(value, str) or any(not c.isprintable() for c in value.strip("\n")):
            raise self.wrong(key, "text on one line, without control characters")
        return value.strip("\n")

    def choice(self, key: str, known: Collection[str], default: str = "") -> str:
        value = self.given.get(key, default)
        if value not in known:
            raise self.wrong(key, f"one of {', '.join(known)}")
        return str(value)

    def flag(self, key: str) -> bool:
        value = self.given.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.given.get(key, default)
        if not is_number(value):
            raise self.wrong(key, "a finite number")
        return float(value)

    def entries(self, key: str) -> list[Any]:
        value = self.given.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.given.get(key, {})
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise self.wrong(key, "a mapping")
        return dict(value)


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
