"""Models that differ in one number: what a sweep over a setting of a model has measured."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gsx.records import canonical_json
from gsx.report import escape, labels
from gsx.report.collect import Cell, Group


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0


def _itself(value: float) -> float:
    return value


#: A setting is drawn against what is thought in: a logit as its probability. (model, setting): its name on the axis, and what it is.
AXES: dict[tuple[str, str], tuple[str, Callable[[float], float]]] = {
    ("bernoulli_toy", "logits"): ("p", _sigmoid),
    ("tied_bernoulli", "eta"): ("p", _sigmoid),
    ("gaussian_toy", "loc"): ("μ", _itself),
    ("gaussian_toy", "log_scale"): ("log σ", _itself),
}


@dataclass(frozen=True)
class Family:
    """The groups of a model that differ in the number `key` alone; `told` is how their other settings differ from those of its like."""

    model: str
    key: str
    groups: tuple[Group, ...]
    told: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return " ".join(filter(None, [self.model, ", ".join(self.told)]))

    @property
    def slug(self) -> str:
        return f"{escape.slug(self.key)}-{escape.slug(self.name)}"

    @property
    def axis(self) -> str:
        """The name of the number on an axis."""
        return AXES.get((self.model, self.key), (self.key, _itself))[0]

    @property
    def cells(self) -> list[tuple[float, Cell]]:
        """The complete runs, each with where it stands on the axis."""
        return [(x, cell) for x, group in self._placed for cell in group.complete]

    @property
    def absent(self) -> list[tuple[float, Cell]]:
        """What was planned and is not there, likewise."""
        return [(x, cell) for x, group in self._placed for cell in group.absent]

    @property
    def _placed(self) -> list[tuple[float, Group]]:
        of = AXES.get((self.model, self.key), ("", _itself))[1]
        return [(of(value), group) for group in self.groups if (value := number(group.settings[self.key])) is not None]

    @property
    def everything(self) -> list[Cell]:
        return [cell for group in self.groups for cell in group.everything]


def number(setting: Any) -> float | None:
    """A setting that is a number, or a list of one number."""
    if isinstance(setting, (list, tuple)) and len(setting) == 1:
        setting = setting[0]
    usable = isinstance(setting, (int, float)) and not isinstance(setting, bool) and math.isfinite(setting)
    return float(setting) if usable else None


def families(groups: Sequence[Group]) -> list[Family]:
    """Every setting of a model that takes three or more numbers while its others stay."""
    members: dict[tuple[str, str, str], list[Group]] = defaultdict(list)
    for group in groups:
        for key, value in group.settings.items():
            if number(value) is not None and key != "seed":
                rest = {name: other for name, other in group.settings.items() if name != key}
                members[group.model, key, canonical_json(rest)].append(group)
    wide = {name: family for name, family in sorted(members.items()) if len(family) >= 3}
    found = []
    for name, family in wide.items():
        alike = [other for other in wide if other[:2] == name[:2]]
        told = labels.differences([wide[other][0].settings | {name[1]: None} for other in alike])[alike.index(name)]
        found.append(Family(name[0], name[1], tuple(family), tuple(told)))
    return found
