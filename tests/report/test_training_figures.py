"""Figures and the table of trainings: means over seeds, what is in view, names at ends, and captions that say what is drawn, no more."""

import dataclasses
import itertools
import math
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from gsx.report import ends, seeds, styles, training, training_caption, view
from gsx.report.canvas import Plot
from gsx.report.html.curves import of as page_curves
from gsx.report.looks import LOOKS, look
from gsx.report.trainings import collect, table
from gsx.store import TrainingDirectory
from tests.report import trainings

T = {2: 12.706204736432095, 3: 4.302652729911275, 5: 2.7764451051977987}  # 97.5 % of Student's t of n - 1 degrees of freedom


def at_one_step(values: list[float], metric: str = "elbo", se: float = math.nan) -> pd.DataFrame:
    return pd.DataFrame({"seed": range(len(values)), "step": 5, "metric": metric, "value": values, "se": se})


def frame(series: dict[str, list[list[float]]], metric: str = "elbo") -> pd.DataFrame:
    """A panel from the curves of each series' seeds, a value at each of the steps 0, 100, ..."""
    rows = []
    for name, curves in series.items():
        points = [(seed, 100 * i, value) for seed, curve in enumerate(curves) for i, value in enumerate(curve)]
        found = seeds.summary(pd.DataFrame(points, columns=["seed", "step", "value"]).assign(metric=metric, se=math.nan))
        rows.append(found.assign(panel=0, title=metric, metric=metric, split="", series=name, estimator=name, run=name))
    return pd.concat(rows, ignore_index=True)


def drawn(plot: Plot, style: str = "page") -> Figure:
    with styles.use(style):
        figure = plot.draw(plot.frame)
        figure.draw_without_rendering()
    return figure


def in_legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def plots_of(root: Path) -> list[Plot]:
    return [plot for course in collect([root])[0] for plot in training.plots(course)]


# ------------------------------------------------------------------------------------------------------------------ over seeds


@pytest.mark.parametrize("values", ([1.0, 2.0], [1.0, 2.0, 8.0], [1.0, 2.0, 8.0, 4.0, 3.0]))
def test_means_over_seeds_have_students_t_from_two_seeds_on(values: list[float]) -> None:
    n, logs = len(values), [math.log(value) for value in values]
    plain, log = (seeds.summary(at_one_step(values, metric)).iloc[-1] for metric in ("elbo", "variance"))
    half, of_logs = (T[n] * stdev(numbers) / math.sqrt(n) for numbers in (values, logs))
    assert [plain["value"], plain["ci_low"], plain["ci_high"]] == pytest.approx([fmean(values), fmean(values) - half, fmean(values) + half])
    expected = [math.exp(fmean(logs) + shift) for shift in (0.0, -of_logs, of_logs)]
    assert [log["value"], log["ci_low"], log["ci_high"]] == pytest.approx(expected)


def test_few_seeds_are_drawn_one_by_one_beside_their_mean() -> None:
    assert list(seeds.summary(at_one_step([1.0, 2.0, 4.0]))["kind"]) == ["seed"] * 3 + ["point"]
    assert list(seeds.summary(at_one_step([1.0] * seeds.FEW))["kind"]) == ["point"]
    data = frame({"rloo": [[1.0, 3.0], [2.0, 4.0]]})
    with styles.use("page"):
        figure = training.draw(data, "95 % interval over 2 seeds")
    (panel,) = figure.axes
    assert sorted(list(line.get_ydata()) for line in panel.get_lines()) == [[1.0, 3.0], [1.5, 3.5], [2.0, 4.0]]
    assert len(panel.collections) == 1 and in_legend(figure) == ["rloo", "95 % interval over 2 seeds", "single seeds"]


@pytest.mark.parametrize(("counts", "told"), [((3,), "3"), ((2, 5), "2 or 5"), ((2, 3, 5), "2 to 5")])
def test_a_legend_says_how_many_seeds_in_words(counts: tuple[int, ...], told: str) -> None:
    data = pd.concat([frame({f"{n}": [[1.0 + seed, 2.0 + seed] for seed in range(n)]}) for n in counts])
    assert training_caption.interval(data) == f"95 % interval over {told} seeds"


