"""Training: each step is the formula's, what is measured moves nothing, and what is resumed has never stopped."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

import gsx
from gsx import statistics
from gsx.cli.train_summary import describe, table
from gsx.configuration import Configuration
from gsx.measurement import Measurement
from gsx.noise import Block, uniforms
from gsx.probe import probe
from gsx.program import Program
from gsx.records import ConfigurationError, GsxError, Parameters, Point, Training
from gsx.registry import estimator
from gsx.training import Session, TrainingConfiguration, learner
from gsx.training.evaluate import bound, elbo
from gsx.training.learner import Learner
from gsx.training.rows import Minibatches, split
from gsx.training.schedule import Schedule
from gsx.training.trajectory import Trajectory
from gsx.training.variance import described, measured

TOY = {"name": "bernoulli_toy", "logits": [-1.0, 0.5, 2.0], "target": 0.3}
VAE = {"name": "binary_vae", "latents": 4, "batch": 5}
QUIET: dict[str, Any] = {"probe_every": 0, "evaluate_every": 0}


def session(model: Any = TOY, estimator: Any = "rloo", **settings: Any) -> Session:
    chosen = {"name": estimator} if isinstance(estimator, str) else estimator
    return Session(TrainingConfiguration.of({"model": model, "estimator": chosen, "device": {"name": "cpu"}} | settings))


def values(training: Training, metric: str, **where: Any) -> list[float]:
    return [
        point.value
        for point in training.curve
        if point.metric == metric and all(getattr(point, key) == value for key, value in where.items())
    ]


def without_seconds(curve: Any) -> list[str]:
    """repr, for NaN is not equal to NaN."""
    return [repr(point) for point in curve if point.metric != "seconds"]


# ------------------------------------------------------------------------------------------------------------------------ a step


def leave_one_out(logits: np.ndarray, u: np.ndarray, target: float, wrong: bool = False) -> np.ndarray:
    """RLOO's gradient of mean_d (b_d - target)^2 written out: 1/(N-1) sum_n (f_n - mean f) (b_n - p), or with N (wrong)."""
    p = 1 / (1 + np.exp(-logits))
    b = (u > 1 - p).astype(float)
    f = ((b - target) ** 2).mean(1)
    return ((f - f.mean())[:, None] * (b - p)).sum(0) / (len(u) - (0 if wrong else 1))


@pytest.mark.parametrize("planted", [None, "1/N", "descent reversed", "noise of the next step"])
def test_steps_are_those_of_sgd_by_hand(planted: str | None) -> None:
    """Twenty steps with momentum on the same numbers, to float64 rounding; each planted bug is seen."""
    optimizer = {"name": "sgd", "lr": 0.7, "momentum": 0.5}
    trajectory = Trajectory(session(dtype="float64", num_samples=3, optimizer=optimizer, steps=20, **QUIET), seed=4)
    logits, velocity = np.array(TOY["logits"]), np.zeros(3)
    for step in range(20):
        number = step + (planted == "noise of the next step")
        u = uniforms((4, "train", number, "z", 0), 0, 9, torch.float64, torch.device("cpu")).numpy().reshape(3, 3)
        velocity = 0.5 * velocity + leave_one_out(logits, u, 0.3, wrong=planted == "1/N")
        logits = logits - (-0.7 if planted == "descent reversed" else 0.7) * velocity
        trajectory.take_step()
    same = np.allclose(trajectory.params["logits"].detach().numpy(), logits, rtol=0, atol=1e-13)
    assert same == (planted is None)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_optimizers_on_a_gradient_by_hand(name: str, maximize: bool) -> None:
    """The exact gradient of the toy, p (1 - p) (1 - 2 t) / D, given to torch's optimizer: the same parameters."""
    settings = {"name": name, "lr": 0.05}
    trajectory = Trajectory(session(estimator="exact", dtype="float64", optimizer=settings, steps=9, maximize=maximize, **QUIET), seed=0)
    by_hand = torch.tensor(TOY["logits"], dtype=torch.float64, requires_grad=True)
    kind = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}[name]
    optimizer = kind([by_hand], lr=0.05)  # type: ignore[operator]
    for _ in range(9):
        p = torch.sigmoid(by_hand.detach())
        by_hand.grad = (-1 if maximize else 1) * p * (1 - p) * (0.7**2 - 0.3**2) / 3
        optimizer.step()
        trajectory.take_step()
    torch.testing.assert_close(trajectory.params["logits"].detach(), by_hand.detach(), rtol=0, atol=1e-12)


