"""The trainings to report on, together where they may be compared; one that cannot be read is said, never dropped."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gsx.records import Interval, Point, Training, canonical_json
from gsx.report import escape, labels, rounding, tables, trained
from gsx.report.looks import FAMILY
from gsx.report.table import Table
from gsx.report.trained import Trained

#: What two trainings may differ in and still be drawn against each other, the latter without a word.
_FREE = ("estimator", "num_samples", "tune", "seeds", "seed", "device", "plugins", "probe", "probe_every", "probe_replicates", "reference")
_SILENT = ("name", "evaluate_every")
_NAMED = {"num_samples": "N"}
#: By which settings trainings are told apart first, and how many letters of a value are too many for that.
_ROOMS = ("data", "model", "optimizer")
_LONG = 24
_BINARIZED = {"threshold": ", binarized by threshold", "stochastic": ", binarized at random, once", "none": ", not binarized"}

#: What is optimised, in the order of a table.
_OBJECTIVES = ("elbo", "log_likelihood_bound", "bound", "exact_loss", "loss")

#: What a relaxation is trained with is another objective.
LOSS_NOTE = "The loss is that of the training's own estimates: of a relaxation, of relaxed variables, and no bound on anything."


@dataclass(frozen=True)
class Trajectory:
    """One training: `curve` has the columns seed, step, split, estimator, metric, value, se."""

    name: str  # the last two parts of its path
    of: Trained = field(repr=False)
    status: str
    config: dict[str, Any]
    model: str
    estimator: str
    seeds: tuple[int, ...]
    curve: pd.DataFrame = field(repr=False)
    summary: dict[str, Any]  # "elbo.test" -> value, se, ci
    probe: tuple[str, ...]  # as the curve names the estimators measured beside
    reference: dict[str, Any]  # kind, estimator, num_replicates
    label: str = ""

    @property
    def samples(self) -> dict[str, int]:
        """N of the estimators in the curve; the exact gradient has none."""
        n = self.config.get("num_samples")
        wanted: list[dict[str, Any]] = []
        for settings in (self.config.get("estimator") or {}, *(self.config.get("probe") or ())):
            settings = {"num_samples": n, **settings}
            if settings not in wanted:  # a training measures the same estimator once
                wanted.append(settings)
        names = (self.estimator, *self.probe)[: len(wanted)]
        of = zip(names, wanted[: len(names)], strict=True)
        number = {name: settings["num_samples"] for name, settings in of if FAMILY.get(name) != "exact"}
        return {name: n for name, n in number.items() if isinstance(n, int)}

    @property
    def seconds(self) -> dict[int, float]:
        """How long each seed took, as far as it has come."""
        clock = self.curve[self.curve["metric"] == "seconds"]
        return {int(seed): float(value) for seed, value in clock.groupby("seed")["value"].max().items() if math.isfinite(value)}

    @property
    def batch(self) -> int | None:
        """Rows in a minibatch; None where all rows are taken, or there are none."""
        batch = (self.config.get("model") or {}).get("batch")
        return batch if isinstance(batch, int) and batch > 0 else None

    @property
    def data(self) -> str:
        """On what, how binarized and in which batches; nothing where the model needs no data."""
        data = self.config.get("data") or {}
        if data.get("name") in (None, "none"):
            return ""
        batches = f", in batches of {self.batch} rows" if self.batch else ""
        return f"{data['name']}{_BINARIZED.get(str(data.get('binarization')), '')}{batches}"


@dataclass(frozen=True)
class Course:
    """Trainings of one model in one setting: what may share a figure."""

    label: str
    slug: str
    trajectories: tuple[Trajectory, ...]
    #: What plans ask for beside them and nothing is there of, by label.
    absent: tuple[str, ...] = ()


def collect(paths: Sequence[Path]) -> tuple[list[Course], list[Trained]]:
    """The trainings below some folders, together where they may be compared, and the folders of all, whatever is in them."""
    found = trained.collect(paths)
    there = [_trajectory(one, one.training) for one in found if one.training is not None]
    return _courses(there, list(_absent(found))), found


def _trajectory(of: Trained, training: Training) -> Trajectory:
    curve = pd.DataFrame(training.curve, columns=list(Point._fields))
    told = (training.status, training.config, training.model, training.estimator, training.seeds, curve, training.summary)
    return Trajectory(of.name, of, *told, training.probe, training.reference)


def _absent(found: Sequence[Trained]) -> Iterator[Trajectory]:
    """What is missing, without a curve: a plan is a stranger's file, and what is no configuration has its line in the report alone."""
    for one in found:
        config = one.planned or {}
        names = [of.get("name") if isinstance(of := config.get(group), dict) else None for group in ("model", "estimator")]
        match names:
            case [str(model), str(estimator)]:
                yield Trajectory(one.name, one, one.state, config, model, estimator, (), pd.DataFrame(), {}, (), {})


