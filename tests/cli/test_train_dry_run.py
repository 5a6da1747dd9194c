"""What a dry run says of a training: counts that its steps and probes then have, files of the size they then have, nothing timed twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gsx.cli import kinds
from gsx.cli.train import planned
from gsx.cli.train_dry_run import Clerk
from gsx.distributions import Bernoulli
from gsx.forecast import speed
from gsx.models.base import Model
from gsx.store import TrainingDirectory
from gsx.training import Session, TrainingConfiguration
from gsx.training import forecast as training_forecast
from gsx.training.forecast import forecast, together
from gsx.training.trajectory import Trajectory
from tests.cli.conftest import Inside
from tests.cli.test_dry_run import said

TOY = "model.logits=[0.5,-1]"
SMALL = ("train", "estimator=rloo", "probe=[disarm,exact]", "steps=20", "workers=1", "seeds=2")


@pytest.fixture(autouse=True)
def least(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least timing."""
    monkeypatch.setattr(training_forecast, "TIMING_SECONDS", 0.0)


class Counting(Model):
    """How often its cost is evaluated."""

    seen = 0

    def init(self, noise: Any) -> dict[str, torch.Tensor]:
        return {"logits": torch.tensor([0.5, -1.0], dtype=torch.float64)}

    def loss(self, params: Any, expect: Any) -> Any:
        def cost(z: torch.Tensor, q: Any) -> torch.Tensor:
            Counting.seen += z.numel() // 2
            return (z - 0.3).square().sum(-1) * (1 + z[..., 0])

        return expect(Bernoulli(params["logits"]), cost)


def configured(**settings: Any) -> TrainingConfiguration:
    return TrainingConfiguration.of({"model": {"name": "bernoulli_toy"}, "estimator": {"name": "rloo"}} | settings)


@pytest.mark.parametrize("kind", ["enumeration", "long_run", "none"])
def test_what_is_counted_is_what_the_cost_is_asked(kind: str) -> None:
    """By a cost that counts: of steps and of a probe, beside a reference of either kind. One of N = 2 and one of N = 4 are told apart."""
    probes = ["disarm", {"name": "disarm", "num_samples": 4}]
    session = Session(configured(probe=probes, reference={"kind": kind}, probe_replicates=40), model=Counting(seed=0))
    found, trajectory = forecast(session, timed=False), Trajectory(session, 0)
    Counting.seen = 0
    for _ in range(3):
        trajectory.take_step()
    assert Counting.seen == 3 * found.step.evaluations == 6
    Counting.seen = 0
    trajectory._probe()
    beside, looks = {"enumeration": (4, 1), "long_run": (2 * 1024, 0), "none": (0, 0)}[kind]  # an enumeration looks at its sites first
    assert Counting.seen - looks == found.probe.evaluations == (2 + 2 + 4) * 48 + beside


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_what_is_due_is_counted_without_asking_each_step(steps: int) -> None:
    for every in (None, 0, 1, 3, 10, 50):
        configuration = configured(steps=steps, probe_every=every, evaluate_every=every)
        for what in ("probe", "evaluate"):
            for after in range(-1, steps + 1):
                wanted = sum(configuration.due(what, step) for step in range(after + 1, steps + 1))  # type: ignore[arg-type]
                assert configuration.due_after(what, after) == wanted, (every, what, after)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "times"),
    [
        ((TOY,), ("8.3", "4.2", "93%", "3%")),
        (("model=binary_vae", "model.latents=4", "bound_samples=5"), ("9.3", "4.6", "83%", "13%")),
    ],
)
def test_a_training_is_as_large_as_it_was_said_to_be(
    model: tuple[str, ...], times: tuple[str, ...], empty: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock on which each piece of work takes 10 ms: by a busy machine's own a share may be anything, 0 and 100 % too."""
    monkeypatch.setattr(training_forecast, "seconds", lambda work, device: (work(), 0.01)[1])
    words = (*SMALL, *model)
    code, out, err = inside(*words, "--dry-run")
    line, total = out.splitlines()
    told = said(line)
    assert code == 0 and "predicted from 1 kinds of training" in err and not (empty / "outputs").exists()
    assert told["evaluations"] == said(total)["evaluations"] == str(2 * 20 * 2) and "about" in total
    assert tuple(told[key] for key in ("seconds", "seed_seconds", "probes", "evaluating")) == times
    assert inside(*words, "-q")[0] == 0
    stored = sum(path.stat().st_size for path in empty.rglob("*-seed*.npz"))
    assert float(told["checkpoints"].removesuffix("kB")) * 1000 == pytest.approx(stored, rel=0.1)
    assert inside(*words, "--dry-run")[1].splitlines()[-1] == "total      1 trainings, 0 to make"


def test_half_a_training_costs_half(empty: Path, inside: Inside) -> None:
    assert inside(*SMALL, TOY, "-q")[0] == 0
    (path,) = empty.rglob("training.json")
    path.unlink()
    folder = TrainingDirectory(path.parent)
    state = folder.read_state(1)
    assert state is not None
    folder.write_state(dataclasses.replace(state, step=15))
    code, out, err = inside(*SMALL, TOY, "--dry-run", "-q")
    assert (code, err) == (0, "") and out.startswith("unfinished")
    assert said(out)["evaluations"] == "10"  # seed 0 is at its end, seed 1 has five steps of two evaluations left


def test_trainings_of_one_shape_are_timed_once(empty: Path, monkeypatch: pytest.MonkeyPatch, inside: Inside) -> None:
    """Seeds, rates and more steps are of one kind, and cost what their steps do; another estimator is of another."""
    cells = planned(["-m", "seed=0,1", "steps=20,20000", "optimizer.lr=0.1,0.2", TOY, *SMALL[1:3]]).cells
    clerk = Clerk()
    bills = [clerk.bill(cell) for cell in cells]
    assert len(clerk.kinds) == 1 and len({bill.seconds for bill in bills}) == 2
    (one,) = clerk.kinds
    short, *_, long = sorted(bill.seconds or 0.0 for bill in bills)
    assert one.times is not None and long - short == pytest.approx(19980 * one.times.step)
    clerk.bill(planned(["estimator=disarm", TOY]).cells[0])
    assert len(clerk.kinds) == 2
    # Beyond the time there is they are counted.
    monkeypatch.setattr(kinds, "MOST_SECONDS", 0.0)
    code, out, err = inside(*SMALL, TOY, "--dry-run")
    assert code == 0 and "seconds=? checkpoints~" in out and "about" not in out and "not timed: 1 kinds of training" in err


def test_a_forecast_changes_nothing() -> None:
    """A training after a forecast has the bits of one without, and what an estimator learns for itself too."""
    settings = {"estimator": {"name": "rebar"}, "steps": 5, "probe": [{"name": "reinforce", "baseline": "moving_average", "warmup": 3}]}
    plain, after = Session(configured(**settings)), Session(configured(**settings))
    assert forecast(after).times is not None
    first, second = (session.trajectory(0, None).state().arrays for session in (plain, after))
    assert first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_seeds_beside_each_other() -> None:
    assert together([3.0, 3.0], 1) == 6.0
    assert together([3.0, 3.0, 3.0], 2) == pytest.approx(6.0 * 2 / speed(2))  # the third has a worker for itself, and waits for it