def test_exact_gradients_reach_the_optimum() -> None:
    """f = (b - t)^2 is least where b = 0 for t = 0.3: the loss tends to t^2."""
    training = gsx.train(TOY, "exact", steps=500, optimizer={"name": "adam", "lr": 0.1})
    losses = values(training, "exact_loss")
    assert losses[0] > 0.25 and losses[-1] == pytest.approx(0.09, abs=2e-3)
    assert values(training, "variance") == [0.0] * 11
    climbed = gsx.train(TOY, "exact", steps=500, optimizer={"name": "adam", "lr": 0.1}, maximize=True)
    assert values(climbed, "exact_loss")[-1] == pytest.approx(0.49, abs=2e-3)


def test_exact_loss_of_continuous_variables() -> None:
    """E (x - k)^2 = (loc - k)^2 + scale^2."""
    training = gsx.train({"name": "gaussian_toy", "loc": [1.0], "log_scale": [0.0], "cost": "quadratic", "k": 3.0}, "exact", steps=1)
    assert values(training, "exact_loss")[0] == pytest.approx(5.0, abs=1e-9)


# ------------------------------------------------------------------------------------------------------------------------ the rows


def test_splits_of_digits_part_all_rows() -> None:
    dataset = gsx.load_data("digits")
    parts = split(dataset, None, seed=3)
    assert {name: len(part.inputs) for name, part in parts.items()} == {"train": 1297, "valid": 200, "test": 300}
    everything = np.concatenate([part.inputs for part in parts.values()])
    assert np.array_equal(np.unique(everything, axis=0, return_counts=True)[1], np.unique(dataset.inputs, axis=0, return_counts=True)[1])
    assert np.array_equal(parts["test"].inputs, split(dataset, None, seed=3)["test"].inputs)
    assert not np.array_equal(parts["test"].inputs, split(dataset, None, seed=4)["test"].inputs)


def test_an_epoch_meets_each_row_once() -> None:
    batches = Minibatches(10, 3, seed=1)
    first = torch.cat([batches.at(step) for step in range(3)])  # type: ignore[misc]
    second = torch.cat([batches.at(step) for step in range(3, 6)])  # type: ignore[misc]
    assert len(set(first.tolist())) == len(set(second.tolist())) == 9 and first.tolist() != second.tolist()
    assert Minibatches(10, 3, seed=1).at(4).tolist() == batches.at(4).tolist()  # type: ignore[union-attr]


def test_a_step_sees_its_own_minibatch() -> None:
    """The gradient of a step is that of its rows: of a VAE with as many samples as make it exact (`exact`)."""
    made = session(VAE, "exact", dtype="float64", optimizer={"name": "sgd", "lr": 1.0}, steps=3, **QUIET)
    trajectory = Trajectory(made, seed=2)
    for step in range(3):
        program = made.program()
        made.rows["train"].show(program.model, Minibatches(1297, 5, 2).at(step), 1297)
        at = program.at(trajectory.params)
        gradient = torch.from_numpy(gsx.reference.exact_gradient(at)[0])  # type: ignore[attr-defined]
        before = torch.cat([value.detach().flatten() for value in trajectory.params.values()])
        trajectory.take_step()
        after = torch.cat([value.detach().flatten() for value in trajectory.params.values()])
        torch.testing.assert_close(before - after, gradient, rtol=0, atol=1e-10)


# ------------------------------------------------------------------------------------------------------------------- what is learnt