def test_one_seed_has_the_interval_of_the_measurement() -> None:
    (row,) = seeds.summary(at_one_step([2.0], "variance", 0.1)).to_dict("records")
    assert row["ci_high"] == pytest.approx(2.0 * math.exp(1.96 * 0.05)) and row["kind"] == "point"
    left = at_one_step([2.0, math.nan], "cosine", 0.1)  # the other seed has no cosine there: nothing is known of seeds
    assert list(seeds.summary(left)["ci_low"]) == [None]


def test_a_cosine_ends_at_one_and_never_agrees_better_than_it_is_measured() -> None:
    rows = seeds.summary(at_one_step([0.99, 1.0, 0.95, 1.0, 0.97], "cosine", 0.001))
    assert rows.iloc[0]["ci_high"] == 1.0 and seeds.summary(at_one_step([0.99, 1.01, 1.0])).iloc[-1]["ci_high"] > 1.0
    stopped = seeds.summary(at_one_step([1.0] * 5, "cosine", 0.1)).iloc[0]
    assert [stopped["ci_low"], stopped["ci_high"]] == pytest.approx([1 - 1.96 * 0.1 / math.sqrt(5), 1.0])


def test_a_mean_of_logarithms_has_a_gap_where_a_seed_has_none() -> None:
    rows = seeds.summary(at_one_step([1.0, -1.0], "snr"))
    assert list(rows["kind"]) == ["seed", "seed", "absent"] and [math.isnan(value) for value in rows["value"][:2]] == [False, True]
    assert list(seeds.summary(at_one_step([0.0, 0.0], "variance"))["kind"]) == ["zero"]
    huge = seeds.summary(at_one_step([1e-300, 1e300], "variance")).iloc[-1]
    assert math.isfinite(huge["ci_high"])


def test_a_seed_without_variance_does_not_take_the_curve_away() -> None:
    """The mean of all seeds, zeros among them, with an interval that ends at 0: drawn on, hollow, and down to the axis."""
    values = [3.0, 0.0, 2.0, 1.0, 0.0]
    (row,) = seeds.summary(at_one_step(values, "variance")).to_dict("records")
    assert (row["kind"], row["zeros"], row["value"], row["ci_low"]) == ("some zero", 2, pytest.approx(1.2), 0.0)
    assert row["ci_high"] == pytest.approx(1.2 + T[5] * stdev(values) / math.sqrt(5))
    data = frame({"rloo": [[9.0, value] for value in values]}, "variance")
    with styles.use("page"):
        figure = training.draw(data, training_caption.interval(data))
    (panel,) = figure.axes
    line, hollow = panel.get_lines()
    assert list(line.get_ydata()) == pytest.approx([9.0, 1.2]) and list(hollow.get_ydata()) == pytest.approx([1.2])
    assert hollow.get_markerfacecolor() == "white" and "some seeds zero" in in_legend(figure)
    assert panel.collections[0].get_paths()[0].vertices[:, 1].min() == pytest.approx(panel.get_ylim()[0])


# --------------------------------------------------------------------------------------------------------------------- in view


@pytest.mark.parametrize("metric", ("elbo", "variance"))
def test_the_band_of_two_seeds_does_not_ruin_the_axis(metric: str) -> None:
    data = frame({"rloo": [[1.0, 1.0], [2.0, 4.0]], "arms": [[3.0, 3.0], [3.0, 3.0]]}, metric)
    seen = view.view(data)
    assert seen is not None and seen.cut and not seen.early
    low, high = seen.scaled(pd.Series([seen.low, seen.high]))
    lines = seen.scaled(data["value"].astype(float))
    assert low < lines.min() and lines.max() < high  # every seed is in view
    assert lines.max() - lines.min() > 0.4 * (high - low)  # and has the better half of it
    narrow = view.view(frame({"rloo": [[1.0, 1.0], [1.01, 1.01]], "arms": [[3.0, 3.0], [3.0, 3.0]]}, metric))
    assert narrow is not None and not narrow.cut
    many = view.view(frame({"rloo": [[1.0, 1.0], [2.0, 9.0], [1.5, 2.0], [1.0, 3.0], [2.0, 1.0]]}, metric))
    assert many is not None and not many.cut  # the band of five seeds is in view, whole


def test_the_first_quarter_is_left_out_where_it_is_far_away() -> None:
    far, near = (view.view(frame({"rloo": [[start, *[1.0 + 0.1 * i for i in range(8)]]]})) for start in (-50.0, 0.5))
    assert far is not None and near is not None
    assert far.early and far.low > 0 and not near.early and near.low < 0.5
    wide = [[-50.0, level, *[1.0 + 0.1 * i for i in range(7)]] for level in (-4.0, 6.0, 1.0, 0.0, 2.0)]
    five = view.view(frame({"rloo": wide}))
    assert five is not None and five.early and not five.cut  # their band is out of view for being early, not for being of few seeds
    short = view.view(frame({"rloo": [[-50.0, 1.0, 1.1]]}))
    assert short is not None and not short.early  # two points are no curve


