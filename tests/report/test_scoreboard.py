"""The scoreboard: the right verdict for what is planted, on made-up results; and nothing that is not there looks measured."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gsx.experiment import Experiment
from gsx.records import ConfigurationError, Interval, Point, Training
from gsx.report import build, report
from gsx.report.estimate import Estimate, difference, ratio
from gsx.report.findings import VERDICTS
from gsx.report.scoreboard import scoreboard
from gsx.report.study import studies
from gsx.statistics import student_t_quantile
from gsx.store import (
    PlannedCell,
    PlannedStep,
    RunDirectory,
    StoredExperiment,
    TrainingDirectory,
    read_experiment,
    write_experiment,
)
from tests.report import factory

#: Of the made-up runs: estimator -> variance, known to about 1 %.
VARIANCES = {"reinforce": 0.2, "rloo": 0.05, "arm": 0.052, "disarm": 0.0}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return made(tmp_path / "outputs")


def made(root: Path, seeds: dict[str, int] | None = None) -> Path:
    """The folder of an experiment whose cells are all there, without a finding."""
    zero = {key: Interval(0.0, 0.0, (0.0, 0.0)) for key in ("variance", "mse")}
    for name, variance in VARIANCES.items():
        summary = None if variance else zero
        seed = (seeds or {}).get(name, 0)
        factory.make(root, name, variance=variance, name="toy", seed=seed, summary=summary, with_segments=bool(variance))
    cells = []
    for path in sorted((root / "toy").iterdir()):
        result = RunDirectory(path).read_result()
        assert result is not None
        cells.append(PlannedCell(path.name, result.result_id, result.config))
    definition = {"title": "a toy", "source": "someone (2020)", "notes": ["as read"], "steps": [{"name": "sweep"}], "findings": []}
    write_experiment(root / "toy", StoredExperiment("toy", "full", definition, {"sweep": PlannedStep(["gsx", "run"], cells)}))
    return root / "toy"


def judged(folder: Path, *findings: dict[str, Any], exact: dict[str, dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The rows of the scoreboard for these findings."""
    stored = read_experiment(folder)
    assert stored is not None
    named = [{"says": f"finding {i}", **finding} for i, finding in enumerate(findings)]
    definition = stored.definition | {"findings": named}
    Experiment.of(definition, "toy")
    write_experiment(folder, dataclasses.replace(stored, definition=definition, exact=exact or {}))
    table = scoreboard([folder])
    assert table is not None
    assert [row[1] for row in table.body] == [finding["says"] for finding in named]
    return list(table.frame.to_dict("records"))


def of(estimator: str, number: Any = "variance", **more: Any) -> dict[str, Any]:
    return {"step": "sweep", "where": {"estimator": estimator}, "number": number, **more}


def value(published: Any, tolerance: float, measured: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "value", "published": published, "tolerance": tolerance, "measured": measured}


def less(left: Any, right: Any) -> dict[str, Any]:
    return {"kind": "least" if isinstance(right, list) else "less", "left": left, "right": right}


def equal(left: Any, right: Any, tolerance: float) -> dict[str, Any]:
    return {"kind": "equal", "tolerance": tolerance, "left": left, "right": right}


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["verdict"] for row in rows]


# -------------------------------------------------------------------------------------------------------------------------- verdicts


def test_values(study: Path) -> None:
    """Right, right within a range, off by three tolerances, and measured too coarsely to tell."""
    rows = judged(
        study,
        value(0.2, 0.01, of("reinforce")),
        value([0.18, 0.21], 0.0, of("reinforce")),
        value(0.23, 0.01, of("reinforce")),
        value(0.2 * 0.005, 0.01 * 0.005, of("reinforce", times=0.005)),
        value(math.log(0.2), 0.05, of("reinforce", log=True)),
        value(-4.0, 0.05, of("reinforce", log=True)),
        value(0.0, 1e-9, of("disarm")),
        value(1e-3, 1e-4, of("disarm")),
        value(0.0, 1e-9, of("reinforce", "bias_sq")),
    )
    expected = ["reproduced", "reproduced", "not reproduced", "reproduced", "reproduced", "not reproduced", "reproduced", "not reproduced"]
    assert verdicts(rows) == [*expected, "inconclusive"]
    assert rows[0]["measured"] == 0.2 and rows[0]["num_replicates"] == 65536 and rows[0]["seed"] == 0
    assert rows[3]["measured"] == pytest.approx(0.001)


