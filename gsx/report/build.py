"""A report, from stored results to files: tables, figures, and the page that lists them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gsx.records import EnvironmentFault
from gsx.report import bias, canvas, comparison, frontier, index, relative, single, sweeps, tables
from gsx.report.canvas import Plot
from gsx.report.collect import STATES, Group, collect
from gsx.report.scoreboard import scoreboard
from gsx.store import atomic_write

#: Drawing takes a second a figure. Tables are never cut.
MOST_FIGURES = 40


@dataclass(frozen=True)
class Report:
    """What was written, how many runs are in which state, and the summary table as Markdown."""

    files: tuple[Path, ...]
    counts: dict[str, int]
    table: str


def report(paths: Sequence[Path], out: Path, baseline: str = "reinforce") -> Report:
    """Reads every run below `paths` and writes `out`/report.md, tables/ and figures/.

    `baseline` is the estimator that variances are compared with. Raises ConfigurationError where there is no run to report on, and
    EnvironmentFault where `out` cannot be written; a run that cannot be read is a row of the table.
    """
    paths, out = [Path(path) for path in paths], Path(out)
    groups, others, duplicates = collect(paths)
    try:
        for folder in (out / "tables", out / "figures"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise EnvironmentFault(f"{fault.filename}: cannot be created: {fault.strerror}") from fault

    files: dict[str, str] = {}
    table = tables.rows(groups, others)
    files["tables/summary.csv"] = tables.csv(tables.summary(table))
    files["tables/summary.md"] = tables.markdown(table)
    files["tables/summary.tex"] = tables.latex(table)
    compared = relative.table(groups, baseline)
    if len(compared):
        files["tables/relative_variance.csv"] = tables.csv(compared)
        files["tables/relative_variance.md"] = relative.markdown(compared)

    further = [found for found in (scoreboard(paths),) if found is not None]
    for found in further:
        files |= {f"tables/{found.name}.{kind}": text for kind, text in found.texts().items()}

    every = list(_unique(_plots(groups, alone=len(table) == 1)))
    drawn, left = every[:MOST_FIGURES], every[MOST_FIGURES:]
    figures = [path for plot in drawn for path in canvas.save(plot, out / "figures")]
    counts = {state: sum(cell.state == state for _, cell in table) for state in STATES}
    files["report.md"] = index.page(
        table,
        files["tables/summary.md"],
        further,
        counts,
        list(files),
        drawn,
        [plot.name for plot in left],
        [cell.name for cell in duplicates],
    )
    for name, text in files.items():
        atomic_write(out / name, text.encode())
    return Report(tuple(sorted([out / name for name in files] + figures)), counts, files["tables/summary.md"])


def _plots(groups: Sequence[Group], alone: bool) -> Iterator[Plot]:
    """The figures in the order of their worth: when there are too many, the last ones are left out, not the last models'."""
    if alone and groups and groups[0].complete:
        yield from single.plots(groups[0])
    yield from sweeps.over_settings(groups)
    for kind in (frontier.plots, sweeps.over_samples, comparison.plots, bias.plots):
        yield from itertools.chain.from_iterable(map(kind, groups))


def _unique(plots: Iterator[Plot]) -> Iterator[Plot]:
    """Two models whose names make one file name must not overwrite each other."""
    seen: dict[str, int] = {}
    for plot in plots:
        seen[plot.name] = seen.get(plot.name, 0) + 1
        yield plot if seen[plot.name] == 1 else Plot(f"{plot.name}-{seen[plot.name]}", plot.title, plot.frame, plot.caption, plot.draw)