def test_curves_that_cover_each_other_are_found() -> None:
    data = frame({"a": [[1.0, 2.0, 3.0]], "b": [[1.0, 2.0, 3.0]], "c": [[1.03, 2.0, 3.0]], "d": [[1.0, 2.2, 3.0]]})
    seen = view.view(data)
    assert seen is not None
    assert view.alike(data, seen) == [(("a", "b", "c"), False)]
    assert view.alike(data[data["series"].isin(["a", "b", "d"])], seen) == [(("a", "b"), True)]
    zeros = frame({"exact": [[0.0, 0.0]], "disarm": [[0.0, 1.0]], "rloo": [[1.0, 1.0]]}, "variance")
    shown = view.view(zeros)
    assert shown is not None and view.alike(zeros, shown) == []
    same = frame({"exact": [[0.0, 1.0]], "disarm": [[0.0, 1.0]]}, "variance")
    assert (shown := view.view(same)) is not None and view.alike(same, shown) == [(("exact", "disarm"), True)]


# --------------------------------------------------------------------------------------------------------------- names at ends


def test_names_at_ends_keep_their_order_and_their_distance() -> None:
    assert ends.spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert ends.spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    placed = ends.spread([0.2, 0.21, 0.22, 0.29, 0.9], 0.1)
    assert min(b - a for a, b in itertools.pairwise(placed)) > 0.1 - 1e-12
    assert sum(placed[:4]) == pytest.approx(0.2 + 0.21 + 0.22 + 0.29) and placed[4] == pytest.approx(0.9)  # moved no further than they must


def test_names_at_ends_stay_beside_their_panel() -> None:
    assert ends.spread([0.0, 0.0, 0.6], 0.1) == pytest.approx([0.0, 0.1, 0.6])
    assert ends.spread([0.9, 1.0, 1.0], 0.2) == pytest.approx([0.6, 0.8, 1.0])
    assert ends.spread([0.5] * 3, 0.8) == pytest.approx([-0.3, 0.5, 1.3])  # no room: as far below as above


@pytest.mark.parametrize("style", ("page", "column"))
def test_names_do_not_cover_each_other_nor_leave_the_page(style: str) -> None:
    """Twelve curves that end together, one that ends early and far below what is in view, and a title above."""
    names = list(LOOKS)[1:13]
    rising = [[-400.0 + 300 * (i > 0) + 0.1 * place + i for i in range(9)] for place in range(12)]
    rising[3] = rising[3][:1]
    data = frame({name: [curve] for name, curve in zip(names, rising, strict=True)})
    with styles.use(style):
        figure = training.draw(data, "")
        figure.draw_without_rendering()
        (panel,) = figure.axes
        at_ends = [text for text in panel.texts if text.get_text()]
        assert sorted(text.get_text() for text in at_ends) == sorted(names)
        boxes = sorted((text.get_window_extent() for text in at_ends), key=lambda box: box.y0)
        others: list[Text] = [panel.title, panel._left_title, panel.xaxis.label]  # type: ignore[attr-defined]
        assert all(low.y1 - high.y0 < 0.25 * low.height for low, high in itertools.pairwise(boxes))
        assert not any(box.overlaps(text.get_window_extent()) for box in boxes for text in others if text.get_text())
        edge = figure.bbox
        assert all(edge.x0 <= box.x0 and box.x1 <= edge.x1 and edge.y0 <= box.y0 and box.y1 <= edge.y1 for box in boxes)


# -------------------------------------------------------------------------------------------------------------------- captions

PROBES = [{"name": "arms", "num_samples": 4}, {"name": "rebar", "num_samples": 1}]
MNIST: dict[str, Any] = {
    "data": {"name": "mnist", "binarization": "threshold"},
    "batch": 50,
    "optimizer": {"name": "adam", "lr": 0.0001},
    "wrt": "encoder",
    "probe_replicates": 256,
    "evaluate_rows": 1000,
    "evaluate_samples": 1,
}
LONG_RUN = {"kind": "long_run", "estimator": "rloo", "num_replicates": 1024}