def test_orderings(study: Path) -> None:
    rows = judged(
        study,
        less(of("rloo"), of("reinforce")),
        less(of("reinforce"), of("rloo")),
        less(of("rloo"), of("rloo")),
        less(of("disarm"), of("rloo")),
        less(of("rloo"), of("disarm")),
        less(of("disarm"), of("disarm")),
        less(of("rloo", log=True), of("reinforce", log=True)),
        less(of("reinforce", "mean.logits[0]"), of("reinforce", "mean.logits[2]")),
        less(of("rloo"), [of("reinforce"), of("arm", times=4)]),
        less(of("rloo"), [of("reinforce"), of("disarm")]),
        less(of("rloo"), [of("reinforce"), of("rloo")]),
    )
    yes, no = "reproduced", "not reproduced"
    # A number against itself, paired, is known to be equal: it is not less.
    assert verdicts(rows) == [yes, no, no, yes, no, no, yes, yes, yes, no, no]
    assert rows[0]["measured"] == pytest.approx(0.25) and rows[0]["measure"] == "ratio" and rows[6]["measure"] == "difference"
    assert rows[8]["measured"] == pytest.approx(0.25, rel=0.05)  # of the two, the closer one


def test_equality(study: Path) -> None:
    rows = judged(
        study,
        equal(of("rloo"), of("arm"), 0.1),
        equal(of("rloo"), of("reinforce"), 0.1),
        equal(of("rloo"), of("arm"), 0.001),
        equal(of("disarm"), of("disarm"), 0.1),
        equal(of("rloo", log=True), of("arm", log=True), 0.1),
        {"kind": "measured", "measured": of("rloo")},
    )
    assert verdicts(rows)[:2] == ["reproduced", "not reproduced"] and verdicts(rows)[2] != "reproduced"
    assert verdicts(rows)[3:] == ["reproduced", "reproduced", "measured"]


def test_what_nobody_published_is_judged_in_other_words_and_counted_apart(study: Path) -> None:
    ours = {"origin": "ours"}
    expected = {"kind": "value", "expected": 0.2, "tolerance": 0.01, "measured": of("reinforce")}
    measured = {"kind": "measured", "measured": of("rloo")}
    findings = [less(of("rloo"), of("reinforce")), ours | less(of("rloo"), of("reinforce")), ours | less(of("reinforce"), of("rloo"))]
    rows = judged(study, *findings, ours | expected, ours | less(of("rloo"), of("arm", times=0.96)), measured, value(0.2, 0.01, of("rloo")))
    yes, no = "as expected", "not as expected"
    assert verdicts(rows) == ["reproduced", yes, no, yes, "inconclusive", "measured", "not reproduced"]
    assert [row["origin"] for row in rows] == ["published", "ours", "ours", "ours", "ours", "", "published"]
    assert (rows[3]["claimed_low"], rows[3]["claimed_high"]) == (0.2, 0.2)
    table = scoreboard([study])
    assert table is not None and table.notes[-1] == (
        "2 published findings: 1 reproduced, 1 not reproduced; 4 expectations of our own: 2 as expected, 1 not as expected, "
        "1 inconclusive; 1 number held against nothing: 1 measured."
    )
    assert table.headings[2] == "origin" and [row[2] for row in table.body] == [row["origin"] for row in rows]
    assert table.headings[3] == "published or expected"