@pytest.mark.parametrize("optimizer", ["adam", {"name": "rmsprop", "alpha": 0.9, "eps": 0.02}])
def test_a_tuning_step_is_the_optimizers_on_the_squared_gradient(optimizer: Any) -> None:
    """REBAR's scale, by a derivative that is taken numerically; the first step of Adam is lr sign(slope), that of RMSprop
    lr slope / (((1 - alpha) slope^2)^(1/2) + eps)."""
    settings = TrainingConfiguration.of({"model": TOY, "estimator": {"name": "rebar"}, "tune": {"optimizer": optimizer}}).tune
    program = session(dtype="float64").program()
    learns = Learner(estimator({"name": "rebar"}), program, dataclasses.replace(settings, replicates=64), seed=5, along=True)
    site = learns.estimator.sites["z"]  # type: ignore[union-attr, index]
    before = {name: float(value) for name, value in site.named_parameters()}  # type: ignore[union-attr]

    def second_moment(**shifted: float) -> float:
        rebar = estimator({"name": "rebar", "temperature": math.exp(shifted["log_temperature"]), "scale": shifted["scale"]})
        seen = probe(program, rebar)
        route = learner.second_moment(rebar, program, seen)
        return float(route(Block(5, "tune", 7, torch.float64, torch.device("cpu")), 64))

    slopes = {}
    for name in before:
        up, down = (second_moment(**(before | {name: before[name] + shift})) for shift in (1e-5, -1e-5))
        slopes[name] = (up - down) / 2e-5
    learns.learn(program, program.params, 7)
    for name, value in site.named_parameters():  # type: ignore[union-attr]
        slope = slopes[name]
        step = np.sign(slope) if optimizer == "adam" else slope / (math.sqrt(0.1) * abs(slope) + 0.02)
        assert float(value) - before[name] == pytest.approx(-1e-3 * step, rel=1e-4), name


def test_the_optimizer_of_a_tuning_is_known_by_its_settings() -> None:
    """Trainings that were stored before there was a choice keep their identity: Adam's settings, however they are given, are none."""

    def identity(**tune: Any) -> str:
        return session(estimator="rebar", tune=tune).training_id

    assert "optimizer" not in session(estimator="rebar").config["tune"]
    assert identity() == identity(optimizer="adam") == identity(optimizer={"name": "adam", "eps": 1e-8})
    others = [{"optimizer": "rmsprop"}, {"optimizer": {"name": "rmsprop", "eps": 1e-3}}, {"optimizer": {"name": "adam", "eps": 1e-3}}]
    assert len({identity(), *(identity(**other) for other in others)}) == 4
    for other in others:  # as the processes of a training's seeds are told
        made = session(estimator="rebar", tune=other, optimizer="adam")
        assert Session(TrainingConfiguration.of(made.configuration.as_given())).training_id == made.training_id


def test_a_sample_never_meets_what_was_learnt_from_it() -> None:
    """The gradient of step 0 is that of the untuned estimator: what its block teaches counts from step 1 on."""
    tuned, untuned = (
        Trajectory(session(estimator="relax", tune={"kind": kind, "learning_rate": 0.1}, steps=5, **QUIET), seed=0)
        for kind in ("auto", "none")
    )
    for trajectory in (tuned, untuned):
        trajectory.take_step()
    assert torch.equal(tuned.params["logits"], untuned.params["logits"])
    for trajectory in (tuned, untuned):
        trajectory.take_step()
        trajectory.take_step()
    assert not torch.equal(tuned.params["logits"], untuned.params["logits"])


def test_tuning_lowers_the_variance() -> None:
    """RELAX begins as REINFORCE; at a learning rate of 0 for the model only the control variate learns."""
    settings = {"steps": 400, "optimizer": {"name": "sgd", "lr": 1e-12}, "probe": ["reinforce"], "tune": {"learning_rate": 0.02}}
    training = gsx.train(TOY, "relax", probe_replicates=2048, **settings)
    tuned, plain = (values(training, "variance", estimator=name) for name in ("relax", "reinforce"))
    assert tuned[0] == pytest.approx(plain[0], rel=0.2)
    assert tuned[-1] < 0.5 * plain[-1]


# ----------------------------------------------------------------------------------------------------------- what moves nothing


