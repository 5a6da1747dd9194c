"""What a measurement leaves behind, as plain data."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gsx.records.moments import Layout, Segments
from gsx.records.shard import Shard

if TYPE_CHECKING:
    import numpy as np

SCHEMA_VERSION = 1

#: The summary statistics of a result, in the order of the tables.
STATISTICS = (
    "variance",
    "bias_sq",
    "mse",
    "snr",
    "cosine",
    "cosine_single",
    "variance_times_evaluations",
    "variance_times_time_ratio",
)

#: The verdicts on bias.
VERDICTS = ("unbiased", "biased", "inconclusive", "self_referenced", "deterministic", "nonfinite")
#: Where a bias is declared, an estimator is not called unbiased for having too small a one.
NO_BIAS_FOUND = "no bias found"


@dataclass(frozen=True)
class Interval:
    """A number with its standard error and 95 % interval."""

    value: float
    se: float | None
    ci: tuple[float, float] | None

    def as_json(self) -> dict[str, Any]:
        return {"value": _finite(self.value), "se": _finite(self.se), "ci": None if self.ci is None else [_finite(x) for x in self.ci]}

    @classmethod
    def from_json(cls, data: dict[str, Any] | None) -> Interval | None:
        if data is None:
            return None
        value = math.nan if data["value"] is None else float(data["value"])
        ci = data["ci"]
        # An end that is not finite is stored as null, because strict JSON has no infinity.
        ends = None if ci is None else (-math.inf if ci[0] is None else float(ci[0]), math.inf if ci[1] is None else float(ci[1]))
        return cls(value, data["se"], ends)


def _finite(x: float | None) -> float | None:
    """Strict JSON has no NaN and no infinity: both are stored as null."""
    return None if x is None or not math.isfinite(x) else float(x)


@dataclass(frozen=True)
class Cost:
    """What one N-sample estimate costs. The first three are counted, not timed."""

    evaluations: int
    gradient_evaluations: int
    random_numbers: int
    seconds: float | None = None  # wall-clock time of the measuring, all its sessions together
    time_ratio: float | None = None  # time of a block / time of the model's plain one-sample step
    time_ratio_log_se: float | None = None  # standard error of log(time_ratio); feeds intervals, not stored
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Part:
    """What a shard's result says besides: which one it is, and the facts that the result of the whole will be concluded from."""

    shard: Shard
    biased_because: str | None  # why the estimator is biased in this cell
    rarest: float | None  # probability of the least probable state of any discrete coordinate
    time_ratio_log_se: float | None

    def as_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "shard": str(self.shard)}

    @classmethod
    def from_json(cls, data: dict[str, Any] | None) -> Part | None:
        if data is None:
            return None
        because = data["biased_because"]
        rarest, log_se = (None if data[key] is None else float(data[key]) for key in ("rarest", "time_ratio_log_se"))
        return cls(Shard.parse(data["shard"]), None if because is None else str(because), rarest, log_se)


@dataclass(frozen=True)
class Verdict:
    status: str  # one of VERDICTS
    max_abs_z: float | None
    p_value: float | None
    delta_min_absolute: float | None
    delta_min_relative: float | None  # to max |reference|
    reason: str | None = None  # what kept a verdict from being reached, or "biased here: ..." where the estimator's condition fails

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "max_abs_z": _finite(self.max_abs_z),
            "p_value": _finite(self.p_value),
            "delta_min": {"absolute": _finite(self.delta_min_absolute), "relative": _finite(self.delta_min_relative)},
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verdict:
        delta = data["delta_min"]
        return cls(data["status"], data["max_abs_z"], data["p_value"], delta["absolute"], delta["relative"], data.get("reason"))


@dataclass(frozen=True)
class Coordinates:
    """The per-coordinate table: one row per coordinate, NaN where a number does not exist."""

    layout: Layout
    mean: np.ndarray
    mean_se: np.ndarray
    variance: np.ndarray
    variance_se: np.ndarray
    reference: np.ndarray
    reference_se: np.ndarray
    bias: np.ndarray
    bias_se: np.ndarray
    z: np.ndarray

    COLUMNS = ("mean", "mean_se", "variance", "variance_se", "reference", "reference_se", "bias", "bias_se", "z")


