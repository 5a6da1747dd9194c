"""A report, from stored results to files: tables, figures, and the page that lists them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gsx.records import ConfigurationError
from gsx.report import (
    advice,
    alignment,
    bias,
    by_samples,
    canvas,
    comparison,
    families,
    frontier,
    index,
    integrands,
    parameters,
    place,
    relative,
    single,
    stages,
    sweeps,
    tables,
    training,
    trainings,
)
from gsx.report import html as pages
from gsx.report.canvas import Plot
from gsx.report.collect import Group, collect, counted
from gsx.report.scoreboard import scoreboard
from gsx.report.trained import Ends

#: Drawing takes a second a figure. Tables are never cut.
MOST_FIGURES = 40


@dataclass(frozen=True)
class Report:
    """What was written, how many runs and how many trainings are in which state, and the tables of both as Markdown."""

    files: tuple[Path, ...]
    counts: dict[str, int]
    trainings: dict[str, int]
    table: str


def report(paths: Sequence[Path], out: Path, baseline: str = "reinforce", style: str = "page", html: bool = False) -> Report:
    """Reads every run below `paths` and writes `out`/report.md, tables/ and figures/, and with `html` report.html.

    `baseline` is the estimator that variances are compared with, `style` where the figures will stand (one of `STYLES`).
    Raises ConfigurationError where there is no run to report on, or `out` is no folder of a report's own, and EnvironmentFault where it
    cannot be written; a run that cannot be read is a row of the table. IntegrityError where `out` would lead out of its place by a link.
    """
    paths, out = [Path(path) for path in paths], Path.cwd() / out
    place.check(out)
    every, without, duplicates = collect(paths)
    groups = [group for group in every if group.cells]
    courses, trained = trainings.collect(paths)
    if not (groups or without or trained):
        searched = ", ".join(map(str, paths))
        raise ConfigurationError(f"report: no run under {searched}; measure first: gsx run estimator=reinforce model=bernoulli_toy")
    place.create(out)

    files: dict[str, str] = {}
    table = tables.rows(groups, without)
    if table:
        files["tables/summary.csv"] = tables.csv(tables.summary(table))
        files["tables/summary.md"] = tables.markdown(table)
        files["tables/summary.tex"] = tables.latex(table)
    findings = [found for found in (scoreboard(paths),) if found is not None]
    variances = relative.Variances()
    compared = (advice.table(groups, baseline, variances), relative.table(groups, baseline, variances))
    ended = trainings.table(courses)
    of_trainings, others = [ended] if ended else [], [other for other in compared if other]
    for further in (*findings, *of_trainings, *others):
        files |= {f"tables/{further.name}.{kind}": text for kind, text in further.texts().items()}

    found = list(_unique(itertools.chain(*map(training.plots, courses), _plots(every, Ends(trained), alone=len(table) == 1))))
    drawn, left = found[:MOST_FIGURES], found[MOST_FIGURES:]
    figures = [path for plot in drawn for path in canvas.save(plot, out / "figures", style)]
    counts = counted(cell.state for _, cell in table)
    not_drawn, twice = [plot.name for plot in left], [cell.name for cell in duplicates]
    summary = files.get("tables/summary.md", "")
    after = [*of_trainings, *others]
    files["report.md"] = index.page(table, summary, findings, after, counts, list(files), drawn, not_drawn, twice, trained)
    if html:
        # As they lie beside the page, whatever wrote them.
        shown = [(plot, (out / "figures" / f"{plot.name}.svg").read_text(encoding="utf-8")) for plot in drawn]
        files["report.html"] = pages.page(table, counts, findings, others, shown, not_drawn, twice, courses, trained, ended)
    for name, text in files.items():
        place.write(out / name, text.encode())
    told = "\n".join(filter(None, [summary, files.get("tables/trainings.md", ""), index.incomplete(trained)]))
    return Report(tuple(sorted([out / name for name in files] + figures)), counts, counted(one.state for one in trained), told)


def _plots(groups: Sequence[Group], trained: Ends, alone: bool) -> Iterator[Plot]:
    """The figures in the order of their worth: when there are too many, the last ones are left out, not the last models'."""
    if alone:
        yield from itertools.chain.from_iterable(single.plots(group) for group in groups if group.complete)
    for of_several in (integrands.plots, parameters.plots, sweeps.over_settings, by_samples.plots):
        yield from of_several(groups)
    # A model that is one point of a sweep is in the figures of the sweep.
    swept = {id(group) for family in families.families(groups) for group in family.groups}
    rest = [group for group in groups if id(group) not in swept]
    yield from stages.plots(rest, trained)
    for kind in (frontier.plots, sweeps.over_samples):
        yield from itertools.chain.from_iterable(map(kind, rest))
    joined = stages.covered(rest)
    yield from itertools.chain.from_iterable(comparison.plots(group) for group in rest if id(group) not in joined)
    yield from alignment.plots(rest)
    yield from itertools.chain.from_iterable(map(bias.plots, rest))


def _unique(plots: Iterator[Plot]) -> Iterator[Plot]:
    """Two models whose names make one file name must not overwrite each other."""
    seen: dict[str, int] = {}
    for plot in plots:
        seen[plot.name] = seen.get(plot.name, 0) + 1
        yield plot if seen[plot.name] == 1 else Plot(f"{plot.name}-{seen[plot.name]}", plot.title, plot.frame, plot.caption, plot.draw)
