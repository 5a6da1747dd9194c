"""Folders of made-up trainings: what training curves are drawn from, without an engine."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from gsx.records import Point, Training, canonical_json
from gsx.store import TrainingDirectory

Row = tuple[int, int, str, str, str, float, float]  # the columns of curve.csv


def write(root: Path, estimator: str, rows: list[Row], *, model: str = "binary_vae", seeds: tuple[int, ...] = (0, 1, 2),
          status: str = "complete", probes: tuple[str, ...] = (), name: str = "default", steps: int = 2000,
          reference: dict[str, Any] | None = None, batch: int | None = None, **config: Any) -> Path:  # fmt: skip
    everything = {
        "estimator": {"name": estimator},
        "model": {"name": model, "batch": batch},
        "steps": steps,
        "num_samples": 1,
        "name": name,
        **config,
    }
    training_id = hashlib.sha256(canonical_json(everything).encode()).hexdigest()
    folder = root / name / f"train-{model}-{estimator}-{training_id[:12]}"
    curve = tuple(Point(*row) for row in rows)
    training = Training(training_id, status, everything, model, estimator, seeds, steps, probes, reference or {}, {}, {}, curve)
    TrainingDirectory(folder).write(training)
    return folder


def vae(
    root: Path, estimator: str, level: float, variances: dict[str, float], *, seeds: tuple[int, ...] = (0, 1, 2), **config: Any
) -> Path:
    """An ELBO that rises to `level`, and the variances of estimators at the same parameters."""
    rows: list[Row] = []
    for seed in seeds:
        rng = np.random.default_rng(seed + len(estimator))
        for step in range(0, 2001, 100):
            rise = 400 * math.exp(-step / 150) + 40 * math.exp(-step / 900)
            for split, worse in (("train", 0.0), ("test", 3.0)):
                rows.append((seed, step, split, "", "elbo", level - worse - rise + float(rng.normal()), math.nan))
            for name, variance in variances.items():
                at = variance * (1 + rise / 40) * math.exp(0.1 * float(rng.normal()))
                rows.append((seed, step, "train", name, "variance", at, 0.02 * at))
                rows.append((seed, step, "train", name, "snr", 0.1 / at, 0.002 / at))
                rows.append((seed, step, "train", name, "cosine", 1 / (1 + at), 0.01))
    return write(root, estimator, rows, seeds=seeds, probes=tuple(name for name in variances if name != estimator), **config)


def polynomial(root: Path, estimator: str, plateau: float, *, seeds: tuple[int, ...] = (0,)) -> Path:
    rows: list[Row] = []
    for seed in seeds:
        rng = np.random.default_rng(seed + len(estimator))
        for step in range(0, 8001, 200):
            rows.append((seed, step, "train", "", "loss", plateau + 0.05 * math.exp(-step / 1500) + 2e-4 * float(rng.normal()), math.nan))
            rows.append((seed, step, "train", estimator, "variance", 0.0 if estimator == "exact" else 1e-4, math.nan))
    return write(root, estimator, rows, model="polynomial", seeds=seeds, steps=8000)