@pytest.mark.parametrize("chosen", ["rloo", "rebar"])
def test_probes_do_not_move_the_trajectory(chosen: str) -> None:
    alone = gsx.train(VAE, chosen, steps=12, evaluate_every=0, probe_every=0, seeds=1)
    watched = gsx.train(
        VAE, chosen, steps=12, evaluate_every=3, probe_every=5, probe=["disarm", "rebar", "nvil", "concrete"], probe_replicates=32
    )
    assert alone.parameters[0].digest == watched.parameters[0].digest
    other = gsx.train(VAE, chosen, steps=12, evaluate_every=0, probe_every=0, seed=1)
    assert alone.parameters[0].digest != other.parameters[1].digest


def test_a_probe_measures_what_a_run_measures() -> None:
    """On the numbers of a run and at the parameters of a training: the same variance, to the last bit."""
    made = session(VAE, "rloo", steps=10, **QUIET)
    trajectory = Trajectory(made, seed=0)
    trajectory.run()
    program = made.probe_program.at(trajectory.params)
    ours = measured(
        program,
        estimator({"name": "disarm"}),
        made.seen["rloo"] and probe(program, estimator({"name": "disarm"})),
        seed=0,
        stream="base",
        replicates=16 * 8,
    )
    configuration = Configuration.of({"model": VAE, "estimator": {"name": "disarm"}, "num_replicates": 512, "block_size": 8})
    measurement = Measurement(dataclasses.replace(configuration, parameters=trajectory.parameters()))
    assert all(torch.equal(measurement.program.params[name], value) for name, value in trajectory.params.items())
    theirs = measurement.run().segments
    assert theirs is not None
    assert np.array_equal(ours.mean, theirs.mean[:16]) and np.array_equal(ours.second, theirs.second[:16])
    # A planted bug: other parameters.
    wrong = measured(
        made.probe_program,
        estimator({"name": "disarm"}),
        probe(program, estimator({"name": "disarm"})),
        seed=0,
        stream="base",
        replicates=128,
    )
    assert not np.array_equal(wrong.mean, ours.mean)


def test_the_curve_agrees_with_a_run(tmp_path: Any) -> None:
    """Variance and cosine on the curve's own numbers are those of `gsx run` within five joint errors."""
    training = gsx.train(VAE, "rloo", steps=20, probe=["concrete"], probe_replicates=1024, directory=tmp_path / "train-a")
    for name in ("rloo", "concrete"):
        result = gsx.measure({**VAE, "checkpoint": str(tmp_path / "train-a")}, name, num_replicates=4096)
        for metric in ("variance", "snr"):
            (point,) = (p for p in training.curve if (p.step, p.estimator, p.metric) == (20, name, metric))
            there = result.summary[metric]
            assert there is not None and there.se is not None
            assert abs(point.value - there.value) < 5 * math.hypot(point.se, there.se)
    (biased,) = (p for p in training.curve if (p.step, p.estimator, p.metric) == (20, "concrete", "bias_sq"))
    assert biased.value > 5 * biased.se


def test_a_noisy_reference_is_corrected() -> None:
    """An unbiased estimator points at the truth: the reference's own noise must not pull the cosine below 1."""
    settings = {"steps": 1, "probe_replicates": 4096, "model": VAE, "estimator": {"name": "rloo"}}
    noisy = {"kind": "long_run", "num_replicates": 512}
    made = Session(TrainingConfiguration.of(settings | {"reference": noisy}))
    truth = made.truth.at(made.probe_program, 0, 0)
    segments = measured(made.probe_program, made.build("rloo"), made.seen["rloo"], seed=0, stream="probe.0", replicates=4096)
    assert truth is not None
    corrected, plain = described(segments, truth)["cosine"], statistics.cosine(statistics.Pool.of(segments, truth.gradient, truth.se))
    assert corrected is not None and plain is not None and corrected.se is not None
    assert abs(corrected.value - 1) < 3 * corrected.se + 0.01
    assert plain.value < corrected.value


