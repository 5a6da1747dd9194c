"""The advice: budgets, the crossing from biased to unbiased, ties within error, and who may take part."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gsx
from gsx.records import Interval, Result
from gsx.report import advice
from gsx.report.collect import collect
from gsx.report.relative import Variances
from gsx.report.table import Table
from gsx.statistics import Pool, bias_sq, jackknife_se, student_t_quantile
from gsx.store import RunDirectory
from tests.report import factory
from tests.statistics.factory import segments_of


def make(root: Path, estimator: str, *, gradient: bool = False, unbiased: bool = True, seconds: float = 1.0, **settings: Any) -> Path:
    """A run of time ratio 1.02; ``seconds`` is the variance times it, relative to the variance."""
    facts = {"needs_cost_gradient": gradient, "unbiased": unbiased, "distributions": ["Bernoulli"]}
    timed = {"variance_times_time_ratio": factory.interval(settings["variance"] * seconds, 0.01)}
    return factory.make(root, estimator, facts=facts, **{"summary": timed} | settings)


def advised(root: Path, baseline: str = "reinforce") -> Table:
    table = advice.table(collect([root])[0], baseline, Variances())
    assert table is not None
    return table


def row(table: Table, budget: int, cost: str = "with its gradient", equal: str = "evaluations") -> dict[str, Any]:
    frame: pd.DataFrame = table.frame
    (found,) = frame[(frame.budget == budget) & (frame.cost == cost) & (frame.equal == equal)].to_dict("records")
    return {str(key): value for key, value in found.items()}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    make(tmp_path, "reinforce", variance=0.1)
    make(tmp_path, "concrete", gradient=True, unbiased=False, variance=0.001, bias=0.05)
    return tmp_path


def test_a_biased_estimator_is_best_until_its_bias_shows(study: Path) -> None:
    """0.1 / B against 0.001 / B + 0.0025: the lines cross at B = 39.6."""
    table = advised(study)
    assert [row(table, budget)["estimator"] for budget in advice.BUDGETS] == ["concrete"] * 2 + ["reinforce"] * 3
    assert row(table, 10)["mse"] == pytest.approx(0.0026, rel=0.05)
    assert row(table, 10)["ratio"] == pytest.approx(0.26, rel=0.05)
    assert row(table, 10)["ratio_ci_low"] < row(table, 10)["ratio"] < row(table, 10)["ratio_ci_high"]
    assert row(table, 100)["mse"] == pytest.approx(0.001) and row(table, 100)["ratio"] == 1
    assert {row(table, budget, "black box")["estimator"] for budget in advice.BUDGETS} == {"reinforce"}


def test_every_number_belongs_to_all_that_its_line_says(study: Path) -> None:
    """Budgets share a line where the answer is the same; of the numbers, which depend on the budget, the line has those at both ends."""
    table = advised(study)
    lines = [line[4:] for line in table.body if line[2:4] == ["with its gradient", "evaluations"]]
    assert [line[:4] for line in lines] == [["1 to 10", "concrete", "", "reinforce"], ["100 to 10000", "reinforce", "", "reinforce"]]

    def numbers(text: str) -> list[float]:
        return [float(re.sub(r"\(\d+\)", "", part)) for part in text.split(" to ")]

    assert numbers(lines[1][4]) == pytest.approx([1e-3, 1e-5]) and lines[1][5:] == ["1", "–"]
    told = [row(table, budget) for budget in (1, 10)]
    assert numbers(lines[0][4]) == pytest.approx([one["mse"] for one in told], rel=1e-2)
    assert numbers(lines[0][5]) == pytest.approx([one["ratio"] for one in told], rel=1e-2) and told[0]["ratio"] != told[1]["ratio"]
    assert lines[0][6].startswith("[") and " to [" in lines[0][6]
    assert table.headings[7:10] == ["baseline", "MSE", "MSE / baseline's"] and "reinforce" in table.title


def test_a_bias_that_is_forgotten_would_be_seen(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice.Candidate, "error", lambda self, budget: self.noise.value / budget)
    with pytest.raises(AssertionError):
        test_a_biased_estimator_is_best_until_its_bias_shows(study)


def test_a_dearer_estimate_must_be_affordable_and_earn_its_price(tmp_path: Path) -> None:
    make(tmp_path, "reinforce", variance=0.1)
    make(tmp_path, "rloo", variance=0.01, samples=2)
    make(tmp_path, "local_expectation", variance=1e-5, evaluations=400)
    table = advised(tmp_path)
    assert [row(table, budget)["estimator"] for budget in advice.BUDGETS] == [
        "reinforce",
        "rloo",
        "rloo",
        "local_expectation",
        "local_expectation",
    ]
    assert row(table, 10)["mse"] == pytest.approx(0.01 * 2 / 10)
    assert row(table, 10)["ratio"] == pytest.approx(0.2)


def test_without_the_baseline_the_cheapest_unbiased_estimator_is_it(tmp_path: Path) -> None:
    make(tmp_path, "concrete", gradient=True, unbiased=False, variance=0.02, bias=0.05, samples=1)
    make(tmp_path, "rebar", gradient=True, variance=0.1, evaluations=3)
    make(tmp_path, "arm", variance=0.2, evaluations=2)
    table = advised(tmp_path)
    assert {row(table, budget)["baseline"] for budget in (10, 100, 1000)} == {"arm"}
    assert row(table, 1000)["estimator"] == "rebar" and row(table, 1000)["ratio"] == pytest.approx(0.1 * 3 / (0.2 * 2))
    (said,) = [note for note in table.notes if note.startswith("The baseline is reinforce")]
    assert "the unbiased estimator with the fewest evaluations: arm on " in said
    assert {line[7] for line in table.body if line[9] != "–"} == {"arm"} and "arm" in table.title and "reinforce" not in table.title
    make(tmp_path, "reinforce", variance=0.5)
    table = advised(tmp_path)
    assert {row(table, budget)["baseline"] for budget in (10, 100, 1000)} == {"reinforce"}
    assert "fewest" not in "".join(table.notes)


def test_equal_time_may_choose_another(tmp_path: Path) -> None:
    make(tmp_path, "reinforce", variance=0.1)
    make(tmp_path, "rloo", variance=0.08, seconds=3.0)
    table = advised(tmp_path)
    assert row(table, 10)["estimator"] == "rloo"
    assert row(table, 10, equal="time")["estimator"] == "reinforce"


def test_errors_of_biased_estimators_are_paired_where_they_saw_the_same_numbers(tmp_path: Path) -> None:
    """Held against the jackknife of the logarithm of both errors, each from its own pool; at equal time with the errors of both clocks."""
    rng, truth = np.random.default_rng(7), np.linspace(-0.3, 0.4, 3)
    common = rng.standard_gamma(0.5, (6400, 3)) - 0.5
    pools = []
    for name, scale, seed in (("concrete", 1.0, 0), ("st_gumbel", 1.02, 0), ("straight_through", 1.1, 1), ("reinmax", 1.1, 0)):
        moments = segments_of(truth + 0.3 * scale + scale * common + 0.02 * rng.standard_normal((6400, 3)))
        pools.append(pool := Pool.of(moments, truth, np.zeros(3)))
        noise = float(pool.trace[0])
        numbers = {"variance": factory.interval(noise, 0.01), "bias_sq": bias_sq(pool)}
        numbers |= {"variance_times_evaluations": numbers["variance"], "variance_times_time_ratio": factory.interval(1.02 * noise, 0.05)}
        numbers |= {"bias_sq": Interval(0.4, 0.2, (0.0, 1.0))} if name == "reinmax" else {}
        path = make(tmp_path, name, unbiased=False, variance=noise, bias=0.5, seed=seed, summary=numbers, with_segments=False)
        result = RunDirectory(path).read_result()
        assert result is not None
        RunDirectory(path).write_segments(moments, {"numpy": "2"}, result.result_id)
    beside, stranger, doubtful = (advised(tmp_path, name) for name in ("st_gumbel", "straight_through", "reinmax"))
    assert row(doubtful, 10)["errors"] == "independent"  # of a bias that may be none the jackknife says too much
    for (equal, price, spread), budget in itertools.product((("evaluations", 1.0, 0.01), ("time", 1.02, 0.05)), (10, 1000)):
        errors = [pool.trace * price / budget + pool.bias_sq for pool in pools]
        half = student_t_quantile(0.975, 63) * float(jackknife_se(pools[0].count, np.log(errors[0] / errors[1])))
        clock = 2 * math.sqrt(spread**2 - 0.01**2)
        clocks = [clock * pool.trace[0] * price / budget / error[0] for pool, error in zip(pools[:2], errors, strict=False)]
        found, other = row(beside, budget, equal=equal), row(stranger, budget, equal=equal)
        assert (found["label"], found["errors"], other["errors"]) == ("concrete", "paired", "independent")
        assert math.log(found["ratio_ci_high"] / found["ratio"]) == pytest.approx(math.hypot(half, *clocks))
        assert found["ratio"] == pytest.approx(errors[0][0] / errors[1][0])
    apart = row(stranger, 10)
    assert math.log(apart["ratio_ci_high"] / apart["ratio"]) > 3 * math.log(row(beside, 10)["ratio_ci_high"] / row(beside, 10)["ratio"])


def test_ties_are_named_and_clear_winners_have_none(tmp_path: Path) -> None:
    make(tmp_path, "reinforce", variance=0.1)
    make(tmp_path, "dice", variance=0.1002)
    make(tmp_path, "rloo", variance=0.12)
    table = advised(tmp_path)
    best = row(table, 100)
    assert {best["label"], best["ties"]} == {"reinforce", "dice"}
    assert row(table, 100, equal="time")["ties"] in ("reinforce", "dice")


def test_no_variance_at_all(tmp_path: Path) -> None:
    zero = Interval(0.0, 0.0, (0.0, 0.0))
    make(tmp_path, "reinforce", variance=0.1)
    for name in ("disarm", "local_expectation"):
        numbers = dict.fromkeys(("variance", "bias_sq", "variance_times_evaluations", "variance_times_time_ratio"), zero)
        make(tmp_path, name, variance=0.0, verdict="deterministic", summary=numbers)
    best = row(advised(tmp_path), 1)
    assert (best["label"], best["ties"], best["mse"], best["ratio"]) == ("disarm", "local_expectation", 0, 0)


def test_what_cannot_be_advised_is_said(study: Path) -> None:
    factory.make(study, "arm", variance=1e-9)  # an old result, without facts
    make(study, "exact", variance=0.01)
    make(study, "st_gumbel", variance=1e-9, unbiased=False, verdict="self_referenced")
    table = advised(study)
    assert "arm" not in set(table.frame.estimator) | set(table.frame.ties)
    (left,) = [note for note in table.notes if note.startswith("Left out")]
    for text in ("stored before results said", "exact, no estimator", "its bias is not known"):
        assert text in left
    for text in (table.csv(), table.markdown(), table.latex()):
        assert "reinforce" in text and "concrete" in text


def test_one_estimator_needs_no_advice(tmp_path: Path) -> None:
    make(tmp_path, "reinforce", variance=0.1)
    assert advice.table(collect([tmp_path])[0], "reinforce", Variances()) is None


def test_a_measurement_says_what_its_estimator_needs() -> None:
    result = gsx.measure({"name": "discontinuous_toy"}, "reparameterization", num_replicates=1024, workers=1)
    assert result.facts == {"distributions": ["Normal"], "needs_cost_gradient": True, "unbiased": False}
    body = result.as_json()
    assert Result.from_json(body).facts == result.facts
    del body["facts"]  # as results were before
    assert Result.from_json(body).facts == {}
