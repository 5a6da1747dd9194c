"""A training as the user describes it, checked as a whole before any work."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from gsx import registry
from gsx.configuration import Setup
from gsx.estimators.base import Estimator
from gsx.naming import did_you_mean
from gsx.records import ConfigurationError
from gsx.registry import schema
from gsx.training import optimizer
from gsx.training.schedule import Schedule

#: How often there is something to see where the user does not say.
LOGS = 10


@contextlib.contextmanager
def at_probe(position: int) -> Iterator[None]:
    """Whatever is wrong is so with this entry of ``probe``: what is said of `estimator` is said of it."""
    try:
        yield
    except ConfigurationError as error:
        said = str(error)
        own = said.startswith(("estimator=", "estimator."))
        raise ConfigurationError(f"probe[{position}]" + (said.removeprefix("estimator") if own else f": {said}")) from None


@dataclass(frozen=True)
class TuneSettings:
    """What an estimator learns for itself: one step of an optimizer beside each step of the training.

    `optimizer` is a name, or settings as the training's own has them, but for `lr`, which is `learning_rate` here.

    Variance is minimised in the gradient of `wrt`; `auto` is `distribution` where rows are independent and there is one expectation, for
    there the two go together and a network need not be differentiated twice; else `all`.
    """

    kind: Literal["auto", "none"] = "auto"
    learning_rate: float = 1e-3
    replicates: int = 2
    wrt: Literal["auto", "all", "encoder", "distribution"] = "auto"
    optimizer: Any = "adam"

    def __post_init__(self) -> None:
        given = self.optimizer if isinstance(self.optimizer, Mapping) else {"name": self.optimizer}
        if "lr" in given:
            raise ConfigurationError(f"tune.optimizer.lr={given['lr']}: is given as tune.learning_rate")
        chosen = optimizer.settings(given, "tune.optimizer")
        object.__setattr__(self, "optimizer", {key: value for key, value in chosen.items() if key != "lr"})


@dataclass(frozen=True)
class ReferenceSettings:
    """What the cosine is to: the exact gradient where it is cheap, else a long run, of fresh noise at every point of the curve."""

    kind: Literal["auto", "closed_form", "enumeration", "quadrature", "long_run", "none"] = "auto"
    estimator: str = "auto"
    num_replicates: int = 1024


@dataclass(frozen=True, kw_only=True)
class TrainingConfiguration(Setup):
    """The settings of one training. ``schedule`` and ``probe`` are kept as they were given; `schedules` and `probes` read them."""

    GROUPS: ClassVar[dict[str, type]] = {**Setup.GROUPS, "reference": ReferenceSettings, "tune": TuneSettings}
    BOUNDS: ClassVar[dict[str, tuple[int, int]]] = {
        "steps": (1, 10**9),
        "seeds": (1, 1000),
        "probe_every": (0, 10**9),
        "probe_replicates": (32, 10**7),
        "evaluate_every": (0, 10**9),
        "evaluate_samples": (1, 10**5),
        "evaluate_rows": (1, 10**9),
        "bound_samples": (1, 10**5),
        "checkpoint_every": (1, 10**9),
        **Setup.BOUNDS,
    }

    optimizer: Mapping[str, Any] = field(default_factory=lambda: {"name": "adam"})
    steps: int = 1000
    seeds: int = 1
    maximize: bool = False
    schedule: Mapping[str, Any] = field(default_factory=dict)
    tune: TuneSettings = field(default_factory=TuneSettings)
    probe: list[Any] = field(default_factory=list)
    probe_every: int | None = None
    probe_replicates: int = 256
    reference: ReferenceSettings = field(default_factory=ReferenceSettings)
    evaluate_every: int | None = None
    evaluate_samples: int = 1
    evaluate_rows: int = 1000
    bound_samples: int = 100
    checkpoint_every: int = 500
    tensorboard: bool = False

    @classmethod
    def _converted(cls, key: str, value: Any, annotation: Any) -> Any:
        if key == "optimizer":
            return optimizer.settings({"name": value} if isinstance(value, str) else value)
        if key == "schedule" and value is None:
            return {}
        if key == "schedule" and not isinstance(value, Mapping):
            raise ConfigurationError(f"schedule={value}: must be like {{learning_rate: {{from: 1e-3, to: 1e-4, steps: 1000}}}}")
        if key == "probe" and not isinstance(value, list | tuple):
            near = did_you_mean(value, registry.names("estimators")) if isinstance(value, str) else ""
            meant = near.removeprefix("; did you mean ").rstrip("?") if near.endswith("?") else "rloo,disarm"
            raise ConfigurationError(f"probe={value}: must be a list, like [{meant}]")
        return value if key in ("schedule", "probe") else super()._converted(key, value, annotation)

    def _check_numbers(self) -> None:
        super()._check_numbers()
        if self.seed + self.seeds > 2**63 - 1:
            raise ConfigurationError(f"seeds={self.seeds}: seed={self.seed} has not so many after it")
        if self.reference.num_replicates < 32:
            raise ConfigurationError(f"reference.num_replicates={self.reference.num_replicates}: must be at least 32")
        if self.tune.replicates < 1:
            raise ConfigurationError(f"tune.replicates={self.tune.replicates}: must be at least 1")
        if not self.tune.learning_rate > 0:
            raise ConfigurationError(f"tune.learning_rate={self.tune.learning_rate:g}: must be positive")

    # --------------------------------------------------------------------------------------------------------------- what follows

    @property
    def all_seeds(self) -> tuple[int, ...]:
        return tuple(range(self.seed, self.seed + self.seeds))

    def due(self, what: Literal["probe", "evaluate"], step: int) -> bool:
        """Whether a step is one after which (or, for 0, before which) something is measured."""
        every = self._every(what)
        if every == 0:
            return what == "evaluate" and step == self.steps
        return step % every == 0 or step == self.steps

    def due_after(self, what: Literal["probe", "evaluate"], step: int) -> int:
        """How often it is, in all the steps after this one; those from 0 on are after -1."""
        every = self._every(what)
        if every == 0 or step >= self.steps:
            return int(what == "evaluate" and step < self.steps)
        return self.steps // every - step // every + (self.steps % every != 0)

    def _every(self, what: Literal["probe", "evaluate"]) -> int:
        given = self.probe_every if what == "probe" else self.evaluate_every
        return max(1, self.steps // LOGS) if given is None else given

    def probes(self) -> list[tuple[dict[str, Any], int | None]]:
        """The settings of each estimator to be measured beside the chosen one, and its number of samples."""
        found: list[tuple[dict[str, Any], int | None]] = []
        for position, given in enumerate(self.probe):
            named = {"name": given} if isinstance(given, str) else given
            if not isinstance(named, Mapping):
                raise ConfigurationError(
                    f"probe[{position}]={given}: must be a name, or settings like {{name: concrete, temperature: 0.5}}"
                )
            known = ["name", "num_samples"]
            if isinstance(named.get("name"), str):
                with at_probe(position):
                    known += schema(registry.find("estimators", named["name"], self.plugins))
            for key, setting in named.items():
                if key not in known:
                    raise ConfigurationError(f"probe[{position}].{key}={setting}: unknown key{did_you_mean(key, known)}")
            chosen = dict(named)
            samples = chosen.pop("num_samples", self.num_samples)
            with at_probe(position):
                samples = registry.convert("num_samples", samples, int | None)
                entry = registry.settings("estimators", chosen, self.plugins), samples
            if entry in found:
                raise ConfigurationError(f"probe[{position}]={given}: is there already, as probe[{found.index(entry)}]")
            found.append(entry)
        return found

    def schedules(self) -> dict[str, Schedule]:
        """Each key's schedule; ConfigurationError for a key that does not change in time here."""
        settings = [f"estimator.{key}" for key, parameter in schema(self._estimator_class()).items() if parameter.annotation is float]
        known = ["learning_rate", "kl_weight", *settings]
        for key in self.schedule:
            if key not in known:
                raise ConfigurationError(f"schedule.{key}: is none of {', '.join(known)}{did_you_mean(key, known)}")
        found = {key: Schedule.of(f"schedule.{key}", given) for key, given in self.schedule.items()}
        for key, schedule in found.items():
            if key.startswith("estimator."):
                for end in (schedule.start, schedule.end):  # the class says what it does not take
                    registry.estimator({**self.estimator, key.removeprefix("estimator."): end}, self.num_samples, self.plugins)
            elif not (schedule.start >= 0 and schedule.end >= 0):
                raise ConfigurationError(f"schedule.{key}: must not be negative")
        return found

    def _estimator_class(self) -> type[Estimator]:
        return registry.find("estimators", self.estimator["name"], self.plugins)

    def canonical(self) -> dict[str, Any]:
        everything = super().canonical()
        for key in ("checkpoint_every", "tensorboard"):
            del everything[key]
        if self.tune.optimizer == TuneSettings().optimizer:  # as trainings were identified before there was another
            del everything["tune"]["optimizer"]
        everything["probe"] = [chosen | {"num_samples": samples} for chosen, samples in self.probes()]
        everything["schedule"] = {key: dataclasses.asdict(schedule) for key, schedule in self.schedules().items()}
        return everything