def table(courses: Sequence[Course]) -> Table | None:
    """How each training ended, a row each, with intervals over its seeds; None where there is none."""
    ended = [(course, trajectory) for course in courses for trajectory in course.trajectories]
    metrics = list(dict.fromkeys(metric for _, trajectory in ended for metric in trajectory.summary if _is_objective(metric)))
    metrics.sort(key=lambda metric: _OBJECTIVES.index(metric.partition(".")[0]))
    if not ended:
        return None
    body, rows = [], []
    for course, trajectory in ended:
        steps, seeds = trajectory.config.get("steps"), len(trajectory.seeds)
        n = trajectory.samples.get(trajectory.estimator)
        row = {"model": course.label, "estimator": trajectory.label, "num_samples": n, "steps": steps, "seeds": seeds}
        told = {metric: trajectory.summary.get(metric) or {} for metric in metrics}
        body.append(
            [
                *("–" if value is None else str(value) for value in row.values()),
                *(rounding.concise(told[m].get("value"), told[m].get("se")) for m in metrics),
            ]
        )
        for metric, found in told.items():
            row |= tables.columns(metric, Interval.from_json(found or None))
        took = trajectory.seconds.values()
        seconds = sum(took) / len(took) if took else None
        body[-1].append(rounding.ABSENT if seconds is None else f"{seconds:.0f}")
        rows.append(row | {"seconds": seconds, "training": trajectory.name})
    headings = [
        "model",
        "estimator",
        "N",
        "steps",
        "seeds",
        *(metric.replace("_", " ").replace(".", ", ") for metric in metrics),
        "s / seed",
    ]
    notes = [
        "At the end of each training: mean over seeds, with its standard error. N: samples per estimate; s / seed: mean wall time in "
        "seconds, with whatever else the machine did. Beside its model is what tells a training from the others; the rest is in its "
        "configuration."
    ]
    notes += [f"{course.label}: {data}." for course in courses if (data := course.trajectories[0].data)]
    if "loss.train" in metrics and any(FAMILY.get(trajectory.estimator) == "relaxation" for _, trajectory in ended):
        notes.append(LOSS_NOTE)
    return Table("trainings", "Trainings", headings, body, pd.DataFrame(rows, dtype=object), notes, 2, ("model", "estimator"))


def _is_objective(metric: str) -> bool:
    return metric.partition(".")[0] in _OBJECTIVES


def _setting(trajectory: Trajectory) -> dict[str, Any]:
    flat = labels.flatten({key: value for key, value in trajectory.config.items() if key not in (*_FREE, *_SILENT)})
    flat.pop("model.name", None)
    return flat


def _courses(found: list[Trajectory], gone: list[Trajectory]) -> list[Course]:
    members: dict[tuple[str, str], list[Trajectory]] = defaultdict(list)
    lost: dict[tuple[str, str], list[Trajectory]] = defaultdict(list)
    for of, trajectories in ((members, found), (lost, gone)):
        for trajectory in trajectories:
            of[trajectory.model, canonical_json(_setting(trajectory))].append(trajectory)
    courses = []
    for model in sorted({key[0] for key in members}):
        keys = sorted(key for key in members if key[0] == model)
        told = labels.differences(_telling([_setting(members[key][0]) for key in keys]))
        for key, differing in zip(keys, told, strict=True):
            text = " ".join(filter(None, [model, ", ".join(differing)]))
            # Named among those that are there, whose own names do not hang on what is missing.
            absent = sorted(one.label for one in _labelled([*members[key], *lost[key]]) if one.status == "missing") if lost[key] else []
            courses.append(Course(text, escape.slug(text), tuple(_labelled(members[key])), tuple(absent)))
    return courses


def _telling(settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each the fewest settings that tell all of them apart, one after the other: that which parts most, and what is short to say."""
    kept: list[str] = []

    def parts(key: str) -> tuple[int, bool, int, int, str]:
        apart = len({canonical_json([one.get(name) for name in (*kept, key)]) for one in settings})
        longest = max(len(labels.said(key, one.get(key))) for one in settings)
        room = key.partition(".")[0]
        return -apart, longest > _LONG, _ROOMS.index(room) if room in _ROOMS else len(_ROOMS), len(key), key

    while len({canonical_json([one.get(key) for key in kept]) for one in settings}) < len(settings):
        kept.append(min({key for one in settings for key in one} - set(kept), key=parts))
    return [{key: one[key] for key in kept if key in one} for one in settings]


def _labelled(found: list[Trajectory]) -> Iterator[Trajectory]:
    """Each named by its estimator and the settings in which those of one estimator differ; where these are alike, by where it lies."""
    for estimator in sorted({trajectory.estimator for trajectory in found}):
        own = [trajectory for trajectory in found if trajectory.estimator == estimator]
        told = labels.differences([labels.flatten({_NAMED.get(key, key): t.config.get(key) for key in _FREE}) for t in own])
        for place in ([{"name": t.name.partition("/")[0]} for t in own], [{"folder": t.name} for t in own]):
            alike = Counter(map(tuple, told))
            told = [so_far + more * (alike[tuple(so_far)] > 1) for so_far, more in zip(told, labels.differences(place), strict=True)]
        for trajectory, differing in zip(own, told, strict=True):
            yield Trajectory(**{**trajectory.__dict__, "label": " ".join(filter(None, [estimator, ", ".join(differing)]))})