def test_an_experiment_of_ours_is_ours_unless_a_finding_says_otherwise(study: Path) -> None:
    stored = read_experiment(study)
    assert stored is not None and "origin" not in stored.definition  # as they were written before there was one: published
    assert judged(study, less(of("rloo"), of("reinforce")))[0]["origin"] == "published"
    write_experiment(study, dataclasses.replace(stored, definition=stored.definition | {"origin": "ours"}))
    both = [less(of("rloo"), of("reinforce")), {"origin": "published"} | less(of("rloo"), of("reinforce"))]
    assert verdicts(judged(study, *both)) == ["as expected", "reproduced"]


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        ({"origin": "ours"} | value(0.2, 0.01, of("rloo")), "published: unknown key"),
        ({"kind": "value", "expected": 0.2, "tolerance": 0.01, "measured": of("rloo")}, "expected: unknown key"),
        ({"origin": "ours", "kind": "measured", "measured": of("rloo")}, "origin: unknown key"),
        ({"origin": "theirs"} | less(of("rloo"), of("arm")), "origin=theirs: must be one of published, ours"),
    ],
)
def test_a_number_is_called_what_it_is(finding: dict[str, Any], said: str) -> None:
    """`published` is never the name of a number that is ours."""
    with pytest.raises(ConfigurationError, match=re.escape(f"toy: findings[0].{said}")):
        Experiment.of({"title": "a toy", "steps": [{"name": "sweep"}], "findings": [{"says": "it"} | finding]}, "toy")


def test_seeds_that_differ_are_not_paired(tmp_path: Path) -> None:
    """The ratio of a run to itself is exact only if it is known to be itself."""
    together = judged(made(tmp_path / "a"), less(of("rloo"), of("arm")))[0]
    apart = judged(made(tmp_path / "b", {"arm": 7}), less(of("rloo"), of("arm")))[0]
    halves = [math.log(row["measured_ci_high"] / row["measured_ci_low"]) / 2 for row in (together, apart)]
    assert halves[1] == pytest.approx(math.hypot(0.02, 0.02), rel=1e-6)  # both stored intervals, of 2 % each
    assert halves[0] != pytest.approx(halves[1], rel=1e-3)


# --------------------------------------------------------------------------------------------------------------------------- missing


def test_what_is_not_there_is_missing(study: Path) -> None:
    findings = [value(0.2, 0.01, of("reinforce")), less(of("rloo"), of("reinforce")), value(0.05, 0.01, of("rloo"))]
    assert verdicts(judged(study, *findings)) == ["reproduced"] * 3
    (gone,) = study.glob("reinforce-*")
    shutil.rmtree(gone)
    rows = judged(study, *findings)
    assert verdicts(rows) == ["missing", "missing", "reproduced"]
    assert rows[0]["measured"] is None and gone.name in rows[0]["reason"]
    table = scoreboard([study])
    assert table is not None and any(f"1 of 4 cells are missing: {gone.name}" in note for note in table.notes)


def test_a_damaged_cell_and_a_foreign_one_are_missing(study: Path) -> None:
    (cell,) = study.glob("reinforce-*")
    whole = (cell / "result.json").read_text()
    (cell / "result.json").write_text(whole.replace('"num_samples": 1', '"num_samples": 2'))
    (row,) = judged(study, value(0.2, 0.01, of("reinforce")))
    assert row["verdict"] == "missing" and "sha256" in row["reason"] and str(study) not in row["reason"]
    (other,) = study.glob("rloo-*")
    shutil.copy(other / "result.json", cell / "result.json")
    assert verdicts(judged(study, value(0.05, 0.01, of("reinforce")))) == ["missing"]


def test_a_plan_that_cannot_be_read_is_said(study: Path) -> None:
    (study / "experiment.json").write_text("{")
    table = scoreboard([study])
    assert table is not None and not table.body and "toy: its experiment.json cannot be used" in table.notes[0]


# ----------------------------------------------------------------------------------------------------------------------------- exact