@pytest.mark.parametrize(
    ("settings", "replicates", "kind"),
    [
        ({"latents": 12, "batch": 50}, 1024, "long_run"),  # 4096 points a row, against 1024 replicates
        ({"latents": 12, "batch": 50}, 4096, "enumeration"),
        ({"latents": 10, "batch": 50}, 1024, "enumeration"),
        ({"latents": 12, "batch": 4}, 32, "enumeration"),  # 2^14 in all
        ({"latents": 12, "batch": 5}, 32, "long_run"),
    ],
)
def test_a_reference_is_exact_where_that_is_no_dearer_than_a_long_run(settings: dict[str, int], replicates: int, kind: str) -> None:
    given = {"model": {"name": "binary_vae"} | settings, "estimator": {"name": "rloo"}, "reference": {"num_replicates": replicates}}
    told = Session(TrainingConfiguration.of(given)).truth.as_json()
    assert told["kind"] == kind and told["num_replicates"] == (replicates if kind == "long_run" else None)


# ------------------------------------------------------------------------------------------------------------------------- bounds


def test_bounds_of_a_vae() -> None:
    """ELBO by many samples is minus the exact loss; the bound of K = 1 is the ELBO; it grows with K, to log p(x) by enumeration."""
    made = session({"name": "binary_vae", "latents": 3, "batch": 5}, "rloo", dtype="float64")
    model, params, rows = made.program().model, made.program().params, made.rows["valid"].first(6)

    def noise(piece: int) -> Any:
        return Block(0, "test", piece, torch.float64, torch.device("cpu")).one()

    rows.show(model, slice(None), 6)
    exact = -model.loss(params, lambda q, cost, site="z", combine=None: (q.points(0, 8, 0)[1] * cost(q.points(0, 8, 0)[0], q)).sum(0))
    likelihood = model.loss(
        params,
        lambda q, cost, site="z", combine=None: -torch.logsumexp(q.log_prob(q.points(0, 8, 0)[0]) - cost(q.points(0, 8, 0)[0], q), 0),
    )
    many = elbo(model, params, rows, 20000, noise)
    torch.testing.assert_close(many, exact, rtol=0, atol=0.15)
    torch.testing.assert_close(bound(model, params, rows, 1, noise), elbo(model, params, rows, 1, noise))
    tight = bound(model, params, rows, 20000, noise)
    torch.testing.assert_close(tight, -likelihood, rtol=0, atol=0.1)
    assert (tight > exact).all()


def test_the_bound_of_a_model_that_combines_is_of_the_k_asked_for() -> None:
    made = session({"name": "iwae", "latents": 3, "k": 2, "batch": 5}, "vimco", dtype="float64")
    assert made.build("vimco").num_samples == 1
    model, params, rows = made.program().model, made.program().params, made.rows["valid"].first(4)

    def noise(piece: int) -> Any:
        return Block(0, "test", piece, torch.float64, torch.device("cpu")).one()

    assert (bound(model, params, rows, 4000, noise) > elbo(model, params, rows, 4000, noise)).all()


def test_two_layers_are_one_joint_sample() -> None:
    """log mean of K weights of pairs (z1, z2), against log p(x) by enumeration of both layers."""
    made = session({"name": "two_layer_vae", "latents": [2, 2], "batch": 5}, "reinforce", dtype="float64")
    model, params, rows = made.program().model, made.program().params, made.rows["valid"].first(3)
    rows.show(model, slice(None), 3)

    def joint(q: Any, cost: Any, site: str = "z", combine: Any = None) -> torch.Tensor:
        z = q.points(0, 4, 0)[0]
        return -torch.logsumexp(q.log_prob(z) - cost(z, q), 0)

    log_p = -model.loss(params, joint)
    found = bound(model, params, rows, 20000, lambda piece: Block(0, "test", piece, torch.float64, torch.device("cpu")).one())
    torch.testing.assert_close(found, log_p, rtol=0, atol=0.1)


@pytest.mark.parametrize("settings", [{"latents": [2, 2]}, {"latents": [1, 2], "categories": 3}], ids=str)
def test_bounds_of_a_prediction(settings: dict[str, Any]) -> None:
    """E log p(y | h) for K = 1, and by many samples log p(y | x), by enumeration of both layers."""
    made = session({"name": "structured_output", "batch": 5, **settings}, "reinforce", dtype="float64")
    model, params, rows = made.program().model, made.program().params, made.rows["test"].first(3)
    rows.show(model, slice(None), 3)

    def joint(q: Any, cost: Any, site: str = "z", combine: Any = None) -> torch.Tensor:
        z, p = q.points(0, q.num_points(0), 0)
        return -torch.logsumexp(p.log() - cost(z, q), 0)

    def noise(piece: int) -> Any:
        return Block(0, "test", piece, torch.float64, torch.device("cpu")).one()

    log_p = -model.loss(params, joint)
    torch.testing.assert_close(bound(model, params, rows, 20000, noise), log_p, rtol=0, atol=0.05)
    assert torch.equal(bound(model, params, rows, 1, noise), elbo(model, params, rows, 1, noise))
    assert elbo(model, params, rows, 20000, noise).mean() < log_p.mean() - 0.05