def test_trainings_that_may_be_compared_share_a_figure(tmp_path: Path) -> None:
    trainings.vae(tmp_path, "rloo", -105, {"rloo": 3.0}, evaluate_every=100)
    trainings.vae(tmp_path, "arms", -102, {"rloo": 3.0, "arms": 1.0}, evaluate_every=200)
    broken = trainings.vae(tmp_path, "rebar", -101, {"rebar": 2.0})
    (broken / "training.json").write_text((broken / "training.json").read_text().replace("rebar", "relax"))
    courses, found = collect([tmp_path])
    faults = [f"{one.name} {one.reason}" for one in found if one.state != "complete"]
    assert [[t.label for t in course.trajectories] for course in courses] == [["arms", "rloo"]]
    assert len(faults) == 1 and "rebar" in faults[0] and "sha256" in faults[0]
    objective, along = training.plots(courses[0])
    assert {(m, s) for m, s in zip(objective.frame["metric"], objective.frame["split"], strict=True)} == {
        ("elbo", "train"), ("elbo", "test"), ("variance", "train")}  # fmt: skip
    assert set(along.frame["series"]) == {"rloo", "arms (trains)"} and "seeds 0, 1, 2." in along.caption


def test_every_series_has_its_own_n(tmp_path: Path) -> None:
    """A probe may have another N than what trains, and so may another training."""
    variances = {"rloo": 3.0, "arms": 1.0, "rebar": 0.5}
    twice = [{"name": "rloo", "num_samples": 4}, *PROBES]  # a training measures rloo once
    trainings.vae(tmp_path, "rloo", -105, variances, num_samples=4, probe=twice, **MNIST)
    trainings.vae(tmp_path, "rebar", -101, {"rebar": 2.0}, num_samples=1, **MNIST)
    trainings.vae(tmp_path, "disarm", -101, {"disarm": 2.0}, num_samples=4, **MNIST)
    objective, along = plots_of(tmp_path)
    assert "N = 4 samples per estimate, of rebar 1, whatever" in objective.caption
    assert "N = 4 samples per estimate, of rebar 1, whatever" in along.caption
    assert set(objective.frame["series"]) == {"rloo N=4", "disarm N=4", "rebar N=1"}
    assert in_legend(drawn(along))[:3] == ["rloo N=4 (trains)", "arms N=4", "rebar N=1"]
    assert set(along.frame.loc[along.frame["estimator"] == "rebar", "num_samples"]) == {1}
    found = table(collect([tmp_path])[0])
    assert found is not None
    assert {(row[1], row[list(found.headings).index("N")]) for row in found.body} == {("rloo", "4"), ("rebar", "1"), ("disarm", "4")}
    assert set(zip(found.frame["estimator"], found.frame["num_samples"], strict=True)) == {("rloo", 4), ("rebar", 1), ("disarm", 4)}


def test_who_is_not_in_a_panel_is_said_and_has_no_replicates(tmp_path: Path) -> None:
    """Of a training that probed nothing the legend of all panels has a curve, and R would be a number of no point."""
    trainings.vae(tmp_path, "rloo", -105, {"rloo": 3.0}, probe_replicates=2000)
    trainings.vae(tmp_path, "arms", -102, {}, probe_replicates=256)
    (plot,) = plots_of(tmp_path)
    assert "Not in (c), because it was not measured: arms." in plot.caption and "Not in (a)" not in plot.caption
    assert "R = 2000 replicates at each point" in plot.caption


def test_one_n_is_said_once(tmp_path: Path) -> None:
    for estimator, plateau in (("rloo", 0.1), ("exact", 0.2)):
        trainings.polynomial(tmp_path, estimator, plateau)
    (plot,) = plots_of(tmp_path)
    assert "N = 1 sample per estimate." in plot.caption  # of rloo: the exact gradient takes none
    assert set(plot.frame["series"]) == {"rloo", "exact"}
    found = table(collect([tmp_path])[0])
    assert found is not None and {(row[1], row[2]) for row in found.body} == {("rloo", "1"), ("exact", "–")}


