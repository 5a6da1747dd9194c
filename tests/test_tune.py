"""Tuning: what it learns, that it learns it from numbers of its own, that it is frozen, and that it is told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import gsx
from gsx import yardstick
from gsx.configuration import Configuration
from gsx.measurement import Measurement
from gsx.records import ConfigurationError
from tests.schedules import Interrupter


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardstick, "SECONDS", 0.0)


def measure(estimator: Any = "relax", model: Any = "bernoulli_toy", **settings: Any) -> gsx.Result:
    return gsx.measure(model, estimator, **{"num_replicates": 4096, "workers": 1, "blocks_per_task": 1, **settings})


def variance(result: gsx.Result) -> float:
    found = result.summary["variance"]
    assert found is not None
    return found.value


def few(**settings: Any) -> dict[str, Any]:
    return {"kind": "auto", "steps": 20, "replicates": 8, **settings}


def test_relax_and_rebar_learn() -> None:
    """By much more than any error: a twentieth and a half of the variance that they begin with."""
    plain = variance(measure("reinforce"))
    relax, rebar = measure("relax"), measure("rebar")
    assert variance(measure("relax", tune="none")) == pytest.approx(plain, rel=1e-5)  # a network that is zero
    assert variance(relax) < 0.05 * plain
    assert variance(rebar) < 0.5 * variance(measure("rebar", tune="none"))
    assert relax.verdict.status == rebar.verdict.status == "unbiased"
    curve = relax.tuning["curve"]
    assert len(curve) == 50 and curve[-1] < 0.2 * curve[0]


def test_nvil_finds_the_mean_cost_of_each_row() -> None:
    """Least squares with a network: most of the spread of the cost between rows is gone."""
    plain, tuned = measure("reinforce", "binary_vae"), measure("nvil", "binary_vae")
    assert variance(tuned) < 0.05 * variance(plain)
    assert tuned.tuning["kind"] == "regression"
    assert tuned.tuning["curve"][-1] < 0.05 * tuned.tuning["curve"][0]


def test_a_curve_is_the_expected_square_of_the_gradient() -> None:
    """Of REINFORCE, whose network has nothing learnt yet: variance + |mean|^2, within 5 errors of 4096 replicates."""
    result = measure("relax", tune=few(steps=1, replicates=4096, learning_rate=1e-9))
    again = measure("reinforce", num_replicates=2**16)
    mean = again.coordinates.mean  # type: ignore[union-attr]
    assert result.tuning["curve"][0] == pytest.approx(variance(again) + mean @ mean, rel=5 * 2 / math.sqrt(4096))


def test_what_was_learnt_is_told() -> None:
    tuning = measure("rebar", tune=few()).tuning
    assert tuning["kind"] == "variance" and tuning["steps"] == 20 and tuning["replicates"] == 8
    assert tuning["evaluations"] == 20 * 8 * 3
    assert set(tuning["parameters"]) == {"sites.z.log_temperature", "sites.z.scale"}
    network = measure("relax", tune=few()).tuning["parameters"]["networks.z.weight"]
    assert network["shape"] == [10, 8] and network["norm"] > 0 and len(network["sha256"]) == 64


def test_same_seed_same_tuning_and_another_seed_another() -> None:
    first, second, other = measure(tune=few()), measure(tune=few()), measure(tune=few(), seed=1)
    assert first.moments_sha256 == second.moments_sha256 and first.tuning == second.tuning
    assert other.tuning["parameters"] != first.tuning["parameters"]


def test_it_is_frozen_afterwards() -> None:
    measurement = Measurement(
        Configuration.of({"model": {"name": "bernoulli_toy"}, "estimator": {"name": "relax"}, "tune": few(), "num_replicates": 1024})
    )
    before = [parameter.clone() for parameter in measurement.estimator.parameters()]
    measurement.run()
    own = list(measurement.estimator.parameters())
    assert not all(map(torch.equal, before, own)), "nothing was learnt"
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in own)
    after = [parameter.clone() for parameter in own]
    measurement.run()
    assert all(map(torch.equal, after, measurement.estimator.parameters()))


def test_repeats_tell_the_spread_and_change_nothing_else() -> None:
    once, thrice = measure(tune=few()), measure(tune=few(repeats=3))
    assert thrice.moments_sha256 == once.moments_sha256
    assert "variances" not in once.tuning
    variances = thrice.tuning["variances"]
    values, errors = [one["value"] for one in variances], [one["se"] for one in variances]
    assert len(set(values)) == 3
    assert abs(values[0] - variance(once)) < 5 * math.hypot(errors[0], once.summary["variance"].se or 0)  # type: ignore[union-attr]
    assert thrice.tuning["evaluations"] == 3 * once.tuning["evaluations"]


def test_schedules_do_not_change_a_bit(tmp_path: Path) -> None:
    """A tuned network goes along to any worker, and is the same after an interruption."""
    whole = measure(tune=few(), block_size=64)
    assert measure(tune=few(), block_size=64, workers=2).moments_sha256 == whole.moments_sha256
    directory = tmp_path / "outputs" / "x" / "relax"
    with pytest.raises(KeyboardInterrupt):
        measure(tune=few(), block_size=64, directory=directory, progress=Interrupter(3))
    assert measure(tune=few(), block_size=64, directory=directory).moments_sha256 == whole.moments_sha256


def test_the_tuning_is_part_of_the_identity() -> None:
    def identity(estimator: str, **tune: Any) -> str:
        given = {"model": {"name": "bernoulli_toy"}, "estimator": {"name": estimator}, "tune": tune}
        return Measurement(Configuration.of(given)).result_id

    assert identity("relax") == identity("relax", kind="variance")
    assert len({identity("relax"), identity("relax", kind="none"), identity("relax", steps=5), identity("relax", learning_rate=0.1)}) == 4
    # What is not used is no part of it.
    assert identity("relax", kind="none") == identity("relax", kind="none", steps=5)
    assert identity("reinforce") == identity("reinforce", steps=5)


@pytest.mark.parametrize(
    ("estimator", "tune", "said"),
    [
        ("reinforce", {"kind": "variance"}, "tune=variance: reinforce has no parameters of its own"),
        ("exact", {"kind": "variance"}, "tune=variance: exact has no parameters of its own"),
        ("relax", {"kind": "regression"}, "tune=regression: relax has no baseline to fit; tune=variance is for it"),
        ("relax", {"kind": "best"}, "tune.kind=best: must be one of auto, none, variance, regression"),
        ("relax", {"steps": 0}, "tune.steps=0: must be at least 1"),
        ("relax", {"replicates": 0}, "tune.replicates=0: must be at least 1"),
        ("relax", {"repeats": 0}, "tune.repeats=0: must be at least 1"),
        ("rloo", {"repeats": 3}, "tune.repeats=3: rloo is not tuned here"),
        ("relax", {"learning_rate": -0.1}, "tune.learning_rate=-0.1: must be positive"),
        ("relax", {"learnin_rate": 0.1}, "tune.learnin_rate=0.1: unknown key; did you mean learning_rate?"),
    ],
)
def test_bad_settings_are_refused_in_one_line(estimator: str, tune: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        measure(estimator, tune=tune)
    assert str(caught.value) == said


def test_a_tuning_that_diverges_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"tune.learning_rate=1e\+30: the tuning of relax diverges; try a smaller one"):
        measure(tune=few(learning_rate=1e30))


def test_a_variance_can_be_tuned_by_for_a_baseline_too() -> None:
    """NVIL's network by least E|g|^2 instead of regression."""
    assert measure("nvil", tune=few(kind="variance")).tuning["kind"] == "variance"


@pytest.mark.parametrize("estimator", ["relax", "rebar", "nvil"])
def test_each_site_is_tuned_by_itself(estimator: str) -> None:
    """Nested layers of 4 and 3 latents: own parameters of different shapes, and the gradients of all layers stay unbiased."""
    result = measure(estimator, "two_layer_vae", tune=few(), wrt="all", num_replicates=2**13)
    sites = {name.split(".")[1] for name in result.tuning["parameters"]}
    assert sites == {"z", "z2"}
    assert result.verdict.status == "unbiased"