def test_what_predicts_has_no_elbo() -> None:
    """A training says which bound it is that it tells, in its curve and on the terminal; that of many samples is the greater."""
    told = dict(steps=2, evaluate_rows=20, bound_samples=50, **QUIET)
    trained = session({"name": "structured_output", "batch": 5}, "reinforce", **told).run()
    ends = [f"log_likelihood_bound.{split}" for split in ("train", "valid", "test")]
    assert set(trained.summary) == {*ends, "bound.valid", "bound.test", "loss.train"}
    assert trained.summary["bound.test"]["value"] > trained.summary["log_likelihood_bound.test"]["value"]
    shown = describe(trained, "here") + table([("done", "it", trained, "here")])
    assert "test log likelihood bound" in shown and "log_likelihood_bound.test" in shown and "elbo" not in shown
    assert "elbo.test" in session(VAE, "reinforce", **told).run().summary


def test_warm_up_does_not_flatter_the_elbo() -> None:
    """The weight of the divergence is 1 wherever the model is judged, and what the schedule says wherever it is trained."""
    warm = {"kl_weight": {"from": 0.0, "to": 1.0, "steps": 1000}}
    trajectory = Trajectory(session(VAE, "rloo", schedule=warm, steps=10, **QUIET), seed=0)
    plain = Trajectory(session(VAE, "rloo", steps=10, **QUIET), seed=0)
    before = trajectory.evaluated(100)["valid", "elbo"]
    trajectory.take_step()
    assert trajectory.program.model.kl_weight == 0.0
    assert torch.equal(before, plain.evaluated(100)["valid", "elbo"])
    plain.take_step()
    assert not torch.equal(trajectory.params["encoder.0.weight"], plain.params["encoder.0.weight"])


# --------------------------------------------------------------------------------------------------------------------- schedules


def test_schedules() -> None:
    linear = Schedule.of("s", {"from": 1, "to": 0, "steps": 10})
    assert [linear.at(step) for step in (0, 5, 10, 99)] == [1.0, 0.5, 0.0, 0.0]
    powers = Schedule.of("s", {"from": 1, "to": 0.01, "steps": 4, "shape": "exponential"})
    assert powers.at(2) == pytest.approx(0.1)
    jang = Schedule.of("s", {"from": 1, "to": 0.5, "rate": 0.001, "every": 500})
    assert jang.at(499) == 1.0 and jang.at(500) == pytest.approx(math.exp(-0.5)) and jang.at(5000) == 0.5


def test_a_scheduled_temperature_is_that_of_the_step() -> None:
    schedule = {"estimator.temperature": {"from": 1.0, "to": 0.2, "steps": 4}, "learning_rate": {"from": 0.1, "to": 0.0, "steps": 4}}
    trajectory = Trajectory(session(estimator="concrete", schedule=schedule, steps=6, **QUIET), seed=0)
    seen = []
    for _ in range(6):
        trajectory.take_step()
        seen.append((trajectory.learners[0].estimator.temperature, trajectory.optimizer.param_groups[0]["lr"]))
    assert seen == [(pytest.approx(1 - 0.2 * min(s, 4)), pytest.approx(0.1 - 0.025 * min(s, 4))) for s in range(6)]


# ------------------------------------------------------------------------------------------------------------------- checkpoints

#: Estimators that remember something: parameters of their own, a moving average; with optimizers that do, too, of both.
LEARNING: list[tuple[Any, dict[str, Any]]] = [
    ("rebar", {"name": "adam"}),
    ({"name": "reinforce", "baseline": "moving_average"}, {"name": "sgd", "momentum": 0.9}),
    ("nvil", {"name": "rmsprop"}),
]


