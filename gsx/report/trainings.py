"""The trainings to report on: folders with a training.json and a curve.csv; one that cannot be read is said, never dropped."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gsx.records import canonical_json
from gsx.report import escape, labels

#: Bytes of a file that are read.
MOST = 64 << 20
#: What two trainings may differ in and still be drawn against each other.
_FREE = ("estimator", "name", "seeds", "seed", "probe", "workers", "plugins", "force", "device", "tune", "reference")


@dataclass(frozen=True)
class Trajectory:
    """One training: `curve` has the columns seed, step, split, estimator, metric, value, se."""

    name: str  # the last two parts of its path
    status: str
    config: dict[str, Any]
    model: str
    estimator: str
    seeds: tuple[int, ...]
    curve: pd.DataFrame = field(repr=False)
    label: str = ""


@dataclass(frozen=True)
class Course:
    """Trainings of one model in one setting: what may share a figure."""

    label: str
    slug: str
    trajectories: tuple[Trajectory, ...]


def collect(paths: Sequence[Path]) -> tuple[list[Course], list[str]]:
    """The trainings below some folders, together where they may be compared, and a line on each that is unfinished or unreadable."""
    found, faults = [], []
    for folder in _folders(paths):
        name = "/".join(folder.resolve().parts[-2:])
        try:
            found.append(_read(folder, name))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            faults.append(f"{name}: unreadable: {escape.line(str(fault).replace(f'{folder}/', ''), 120)}")
    faults += [f"{trajectory.name}: {trajectory.status}" for trajectory in found if trajectory.status != "complete"]
    return _courses(found), faults


def _folders(paths: Sequence[Path]) -> list[Path]:
    found: set[Path] = set()
    for path in paths:
        for folder, below, files in os.walk(path):
            below[:] = [name for name in below if not name.startswith(".")]
            found |= {Path(folder)} if "training.json" in files else set()
    return sorted(found)


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > MOST:
        raise ValueError(f"{path.name} is larger than the {MOST} bytes that are read")
    return path.read_bytes()


def _read(folder: Path, name: str) -> Trajectory:
    body = json.loads(_bytes(folder / "training.json"))
    if body.pop("sha256", None) != hashlib.sha256(canonical_json(body).encode()).hexdigest():
        raise ValueError("training.json does not match its sha256")
    types: dict[str, Any] = {"split": str, "estimator": str, "metric": str}
    curve = pd.read_csv(io.BytesIO(_bytes(folder / "curve.csv")), dtype=types, keep_default_na=False, na_values={"value": [""], "se": [""]})
    curve = curve.astype({"seed": int, "step": int, "value": float, "se": float})
    seeds = tuple(int(seed) for seed in body["seeds"])
    return Trajectory(name, str(body["status"]), dict(body["config"]), str(body["model"]), str(body["estimator"]), seeds, curve)


def _setting(trajectory: Trajectory) -> dict[str, Any]:
    flat = labels.flatten({key: value for key, value in trajectory.config.items() if key not in _FREE})
    flat.pop("model.name", None)
    return flat


def _courses(found: list[Trajectory]) -> list[Course]:
    members: dict[tuple[str, str], list[Trajectory]] = defaultdict(list)
    for trajectory in found:
        members[trajectory.model, canonical_json(_setting(trajectory))].append(trajectory)
    courses = []
    for model in sorted({key[0] for key in members}):
        keys = sorted(key for key in members if key[0] == model)
        told = labels.differences([_setting(members[key][0]) for key in keys])
        for key, differing in zip(keys, told, strict=True):
            text = " ".join(filter(None, [model, ", ".join(differing)]))
            courses.append(Course(text, escape.slug(text), tuple(_labelled(members[key]))))
    return courses


def _labelled(found: list[Trajectory]) -> Iterator[Trajectory]:
    """Each named by its estimator, and by the settings in which those of one estimator differ."""
    for estimator in sorted({trajectory.estimator for trajectory in found}):
        own = [trajectory for trajectory in found if trajectory.estimator == estimator]
        told = labels.differences([labels.flatten({key: t.config.get(key) for key in _FREE if key != "name"}) for t in own])
        for trajectory, differing in zip(own, told, strict=True):
            yield Trajectory(**{**trajectory.__dict__, "label": " ".join(filter(None, [estimator, ", ".join(differing)]))})