def test_exact_values_stand_beside_the_measured_ones(study: Path) -> None:
    cells = {path.name.split("-")[0]: RunDirectory(path).read_result() for path in study.iterdir() if path.is_dir()}
    ids = {name: result.result_id for name, result in cells.items() if result is not None}

    def exact(variance: float) -> dict[str, Any]:
        return {"mean": [0.0] * 3, "variance": [variance / 3] * 3, "error": 1e-12, "how": "enumeration"}

    findings = [value(0.2, 0.01, of("reinforce")), less(of("rloo"), of("reinforce")), value(0.052, 0.01, of("arm"))]
    findings.append(value(-0.3, 0.01, of("arm", "reference.logits[0]")))
    rows = judged(study, *findings, exact={ids["reinforce"]: exact(0.201), ids["rloo"]: exact(0.06)})
    assert [row["exact"] for row in rows] == [pytest.approx(0.201), pytest.approx(0.06 / 0.201), None, -0.3]
    assert [row["agrees"] for row in rows] == ["yes", "no", "", "yes"]  # .05 measured for .06: a fault of ours
    table = scoreboard([study])
    assert table is not None and [row[5] for row in table.body] == ["0.201, holds", "0.2985 ≠, holds", "out of reach", "-0.3, holds"]


def stored_exactly(study: Path, variances: dict[str, float], bias: float = 0.0) -> dict[str, dict[str, Any]]:
    """By the identity of each run, its exact variance and squared bias, on one of the three coordinates."""
    found = {}
    for path in study.iterdir():
        result = RunDirectory(path).read_result() if path.is_dir() else None
        if result is not None and result.estimator in variances:
            table = RunDirectory(path).read_coordinates()
            mean = [table.columns["reference"][0] + math.sqrt(bias), *table.columns["reference"][1:]] if table else [0.0] * 3
            one = {"mean": mean, "variance": [variances[result.estimator], 0.0, 0.0], "error": 1e-12, "how": "enumeration"}
            found[result.result_id] = one
    return found


def test_the_exact_value_of_an_ordering_is_of_the_pair_that_is_shown(study: Path) -> None:
    """And it holds where it does for all of them, whichever is closest in truth; one that is unknown leaves it open, not one against it."""
    finding = less(of("rloo"), [of("reinforce"), of("arm")])  # shown is rloo / arm
    cases: list[tuple[dict[str, float], float | None, str]] = [
        ({"rloo": 0.04, "reinforce": 0.2, "arm": 0.05}, 0.8, "yes"),
        ({"rloo": 0.04, "reinforce": 0.03, "arm": 0.05}, 0.8, "no"),
        ({"rloo": 0.04, "arm": 0.05}, 0.8, ""),
        ({"rloo": 0.06, "arm": 0.05}, 1.2, "no"),
        ({"rloo": 0.04, "reinforce": 0.2}, None, ""),
        ({"reinforce": 0.2, "arm": 0.05}, None, ""),
    ]
    for variances, number, holds in cases:
        (row,) = judged(study, finding, exact=stored_exactly(study, variances))
        assert (row["right"], row["exact"], row["holds"]) == ("arm", number and pytest.approx(number), holds), variances


def test_what_follows_from_exact_moments(study: Path) -> None:
    """The price of a variance is known; what is measured as a difference is one exactly, too; a claim that is not true fails."""
    work = value(0.2, 0.01, of("reinforce", "variance_times_evaluations"))
    rows = judged(
        study,
        work,
        less(of("rloo", "bias_sq"), of("reinforce", "bias_sq")),
        value(0.3, 0.01, of("reinforce")),
        exact=stored_exactly(study, {"reinforce": 0.2, "rloo": 0.05}, bias=0.01),
    )
    (cell,) = study.glob("reinforce-*")
    result = RunDirectory(cell).read_result()
    assert result is not None and rows[0]["exact"] == pytest.approx(0.2 * result.cost.evaluations)
    assert rows[1]["measure"] == "difference" and rows[1]["exact"] == pytest.approx(0.0, abs=1e-15)
    assert rows[2]["holds"] == "no"
    table = scoreboard([study])
    assert table is not None and table.body[2][5] == "0.2, fails"
    judged(study, value(0.2, 1e-6, of("reinforce")), exact=stored_exactly(study, {"reinforce": 0.2000345678}, 0.01))
    table = scoreboard([study])
    assert table is not None and table.body[0][5] == "0.2000346, fails"  # to the digit that decides
    (row,) = judged(study, less(of("rloo", "bias_sq"), of("reinforce", "bias_sq")), exact=stored_exactly(study, {"reinforce": 0.2}, 0.01))
    assert row["exact"] == pytest.approx(-0.01)  # what is unbiased has no bias