#: And what may be forgotten of it: the planted bugs.
FORGOTTEN = [(LEARNING[0], drop) for drop in ("learner.0.own", "learner.0.adam", "learner.1.", "optimizer.", "losses")]
FORGOTTEN.append((LEARNING[2], "learner.0.rmsprop"))


@pytest.mark.parametrize(("learning", "drop"), [*((learning, None) for learning in LEARNING), *FORGOTTEN, (LEARNING[1], "learner.0.extra")])
def test_resumed_is_never_stopped(learning: tuple[Any, dict[str, Any]], drop: str | None) -> None:
    """To the last bit, curve and all; and a checkpoint that forgets any of it is noticed."""
    chosen, optimizer = learning
    settings = {"probe": ["relax"], "probe_every": 3, "evaluate_every": 4, "probe_replicates": 32, "evaluate_rows": 50, "bound_samples": 2}
    settings["tune"] = {"optimizer": optimizer["name"]}
    made = session(VAE, chosen, reference={"kind": "none"}, steps=7, optimizer=optimizer, checkpoint_every=1, **settings)
    whole, resumed = Trajectory(made, seed=0), Trajectory(made, seed=0)
    states = {}
    whole.run(lambda state: states.__setitem__(state.step, state))
    state, blank = states[3], resumed.state().arrays
    if drop is not None:
        assert any(name.startswith(drop) for name in state.arrays)
        kept = {name: array for name, array in state.arrays.items() if not name.startswith(drop)}
        state = dataclasses.replace(state, arrays=kept | {name: array for name, array in blank.items() if name.startswith(drop)})
    resumed.resume(state)
    resumed.run()
    same = resumed.parameters().digest == whole.parameters().digest and without_seconds(resumed.curve) == without_seconds(whole.curve)
    assert same == (drop is None)


def test_float32_and_float64_parameters_have_one_address() -> None:
    single = Parameters({"a": np.array([0.5, 0.1], np.float32)})
    double = Parameters({"a": single.arrays["a"].astype(np.float64)})
    assert single.digest == double.digest != Parameters({"b": single.arrays["a"]}).digest
    assert single.digest != Parameters({"a": np.array([0.1, 0.5], np.float32)}).digest


