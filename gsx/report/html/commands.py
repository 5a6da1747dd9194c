"""The commands of a page: what measures, trains or draws again, each as it is typed where `outputs` lies."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from gsx.report import escape, rerun
from gsx.report.html.sections import Section, mapping, pairs
from gsx.report.trained import End, Ends, Trained

#: Seeds of a training whose parameters have a command of their own.
MOST_SEEDS = 8


@dataclass(frozen=True)
class Known:
    """The parameters that the trainings of the report have led to, and the anchors of these trainings' pages."""

    ends: Ends
    anchors: Mapping[Path, str]

    def end(self, config: Mapping[str, Any]) -> End | None:
        return self.ends.find(rerun.begun_at(config))


def parameters(title: str, config: Mapping[str, Any], known: Known) -> Section | None:
    """Of which training and seed the parameters are that were begun with; None where they were the model's own."""
    digest = rerun.begun_at(config)
    if digest is None:
        return None
    told: dict[str, Any] = {"training": "none of this report has them"}
    if end := known.end(config):
        steps = end.of.training.steps if end.of.training else None
        told = {"training": (end.of.name, known.anchors[end.of.directory.path]), "seed": end.seed, "steps": steps, "file": end.file}
    return pairs(title, told | {"sha256": digest})


def again(title: str, config: Mapping[str, Any], known: Known, program: str = "run") -> Section:
    end, unknown = known.end(config), rerun.begun_at(config) is not None
    try:
        if end or not unknown:
            return {"title": title, "code": [rerun.command(config, end.file if end else None, program)]}
        told = rerun.command(config, "FILE", program)
    except rerun.Inexpressible as reason:
        return {"title": title, "text": f"No command says this configuration: {reason}."}
    text = (
        "The parameters it began with are known here by their digest only. Report on the folder of their training as well, and their "
        f"file is named here; or put it in the place of FILE: {told}"
    )
    return {"title": title, "text": text}


def unfinished(title: str) -> Section:
    return {"title": title, "text": "The command that was given, once more: what is complete is skipped, what is not resumes."}


def measure_at(trained: Trained, config: Mapping[str, Any]) -> Section | None:
    """A measurement at the end of each seed that is still there."""
    there = [end for end in trained.ends if end.there]
    if not there:
        return None
    title = "Measure at its parameters"
    try:
        section: Section = {"title": title, "code": [rerun.measured_at(config, end.file) for end in there[:MOST_SEEDS]]}
    except rerun.Inexpressible as reason:
        return {"title": title, "text": f"No command says this configuration: {reason}."}
    more = f" Of {len(there)} seeds, the first {MOST_SEEDS}." if len(there) > MOST_SEEDS else ""
    return section | {
        "text": f"By the estimator that trained; another takes its place as estimator=NAME, without the settings of this one.{more}"
    }


def draw(name: str) -> Section:
    # Beside the report that it is read in, and not over it.
    redraw = shlex.join(["gsx", "report", f"outputs/{name}", "--html", "--out", f"outputs/report-of-{PurePath(name).name}"])
    if not redraw.isprintable():
        return {"title": "Draw it again", "text": "The name of its folder is not printable."}
    return {"title": "Draw it again", "text": "As all commands here, typed in the folder that holds outputs.", "code": [redraw]}


def typed(provenance: Any) -> Iterator[Section]:
    command = mapping(provenance).get("command")
    if isinstance(command, (list, tuple)) and command:
        # Without its folder: a report must not tell where a program was installed.
        command = shlex.join([PurePath(str(command[0])).name, *map(str, command[1:])])
    if command and isinstance(command, str):
        yield {"title": "As it was typed", "code": [escape.line(command, 2000)]}
