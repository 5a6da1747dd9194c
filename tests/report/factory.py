"""Run directories with made-up but plausible results: what the report is tested on, without an engine."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from gsx.records import Coordinates, Cost, Interval, Layout, Result, Segments, Verdict, canonical_json
from gsx.store import RunDirectory

GROUPS = 64


def interval(value: float, relative: float) -> Interval:
    """On a log scale, as a variance has it."""
    return Interval(value, abs(value) * relative, (value * math.exp(-2 * relative), value * math.exp(2 * relative)))


def bias_interval(bias: float, variance: float, replicates: int, noise: float) -> Interval:
    """The interval of the design: b = |mean - ref|, c = t sqrt(trace / R)."""
    c = 2.0 * math.sqrt(variance / replicates)
    b = math.hypot(bias, noise * c / 2)
    value = b**2 - variance / replicates
    return Interval(value, max(2 * b * c / 2, variance / replicates), (max(0.0, b - c) ** 2, (b + c) ** 2))


def make(
    root: Path,
    estimator: str = "reinforce",
    *,
    model: str = "bernoulli_toy",
    variance: float = 0.02,
    bias: float = 0.0,
    samples: int = 1,
    replicates: int = 65536,
    seed: int = 0,
    status: str = "complete",
    folder: str | None = None,
    name: str = "default",
    settings: dict[str, Any] | None = None,
    model_settings: dict[str, Any] | None = None,
    layout: Layout | None = None,
    summary: dict[str, Interval | None] | None = None,
    verdict: str | None = None,
    data: str = "none",
    tuning: dict[str, Any] | None = None,
    provenance: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    evaluations: int | None = None,
    draws: dict[str, np.ndarray] | None = None,
    with_segments: bool = True,
    with_coordinates: bool = True,
) -> Path:
    layout = layout or Layout(("logits",), ((3,),))
    config = {
        "estimator": {"name": estimator, **(settings or {})},
        "model": {"name": model, "logits": [0.3, -0.2, 1.1], "target": 0.49, "power": 2.0, "seed": 0, **(model_settings or {})},
        "device": {"name": "cpu"},
        "data": {"name": data},
        "reference": {"name": "auto"},
        "num_samples": samples,
        "num_replicates": replicates,
        "block_size": replicates // GROUPS,
        "seed": seed,
        "dtype": "float32",
        "wrt": "all",
        "name": name,
        "engine": "auto",
    }
    result_id = hashlib.sha256(canonical_json(config).encode()).hexdigest()
    rng = np.random.default_rng(int(result_id[:8], 16))
    size = layout.size
    squared = bias_interval(bias, variance, replicates, abs(rng.normal()))
    error = np.full(size, math.sqrt(variance / size / replicates))
    true = np.linspace(-0.3, 0.4, size)
    shift = bias / math.sqrt(size) + error * rng.normal(size=size)
    z = shift / error if variance else np.full(size, math.nan)
    coordinates = Coordinates(
        layout, true + shift, error, np.full(size, variance / size), np.full(size, variance / size / 80),
        true, np.zeros(size), shift, error, z,
    )  # fmt: skip
    status_of_bias = verdict or ("biased" if bias > 6 * math.sqrt(variance / replicates) else "unbiased")
    numbers: dict[str, Interval | None] = {
        "variance": interval(variance, 0.01),
        "bias_sq": squared,
        "mse": interval(variance + max(squared.value, 0), 0.01),
        "snr": interval(0.4 / max(variance, 1e-9), 0.02),
        "cosine": None if bias else Interval(0.99995, 0.00003, (0.9999, 1.0)),
        "cosine_single": None,
        "variance_times_evaluations": interval(variance * (evaluations or samples), 0.01),
        "variance_times_time_ratio": None,
    }
    numbers |= summary or {}
    result = Result(
        result_id=result_id,
        status=status,
        config=config,
        estimator=estimator,
        model=model,
        engine="vmap" if with_segments else "exact",  # which alone leaves no moments
        num_samples=samples,
        num_replicates=replicates,
        blocks=GROUPS,
        summary=numbers,
        parameters={key: {"shape": list(shape), "variance": numbers["variance"]} for key, shape, _ in layout.slices()},
        reference={"id": "abc", "kind": "enumeration", "estimator": None, "error": {"max": 0.0, "norm": 0.0}},
        verdict=Verdict(status_of_bias, float(np.abs(z).max()) if variance else None, 0.2, 1e-4, 1e-3),
        cost=Cost(evaluations or samples, 0 if estimator == "reinforce" else samples, 3 * samples, 1.25, 1.02),
        nonfinite={"replicates": 0, "coordinates": 0, "first_block": None},
        tuning=tuning or {},
        moments_sha256=hashlib.sha256(result_id.encode()).hexdigest(),
        provenance=provenance or {"command": ["/opt/venv/bin/gsx", "run", f"estimator={estimator}"]},
        facts=facts or {},
        coordinates=coordinates if with_coordinates else None,
    )
    path = root / name / (folder or f"{estimator}-{result_id[:12]}")
    directory = RunDirectory(path)
    directory.write_result(result, draws)
    if with_segments:
        directory.write_segments(segments(layout, variance, replicates, rng), {"numpy": "2"}, result_id)
    return path


def segments(layout: Layout, variance: float, replicates: int, rng: np.random.Generator) -> Segments:
    each, size = replicates // GROUPS, layout.size
    scale = 1 + 0.05 * rng.normal(size=(GROUPS, size))
    return Segments(
        layout,
        blocks=np.ones(GROUPS, dtype=np.int64),
        count=np.full(GROUPS, each, dtype=np.int64),
        mean=math.sqrt(variance / size / each) * rng.normal(size=(GROUPS, size)),
        second=np.full((GROUPS, size), variance / size * each) * scale,
        third=None,
        largest=None,
        cosine_mean=None,
        nonfinite_replicates=np.zeros(GROUPS, dtype=np.int64),
        nonfinite_first_block=np.full(GROUPS, -1, dtype=np.int64),
    )


def bench(root: Path) -> None:
    """A whole study: temperatures, sample sizes, other estimators, and runs that went wrong."""
    for tau in (0.1, 0.2, 0.5, 1.0, 2.0):
        make(root, "concrete", settings={"temperature": tau}, variance=0.004 / tau, bias=0.02 * tau**1.5)
        make(root, "st_gumbel", settings={"temperature": tau}, variance=0.006 / tau**0.7, bias=0.05 * tau**0.3)
    for samples in (1, 2, 4, 16, 64):
        make(root, "reinforce", samples=samples, variance=0.2 / samples)
    for samples in (2, 4, 16, 64):
        make(root, "rloo", samples=samples, variance=0.05 / samples**1.3)
    make(root, "straight_through", variance=0.001, bias=0.09)
    make(root, "arm", samples=2, variance=0.03)
    zero = Interval(0.0, 0.0, (0.0, 0.0))
    make(
        root,
        "exact",
        variance=0.0,
        verdict="deterministic",
        summary={"variance": zero, "bias_sq": zero, "mse": zero, "snr": None, "cosine": None},
    )
    for k in (0.5, 1.0, 2.0):
        for estimator, power in (("reparameterization", 2.0), ("reinforce", 0.0)):
            names = Layout(("loc", "log_scale"), ((20,), (20,)))
            make(root, estimator, model="gaussian_toy", model_settings={"cost": "cos", "k": k}, variance=0.3 * k**power, layout=names)
    make(root, "nvil", status="partial", replicates=2048, tuning={"steps": 100})
    RunDirectory(root / "default" / "relax-000000000000").write_error("nonfinite temperature\nTraceback (most recent call last):\n  ...")
    broken = make(root, "rebar", folder="rebar-broken")
    (broken / "result.json").write_text('{"schema_version": 1')
