"""What a training leaves behind, as plain data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from gsx.records.canonical import canonical_json

if TYPE_CHECKING:
    import numpy as np

SCHEMA_VERSION = 1

#: The metrics of a curve. `loss`: mean of the steps since the last log. `exact_loss`: of a model without data, at the parameters. `elbo`,
#: or `log_likelihood_bound` of a model that predicts, and `bound`: of a split, the latter of K samples. `variance`, `snr`, `bias_sq`,
#: `cosine`: of an estimator on the probe minibatch. `seconds`: wall-clock time so far.
METRICS = ("loss", "exact_loss", "elbo", "log_likelihood_bound", "bound", "variance", "snr", "bias_sq", "cosine", "seconds")


class Point(NamedTuple):
    """One number of a curve, with its standard error; NaN where a number does not exist, "" where a column does not apply."""

    seed: int
    step: int
    split: str
    estimator: str
    metric: str
    value: float
    se: float


@dataclass(frozen=True)
class Parameters:
    """Named arrays of a model, and their address by content."""

    arrays: dict[str, np.ndarray]
    path: str = field(default="", compare=False)  # where they were found, as the user named it

    @property
    def digest(self) -> str:
        """sha256 of names, shapes and values, as float64: it holds every float32, so that the type they are kept in is no matter."""
        import numpy as np

        shapes = {name: list(array.shape) for name, array in self.arrays.items()}
        sha = hashlib.sha256(canonical_json(shapes).encode())
        for name in sorted(self.arrays):
            sha.update(np.ascontiguousarray(self.arrays[name], "<f8").tobytes())
        return sha.hexdigest()


@dataclass(frozen=True)
class Training:
    """One training: `training.json` in memory, with its curve and, where it has come to its end, the parameters of each seed."""

    training_id: str
    status: str  # complete | partial | failed
    config: dict[str, Any]
    model: str
    estimator: str  # the name under which the curve tells of it
    seeds: tuple[int, ...]
    steps: int
    probe: tuple[str, ...]  # the names under which the curve tells of the estimators measured beside it
    reference: dict[str, Any]  # kind, estimator, num_replicates
    summary: dict[str, dict[str, Any]]  # "elbo.test" -> {"value", "se", "ci", "seeds": one value for each}
    provenance: dict[str, Any]
    curve: tuple[Point, ...] = field(default=(), repr=False)
    parameters: dict[int, Parameters] = field(default_factory=dict, repr=False)

    def as_json(self) -> dict[str, Any]:
        """The body of `training.json`."""
        names = ("training_id", "status", "config", "model", "estimator", "steps", "reference", "summary", "provenance")
        body = {name: getattr(self, name) for name in names}
        return {"schema_version": SCHEMA_VERSION, **body, "seeds": list(self.seeds), "probe": list(self.probe)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Training:
        """The inverse of `as_json`; KeyError, TypeError or ValueError where the data are not a training's."""
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version {data['schema_version']}, this gsx reads {SCHEMA_VERSION}")
        return cls(
            training_id=data["training_id"],
            status=data["status"],
            config=data["config"],
            model=data["model"],
            estimator=data["estimator"],
            seeds=tuple(int(seed) for seed in data["seeds"]),
            steps=int(data["steps"]),
            probe=tuple(str(name) for name in data["probe"]),
            reference=data["reference"],
            summary=data["summary"],
            provenance=data["provenance"],
        )
