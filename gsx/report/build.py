"""A report, from stored results to files: tables, figures, and the page that lists them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gsx.records import ConfigurationError
from gsx.report import (
    advice,
    alignment,
    bias,
    by_samples,
    canvas,
    comparison,
    escape,
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
from gsx.report.spared import Spared
from gsx.report.table import Table
from gsx.report.trained import Ends
from gsx.report.trainings import Course

T = TypeVar("T", Course, Group)

#: Drawing takes a second a figure. Tables are never cut.
MOST_FIGURES = 40


@dataclass(frozen=True)
class Report:
    """What was written, how many runs and how many trainings are in which state, and the tables of both as Markdown."""

    files: tuple[Path, ...]
    counts: dict[str, int]
    trainings: dict[str, int]
    table: str
    #: The tables and figures in which the numbers of some run do not go, a line each.
    not_made: tuple[str, ...] = ()


def report(paths: Sequence[Path], out: Path, baseline: str = "reinforce", style: str = "page", html: bool = False) -> Report:
    """Reads every run below `paths` and writes `out`/report.md, tables/ and figures/, and with `html` report.html.

    `baseline` is the estimator that variances are compared with, `style` where the figures will stand (one of `STYLES`).
    Raises ConfigurationError where there is no run to report on, or `out` is no folder of a report's own, and EnvironmentFault where it
    cannot be written; a run that cannot be read is a row of the table, and of a table or a figure that cannot be made there is a line.
    IntegrityError where `out` would lead out of its place by a link.
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
    spared, variances = Spared(), relative.Variances()
    further: dict[str, Callable[[], Table | None]] = {
        "scoreboard": lambda: scoreboard(paths),
        "trainings": lambda: trainings.table(courses),
        "advice": lambda: advice.table(groups, baseline, variances),
        "relative_variance": lambda: relative.table(groups, baseline, variances),
    }
    made: dict[str, Table] = {}
    for name, make in further.items():
        for one, texts in spared.each(f"tables/{name}", functools.partial(_with_texts, make)):
            made[name] = one
            files |= {f"tables/{name}.{kind}": text for kind, text in texts.items()}
    findings, after = ([made[name] for name in names if name in made] for names in (["scoreboard"], list(further)[1:]))

    found = list(_unique(_plots(spared, courses, every, Ends(trained), alone=len(table) == 1)))
    drawn, left, figures = [], found[MOST_FIGURES:], []
    for plot in found[:MOST_FIGURES]:
        saved = spared.of(f"figures/{plot.name}", functools.partial(canvas.save, plot, out / "figures", style))
        if saved is not None:
            drawn.append(plot)
            figures += saved
    counts = counted(cell.state for _, cell in table)
    not_drawn, twice = [plot.name for plot in left], [cell.name for cell in duplicates]
    summary = files.get("tables/summary.md", "")
    listed = list(files)
    if html:
        # As they lie beside the page, whatever wrote them.
        shown = [(plot, (out / "figures" / f"{plot.name}.svg").read_text(encoding="utf-8")) for plot in drawn]
        others, ended = [one for one in after if one.name != "trainings"], made.get("trainings")
        given = (table, counts, findings, others, shown, not_drawn, twice, courses, trained, ended)
        page = spared.of("report.html", lambda: pages.page(*given, not_made=spared.not_made))
        files |= {} if page is None else {"report.html": page}
    files["report.md"] = index.page(table, summary, findings, after, counts, listed, drawn, not_drawn, twice, trained, spared.not_made)
    for name, text in files.items():
        place.write(out / name, text.encode())
    told = "\n".join(filter(None, [summary, files.get("tables/trainings.md", ""), index.incomplete(trained)]))
    written = tuple(sorted([out / name for name in files] + figures))
    return Report(written, counts, counted(one.state for one in trained), told, tuple(spared.not_made))


def _with_texts(make: Callable[[], Table | None]) -> Iterator[tuple[Table, dict[str, str]]]:
    """A table, where there is one, and what its files hold."""
    if (table := make()) is not None:
        yield table, table.texts()


def _plots(spared: Spared, courses: Sequence[Course], groups: Sequence[Group], trained: Ends, alone: bool) -> Iterator[Plot]:
    """The figures in the order of their worth: when there are too many, the last ones are left out, not the last models'."""

    def each(what: str, kind: Callable[[T], Iterable[Plot]], of: Iterable[T]) -> Iterator[Plot]:
        for one in of:
            yield from spared.each(f"figures, {what} of {escape.line(one.label)}", functools.partial(kind, one))

    yield from each("curves", training.plots, courses)
    if alone:
        yield from each("the run", single.plots, [group for group in groups if group.complete])
    of_several = {"integrands": integrands.plots, "parameters": parameters.plots, "sweeps": sweeps.over_settings, "N": by_samples.plots}
    for what, kind in of_several.items():
        yield from spared.each(f"figures, {what}", functools.partial(kind, groups))
    # A model that is one point of a sweep is in the figures of the sweep.
    swept = {id(group) for family in spared.each("figures, sweeps", lambda: families.families(groups)) for group in family.groups}
    rest = [group for group in groups if id(group) not in swept]
    yield from spared.each("figures, stages", lambda: stages.plots(rest, trained))
    yield from each("temperatures", frontier.plots, rest)
    yield from each("N", sweeps.over_samples, rest)
    joined = spared.of("figures, stages", lambda: stages.covered(rest)) or set()
    yield from each("estimators", comparison.plots, [group for group in rest if id(group) not in joined])
    yield from spared.each("figures, alignment", lambda: alignment.plots(rest))
    yield from each("bias", bias.plots, rest)


def _unique(plots: Iterator[Plot]) -> Iterator[Plot]:
    """Two models whose names make one file name must not overwrite each other."""
    seen: dict[str, int] = {}
    for plot in plots:
        seen[plot.name] = seen.get(plot.name, 0) + 1
        yield plot if seen[plot.name] == 1 else Plot(f"{plot.name}-{seen[plot.name]}", plot.title, plot.frame, plot.caption, plot.draw)