# ------------------------------------------------------------------------------------------------------------------------ along a grid


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    return swept(tmp_path / "outputs", {0.5: 2.0, 1.0: 1.0, 1.5: 1.005, 3.0: 9.0})


def swept(root: Path, errors: dict[float, float]) -> Path:
    """var(pathwise) = k^2, var(reinforce) = 4: they cross at k = 2; the squared error of both is given for each k."""
    cells = []
    for k, error in errors.items():
        for name, variance in (("reparameterization", k**2), ("reinforce", 4.0)):
            mse = factory.interval(error, 0.01)
            path = factory.make(
                root, name, variance=variance, name="toy", model_settings={"k": k}, summary={"mse": mse}, with_segments=False
            )
            result = RunDirectory(path).read_result()
            assert result is not None
            cells.append(PlannedCell(path.name, result.result_id, result.config))
    definition = {"title": "a grid", "steps": [{"name": "sweep"}], "findings": []}
    write_experiment(root / "toy", StoredExperiment("toy", "full", definition, {"sweep": PlannedStep(["gsx", "run"], cells)}))
    return root / "toy"


BETWEEN = [{"estimator": "reparameterization"}, {"estimator": "reinforce"}]
CROSSING = {"step": "sweep", "number": {"crossing": "model.k", "of": "variance", "between": BETWEEN}}


def test_a_crossing_is_known_to_the_settings_around_it(grid: Path) -> None:
    """On a straight line between them, which nobody has measured: so far apart they decide nothing, right or wrong."""
    swapped = {"step": "sweep", "number": CROSSING["number"] | {"between": BETWEEN[::-1]}}
    rows = judged(grid, value(2.0, 0.1, CROSSING), value(2.5, 0.1, CROSSING), value(4.0, 0.1, CROSSING), value(2.0, 0.1, swapped))
    u, v = math.log(1.5**2 / 4), math.log(9 / 4)
    assert rows[0]["measured"] == pytest.approx(1.5 * 2 ** (u / (u - v)))  # the grid spans a factor of six: its logarithms
    assert rows[0]["measured_se"] is None and rows[0]["exact"] is None
    assert [rows[0][key] for key in ("between_low", "between_high", "measured_ci_low", "measured_ci_high")] == [1.5, 3.0] * 2
    assert "between 1.5 and 3" in scoreboard([grid]).texts()["md"]
    assert verdicts(rows) == ["inconclusive", "inconclusive", "not reproduced", "inconclusive"]


def test_a_crossing_between_close_settings_is_judged(tmp_path: Path) -> None:
    rows = judged(swept(tmp_path, dict.fromkeys((0.5, 1.95, 2.05, 3.0), 1.0)), value(2.0, 0.01, CROSSING), value(2.2, 0.01, CROSSING))
    assert verdicts(rows) == ["reproduced", "not reproduced"]
    assert [rows[0]["measured_ci_low"], rows[0]["measured_ci_high"]] == [1.95, 2.05]


def test_the_interval_of_a_crossing_has_the_errors_of_the_curves_too(tmp_path: Path) -> None:
    """Nearer to each other than the curves are known, the settings do not say on which side it lies."""
    (row,) = judged(swept(tmp_path, dict.fromkeys((0.5, 1.999, 2.001, 3.0), 1.0)), value(2.0, 0.1, CROSSING))
    u, v = math.log(1.999**2 / 4), math.log(2.001**2 / 4)
    each = math.hypot(0.02, 0.02)  # half an interval of each log ratio; its effect on the crossing by finite differences
    moved = [1.999 * (2.001 / 1.999) ** ((u + a) / (u + a - v - b)) - row["measured"] for a, b in ((1e-9, 0.0), (0.0, 1e-9))]
    half = math.hypot(*moved) / 1e-9 * each
    assert row["verdict"] == "reproduced" and row["measured_ci_high"] - row["measured"] == pytest.approx(half, rel=1e-2)
    assert row["measured_ci_high"] > 2.001 and row["measured_ci_low"] < 1.999


