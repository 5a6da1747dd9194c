"""The definition of an experiment in one size: its steps, and its findings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gsx.experiment.fields import Fields, is_number
from gsx.experiment.quantity import Quantity
from gsx.records import ConfigurationError

SIZES = ("full", "quick")
KINDS = ("value", "less", "equal", "least", "measured")
#: Who claims it, a publication or nobody but us; and what the number of a `value` is called then.
ORIGINS = {"published": "published", "ours": "expected"}
#: What names code, or folders: not for a file that people hand to each other.
_NOT_OURS = ("hydra", "plugins")
_STEP = ("name", "command", "overrides", "sweep")
_FINDING = ("says", "source", "kind", "origin", *ORIGINS.values(), "tolerance", "measured", "left", "right")
#: What each kind of finding must say beside `says` and `kind`; what it may not say is the rest.
_NEEDED = {
    "value": ("tolerance", "measured"),
    "less": ("left", "right"),
    "equal": ("tolerance", "left", "right"),
    "least": ("left", "right"),
    "measured": ("measured",),
}


@dataclass(frozen=True)
class Step:
    """One `gsx run` or `gsx train`, with a grid or without."""

    name: str
    command: str  # run | train
    overrides: tuple[str, ...]
    sweep: dict[str, tuple[str, ...]]

    def arguments(self, *more: str) -> list[str]:
        """What stands behind the command: `-m` where there is a grid, then the overrides; of two of one key the later one holds."""
        grid = [f"{key}={','.join(values)}" for key, values in self.sweep.items()]
        overrides = last_of_each([*self.overrides, *grid, *more])
        return ["-m", *overrides] if self.sweep else overrides


@dataclass(frozen=True)
class Finding:
    """What is claimed, and the quantities it is held against: `left` and `right` of an ordering, else `left` alone.

    `origin` is empty for what is only measured, which claims nothing.
    """

    says: str
    source: str
    kind: str
    origin: str
    claimed: tuple[float, float] | None
    tolerance: float
    left: Quantity
    right: tuple[Quantity, ...]

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (self.left, *self.right)


@dataclass(frozen=True)
class Experiment:
    name: str
    size: str
    title: str
    source: str
    notes: tuple[str, ...]
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    left_out: int  # findings that this size is too small for
    definition: dict[str, Any]  # plain data, from which this is read again, in this size

    @property
    def folder(self) -> str:
        """Of the results, below `outputs`."""
        return self.name if self.size == "full" else f"{self.name}-{self.size}"

    @classmethod
    def of(cls, data: object, name: str, size: str = "full", at: str = "") -> Experiment:
        """From plain data. ConfigurationError, beginning with `at`, where it is not what a definition is."""
        known = ("title", "source", "origin", "notes", "steps", "findings", "left_out")
        fields = Fields.of(data, f"{at or name}: experiment", known, ("title", "steps"))
        prefix = at or name
        given = [_in_size(entry, size, f"{prefix}: steps[{i}]") for i, entry in enumerate(fields.entries("steps"))]
        steps = [_step(entry, f"{prefix}: steps[{i}]") for i, entry in enumerate(given)]
        if not steps:
            raise fields.wrong("steps", "at least one")
        commands = {step.name: step.command for step in steps}
        if len(commands) < len(steps):
            raise ConfigurationError(f"{prefix}: steps: two have the name {_twice(step.name for step in steps)}")
        source, origin = fields.text("source"), fields.choice("origin", ORIGINS, "published")
        findings, kept = [], []
        for i, entry in enumerate(fields.entries("findings")):
            finding, skipped = _finding(entry, f"{prefix}: findings[{i}]", commands, source, origin)
            if size == "full" or not skipped:
                findings.append(finding)
                kept.append({key: value for key, value in entry.items() if key != "quick"})
        left_out = int(fields.number("left_out", 0)) + len(fields.entries("findings")) - len(findings)
        notes = fields.entries("notes")
        if not all(isinstance(note, str) for note in notes):
            raise fields.wrong("notes", "a list of texts")
        if says := _twice(finding.says for finding in findings):
            raise ConfigurationError(f"{prefix}: findings: two say {says!r}")
        definition: dict[str, Any] = {"title": fields.text("title"), "source": source, "origin": origin, "notes": notes}
        definition |= {"steps": given, "findings": kept} | ({"left_out": left_out} if left_out else {})
        return cls(name, size, fields.text("title"), source, tuple(notes), tuple(steps), tuple(findings), left_out, definition)


def _twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def _in_size(entry: object, size: str, at: str) -> dict[str, Any]:
    """A step as plain data with its `quick` applied or left out."""
    fields = Fields.of(entry, at, (*_STEP, "quick"), ("name",))
    quick = Fields.of(fields.mapping("quick"), f"{at}.quick", ("overrides", "sweep"))
    step: dict[str, Any] = {"name": fields.text("name"), "command": fields.given.get("command", "run")}
    step |= {"overrides": fields.entries("overrides"), "sweep": fields.mapping("sweep")}
    if size == "quick":
        step["overrides"] = step["overrides"] + quick.entries("overrides")
        step["sweep"] = step["sweep"] | quick.mapping("sweep")
    return step


def _step(entry: Mapping[str, Any], at: str) -> Step:
    fields = Fields.of(entry, at, _STEP)
    overrides = fields.entries("overrides")
    for override in overrides:
        if not isinstance(override, str) or "=" not in override:
            raise ConfigurationError(f"{at}.overrides: {override}: must be key=value, as text")
    sweep = {}
    for key, values in fields.mapping("sweep").items():
        if not isinstance(values, list) or not values:
            raise ConfigurationError(f"{at}.sweep.{key}={values}: must be a list of values")
        sweep[key] = tuple(map(override_value, values))
        if key in map(_key, overrides):
            raise ConfigurationError(f"{at}.sweep.{key}: is fixed by an override of the same step")
    for key in (*map(_key, overrides), *map(_key, sweep)):
        if re.split(r"[./@]", key)[0] in _NOT_OURS:
            raise ConfigurationError(f"{at}.overrides: {key}: an experiment is data; plugins and Hydra's own keys are for a command line")
    for key in ("name", "experiment"):
        if key in sweep or key in map(_key, overrides):
            raise ConfigurationError(f"{at}.overrides: {key}: is not for a step to say")
    return Step(fields.text("name"), fields.choice("command", ("run", "train")), tuple(last_of_each(overrides)), sweep)


def _finding(entry: object, at: str, steps: Mapping[str, str], source: str, origin: str) -> tuple[Finding, bool]:
    """The finding, and whether the quick size leaves it out."""
    fields = Fields.of(entry, at, (*_FINDING, "quick"), ("says", "kind"))
    if "quick" in fields.given and fields.given["quick"] != "skip":
        raise fields.wrong("quick", "skip, or left out")
    kind = fields.choice("kind", KINDS)
    origin = "" if kind == "measured" else fields.choice("origin", ORIGINS, origin)
    needed = [*_NEEDED[kind], *([ORIGINS[origin]] if kind == "value" else [])]
    Fields.of(dict.fromkeys(fields.given), at, ("says", "source", "kind", "quick", *(["origin"] if origin else []), *needed), needed)
    claimed = None
    if kind == "value":
        number = ORIGINS[origin]
        ends = fields.given[number]
        ends = ends if isinstance(ends, list) else [ends, ends]
        if len(ends) != 2 or not all(map(is_number, ends)) or ends[0] > ends[1]:
            raise fields.wrong(number, "a number, or a range [low, high]")
        claimed = (float(ends[0]), float(ends[1]))
    tolerance = fields.number("tolerance", 0.0)
    if tolerance < 0 or (kind == "equal" and tolerance == 0):
        raise fields.wrong("tolerance", "positive" if kind == "equal" else "at least 0")
    left = "left" if "left" in fields.given else "measured"
    right = fields.entries("right") if kind == "least" else [fields.given["right"]] if "right" in fields.given else []
    if kind == "least" and not right:
        raise fields.wrong("right", "at least one")
    finding = Finding(
        says=fields.text("says"),
        source=fields.text("source", source),
        kind=kind,
        origin=origin,
        claimed=claimed,
        tolerance=tolerance,
        left=Quantity.of(fields.given[left], f"{at}.{left}", steps),
        right=tuple(Quantity.of(one, f"{at}.right" + (f"[{i}]" if kind == "least" else ""), steps) for i, one in enumerate(right)),
    )
    if len({quantity.log for quantity in finding.quantities}) > 1:
        raise ConfigurationError(f"{at}: log: must be the same for all that are compared")
    return finding, "quick" in fields.given


# ------------------------------------------------------------------------------------------------------------------------ overrides


def override_value(value: object) -> str:
    """A value of YAML as Hydra reads it on a command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(override_value, value))}]"
    return str(value)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def last_of_each(overrides: Iterable[str]) -> list[str]:
    """Of several overrides of one key the last, where it stands last."""
    kept: dict[str, str] = {}
    for override in overrides:
        kept.pop(_key(override), None)
        kept[_key(override)] = override
    return list(kept.values())