# ---------------------------------------------------------------------------------------------------------------------- refusals

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"steps": 0}, "steps=0: must be at least 1"),
    ({"seeds": 0}, "seeds=0"),
    ({"optimizer": {"name": "adamm"}}, "optimizer=adamm: unknown; did you mean adam?"),
    ({"optimizer": {"name": "adam", "lr": 0}}, "optimizer.lr=0: must be positive"),
    ({"optimizer": {"name": "adam", "betas": [0.9, 2.0]}}, "optimizer.betas=[0.9, 2.0]: must be two numbers"),
    ({"optimizer": {"name": "sgd", "beta": 1}}, "optimizer.beta=1: unknown key"),
    ({"probe": "rloo"}, "probe=rloo: must be a list"),
    ({"probe": ["rlo"]}, "probe[0]=rlo: unknown; did you mean rloo?"),
    ({"probe": ["reparameterization"]}, "probe[0]=reparameterization: needs a Normal"),
    ({"probe": [{"name": "concrete", "temperature": 0}]}, "probe[0].temperature=0: must be positive"),
    ({"probe": ["disarm"], "num_samples": 3}, "probe[0]: num_samples=3: must be even"),
    ({"probe": [3]}, "probe[0]=3"),
    ({"schedule": {"learning_rat": {"from": 1, "to": 0, "steps": 3}}}, "schedule.learning_rat: is none of"),
    ({"schedule": {"learning_rate": 3}}, "schedule.learning_rate=3: must be like"),
    ({"schedule": {"learning_rate": {"from": 1, "to": 0}}}, "takes either steps or rate"),
    ({"schedule": {"learning_rate": {"to": 0, "steps": 3}}}, "schedule.learning_rate.from: must be given"),
    ({"schedule": {"learning_rate": {"from": 1, "to": 0, "steps": 3, "shape": "exponential"}}}, "needs positive ends"),
    ({"schedule": {"learning_rate": {"from": 1, "to": 0, "steps": 0}}}, "schedule.learning_rate.steps=0: must be positive"),
    ({"schedule": {"learning_rate": {"from": 1, "to": -1, "steps": 3}}}, "must not be negative"),
    ({"schedule": {"kl_weight": {"from": 0, "to": 1, "steps": 3}}}, "bernoulli_toy has no divergence to weigh"),
    ({"estimator": {"name": "concrete"}, "schedule": {"estimator.temperature": {"from": 1, "to": 0, "steps": 3}}}, "must be positive"),
    ({"estimator": {"name": "rebar"}, "schedule": {"estimator.scale": {"from": 1, "to": 0, "steps": 3}}}, "rebar learns for itself"),
    ({"estimator": {"name": "reinforce", "baseline": "mean"}}, "a yardstick on fixed rows"),
    ({"tune": {"replicates": 0}}, "tune.replicates=0"),
    ({"tune": {"optimizer": "adagrad"}}, "tune.optimizer=adagrad: unknown"),
    ({"tune": {"optimizer": {"name": "rmsprop", "alpha": -1}}}, "tune.optimizer.alpha=-1: must not be negative"),
    ({"tune": {"optimizer": {"name": "rmsprop", "lr": 0.1}}}, "tune.optimizer.lr=0.1: is given as tune.learning_rate"),
    ({"tune": {"wrt": "decoder"}}, "tune.wrt=decoder"),
    ({"reference": {"kind": "quadrature"}}, "reference.kind=quadrature"),
    ({"reference": {"kind": "long_run", "estimator": "concrete"}}, "must be unbiased"),
    ({"reference": {"kind": "long_run", "estimator": "rebar"}}, "learns nothing for itself"),
    ({"step": 3}, "step=3: unknown key; did you mean steps?"),
    ({"model": VAE | {"batch": 1500}}, "batch=1500: must be between 1 and 1297"),
    ({"model": VAE | {"checkpoint": 3}}, "model.checkpoint=3: must be a path"),
    ({"model": VAE | {"checkpoint": "nowhere.npz"}}, "model.checkpoint=nowhere.npz: no such file"),
]


@pytest.mark.parametrize(("settings", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_refusals(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Session(TrainingConfiguration.of({"model": TOY, "estimator": {"name": "rloo"}} | settings))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_parameters_of_another_model_are_refused() -> None:
    model = session(VAE).model
    right = {name: value.numpy() for name, value in Program(model, dtype=torch.float64).params.items()}
    assert Program(model, parameters=Parameters(right)).layout == Program(model).layout
    short = {name: value for name, value in right.items() if name != "decoder.0.bias"}
    for wrong, said in [
        (short, "it has no decoder.0.bias, binary_vae has"),
        (right | {"prior.logits": np.zeros(4)}, "it has prior.logits, binary_vae has not"),
        (right | {"encoder.0.bias": np.zeros(5)}, "encoder.0.bias is [5] there, [4] in binary_vae with these settings"),
    ]:
        with pytest.raises(ConfigurationError, match=r"model\.checkpoint=here: ") as caught:
            Program(model, parameters=Parameters(wrong, "here"))
        assert said in str(caught.value)


def test_divergence_is_said() -> None:
    with pytest.raises(GsxError, match="diverges"):
        gsx.train(VAE, "rloo", steps=40, optimizer={"name": "sgd", "lr": 1e38}, probe_every=0, evaluate_every=10)


def test_the_order_of_the_points() -> None:
    training = gsx.train(TOY, "rloo", steps=4, seeds=2, probe=["concrete"], evaluate_every=2, probe_every=4)
    assert training.probe == ("concrete",) and training.seeds == (0, 1)
    assert [point.step for point in training.curve if point.metric == "exact_loss"] == [0, 2, 4, 0, 2, 4]
    assert all(isinstance(point, Point) for point in training.curve)
    end = training.summary["exact_loss"]
    assert end["value"] == pytest.approx(np.mean(end["seeds"])) and end["ci"][0] < end["value"] < end["ci"][1]