def test_the_root_of_exact_curves(tmp_path: Path) -> None:
    """A cubic of the logarithm of k is found as it is; of anything else the error that is told covers what is missed."""
    folder = swept(tmp_path, dict.fromkeys((0.5, 1.5, 1.9, 2.1, 3.0), 1.0))
    stored = read_experiment(folder)
    assert stored is not None

    def exact(gap: Callable[[float], float]) -> dict[str, dict[str, Any]]:
        found = {}
        for cell in stored.steps["sweep"].cells or ():
            reinforce = cell.config["estimator"]["name"] == "reinforce"
            variance = 1.0 if reinforce else math.exp(gap(math.log(cell.config["model"]["k"])))
            found[cell.result_id] = {"mean": [0.0] * 3, "variance": [variance, 0.0, 0.0], "error": 1e-12, "how": "enumeration"}
        return found

    at = math.log(2.0)
    (row,) = judged(folder, value(2.0, 0.01, CROSSING), exact=exact(lambda t: (t - at) * (1 + (t - 0.3) ** 2)))
    assert row["exact"] == pytest.approx(2.0, rel=1e-12) and row["agrees"] == row["holds"] == "yes"
    (row,) = judged(folder, value(2.0, 0.01, CROSSING), exact=exact(lambda t: math.sin(1.5 * (t - at))))
    assert 0 < abs(row["exact"] - 2.0) < row["exact_error"] < 0.01
    assert re.fullmatch(r"\d\.\d+\(\d+\), holds", scoreboard([folder]).body[0][5])  # type: ignore[union-attr]
    # Two settings alone say nothing of what lies between.
    short = swept(tmp_path / "short", dict.fromkeys((1.9, 2.1), 1.0))
    stored = read_experiment(short)
    assert stored is not None
    (row,) = judged(short, value(2.0, 0.01, CROSSING), exact=exact(lambda t: t - at))
    assert row["exact"] is None and row["measured"] is not None


def test_where_they_do_not_cross(grid: Path) -> None:
    between = [{"estimator": "reinforce"}, {"estimator": "reinforce"}]
    (row,) = judged(
        grid, {"kind": "measured", "measured": {"step": "sweep", "number": {"crossing": "model.k", "of": "mse", "between": between}}}
    )
    assert row["verdict"] == "inconclusive" and "cross 0 times" in row["reason"]


def test_the_best_of_a_grid_is_known_to_its_neighbours(grid: Path) -> None:
    best = {"step": "sweep", "where": {"estimator": "reinforce"}, "number": {"argmin": "model.k", "of": "mse"}}
    edge = {"step": "sweep", "where": {"estimator": "reparameterization"}, "number": {"argmin": "model.k", "of": "variance"}}
    first, second = judged(grid, {"kind": "measured", "measured": best}, {"kind": "measured", "measured": edge})
    # 1.5 is within the error of 1, and it is known to the neighbours of the two.
    assert (first["measured"], first["measured_ci_low"], first["measured_ci_high"]) == (1.0, 0.5, 3.0)
    # At the end of the grid the least may lie beyond.
    assert (second["measured"], second["measured_ci_low"], second["measured_ci_high"]) == (0.5, 0.0, 1.0)


# --------------------------------------------------------------------------------------------------------------------------- trainings


