"""A quantity: which number of which cell of which step, as a finding names it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gsx.experiment.fields import Fields
from gsx.naming import did_you_mean
from gsx.records import STATISTICS, ConfigurationError

#: Read from the table of coordinates, one number at a time.
PER_COORDINATE = ("mean", "reference", "variance")
#: Known for the whole gradient only.
WHOLE = ("cosine_single", "variance_times_evaluations", "variance_times_time_ratio")
REDUCTIONS = ("median", "mean", "min", "max", "last")


@dataclass(frozen=True)
class Statistic:
    """`variance`, `variance.loc` or `mean.loc[1]`: a number of one run."""

    name: str
    parameter: str | None = None
    index: int | None = None

    @classmethod
    def of(cls, text: str, at: str) -> Statistic:
        found = re.fullmatch(r"(\w+)(?:\.(.+?))?(?:\[(\d+)\])?", text)
        known = dict.fromkeys([*STATISTICS, *PER_COORDINATE])
        if found is None or found[1] not in known:
            raise ConfigurationError(f"{at}={text}: unknown number{did_you_mean(text.partition('.')[0], known)}")
        name, parameter, index = found[1], found[2], None if found[3] is None else int(found[3])
        if name not in STATISTICS and (parameter is None or index is None):
            raise ConfigurationError(f"{at}={text}: must be that of a coordinate, like {name}.logits[0]")
        if index is not None and (name not in PER_COORDINATE or parameter is None):
            raise ConfigurationError(f"{at}={text}: of one coordinate there are {', '.join(f'{key}.logits[0]' for key in PER_COORDINATE)}")
        if parameter is not None and name in WHOLE:
            raise ConfigurationError(f"{at}={text}: {name} is known for the whole gradient only")
        return cls(name, parameter, index)

    def __str__(self) -> str:
        parameter = "" if self.parameter is None else f".{self.parameter}"
        return f"{self.name}{parameter}" + ("" if self.index is None else f"[{self.index}]")


@dataclass(frozen=True)
class CurveNumber:
    """One number of a training: a metric between two steps, reduced."""

    metric: str
    estimator: str
    split: str
    first: float
    last: float
    of: str

    @property
    def at_start(self) -> bool:
        """Whether it is a variance before the first step, where no noise has led the parameters yet."""
        return self.metric == "variance" and self.last == 0

    def key(self, training: str) -> str:
        """Under which an experiment keeps what is exact about it."""
        return f"{training} {self.estimator}".strip()

    @classmethod
    def read(cls, given: Mapping[str, Any], at: str) -> CurveNumber:
        fields = Fields.of(given, at, ("metric", "estimator", "split", "from", "to", "of"), ("metric",))
        first, last = fields.number("from", 0.0), fields.number("to", 1e300)
        if first > last:
            raise fields.wrong("from", f"at most to={fields.given['to']}")
        reduction = fields.choice("of", REDUCTIONS, "last")
        return cls(fields.text("metric"), fields.text("estimator"), fields.text("split"), first, last, reduction)


@dataclass(frozen=True)
class Argmin:
    """The value of a key at which a statistic is least, among the cells of a grid."""

    key: str
    of: Statistic


@dataclass(frozen=True)
class Crossing:
    """The value of a key at which a statistic of one cell overtakes another's."""

    key: str
    of: Statistic
    between: tuple[dict[str, Any], dict[str, Any]]


Number = Statistic | CurveNumber | Argmin | Crossing


@dataclass(frozen=True)
class Quantity:
    step: str
    where: dict[str, Any]
    number: Number
    times: float = 1.0
    log: bool = False

    @classmethod
    def of(cls, given: object, at: str, steps: Mapping[str, str]) -> Quantity:
        """`steps` are the commands by the names of the steps."""
        fields = Fields.of(given, at, ("step", "where", "number", "times", "log"), ("step", "number"))
        step = fields.text("step")
        if step not in steps:
            raise ConfigurationError(f"{at}.step={step}: unknown step{did_you_mean(step, steps)}")
        number = _number(fields.given["number"], f"{at}.number")
        if isinstance(number, CurveNumber) != (steps[step] == "train"):
            wanted = "a metric of its curve, like {metric: loss, of: last}" if steps[step] == "train" else "a statistic, like variance"
            raise fields.wrong("number", f"{wanted}: {step} is a {steps[step]} step")
        times = fields.number("times", 1.0)
        if times <= 0:
            raise fields.wrong("times", "positive")
        return cls(step, fields.mapping("where"), number, times, fields.flag("log"))

    @property
    def statistic(self) -> Statistic | None:
        """The statistic of a run that this is about, if it is about a run."""
        return self.number if isinstance(self.number, Statistic) else getattr(self.number, "of", None)


def _number(given: object, at: str) -> Number:
    if isinstance(given, str):
        return Statistic.of(given, at)
    if isinstance(given, Mapping) and "argmin" in given:
        fields = Fields.of(given, at, ("argmin", "of"), ("of",))
        return Argmin(fields.text("argmin"), Statistic.of(fields.text("of"), f"{at}.of"))
    if isinstance(given, Mapping) and "crossing" in given:
        fields = Fields.of(given, at, ("crossing", "of", "between"), ("of", "between"))
        pair = fields.entries("between")
        if len(pair) != 2 or not all(isinstance(one, Mapping) for one in pair):
            raise fields.wrong("between", "two mappings, like [{estimator: reinforce}, {estimator: rloo}]")
        return Crossing(fields.text("crossing"), Statistic.of(fields.text("of"), f"{at}.of"), (dict(pair[0]), dict(pair[1])))
    if isinstance(given, Mapping):
        return CurveNumber.read(given, at)
    raise ConfigurationError(f"{at}={given}: must be a statistic, a metric of a curve, an argmin or a crossing")


# ------------------------------------------------------------------------------------------------------------- which cells are meant


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``; a group alone is its name, so that `estimator: arms` means what it says."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
            if isinstance(value.get("name"), str):
                found[f"{prefix}{key}"] = value["name"]
        else:
            found[f"{prefix}{key}"] = value
    return found


_MISSING = object()


def matches(where: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a cell's configuration has all the values that `where` gives."""
    known = flat(config)
    return all(known.get(key, _MISSING) == value for key, value in where.items())