def test_panels_have_letters_units_and_the_sense_of_the_objective(tmp_path: Path) -> None:
    rows: list[trainings.Row] = [(0, step, "", "", "exact_loss", 0.25 + 1e-5 * step, math.nan) for step in (0, 100)]
    rows += [(0, step, "", "rloo", "variance", 1.0 + step, math.nan) for step in (0, 100)]
    for maximize, title, unit in ((True, "(a) exact objective, maximised", "objective"), (False, "(a) exact loss", "loss")):
        trainings.write(tmp_path / title, "rloo", rows, model="bernoulli_toy", seeds=(0,), maximize=maximize)
        (plot,) = plots_of(tmp_path / title)
        panels = drawn(plot).axes
        assert [panel.get_title(loc="left") for panel in panels] == [title, "(b) gradient variance"]
        assert [panel.get_ylabel() for panel in panels] == [unit, "variance"]
        assert "the sum over all coordinates" in plot.caption


def test_trainings_that_differ_in_n_alone_are_told_apart(tmp_path: Path) -> None:
    for n in (2, 8):
        trainings.vae(tmp_path, "rloo", -105 + n, {"rloo": 3.0}, num_samples=n)
    (plot,) = plots_of(tmp_path)
    assert (
        set(plot.frame["series"]) == {"rloo N=2", "rloo N=8"} and "N, the samples per estimate, is in the names, whatever" in plot.caption
    )
    trainings.vae(tmp_path, "arms", -103, {"arms": 3.0}, num_samples=2)
    (plot,) = plots_of(tmp_path)
    assert set(plot.frame["series"]) == {"arms N=2", "rloo N=2", "rloo N=8"}
    assert "N = 2 samples per estimate, else as in the names, whatever" in plot.caption


def test_a_caption_says_on_what_and_how(tmp_path: Path) -> None:
    trainings.vae(tmp_path, "rloo", -105, {"rloo": 3.0, "arms": 1.0}, num_samples=4, probe=PROBES[:1], reference=LONG_RUN, **MNIST)
    objective, along = plots_of(tmp_path)
    for plot in (objective, along):
        assert "Data: mnist, binarized by threshold, in batches of 50 rows." in plot.caption
        assert "2000 steps of adam, learning rate 0.0001; seeds 0, 1, 2." in plot.caption
        assert "Gradients (wrt=encoder): R = 256 replicates at each point, all on one minibatch, the same for every seed." in plot.caption
        assert "Student t over 3 seeds" in plot.caption and "Thin lines are the single seeds." in plot.caption
        assert {"95 % interval over 3 seeds", "single seeds"} <= set(in_legend(drawn(plot)))
    assert "Samples a row: 1 (ELBO); rows: at most the first 1000 of a split." in objective.caption
    found = table(collect([tmp_path])[0])
    assert found is not None and "binary_vae: mnist, binarized by threshold, in batches of 50 rows." in found.notes


def test_a_prediction_has_no_elbo(tmp_path: Path) -> None:
    metrics = (("log_likelihood_bound", "train"), ("log_likelihood_bound", "test"), ("bound", "test"))
    rows: list[trainings.Row] = [(0, step, split, "", metric, -70 + step / 10, math.nan) for step in (0, 100) for metric, split in metrics]
    config = {"evaluate_samples": 1, "bound_samples": 100, "evaluate_rows": 1000}
    folder = TrainingDirectory(trainings.write(tmp_path, "rloo", rows, model="structured_output", seeds=(0,), **config))
    training = folder.read()
    assert training is not None
    ends = {f"{metric}.{split}": {"value": -60.0, "se": None, "ci": None, "seeds": [-60.0]} for metric, split in metrics}
    folder.write(dataclasses.replace(training, summary=ends))
    (plot,) = plots_of(tmp_path)
    panels = drawn(plot).axes
    names = ["log-likelihood bound, train", "log-likelihood bound, test", "multi-sample bound, test"]
    assert [panel.get_title(loc="left")[4:] for panel in panels] == names and {panel.get_ylabel() for panel in panels} == {"nats"}
    assert "Samples a row: 1 (log-likelihood bound), 100 (multi-sample bound); rows: at most" in plot.caption
    courses, _ = collect([tmp_path])
    found = table(courses)
    assert found is not None and found.headings[5:8] == ["log likelihood bound, train", "log likelihood bound, test", "bound, test"]
    assert page_curves(courses[0].trajectories[0])[0]["title"] == "log-likelihood bound, test"