def train(folder: Path, estimator: str, curves: dict[int, list[float]], status: str = "complete") -> PlannedCell:
    points = []
    for seed, values in curves.items():
        for step, number in enumerate(values):
            points.append(Point(seed, 10 * step, "train", estimator, "variance", number, 0.1))
            points.append(Point(seed, 10 * step, "train", "", "loss", -number, math.nan))
    config = {"estimator": {"name": estimator}}
    training = Training(estimator, status, config, "toy", estimator, tuple(curves), 20, (), {}, {}, {}, tuple(points))
    TrainingDirectory(folder / f"train-{estimator}").write(training)
    return PlannedCell(f"train-{estimator}", estimator, config)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs" / "toy"
    cells = [
        train(folder, "reinforce", {0: [1.0, 8.0, 9.0], 1: [1.0, 10.0, 11.0], 2: [1.0, 9.0, 10.0]}),
        train(folder, "rloo", {0: [1.0, 4.0, 4.5], 1: [1.0, 5.0, 5.5], 2: [1.0, 4.5, 5.0]}),
        train(folder, "arm", {0: [1.0, 4.0, 4.5]}),
    ]
    definition = {"title": "a training", "steps": [{"name": "sweep", "command": "train"}], "findings": []}
    write_experiment(folder, StoredExperiment("toy", "full", definition, {"sweep": PlannedStep(["gsx", "train"], cells)}))
    return folder


def curve(estimator: str, of_steps: str = "last", metric: str = "variance", **more: Any) -> dict[str, Any]:
    number = {"metric": metric, "split": "train", "from": 10, "of": of_steps}
    return of(estimator, number | ({"estimator": estimator} if metric == "variance" else {}), **more)


def test_trainings(trained: Path) -> None:
    rows = judged(
        trained,
        value(10.0, 3.0, curve("reinforce")),
        value(9.5, 3.0, curve("reinforce", "mean")),
        value(math.log(9.0), 0.5, curve("reinforce", "min", log=True)),
        less(curve("rloo"), curve("reinforce")),
        less(curve("reinforce"), curve("rloo")),
        less(curve("reinforce", metric="loss"), curve("rloo", metric="loss")),
        value(4.5, 0.1, curve("arm")),
        value(4.5, 0.1, curve("disarm")),
        less(curve("rloo", metric="elbo"), curve("reinforce", metric="elbo")),
    )
    expected = [
        "reproduced",
        "reproduced",
        "reproduced",
        "reproduced",
        "not reproduced",
        "reproduced",
        "inconclusive",
        "missing",
        "missing",
    ]
    assert verdicts(rows) == expected
    t = student_t_quantile(0.975, 2)
    half = t * np.std([9, 11, 10], ddof=1) / math.sqrt(3)
    assert [rows[0]["measured_ci_low"], rows[0]["measured_ci_high"]] == pytest.approx([10 - half, 10 + half])
    assert {row["exact"] for row in rows} == {None}  # nothing is exact along a training
    assert rows[6]["reason"] == "no interval" and rows[5]["measure"] == "difference"
    # Paired by seed: of -10 + 5, -11 + 5.5, -9 + 4.5 the spread is half that of either.
    half = t * np.std([9 - 4.5, 11 - 5.5, 10 - 5], ddof=1) / math.sqrt(3)
    assert rows[5]["measured_ci_high"] == pytest.approx(-5 + half)


def test_what_is_exact_of_a_training(trained: Path) -> None:
    """The path of the exact gradient, where all seeds are on it, and what was computed before the first step; nothing on a random path."""
    stored = read_experiment(trained)
    assert stored is not None and stored.steps["sweep"].cells is not None
    cells = stored.steps["sweep"].cells
    for name, off in (("exact", 0.0), ("strayed", 1e-6)):
        points = tuple(Point(seed, step, "", "", "exact_loss", 0.25 - step / 100 + off * seed, 0.0) for seed in (0, 1) for step in (0, 10))
        config = {"estimator": {"name": name}}
        training = Training(name, "complete", config, "toy", "exact", (0, 1), 20, (), {}, {}, {}, points)
        TrainingDirectory(trained / f"train-{name}").write(training)
        cells.append(PlannedCell(f"train-{name}", name, config))
    write_experiment(trained, stored)

    def start(estimator: str, **more: Any) -> dict[str, Any]:
        return of(estimator, {"metric": "variance", "estimator": estimator, "to": 0}, **more)

    findings = [
        value(0.15, 1e-9, of("exact", {"metric": "exact_loss"})),
        value(0.15, 1e-9, of("strayed", {"metric": "exact_loss"})),
        value(0.5, 1e-9, start("rloo", times=0.5)),
        less(start("rloo"), start("reinforce")),
        value(4.5, 5.0, curve("rloo")),
    ]
    known = {"rloo rloo": {"mean": [0.0, 0.0], "variance": [0.75, 0.25], "error": 1e-12, "how": "enumeration"}}
    rows = judged(trained, *findings, exact=known)
    assert [row["exact"] for row in rows] == [0.15, None, 0.5, None, None]
    assert [row["holds"] for row in rows] == ["yes", "", "yes", "", ""]
    table = scoreboard([trained])
    assert table is not None and [row[5] for row in table.body] == ["0.15, holds", "random path", "0.5, holds", *["random path"] * 2]


