"""What a command is asked for, checked as a whole before any work: every key, its type and its rule."""

from __future__ import annotations

import dataclasses
import inspect
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch

from gsx import data, registry, torchrun
from gsx.data import Dataset
from gsx.estimators.base import Estimator
from gsx.models.base import Model
from gsx.naming import did_you_mean
from gsx.records import ConfigurationError, EnvironmentFault, IntegrityError, MissingCheckpoint, Parameters, Shard
from gsx.reference import ReferenceSettings
from gsx.store import TrainingDirectory, find_trainings, read_parameters
from gsx.tune import TuneSettings

#: Bytes in the name of a folder that every common file system takes.
LONGEST_NAME = 255


@dataclass(frozen=True)
class DeviceSettings:
    """The `device` group: `auto` is the GPU where torch sees one."""

    name: Literal["cpu", "cuda", "auto"] = "cpu"


@dataclass(frozen=True)
class DataSettings:
    """The `data` group: `auto` is the model's own data set; `none` belongs to models without data."""

    name: str = "auto"
    binarization: Literal["none", "threshold", "stochastic"] | None = None
    root: str | None = None


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What every measurement and every training is told, each key checked.

    Groups are ``{"name": ..., settings}``; ``None`` means "work it out" and is resolved here.
    """

    #: The groups whose settings are a class of their own.
    GROUPS: ClassVar[dict[str, type]] = {"device": DeviceSettings, "data": DataSettings}
    #: The least and the most of a number. The upper bounds are far beyond what is of use, and keep a slip of the finger from filling the
    #: memory.
    BOUNDS: ClassVar[dict[str, tuple[int, int]]] = {"num_samples": (1, 2**20), "seed": (0, 2**63 - 1), "workers": (1, 1024)}

    estimator: Mapping[str, Any]
    model: Mapping[str, Any]
    device: DeviceSettings = field(default_factory=DeviceSettings)
    data: DataSettings = field(default_factory=DataSettings)
    num_samples: int | None = None
    seed: int = 0
    dtype: Literal["float32", "float64"] = "float32"
    wrt: Literal["all", "encoder", "distribution"] = "all"
    name: str = "default"
    workers: int | None = None
    plugins: list[str] = field(default_factory=list)
    force: bool = False
    #: The path that was given as `model.checkpoint`, and the parameters there: to begin with, in the place of the model's own.
    checkpoint: str | None = None
    parameters: Parameters | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From plain mappings, as Hydra composes them. ConfigurationError names key, value and rule."""
        hints = typing.get_type_hints(cls)
        schema = {item.name: hints[item.name] for item in dataclasses.fields(cls) if item.name not in ("checkpoint", "parameters")}
        for key, value in given.items():
            if key not in schema:
                raise ConfigurationError(f"{key}={value}: unknown key{did_you_mean(key, schema)}")
        values: dict[str, Any] = {}
        for key, annotation in schema.items():
            if key in cls.GROUPS:
                if not isinstance(given.get(key, {}), Mapping):
                    raise ConfigurationError(f"{key}={given[key]}: must be settings, like {{'name': ...}}")
                fields = inspect.signature(cls.GROUPS[key], eval_str=True).parameters
                values[key] = cls.GROUPS[key](**registry.check(key, given.get(key, {}), fields))
            elif key not in ("estimator", "model") and key in given:
                values[key] = cls._converted(key, given[key], annotation)
        plugins = values.get("plugins", [])
        registry.import_plugins(plugins)
        for key in ("estimator", "model"):
            if not isinstance(given.get(key), Mapping | Estimator | Model):
                raise ConfigurationError(f"{key}={given.get(key)}: must be chosen")
        estimator, model = given["estimator"], given["model"]
        checkpoint = None
        if isinstance(model, Mapping):
            model = dict(model)
            checkpoint = model.pop("checkpoint", None)
        self = cls(
            # An object made by hand is known by its name: it is measured as it is, and never stored.
            estimator={"name": estimator.name} if isinstance(estimator, Estimator) else registry.settings("estimators", estimator, plugins),
            model={"name": model.name, "seed": model.seed} if isinstance(model, Model) else registry.settings("models", model, plugins),
            checkpoint=checkpoint,
            parameters=None if checkpoint is None else _parameters_of(checkpoint),
            **values,
        )
        self._check_numbers()
        data = DataSettings("none") if isinstance(model, Model) else self._resolved_data()
        return dataclasses.replace(self, data=data, device=self._resolved_device())

    @classmethod
    def _converted(cls, key: str, value: Any, annotation: Any) -> Any:
        return registry.convert(key, value, annotation)

    @property
    def choice(self) -> str:
        """What is to be said of a checkpoint that is a folder: whose parameters are taken, where there are those of several seeds."""
        training = _training_at(self.checkpoint).read() if self.checkpoint and Path(self.checkpoint).is_dir() else None
        if training is None or len(training.seeds) == 1:
            return ""
        first, *others = (f"parameters-seed{seed}.npz" for seed in training.seeds)
        more = f"{others[0]} to {others[-1]}" if len(others) > 1 else others[0]
        return f"model.checkpoint={self.checkpoint}: takes {first} of {len(training.seeds)} seeds; name the file for another, {more}"

    def _check_numbers(self) -> None:
        for key, (least, most) in self.BOUNDS.items():
            value = getattr(self, key)
            if value is not None and not least <= value <= most:
                raise ConfigurationError(f"{key}={value}: must be at {f'least {least}' if value < least else f'most {most}'}")
        if self._model_seed < 0:
            raise ConfigurationError(f"model.seed={self._model_seed}: must be at least 0")
        check_name(self.name)

    @property
    def _model_seed(self) -> int:
        """The seed of the problem; a model that takes none has the one of its base class."""
        return int(self.model.get("seed", 0))

    def _resolved_device(self) -> DeviceSettings:
        available = torch.cuda.is_available()
        if self.device.name == "cuda" and not available:
            raise ConfigurationError("device=cuda: torch sees no CUDA GPU on this machine; device=cpu or device=auto work without one")
        return DeviceSettings(("cuda" if available else "cpu") if self.device.name == "auto" else self.device.name)

    def _resolved_data(self) -> DataSettings:
        default = registry.find("models", self.model["name"], self.plugins).default_data  # type: ignore[attr-defined]
        if default is None:
            # A model without data ignores the group, and so does its identity.
            return DataSettings("none")
        name = default if self.data.name == "auto" else self.data.name
        if name not in data.NAMES:
            raise ConfigurationError(f"data={name}: unknown{did_you_mean(name, data.NAMES)}")
        if default in data.IMAGES and name not in data.IMAGES:
            raise ConfigurationError(f"data={name}: has no pixels; {self.model['name']} is a model of images: {', '.join(data.IMAGES)}")
        return dataclasses.replace(self.data, name=name)

    # ------------------------------------------------------------------------------------------------------------------ building

    def dataset(self) -> Dataset | None:
        """The data set, read and checked. MissingData where it is not on this machine."""
        if self.data.name == "none":
            return None
        return data.load(self.data.name, root=self.data.root, binarization=self.data.binarization, seed=self._model_seed)

    def build_estimator(self) -> Estimator:
        return registry.estimator(self.estimator, self.num_samples, self.plugins)

    def build_model(self, dataset: Dataset | None) -> Model:
        return registry.model(self.model, dataset, self.plugins)

    def as_given(self) -> dict[str, Any]:
        """Mappings from which `of` makes the same configuration again, in another process."""
        everything = {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if item.name not in ("checkpoint", "parameters", "force")
        }
        for key in self.GROUPS:
            everything[key] = dataclasses.asdict(everything[key])
        everything["data"] = everything["data"] | {"name": "auto" if self.data.name == "none" else self.data.name}
        if self.checkpoint is not None:
            everything["model"] = {**self.model, "checkpoint": self.checkpoint}
        return everything

    def canonical(self) -> dict[str, Any]:
        """The configuration as it is stored, and as a result is identified by: paths and scheduling left out, nothing left to default."""
        everything = dataclasses.asdict(dataclasses.replace(self, parameters=None))
        for key in ("workers", "force", "checkpoint", "parameters"):
            del everything[key]
        del everything["data"]["root"]
        if self.parameters is not None:
            everything["model"]["checkpoint"] = self.parameters.digest
        return everything


