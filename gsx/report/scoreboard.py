"""The scoreboard: a row per finding, with who claims what, what was measured, what is exactly true, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gsx.records import Interval
from gsx.report import rounding
from gsx.report.findings import RULES, VERDICTS, Judged, judge
from gsx.report.sides import sides
from gsx.report.study import Study, studies
from gsx.report.table import Table
from gsx.report.tables import columns

HEADINGS = ("experiment", "finding", "origin", "published or expected", "measured [95 % interval]", "exact", "verdict")
#: Columns of text that sort by a number.
SORTED_BY = {"published or expected": "claimed_low", "measured [95 % interval]": "measured", "exact": "exact"}
TITLE = "Scoreboard: published findings, and expectations of our own"
#: What there is of each origin.
COUNTED = {"published": "{} published finding{}", "ours": "{} expectation{} of our own", "": "{} number{} held against nothing"}


def scoreboard(paths: Sequence[Path]) -> Table | None:
    """Of every experiment at or one below the paths; None where there is no finding and nothing to say of one."""
    found, wrong = studies(paths)
    rows = [(study, judge(study, finding)) for study in found for finding in study.experiment.findings]
    said = [note for study in found for note in _notes(study)] + wrong
    if not rows and not said:
        return None
    body = [_read(study, judged) for study, judged in rows]
    frame = pd.DataFrame([_full(study, judged) for study, judged in rows], dtype=object)
    notes = [*RULES, *said, told(counts(frame))] if rows else said
    order = {heading: list(frame[column]) for heading, column in SORTED_BY.items()} if rows else {}
    return Table("scoreboard", TITLE, HEADINGS, body, frame, notes, 3, ("experiment", "origin", "verdict"), order)


def counts(frame: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How many findings of each origin have which verdict."""
    found = Counter(zip(frame["origin"], frame["verdict"], strict=True))
    return {origin: {word: found[origin, word] for word in VERDICTS if found[origin, word]} for origin in COUNTED}


def told(counted: Mapping[str, Mapping[str, int]]) -> str:
    """The same in a sentence."""
    parts = []
    for origin, verdicts in counted.items():
        if verdicts:
            number = sum(verdicts.values())
            counted_as = COUNTED[origin].format(number, "" if number == 1 else "s")
            parts.append(f"{counted_as}: {', '.join(f'{n} {word}' for word, n in verdicts.items())}")
    return "; ".join(parts) + "."


def _notes(study: Study) -> list[str]:
    """What the experiment says for itself, and what of it is missing."""
    name, absent = study.experiment.folder, study.absent()
    planned = sum(len(step.cells) for step in study.stored.steps.values() if step.cells)
    unreached = [step for step, plan in study.stored.steps.items() if plan.cells is None and plan.arguments[1:2] == ["run"]]
    notes = [f"{name}: {note}" for note in (*_sources(study), *study.experiment.notes)]
    if left_out := study.experiment.left_out:
        notes.append(f"{name}: {left_out} findings more are left out: this size is too small for them.")
    if absent:
        more = f", and {len(absent) - 5} more" if len(absent) > 5 else ""
        notes.append(f"{name}: {len(absent)} of {planned} cells are missing: {', '.join(absent[:5])}{more}.")
    return notes + [f"{name}: the step {step} was not reached." for step in unreached]


def _sources(study: Study) -> list[str]:
    """Who says what, where not all are of one source."""
    claims = [finding for finding in study.experiment.findings if finding.origin == "published"]
    by_source: dict[str, list[str]] = {}
    for finding in claims:
        by_source.setdefault(finding.source, []).append(finding.says)
    if len(by_source) < 2:
        return [f"source: {source}." for source in by_source]
    most = max(by_source, key=lambda source: len(by_source[source]))
    return [
        f"source of what is published: {'; '.join(says) if source != most else 'all others'}: {source}."
        for source, says in by_source.items()
    ]


def _read(study: Study, judged: Judged) -> list[str]:
    verdict = judged.verdict + (f" ({judged.reason})" if judged.reason else "")
    return [
        study.experiment.folder,
        judged.finding.says,
        judged.finding.origin,
        _claimed(judged),
        _measured(judged),
        _exact(judged),
        verdict,
    ]


def _claimed(judged: Judged) -> str:
    finding = judged.finding
    if finding.kind == "value":
        assert finding.claimed is not None
        low, high = map(rounding.given, finding.claimed)
        text = low if low == high else f"{low} to {high}"
        return text + (f" ± {rounding.concise(finding.tolerance)}" if finding.tolerance else "")
    if finding.kind == "equal":
        return f"equal ± {rounding.concise(100 * finding.tolerance)} %" if not finding.left.log else f"equal ± {finding.tolerance:g}"
    if finding.kind == "measured":
        return ""
    left, *right = sides(finding)
    return f"{left} below {right[0] if len(right) == 1 else f'all {len(right)} others'}"


def _measured(judged: Judged) -> str:
    found = judged.measured
    if found is None:
        return rounding.ABSENT
    prefix = ""
    if judged.measure in ("ratio", "difference"):
        left, *right = sides(judged.finding)
        prefix = f"{left} {'/' if judged.measure == 'ratio' else '-'} {right[judged.closest]} = "
    grid = "" if judged.grid is None else ", between " + " and ".join(map(rounding.concise, judged.grid))
    text = rounding.concise(found.value, found.se)
    if "(" in text:
        return f"{prefix}{text}{_ends(found, found.se)}{grid}"
    # What has no error is shown to the digit that decides.
    unit = judged.finding.tolerance or None
    return f"{prefix}{rounding.beside(found.value, unit)}{_ends(found, unit)}{grid}"


def _exact(judged: Judged) -> str:
    finding, found = judged.finding, judged.exact
    if found is None:
        return judged.unknown
    holds = "" if judged.holds is None else ", holds" if judged.holds else ", fails"
    text = rounding.concise(found.value, found.se)
    if finding.tolerance and "(" not in text:  # to the digit that decides, where that is further
        text = max(text, rounding.given(float(rounding.beside(found.value, finding.tolerance))), key=len)
    return text + (" ≠" if judged.agrees is False else "") + holds


def _ends(found: Interval, error: float | None) -> str:
    return "" if found.ci is None else f" {rounding.ends(found.ci, error)}"


def _full(study: Study, judged: Judged) -> dict[str, Any]:
    finding = judged.finding
    low, high = finding.claimed or (None, None)
    row: dict[str, Any] = {"experiment": study.experiment.name, "finding": finding.says, "origin": finding.origin}
    row |= {"source": finding.source, "kind": finding.kind}
    left, *right = sides(finding) if finding.right else [""]
    row |= {"left": left, "right": right[judged.closest] if right else ""}
    row |= {"claimed_low": low, "claimed_high": high, "tolerance": finding.tolerance, "measure": judged.measure}
    row |= columns("measured", judged.measured)
    row |= dict(zip(("between_low", "between_high"), judged.grid or (None, None), strict=True))
    exact = judged.exact
    row |= {"exact": exact and exact.value, "exact_error": exact and exact.se}
    row |= {key: {None: "", True: "yes", False: "no"}[told] for key, told in (("agrees", judged.agrees), ("holds", judged.holds))}
    row |= {"verdict": judged.verdict, "reason": judged.reason, "size": study.experiment.size}
    return row | {"num_replicates": judged.num_replicates, "seed": judged.seed}
