"""The same gradient before and after training: how each estimator's variance changes with the parameters, and which ranks change."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import pandas as pd
from matplotlib.figure import Figure

from gsx.records import canonical_json
from gsx.report import canvas, curve_caption, curve_panel, curves, ends, escape, labels, legend, notes, styles
from gsx.report.canvas import Plot
from gsx.report.collect import Group, result_of
from gsx.report.looks import look
from gsx.report.trained import Ends

PANELS = ("variance", "mse")


#: The groups of a model that differ in their parameters alone: its own, then those of trainings.
Stages = Sequence[Group]


def stages(groups: Sequence[Group]) -> list[Stages]:
    """Of every model that was measured at its own parameters and at others, all else alike."""
    own = {_setting(group): group for group in groups if _digest(group) is None}
    later = {key: [group for group in groups if _digest(group) is not None and _setting(group) == key] for key in own}
    return [[group, *later[key]] for key, group in own.items() if later[key]]


def _digest(group: Group) -> object:
    return group.settings.get("checkpoint")


def _setting(group: Group) -> str:
    return canonical_json([group.model, {key: value for key, value in group.settings.items() if key != "checkpoint"}])


def plots(groups: Sequence[Group], trained: Ends) -> Iterator[Plot]:
    for of in stages(groups):
        titles = [_title(group, trained) for group in of]
        for place, part, page in curves.numbered(_points(of)):
            yield _plot(of, page, titles, place, part)


def _points(of: Stages) -> curves.Points:
    """The estimators that were measured at two stages or more."""
    at = {id(cell): float(place) for place, group in enumerate(of) for cell in (*group.complete, *group.absent)}
    cells = [cell for group in of for cell in (*group.complete, *group.absent)]
    names = labels.series([result_of(cell) for cell in cells], "")
    return curves.gather(cells, names, lambda cell: at[id(cell)], least=2)


def _title(group: Group, trained: Ends) -> str:
    """What the parameters are, in one or two lines of an axis."""
    digest = _digest(group)
    if digest is None:
        return "initialisation"
    end, short = trained.find(digest), str(digest)[:8]
    training = end.of.training if end else None
    if training is None:
        return f"at parameters {escape.figure(short)}"
    return f"after {training.steps:,} steps\n(training {short})".replace(",", "\u202f")


def _plot(of: Stages, points: curves.Points, titles: list[str], place: int, part: str) -> Plot:
    data = curves.frame(points)
    data = data[data["statistic"].isin(PANELS)].reset_index(drop=True)
    data["stage"] = [titles[int(x)].replace("\n", " ") for x in data["x"]]
    drawn = [result_of(cell) for _, _, cell in points]
    then = " and ".join(title.replace("\n", " ") for title in titles)
    caption = (
        f"Variance and mean squared error of the gradient estimators on {of[0].label}: {then}{part}. Lines join what one "
        "estimator has at either. Behind each name its ranks there, 1 for the least; between intervals that overlap a rank is chance. "
        + ("Biased: by the verdict, at one of them at least. " if (data["verdict"] == "biased").any() else "")
        + f"{notes.extent(drawn)} {notes.interval(drawn, PANELS)} {curve_caption.marks(data)}"
        + notes.missing([cell for group in of for cell in group.everything])
    )
    suffix = f"-{place}" if place > 1 else ""
    title = f"Before and after training: {of[0].label}{part}"
    return Plot(f"stages-{of[0].slug}{suffix}", title, data, caption, functools.partial(draw, titles=titles))


def draw(data: pd.DataFrame, titles: Sequence[str]) -> Figure:
    figure, panels = canvas.panels(2, least=3.2, height=2.9, below=0.5)
    last = len(titles) - 1
    for axes, statistic, letter in zip(panels, PANELS, "ab", strict=True):
        part = data[data["statistic"] == statistic]
        curve_panel.draw(axes, part, (-0.12, last + 0.12), at_ends=False)
        axes.set_xticks(range(len(titles)), titles)
        axes.set_title(f"({letter}) {curves.NAMES[statistic]}", loc="left")
        axes.grid(axis="x", color="#dddddd", linewidth=0.5 * styles.scale())
        ends.name_ends(axes, _ends(part, last))
    legend.below(figure, legend.meanings(data))
    return figure


def _ends(part: pd.DataFrame, last: int) -> list[ends.End]:
    """Each name with its ranks, at the last point of its line."""
    shown = part[part["kind"] == "point"]
    ranks = shown.assign(place=shown["value"].astype(float).groupby(shown["x"]).rank().astype(int)).set_index(["series", "x"])["place"]
    found = []
    for (estimator, rank, series), own in shown.groupby(["estimator", "rank", "series"], sort=True):
        row = own.sort_values("x").iloc[-1]
        places = " → ".join(str(ranks.get((series, float(x)), "–")) for x in range(last + 1))
        named = f"{series}{' †' if own['tuned'].any() else ''}{', biased' if (own['verdict'] == 'biased').any() else ''}: {places}"
        found.append(ends.End(named, float(row["x"]), float(row["value"]), look(estimator, rank)))
    return found


def covered(groups: Sequence[Group]) -> set[int]:
    """The ids of the groups that are in these figures."""
    return {id(group) for of in stages(groups) for group in of}
