"""The trainings of the page: a row of their table each, whatever its state, and a page each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gsx.records import Interval, Training
from gsx.report import escape, labels, rounding
from gsx.report.canvas import Plot
from gsx.report.html import commands, curves
from gsx.report.html.commands import Known
from gsx.report.html.marks import STATES
from gsx.report.html.runs import anchored
from gsx.report.html.sections import KINDS, Section, mapping, pairs, provenance
from gsx.report.table import Table
from gsx.report.trained import Ends, Trained
from gsx.report.training_caption import NAMES
from gsx.report.trainings import Course, Trajectory

#: The column whose cell opens the page.
OPENS = "estimator"
#: Values of single seeds that a cell has room for.
MOST_SEEDS = 6
#: How the figures that are about trainings are called.
FIGURES = ("training-", "trajectory-")
#: Metrics that are told after what was optimised.
_OF_GRADIENTS = ("variance", "snr", "bias_sq", "cosine")


@dataclass(frozen=True)
class Row:
    anchor: str
    of: Trained
    model: str
    label: str
    trajectory: Trajectory | None


def rows(courses: Sequence[Course], found: Sequence[Trained]) -> list[Row]:
    """In the order of the table of trainings; then those that have left nothing to read."""
    anchors: set[str] = set()
    told: list[tuple[Trained, str, str, Trajectory | None]]
    told = [(t.of, course.label, t.label, t) for course in courses for t in course.trajectories]
    told += [(trained, "", trained.name, None) for trained in found if trained.training is None]
    return [
        Row(anchored(f"training-{escape.slug(of.name)}", anchors), of, escape.line(model), escape.line(label), trajectory)
        for of, model, label, trajectory in told
    ]


def known(rows: Sequence[Row]) -> Known:
    return Known(Ends(row.of for row in rows), {row.of.directory.path: row.anchor for row in rows})


def table(ended: Table | None, rows: Sequence[Row]) -> Table:
    """That of the report, which has how each training ended, and a row for each of the others; why one is not complete is a note."""
    headings = list(ended.headings) if ended else ["model", OPENS]
    body = [list(row) for row in (ended.body if ended else ())]
    for row in rows[len(body) :]:
        body.append([row.label if heading == OPENS else "" for heading in headings])
    if any(row.of.reason for row in rows):
        headings.append("notes")
        body = [[*cells, row.of.reason or ""] for cells, row in zip(body, rows, strict=True)]
    words = ended.words if ended else 2
    frame, notes, choices = (ended.frame, ended.notes, ended.choices) if ended else (pd.DataFrame(), (), ())
    return Table("trainings", "How they ended", headings, body, frame, notes, words, choices)


def embedded(rows: Sequence[Row], known: Known, drawings: Sequence[tuple[str, Plot]]) -> dict[str, Any]:
    """`drawings`: the figures of the page, by their anchors."""
    figures: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for anchor, plot in drawings:
        for run in plot.frame["run"].unique() if plot.name.startswith(FIGURES) else ():
            figures[run].append((plot.title, anchor))
    return {row.anchor: _details(row, known, figures[row.of.name]) for row in rows}


def _details(row: Row, known: Known, figures: Sequence[tuple[str, str]]) -> dict[str, Any]:
    trained = row.of
    state = f"{trained.state}: {STATES[trained.state].meaning}"
    told: dict[str, Any] = {"training": trained.name, "state": state, "reason": trained.reason}
    told |= {"wall time": _took(row.trajectory)} if row.trajectory else {}
    told |= {f"figure{f' {i}' if len(figures) > 1 else ''}": figure for i, figure in enumerate(figures, 1)}
    sections = [pairs("Training", told)]
    if row.trajectory and (drawn := curves.of(row.trajectory)):
        sections.append({"title": "Curves", "curves": drawn})
    if trained.training is not None:
        sections += _told(trained, trained.training, known)
    if trained.state in ("failed", "partial"):
        sections.append(_checkpoints(trained))
    sections += _commands(trained, known)
    lead = f"training of {row.model}" if row.model else ""
    return {"title": row.label, "lead": lead, "sections": [section for section in sections if section]}


def _told(trained: Trained, training: Training, known: Known) -> Iterator[Section | None]:
    objectives = [name for name in training.summary if name.partition(".")[0] not in _OF_GRADIENTS]
    names = objectives + [name for name in training.summary if name not in objectives]
    if names:
        head = ["mean over seeds, at the end", "value", "95 % interval", "single seeds"]
        yield {"title": "How it ended", "head": head, "rows": [[_metric(name), *_ended(training.summary[name])] for name in names]}
    yield {"title": "Seeds", "head": ["seed", "steps", "parameters at the end", "sha256"], "rows": list(_seeds(trained, training))}
    yield commands.parameters("Parameters it began with", training.config, known)
    if any(point.metric == "cosine" for point in training.curve):
        about = training.reference
        kind = str(about.get("kind"))
        told = {"kind": KINDS.get(kind, kind), "estimator": about.get("estimator"), "replicates": about.get("num_replicates")}
        yield pairs("Reference of the cosine", told)
    yield pairs("Configuration", labels.flatten(training.config))
    yield provenance(training.provenance, {"training_id": training.training_id})


def _took(trajectory: Trajectory) -> str:
    """How long all seeds took, and each: what else the machine did is in it."""
    seconds = [f"{value:.0f} s" for value in trajectory.seconds.values()]
    more = ", …" if len(seconds) > MOST_SEEDS else ""
    each = f", by seed: {', '.join(seconds[:MOST_SEEDS])}{more}" if len(seconds) > 1 else ""
    return f"{sum(trajectory.seconds.values()):.0f} s{each}" if seconds else ""


def _metric(name: str) -> str:
    """`variance.train.rloo` as "gradient variance, train, rloo"."""
    metric, *around = name.split(".", 2)
    return escape.line(", ".join([{**NAMES, "bias_sq": "bias²"}.get(metric, metric), *around]))


def _ended(found: Any) -> tuple[str, str, str]:
    """The value, its interval and those of the single seeds, all to the digit that its error reaches."""
    interval, singles = Interval.from_json(found), mapping(found).get("seeds")
    if interval is None:
        return rounding.ABSENT, "", ""
    numbers = [x for x in singles if isinstance(x, float)] if isinstance(singles, list) else []
    shown = [rounding.beside(x, interval.se) for x in numbers[:MOST_SEEDS]] + ["…"] * (len(numbers) > MOST_SEEDS)
    ends = rounding.ends(interval.ci, interval.se) if interval.ci else ""
    return rounding.concise(interval.value, interval.se), ends, ", ".join(shown)


def _seeds(trained: Trained, training: Training) -> Iterator[list[str]]:
    """How far each has come, and the file of its parameters."""
    steps: dict[int, int] = {}
    for point in training.curve:
        steps[point.seed] = max(point.step, steps.get(point.seed, 0))
    ends = {end.seed: end for end in trained.ends}
    for seed in training.seeds:
        end = ends.get(seed)
        file = (
            "none" if end is None else end.file.rpartition("/")[2] + ("" if end.there else ": missing, or not what training.json declares")
        )
        yield [str(seed), f"{steps.get(seed, 0)} of {training.steps}", file, escape.line(end.digest) if end else ""]


def _checkpoints(trained: Trained) -> Section | None:
    begun = trained.directory.seeds_begun()
    files = ", ".join(f"state-seed{seed}.npz" for seed in begun)
    return {"title": "Checkpoints to go on from", "text": files} if begun else None


def _commands(trained: Trained, known: Known) -> Iterator[Section | None]:
    training = trained.training
    if training is not None:
        yield commands.again("Train it again", training.config, known, "train")
        yield commands.measure_at(trained, training.config)
    elif trained.state in ("failed", "partial"):
        yield commands.unfinished("Train it again")
    yield commands.draw(trained.name)
    if training is not None:
        yield from commands.typed(training.provenance)
