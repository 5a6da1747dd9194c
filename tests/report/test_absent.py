"""What was planned and is not there: lines break at it, a cross marks it, and the caption names it."""

import json
import math
import shutil
from pathlib import Path

import pytest

from gsx.records import Interval
from gsx.report import build, comparison, families, frontier, parameters, styles, sweeps, training, trainings
from gsx.report.collect import collect
from gsx.report.looks import look
from gsx.store import write_sweep
from gsx.store.experiment import PlannedCell, PlannedStep, StoredExperiment, write_experiment
from tests.report import factory
from tests.report import trainings as trainings_factory


def plan(folder: Path) -> None:
    """An experiment whose one step is the runs in the folder."""
    bodies = {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/result.json"))}
    cells = [PlannedCell(name, body["result_id"], body["config"]) for name, body in bodies.items()]
    write_experiment(folder, StoredExperiment("default", "full", {}, {"sweep": PlannedStep(["gsx", "run"], cells)}))


def curve(axes, estimator: str) -> list[float | None]:
    (line,) = [line for line in axes.get_lines() if line.get_color() == look(estimator).colour and len(line.get_xdata()) > 2]
    return [None if math.isnan(y) else pytest.approx(y) for y in line.get_ydata()]


def crosses(axes) -> list[tuple[float, ...]]:
    return [tuple(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "x"]


def test_a_line_breaks_where_a_temperature_is_missing(tmp_path: Path) -> None:
    kept = {}
    for tau in (0.1, 0.5, 1.0, 2.0):
        kept[tau] = factory.make(tmp_path, "concrete", settings={"temperature": tau}, variance=0.01 / tau, bias=0.1 * tau)
        factory.make(tmp_path, "st_gumbel", settings={"temperature": tau}, variance=0.02 / tau, bias=0.1 * tau)
    plan(tmp_path / "default")
    (whole,) = collect([tmp_path])[0]
    assert whole.absent == ()
    shutil.rmtree(kept[0.5])
    (group,) = collect([tmp_path])[0]
    (plot,) = frontier.plots(group)
    assert "Missing: concrete τ=0.5 on bernoulli_toy (step sweep of gsx reproduce default)." in plot.caption
    assert "Crosses on the axis" in plot.caption and "Missing" not in next(frontier.plots(whole)).caption
    with styles.use("page"):
        figure = plot.draw(plot.frame)
        untouched = next(frontier.plots(whole))
        before = untouched.draw(untouched.frame)
    assert curve(figure.axes[0], "concrete") == [0.1, None, 0.01, 0.005]
    assert curve(before.axes[0], "concrete") == [0.1, 0.02, 0.01, 0.005]
    assert curve(figure.axes[0], "st_gumbel") == curve(before.axes[0], "st_gumbel")
    assert curve(figure.axes[3], "concrete") == [0.1, None, 0.01, 0.005]  # variance against bias²
    assert crosses(figure.axes[0]) == [(0.5,)] and crosses(before.axes[0]) == []
    assert "Missing: concrete" in next(comparison.plots(group)).caption


def test_a_setting_that_is_missing_for_all_breaks_all_lines(tmp_path: Path) -> None:
    for k in (0.5, 1.0, 2.0, 4.0):
        for estimator, power in (("reparameterization", 2.0), ("reinforce", 0.5)):
            settings = {"cost": "cos", "k": k}
            names = factory.Layout(("loc", "log_scale"), ((1,), (1,)))
            factory.make(tmp_path, estimator, model="gaussian_toy", model_settings=settings, variance=k**power, layout=names)
    plan(tmp_path / "default")
    for path in (tmp_path / "default").glob("*/result.json"):
        if json.loads(path.read_text())["config"]["model"]["k"] == 1.0:
            shutil.rmtree(path.parent)
    groups = collect([tmp_path])[0]
    (family,) = families.families(groups)
    assert sorted({x for x, _ in family.cells}) == [0.5, 2.0, 4.0] and {x for x, _ in family.absent} == {1.0}
    for plot in (*sweeps.over_settings(groups), *parameters.plots(groups)):
        with styles.use("page"):
            panel = plot.draw(plot.frame).axes[0]
        assert [y is None for y in curve(panel, "reinforce")] == [False, True, False, False], plot.name
        assert [y is None for y in curve(panel, "reparameterization")] == [False, True, False, False]
        assert crosses(panel) == [(1.0,), (1.0,)] and "reinforce on gaussian_toy k=1 (step sweep of" in plot.caption


def test_a_series_with_a_coarser_plan_has_no_gaps(tmp_path: Path) -> None:
    """Where nothing was planned nothing is missing."""
    for samples in (1, 4, 16):
        factory.make(tmp_path, "nvil", samples=samples, variance=0.1 / samples)
    for samples in (1, 2, 4, 8, 16):
        factory.make(tmp_path, "reinforce", samples=samples, variance=0.2 / samples)
    gone = factory.make(tmp_path, "rloo", samples=2, variance=0.1, status="partial", summary={"variance": Interval(1.0, 0.1, (0.8, 1.2))})
    plan(tmp_path / "default")
    (group,) = collect([tmp_path])[0]
    assert [cell.directory.path.name for cell in group.absent] == [gone.name]  # not finished, and named once
    (plot,) = sweeps.over_samples(group)
    assert not (plot.frame["kind"] == "missing").any()  # a curve of nothing is none
    assert plot.caption.count("rloo") == 1 and "Not shown: rloo N=2 (partial" in plot.caption


def test_a_cell_of_a_plain_sweep_is_missing_likewise(tmp_path: Path) -> None:
    """As long as the plan holds configurations: those of before do not, and their figures are as they were."""
    made = {tau: factory.make(tmp_path, "concrete", settings={"temperature": tau}, bias=0.1 * tau) for tau in (0.1, 0.5, 1.0, 2.0)}
    bodies = {folder: json.loads((folder / "result.json").read_text()) for folder in made.values()}
    shutil.rmtree(made[0.5])
    cells = [(folder, body["result_id"]) for folder, body in bodies.items()]
    write_sweep(cells, "gsx run -m", {body["result_id"]: body["config"] for body in bodies.values()})
    (group,) = collect([tmp_path])[0]
    (plot,) = frontier.plots(group)
    assert "Missing: concrete τ=0.5 on bernoulli_toy (of a sweep)." in plot.caption
    assert list(plot.frame.loc[plot.frame["kind"] == "missing", "x"]) == [0.5] * 3
    write_sweep(cells, "gsx run -m")
    (group,) = collect([tmp_path])[0]
    assert group.absent == () and "Missing" not in next(frontier.plots(group)).caption


def test_a_training_of_a_sweep_is_missing_likewise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that it would have beside the others, whose own stay as they are; in the list, the table of the page, and the counts."""
    monkeypatch.setattr(build, "MOST_FIGURES", 0)
    made = [trainings_factory.vae(tmp_path, "rloo", -100, {"rloo": 1.0}, num_samples=n) for n in (2, 4, 8)]
    made.append(trainings_factory.polynomial(tmp_path, "exact", 1.0))
    bodies = {folder: json.loads((folder / "training.json").read_text()) for folder in made}
    for folder in made[1:3]:
        shutil.rmtree(folder)
    cells = [(folder, body["training_id"]) for folder, body in bodies.items()]
    (before,) = (course for course in trainings.collect([tmp_path])[0] if course.label == "binary_vae")
    write_sweep(cells, "gsx train -m", {body["training_id"]: body["config"] for body in bodies.values()})
    (vae, toy), _ = trainings.collect([tmp_path])
    assert vae.trajectories[0].label == before.trajectories[0].label == "rloo" and vae.absent == ("rloo N=4", "rloo N=8")
    (of_vae,), (of_toy,) = ([plot for plot in training.plots(course) if plot.name.startswith("training-")] for course in (vae, toy))
    assert of_vae.caption.endswith("Missing: rloo N=4, rloo N=8.") and "Missing" not in of_toy.caption
    done = build.report([tmp_path], tmp_path / "report", html=True)
    assert done.trainings["missing"] == 2 and "4 trainings: 2 complete, 2 missing" in (tmp_path / "report" / "report.md").read_text()
    for folder in made[1:3]:
        assert f"- default/{folder.name}: missing: gsx train -m" in done.table.replace("\\", "")
        assert f"default/{folder.name}" in (tmp_path / "report" / "report.html").read_text()


def test_a_damaged_plan_is_no_reason_not_to_draw(tmp_path: Path) -> None:
    factory.make(tmp_path, "rloo")
    plan(tmp_path / "default")
    file = tmp_path / "default" / "experiment.json"
    file.write_text(file.read_text()[:-40])
    (group,) = collect([tmp_path])[0]
    assert group.absent == () and len(group.complete) == 1
