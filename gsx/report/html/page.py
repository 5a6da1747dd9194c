"""The page put together: Jinja2 with autoescape, one style sheet and one script vouched for by their hashes, the runs as data."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from gsx.report import escape, notes, tables
from gsx.report.canvas import Plot
from gsx.report.collect import Cell, counted
from gsx.report.html import bars, details, marks, runs, shown, svg, trainings
from gsx.report.table import Table
from gsx.report.trained import Trained
from gsx.report.trainings import Course

POLICY = "default-src 'none'; img-src data:; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Drawing:
    anchor: str
    plot: Plot
    svg: str


def page(
    table: Sequence[tuple[str, Cell]],
    counts: Mapping[str, int],
    findings: Sequence[Table],
    others: Sequence[Table],
    figures: Sequence[tuple[Plot, str]],
    left: Sequence[str],
    duplicates: Sequence[str],
    courses: Sequence[Course] = (),
    trained: Sequence[Trained] = (),
    ended: Table | None = None,
    not_made: Sequence[str] = (),
) -> str:
    """report.html: `findings` are shown before runs and trainings, `others` after them; a figure is its plot and the text of its SVG file.

    `trained` are the folders of all trainings, `courses` what could be read of them, and `ended` is the table of these.
    """
    rows, taught = runs.rows(table), trainings.rows(courses, trained)
    known = trainings.known(taught)
    sheet = svg.Sheet()
    drawings = [Drawing(f"figure-{i}", plot, svg.inline(text, f"f{i}-", sheet)) for i, (plot, text) in enumerate(figures, 1)]
    style = _asset("style.css") + sheet.css()
    script = _asset("script.js")
    verdicts = [row.verdict for row in rows if row.verdict]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, loader=PackageLoader("gsx.report.html"), trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2").render(
        policy=POLICY.format(style=_hash(style), script=_hash(script)),
        style=style,
        script=script,
        names=_heading([row.cell.name for row in rows] + [row.of.name for row in taught]),
        lead=_lead(len(rows), len(taught)),
        counted_once=notes.counted_once,
        rows=rows,
        headings=runs.HEADINGS,
        words=runs.WORDS,
        hints=runs.HINTS,
        counts=[(state, n) for state, n in counts.items() if n],
        training_counts=[(state, n) for state, n in counted(one.state for one in trained).items() if n],
        ended=trainings.table(ended, taught) if taught else None,
        opens=taught,
        opening=trainings.OPENS,
        verdicts=[(verdict, verdicts.count(verdict)) for verdict in marks.VERDICTS if verdict in verdicts],
        marks=marks,
        models=list(dict.fromkeys(row.model for row in rows)),
        estimators=sorted({row.estimator for row in rows if row.estimator}),
        findings=findings,
        others=others,
        shown=shown.of,
        SEARCHED=shown.SEARCHED,
        MOST_NOTES=shown.MOST_NOTES,
        line=escape.line,
        drawings=drawings,
        left=left,
        duplicates=duplicates,
        not_made=not_made,
        footnotes=tables.footnotes(cell for _, cell in table),
        bar=bars,
        data=_json(details.embedded(rows, known) | trainings.embedded(taught, known, [(d.anchor, d.plot) for d in drawings])),
    )


def _heading(names: Sequence[str]) -> str:
    """The folders of runs and trainings, as many as a heading has room for."""
    folders = list(dict.fromkeys(escape.line(name.partition("/")[0], 60) for name in names))
    most = 3
    return ", ".join(folders[:most]) + (f" and {len(folders) - most} more" if len(folders) > most else "")


def _lead(runs: int, trainings: int) -> str:
    """What the page is about, by what there is of it."""
    went = f"how {'this training' if trainings == 1 else f'each of these {trainings} trainings'} went"
    measured = f"how biased, how noisy and how expensive {'this run' if runs == 1 else f'each of these {runs} runs'} is"
    told = [measured] * (runs > 0 or not trainings) + [went] * (trainings > 0)
    return f"{', and '.join(told).capitalize()}, from stored results only."


def _asset(name: str) -> str:
    return (files("gsx.report.html") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(data: Any) -> str:
    """For a script element, which ends at the first `</script` whatever is around it: no <, >, & and nothing beyond ASCII is left."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