def test_an_unfinished_training_is_missing(trained: Path) -> None:
    assert verdicts(judged(trained, value(4.5, 5.0, curve("rloo")))) == ["reproduced"]
    assert [study.absent() for study in studies([trained])[0]] == [[]]
    train(trained, "rloo", {0: [1.0, 4.0, 4.5], 1: [1.0, 5.0, 5.5]}, status="partial")
    assert verdicts(judged(trained, value(4.5, 5.0, curve("rloo")))) == ["missing"]
    assert [study.absent() for study in studies([trained])[0]] == [["train-rloo"]]


def test_a_training_of_another_identity_is_stale(trained: Path) -> None:
    file = trained / "train-rloo"
    shutil.rmtree(file)
    shutil.copytree(trained / "train-reinforce", file)
    assert verdicts(judged(trained, value(10.0, 5.0, curve("rloo")))) == ["missing"]


# ------------------------------------------------------------------------------------------------------------------------- comparisons


def test_what_two_have_in_common_cancels() -> None:
    """b = 2 a, group by group: the paired ratio is exact, the independent one is not."""
    rng = np.random.default_rng(0)
    groups = 1 + 0.1 * rng.random(20)
    rows = np.concatenate([[groups.mean()], (groups.sum() - groups) / 19])
    count = np.array([20.0, *[19.0] * 20])
    a = Estimate(Interval(rows[0], 0.02, (rows[0] - 0.04, rows[0] + 0.04)), True, rows, count, "here")
    b = a.scaled(2.0)
    assert ratio(a, b).ci == pytest.approx((0.5, 0.5))
    apart = ratio(a, dataclasses.replace(b, pairing="there")).ci
    assert apart is not None and apart[1] - apart[0] > 0.03
    assert difference(b, a).value == pytest.approx(rows[0])


def test_independent_intervals_add_in_squares_side_by_side() -> None:
    a, b = Estimate(Interval(5.0, None, (4.0, 8.0)), False), Estimate(Interval(1.0, None, (0.5, 5.0)), False)
    assert difference(a, b).ci == pytest.approx((4 - math.hypot(1, 4), 4 + math.hypot(3, 0.5)))


# ------------------------------------------------------------------------------------------------------------------------- the report


def test_the_report_has_it(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MOST_FIGURES", 0)
    hostile = {"says": "<script>|=1", "kind": "measured", "measured": of("rloo")}
    judged(study, value(0.2, 0.01, of("reinforce")), hostile)
    out = study.parent.parent / "report"
    report([study.parent], out)
    with open(out / "tables/scoreboard.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["experiment"], row["verdict"], row["size"]) for row in rows] == [
        ("toy", "reproduced", "full"),
        ("toy", "measured", "full"),
    ]
    assert rows[0]["source"] == "someone (2020)" and float(rows[0]["measured_ci_low"]) < 0.2
    page = (out / "report.md").read_text()
    assert "## Scoreboard: published findings, and expectations of our own" in page and "toy: as read" in page and "<script>" not in page
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    report([study.parent], out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert set(VERDICTS) >= {row["verdict"] for row in rows}


def test_without_an_experiment_there_is_no_scoreboard(tmp_path: Path) -> None:
    factory.make(tmp_path)
    assert scoreboard([tmp_path]) is None