def test_a_caption_says_why_a_cosine_is_not_one(tmp_path: Path) -> None:
    rows: list[trainings.Row] = []
    for seed, step, name in itertools.product(range(3), (0, 100), ("rloo", "arms")):
        rows.append((seed, step, "train", name, "variance", 1.0 + seed, 0.1))
        rows.append((seed, step, "train", name, "cosine", 1.0 if name == "rloo" else 0.9, 0.02 if step else 0.005))
    trainings.write(tmp_path / "long", "rloo", rows, probes=("arms",), reference=LONG_RUN)
    exact = [(*row[:5], 0.9, row[6]) if row[4] == "cosine" else row for row in rows]
    trainings.write(tmp_path / "exact", "rloo", exact, probes=("arms",), reference={"kind": "closed_form"})
    (said, plain) = (plots_of(tmp_path / which)[-1].caption for which in ("long", "exact"))
    assert "to a long run of rloo of 1024 replicates, anew at each point; what noise adds to the length of both is taken out." in said
    assert "unbiased estimators lie below 1 by about their error: single values have standard errors of 0.005 to 0.02." in said
    assert "to the exact one (closed form)" in plain and "above 1" not in plain


def test_a_caption_names_the_curves_that_cover_each_other(tmp_path: Path) -> None:
    rows: list[trainings.Row] = []
    for step, (name, variance) in itertools.product((0, 100), {"rloo": 10.0, "disarm": 1.0, "arms": 1.001, "arm": 10.0}.items()):
        rows.append((0, step, "train", name, "variance", variance * (1 + step), math.nan))
    trainings.write(tmp_path, "rloo", rows, seeds=(0,), probes=("disarm", "arms", "arm"))
    caption = plots_of(tmp_path)[-1].caption
    assert "Equal at every step: rloo (trains) and arm (gradient variance)." in caption
    assert "closer than 2 % of the axis: disarm and arms (gradient variance)." in caption


#: A sentence, and whether its subject is drawn of one seed without errors, of two seeds far apart, and of one that vanishes.
SENTENCES = {
    "Shaded are": (False, True, True),
    "Thin lines": (False, True, True),
    "Bands of few seeds": (False, True, True),
    "Hollow markers": (False, False, True),
    "has a gap": (False, False, False),
    "some seeds are zero there (rloo: 1 of 2)": (False, False, True),
    "of the measurement": (False, False, False),
    "Out of view": (False, True, False),
    "Hardly told apart": (False, False, False),
    "cosine": (False, False, False),
    "Data:": (False, False, False),
    "Not finished": (False, True, False),
}


def test_a_caption_says_nothing_of_what_is_not_drawn(tmp_path: Path) -> None:
    def losses(curves: list[list[float]]) -> list[trainings.Row]:
        return [
            (seed, 100 * i, "", "", "exact_loss", value, math.nan) for seed, curve in enumerate(curves) for i, value in enumerate(curve)
        ]

    still = [(seed, 100 * i, "", "rloo", "variance", v, math.nan) for seed in (0, 1) for i, v in enumerate((1.0, float(seed), 0.0))]
    of = {
        "one": (losses([[3.0, 2.0, 1.5, 1.0]]), (0,), "complete"),
        "two": (losses([[90.0, 2.0, 2.0, 2.0, 2.0], [90.0, 2.0, 1.0, 2.0, 2.0]]), (0, 1), "partial"),
        "gone": (losses([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]) + still, (0, 1), "complete"),
    }
    for place, (name, (rows, of_seeds, status)) in enumerate(of.items()):
        trainings.write(tmp_path / name, "rloo", rows, model="bernoulli_toy", seeds=of_seeds, status=status)
        (plot,) = plots_of(tmp_path / name)
        assert {sentence: sentence in plot.caption for sentence in SENTENCES} == {
            sentence: there[place] for sentence, there in SENTENCES.items()
        }, plot.caption
        assert ("single seeds" in in_legend(drawn(plot))) == SENTENCES["Thin lines"][place]


def test_what_trains_is_told_however_long_its_name(tmp_path: Path) -> None:
    long = "reinforce(baseline=moving_average, decay=0.999)"
    trainings.vae(tmp_path, long, -105, {long: 3.0, "arms": 1.0})
    assert any(name.endswith(" (trains)") for name in in_legend(drawn(plots_of(tmp_path)[-1])))


def test_one_estimator_has_one_look_in_every_panel(tmp_path: Path) -> None:
    trainings.vae(tmp_path, "rloo", -105, {"rloo": 3.0, "arms": 1.0})
    for panel in drawn(plots_of(tmp_path)[-1]).axes:
        assert {line.get_color() for line in panel.get_lines()} == {look("rloo").colour, look("arms").colour}