def check_name(name: str) -> None:
    """ConfigurationError unless results can lie in a folder of that name."""
    if not name or name.startswith(".") or any(c in name for c in "/\\\0\n"):
        raise ConfigurationError(f"name={name!r}: must be the name of a folder")
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise ConfigurationError(f"name={name[:40]}...: must be the name of a folder, of at most {LONGEST_NAME} bytes")


def _parameters_of(checkpoint: Any) -> Parameters:
    """The parameters in a file, or those of the first seed of the one training at or below a folder."""
    if not isinstance(checkpoint, str):
        raise ConfigurationError(f"model.checkpoint={checkpoint}: must be a path")
    path = Path(os.path.realpath(checkpoint))
    advice = "model.checkpoint takes the folder of a finished training, or its parameters-seed<k>.npz"
    try:
        found = _training_at(checkpoint).read_parameters(advice=advice) if path.is_dir() else read_parameters(path, advice)
    except (IntegrityError, EnvironmentFault) as error:
        raise type(error)(f"model.checkpoint={checkpoint}: {str(error).removeprefix(f'{path}: ')}") from error
    if found is None:
        what = "holds no finished training" if path.is_dir() else "no such file"
        raise MissingCheckpoint(f"model.checkpoint={checkpoint}: {what}")
    return dataclasses.replace(found, path=checkpoint)


