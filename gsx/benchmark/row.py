"""A row: what is compared with what, the raw samples, and what they say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

#: `faster`: theirs over ours, at least the target. `cost`: ours over theirs, at most the target. `alone`: ours, at most the target.
Kind = Literal["faster", "cost", "alone"]


@dataclass(frozen=True)
class Samples:
    """Of ours and of theirs, paired by their place, in seconds or bytes for each unit of work."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...] = ()
    note: str = ""

    def noted(self, note: str) -> Samples:
        return dataclasses.replace(self, note=note)


class NotMeasured(Exception):
    """Why a row cannot be measured here: a peer that is not installed, a device that is not there."""


@dataclass(frozen=True)
class Row:
    """One comparison, or, without a peer, one size of ours."""

    work: str
    what: str
    kind: Kind
    per: str  # what a sample is the time or the memory of: "estimate"
    peer: str = ""
    size: str = ""  # where `what` is a sweep over sizes
    unit: Literal["s", "B"] = "s"
    target: float | None = None
    note: str = ""
    ours: tuple[float, ...] = ()
    theirs: tuple[float, ...] = ()
    not_measured: str = ""

    def filled(self, samples: Samples) -> Row:
        return dataclasses.replace(self, **vars(samples))

    @property
    def numbers(self) -> list[float]:
        """One number for each pair: what the target is about."""
        if self.kind == "alone":
            return list(self.ours)
        pairs = zip(self.ours, self.theirs, strict=True)
        return [theirs / ours if self.kind == "faster" else ours / theirs for ours, theirs in pairs]

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile of the numbers."""
        low, middle, high = np.quantile(self.numbers, (0.25, 0.5, 0.75)).tolist()
        return low, middle, high

    @property
    def verdict(self) -> str:
        """`pass` or `MISSED`; nothing where there is no target, or no number."""
        if self.target is None or self.not_measured:
            return ""
        value = self.quartiles[1]
        return "pass" if (value >= self.target if self.kind == "faster" else value <= self.target) else "MISSED"

    def as_json(self) -> dict[str, Any]:
        """The fields, and what follows from them for whoever reads the file without gsx."""
        body = dataclasses.asdict(self)
        if not self.not_measured:
            body |= {"quartiles": list(self.quartiles), "median_ours": median(self.ours), "median_theirs": median(self.theirs)}
        return body | {"verdict": self.verdict}

    @classmethod
    def of_json(cls, body: dict[str, Any]) -> Row:
        fields = {field.name: body[field.name] for field in dataclasses.fields(cls)}
        return cls(**fields | {"ours": tuple(body["ours"]), "theirs": tuple(body["theirs"])})


@dataclass(frozen=True)
class Job:
    """A row that is still to be measured. Nothing is prepared before `measure` is called: jobs can be listed for free."""

    row: Row
    measure: Callable[[], Samples]


@dataclass(frozen=True)
class Effort:
    """How much is measured: a smoke of small sizes, or the sizes that the targets are stated for."""

    quick: bool

    def of(self, quick: int, full: int) -> int:
        """A size, or a number of pairs."""
        return quick if self.quick else full


def median(samples: tuple[float, ...]) -> float | None:
    return float(np.median(samples)) if samples else None