@dataclass(frozen=True)
class Analysis:
    """Everything the statistics say about one set of segments."""

    summary: dict[str, Interval | None]  # keys: STATISTICS
    parameters: dict[str, dict[str, Any]]  # name -> {"shape": [...], "variance": Interval | None, "bias_sq": ..., "mse": ..., "snr": ...}
    verdict: Verdict
    coordinates: Coordinates
    nonfinite: dict[str, int | None]  # replicates, coordinates, first_block


@dataclass(frozen=True)
class Result:
    """One finished (or partial) measurement: `result.json` in memory, with the arrays behind it."""

    result_id: str
    status: str  # complete | partial | failed
    config: dict[str, Any]
    estimator: str
    model: str
    engine: str
    num_samples: int
    num_replicates: int
    blocks: int
    summary: dict[str, Interval | None]
    parameters: dict[str, dict[str, Any]]
    reference: dict[str, Any]  # id, kind, estimator, error {max, norm}
    verdict: Verdict
    cost: Cost
    nonfinite: dict[str, int | None]
    tuning: dict[str, Any]  # what was tuned before the measuring, and then frozen; {} where nothing was
    moments_sha256: str
    provenance: dict[str, Any]
    #: What holds of the estimator on this model: needs_cost_gradient, unbiased, distributions; {} in results from before they were stored.
    facts: dict[str, Any] = field(default_factory=dict)
    #: Of a run with a `target_se`: target, relative_se, reached, and the most replicates it would have drawn; {} elsewhere.
    stopping: dict[str, Any] = field(default_factory=dict)
    part: Part | None = None  # of a shard
    coordinates: Coordinates | None = field(default=None, repr=False, compare=False)
    segments: Segments | None = field(default=None, repr=False, compare=False)

    @property
    def verdict_word(self) -> str:
        """The verdict in words: what was found, and never more than that."""
        status = self.verdict.status
        return NO_BIAS_FOUND if status == "unbiased" and self.facts.get("unbiased") is False else status.replace("_", "-")

    def as_json(self) -> dict[str, Any]:
        """The body of `result.json`."""
        cost = dataclasses.asdict(self.cost)
        del cost["time_ratio_log_se"]
        return {
            "schema_version": SCHEMA_VERSION,
            "result_id": self.result_id,
            "status": self.status,
            "config": self.config,
            "estimator": self.estimator,
            "model": self.model,
            "engine": self.engine,
            "num_samples": self.num_samples,
            "num_replicates": self.num_replicates,
            "blocks": self.blocks,
            "summary": {name: interval and interval.as_json() for name, interval in self.summary.items()},
            "parameters": {
                name: {key: value.as_json() if isinstance(value, Interval) else value for key, value in entry.items()}
                for name, entry in self.parameters.items()
            },
            "reference": self.reference,
            "verdict": self.verdict.as_json(),
            "cost": cost,
            "nonfinite": self.nonfinite,
            "tuning": self.tuning,
            "moments_sha256": self.moments_sha256,
            "provenance": self.provenance,
            "facts": self.facts,
            "stopping": self.stopping,
            "part": self.part and self.part.as_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Result:
        """The inverse of `as_json`; KeyError, TypeError or ValueError where the data are not a result's."""
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version {data['schema_version']}, this gsx reads {SCHEMA_VERSION}")
        return cls(
            result_id=data["result_id"],
            status=data["status"],
            config=data["config"],
            estimator=data["estimator"],
            model=data["model"],
            engine=data["engine"],
            num_samples=int(data["num_samples"]),
            num_replicates=int(data["num_replicates"]),
            blocks=int(data["blocks"]),
            summary={name: Interval.from_json(data["summary"][name]) for name in STATISTICS},
            parameters={
                name: {key: value if key == "shape" else Interval.from_json(value) for key, value in entry.items()}
                for name, entry in data["parameters"].items()
            },
            reference=data["reference"],
            verdict=Verdict.from_json(data["verdict"]),
            cost=Cost(**data["cost"]),
            nonfinite=data["nonfinite"],
            tuning=data["tuning"],
            moments_sha256=data["moments_sha256"],
            provenance=data["provenance"],
            facts=data.get("facts", {}),
            stopping=data.get("stopping", {}),
            part=Part.from_json(data.get("part")),
        )