def _training_at(checkpoint: str) -> TrainingDirectory:
    """The one training at or below a folder, or the folder itself, which then holds none."""
    trainings = list(find_trainings([Path(checkpoint)]))
    if len(trainings) > 1:
        raise ConfigurationError(f"model.checkpoint={checkpoint}: holds {len(trainings)} trainings: name one of them")
    return trainings[0] if trainings else TrainingDirectory(Path(checkpoint))


@dataclass(frozen=True, kw_only=True)
class Configuration(Setup):
    """The settings of one measurement."""

    GROUPS: ClassVar[dict[str, type]] = {**Setup.GROUPS, "reference": ReferenceSettings, "tune": TuneSettings}
    BOUNDS: ClassVar[dict[str, tuple[int, int]]] = {
        "num_replicates": (1, 10**12),
        "block_size": (1, 2**20),
        "draws": (0, 2**16),
        **Setup.BOUNDS,
    }

    reference: ReferenceSettings = field(default_factory=ReferenceSettings)
    tune: TuneSettings = field(default_factory=TuneSettings)
    num_replicates: int = 65536
    block_size: int | None = None
    engine: Literal["auto", "structured", "batched", "vmap", "loop"] = "auto"
    draws: int = 0
    shard: str | None = None
    target_se: float | None = None

    @classmethod
    def _converted(cls, key: str, value: Any, annotation: Any) -> Any:
        text = key == "shard" and value is not None  # `shard=0` is as wrong as `shard=0/0`, for the same reason
        return super()._converted(key, str(value) if text else value, annotation)

    @property
    def share(self) -> Shard | None:
        """Which shard; None for the whole run."""
        if self.shard is None:
            return None
        return torchrun.shard() if self.shard == "auto" else Shard.parse(self.shard)

    @property
    def torch_device(self) -> str:
        """The device as torch knows it: of the ranks of torchrun each has a GPU of its own."""
        return torchrun.gpu() if (self.device.name, self.shard) == ("cuda", "auto") else self.device.name

    def canonical(self) -> dict[str, Any]:
        everything = super().canonical()
        for key in ("draws", "shard"):
            del everything[key]
        if self.target_se is None:  # as results were identified before there were any
            del everything["target_se"]
        return everything

    def _check_numbers(self) -> None:
        super()._check_numbers()
        if self.engine != "auto" and self.estimator["name"] == "exact":
            raise ConfigurationError(f"engine={self.engine}: exact computes no replicates, which an engine is for; leave engine out")
        if self.target_se is not None and not 0 < self.target_se < 1:
            raise ConfigurationError(f"target_se={self.target_se:g}: must be between 0 and 1, like 0.01")
        if self.share is not None and self.target_se is not None:
            raise ConfigurationError(f"target_se={self.target_se:g}: a shard does not see the error of the whole; leave out one of the two")
        if self.share is not None and self.draws:
            raise ConfigurationError(f"draws={self.draws}: kept beside a whole run only; leave out shard={self.shard}")
        if self.reference.num_replicates < 1:
            raise ConfigurationError(f"reference.num_replicates={self.reference.num_replicates}: must be at least 1")
