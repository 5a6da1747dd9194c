"""`gsx train` as a user meets it: killed and resumed, swept, refused, and measured at what it has learnt."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from gsx.cli.train import carry_out, planned
from gsx.cli.train_summary import _to
from gsx.records import Training
from gsx.store import TrainingDirectory
from tests.cli.conftest import Inside
from tests.cli.process import flip, gsx, one_line, running, wait_for

SMALL = ("train", "estimator=rloo", "steps=40", "model.logits=[0.5,-1]", "evaluate_every=20")


def training(folder: Path) -> tuple[Path, dict[str, Any]]:
    (path,) = folder.rglob("training.json")
    return path.parent, json.loads(path.read_text(encoding="utf-8"))


def numbers(folder: Path) -> list[str]:
    """The lines of a curve, but for the time they took."""
    return [line for line in (folder / "curve.csv").read_text().splitlines() if ",seconds," not in line]


#: Estimators that learn for themselves, several seeds, and checkpoints at every other step.
LEARNING = (
    "train",
    "model.logits=[0.5,-1]",
    "estimator=rebar",
    "probe=[nvil,{name: reinforce, baseline: moving_average, warmup: 4}]",
    "probe_replicates=32",
    "probe_every=100",
    "reference.kind=none",
    "evaluate_every=100",
    "seeds=2",
    "steps=300",
    "checkpoint_every=20",
)


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path, inside: Inside) -> None:
    """SIGKILL, other workers than before: the same parameters and the same curve, to the last bit."""
    code, _, err = inside(*LEARNING, "workers=1", "name=whole", "checkpoint_every=150", "-q")
    assert code == 0, err
    whole, body = training(tmp_path / "outputs" / "whole")
    moments, killed = random.Random(3), 0
    for workers in (2, 1):
        with running(*LEARNING, f"workers={workers}", "name=killed", cwd=tmp_path) as process:
            wait_for(lambda: [*tmp_path.glob("outputs/killed/*/state-*"), *tmp_path.glob("outputs/killed/*/training.json")], process, 200)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0.1, 0.7))
            killed += process.poll() is None
    assert killed >= 1
    gsx(*LEARNING, "workers=2", "name=killed", cwd=tmp_path)
    pieces, other = training(tmp_path / "outputs" / "killed")
    assert other["status"] == "complete" and other["training_id"] == body["training_id"]
    assert other["parameters"] == body["parameters"] and len(set(body["parameters"].values())) == 2
    assert numbers(pieces) == numbers(whole)
    assert not list(pieces.rglob("*.tmp"))


def test_an_unfinished_training_can_be_looked_at(tmp_path: Path, inside: Inside) -> None:
    """Each checkpoint leaves the curves of all seeds so far; what was killed is reported as partial, with them."""
    words = ("train", "model.logits=[0.5,-1]", "estimator=rloo", "probe_replicates=32", "seeds=2", "steps=1000000", "evaluate_every=100")

    def seen() -> Training | None:
        found = [TrainingDirectory(path.parent).read() for path in tmp_path.rglob("training.json")]
        return found[0] if found and found[0] is not None and {point.seed for point in found[0].curve} == {0, 1} else None

    left = None
    for _ in range(5):  # it may be killed between two files, and leaves no curve then; it goes on, and is killed again
        with running(*words, "workers=2", "probe_every=0", "checkpoint_every=1000", cwd=tmp_path) as process:
            wait_for(seen, process, 120)
            time.sleep(0.05)
        if (left := seen()) is not None:
            break
    assert left is not None and left.status == "partial" and left.summary == {}
    losses = [point.value for point in left.curve if point.metric == "exact_loss" and point.seed == 1]
    assert len(losses) >= 11 and losses[-1] < losses[0]  # 1000 / 100, and the start
    code, _, err = inside("report")
    assert code == 0, err
    assert ": partial" in (tmp_path / "outputs" / "report" / "report.md").read_text(encoding="utf-8")


def test_the_life_of_a_training(empty: Path, inside: Inside) -> None:
    code, out, err = inside(*SMALL, "--dry-run")
    assert code == 0 and out.startswith("new ") and not (empty / "outputs").exists(), err
    code, out, err = inside(*SMALL, "-q")
    assert code == 0 and "exact loss" in out and "variance of rloo" in out and err == ""
    folder, body = training(empty)
    assert re.fullmatch(r"train-bernoulli_toy-logits_0.5_-?_?1-rloo-n2-[0-9a-f]{12}", folder.name), folder.name
    assert body["status"] == "complete" and body["seeds"] == [0]
    assert "complete" in inside(*SMALL, "--dry-run")[1]
    before = (folder / "training.json").read_bytes()
    code, _, err = inside(*SMALL)
    assert code == 0 and "complete already" in err and (folder / "training.json").read_bytes() == before
    # A damaged curve is said, and what it says is the way out.
    flip(folder / "curve.csv", b"variance", 2)
    code, _, err = inside(*SMALL)
    assert code == 6 and "curve.csv: " in one_line(err) and "remove training.json, and the same command makes it anew from the ch" in err
    (folder / "training.json").unlink()
    assert inside(*SMALL, "-q")[0] == 0
    assert training(empty)[1]["parameters"] == body["parameters"]


def test_a_run_at_trained_parameters(empty: Path, inside: Inside) -> None:
    """Of the folder, of the file, of a copy of it: the same result, for the parameters are what is meant; another one without them."""
    assert inside(*SMALL, "-q")[0] == 0
    folder, _ = training(empty)
    copied = empty / "elsewhere.npz"
    copied.write_bytes((folder / "parameters-seed0.npz").read_bytes())
    run = ("run", "model.logits=[0.5,-1]", "num_replicates=1024", "--dry-run")
    shown = [inside(*run, f"model.checkpoint={path}")[1].split()[1] for path in (folder, folder / "parameters-seed0.npz", copied)]
    assert shown[0] == shown[1] == shown[2] and "-at_" in shown[0]
    assert "-at_" not in inside(*run)[1]
    code, out, err = inside(*run[:-1], f"model.checkpoint={copied}")
    assert code == 0 and "unbiased" in out, err
    # A training goes on from there.
    code, _, err = inside(*SMALL, f"model.checkpoint={folder}", "name=more", "-q")
    assert code == 0, err
    first = TrainingDirectory(folder).read()
    second = TrainingDirectory(training(empty / "outputs" / "more")[0]).read()
    assert first is not None and second is not None
    ends, starts = ([p.value for p in one.curve if p.metric == "exact_loss"] for one in (first, second))
    assert starts[0] == pytest.approx(ends[-1], abs=1e-12)


def test_a_checkpoint_of_several_seeds(empty: Path, inside: Inside) -> None:
    """A folder is its first seed, which is said, once for all cells; a file is what it is. Quiet, and of one seed, nothing is said."""
    assert inside(*SMALL, "seeds=3", "workers=1", "-q")[0] == 0
    folder, _ = training(empty)
    run = ("run", "model.logits=[0.5,-1]", "num_replicates=1024", "--dry-run")
    said = f"model.checkpoint={folder}: takes parameters-seed0.npz of 3 seeds; name the file for another, parameters-seed1.npz to"
    for words in (("run", "-m", "seed=0,1", *run[1:]), ("train", *SMALL[1:], "name=more", "--dry-run")):
        code, _, err = inside(*words, f"model.checkpoint={folder}")
        assert code == 0 and err.count(said) == 1, err
    for quiet in ("-q", f"model.checkpoint={folder}/parameters-seed2.npz"):
        assert "of 3 seeds" not in inside(*run, f"model.checkpoint={folder}", quiet)[2]


def test_a_sweep(empty: Path, inside: Inside) -> None:
    code, out, err = inside("train", "-m", "estimator=rloo,exact", "steps=5", "seed=0,1")
    assert code == 0 and "4 trainings: 4 ran" in out, err
    sweep = ("train", "-m", "estimator=rloo,exact", "steps=5", "seed=0,1")
    assert "4 trainings: 4 skipped" in inside(*sweep)[1]
    held = TrainingDirectory(next(empty.rglob("training.json")).parent)
    (plan,) = empty.rglob("sweep-*")  # and none of the sweep that had nothing to do
    away = held.path.rename(empty / "away")
    code, out, _ = inside("status")
    (missing,) = (line for line in out.splitlines() if line.startswith("missing "))
    assert code == 1 and out.endswith("3 done, 1 missing\n") and f"{held.path.relative_to(empty)}  {plan.relative_to(empty)}, " in missing
    assert inside("verify")[0] == 0
    away.rename(held.path)
    ended = (held.path / "training.json").rename(empty / "ended")
    with held.lock():
        code, out, err = inside(*sweep)
    assert code == 7 and "4 trainings: 3 skipped, 1 busy" in out, err
    work = planned([*sweep[1:], "-q"])
    ended.rename(held.path / "training.json")  # by the process that held it, meanwhile
    with held.lock():
        assert carry_out(work) == 0
    code, out, err = inside(
        "train", "-m", "optimizer=sgd", "model=gaussian_toy", "estimator=reparameterization", "optimizer.lr=0.01,1e38", "steps=9"
    )
    assert code == 1 and "1 ran, 1 failed" in out, err
    (said,) = empty.rglob("error.txt")
    assert "diverges" in said.read_text()


def test_damaged_trainings_cost_themselves_alone(empty: Path, inside: Inside) -> None:
    sweep = ("train", "-m", "estimator=rloo", "steps=5", "probe_every=0", "reference.kind=none", "seed=0,1,2", "-q")
    assert inside(*sweep)[0] == 0
    seeds = {body["seeds"][0]: path.parent for path in empty.rglob("training.json") for body in [json.loads(path.read_text())]}
    whole, torn, linked = (seeds[seed] for seed in range(3))
    (torn / "training.json").write_text("{")
    code, out, err = inside(*sweep[:-2], "seed=1,0,3", "--fail-fast", "-q")
    assert code == 1 and out.splitlines()[-1] == "3 trainings: 1 skipped, 1 failed, 1 missing", err
    (linked / "link").symlink_to(whole)
    code, out, err = inside(*sweep)
    assert code == 1 and out.splitlines()[-1] == "3 trainings: 1 skipped, 2 failed", err
    assert f"failed: {torn.relative_to(empty)}/error.txt: " in out and "training.json: no JSON" in out and "link: is a symbolic link" in out
    assert [inside("train", *sweep[2:-2], f"seed={seed}", "-q")[0] for seed in (0, 1, 2)] == [0, 6, 6]
    (torn / "training.json").unlink()
    (linked / "link").unlink()
    code, out, err = inside(*sweep)
    assert code == 0 and out.splitlines()[-1] == "3 trainings: 1 ran, 2 skipped" and not list(empty.rglob("error.txt")), err


def test_numbers_go_as_far_as_their_error() -> None:
    told = [_to(value, 0.1034) for value in (7.63543, 6.36121, -123456.789)] + [_to(1.23456e-9, 3e-11), _to(1234.5678, 230.0)]
    assert told == ["7.64", "6.36", "-123456.79", "1.235e-09", "1230"] and _to(0.123456789, 0.0) == "0.123457"


REFUSED = {
    "train steps=0": ["steps=0", "at least 1"],
    "train step=10": ["step=10", "did you mean steps?"],
    "train optimizer=adamm": ["optimizer=adamm", "unknown", "adam"],
    "train optimizer.lr=-1": ["optimizer.lr=-1: must be positive"],
    "train optimizer=sgd optimizer.nesterov=true": ["optimizer=sgd: Nesterov momentum requires a momentum"],
    "train reference=long_run": ["reference=long_run: holds settings, not a value: reference.kind, reference.estimator"],
    "train optimizer.lrr=1": ["optimizer.lrr=1", "unknown key", "optimizer.lr"],
    "train num_replicates=3": ["num_replicates=3", "unknown key"],
    "train probe=rloo": ["probe=rloo", "list, like [rloo]"],
    "train probe=rlo": ["probe=rlo", "list, like [rloo]"],
    "train probe=[disarm,rlo]": ["probe[1]=rlo: unknown; did you mean rloo?"],
    "train probe=[rebar,nosuch]": ["probe[1]=nosuch: unknown; gsx list estimators names all "],
    "train probe=[concrete,rloo,concrete]": ["probe[2]=concrete: is there already, as probe[0]"],
    "train probe=[{name:rloo,num_samples:4},{num_samples:4,name:rloo}]": ["probe[1]=", "is there already, as probe[0]"],
    "train probe=[{name:concrete,temperature:0}]": ["probe[0].temperature=0", "must be positive"],
    "train estimator=rloo probe=[rloo,reparameterization]": ["probe[1]=reparameterization", "Normal"],
    "train probe=[{nam:rloo}]": ["probe[0].nam=rloo", "did you mean name?"],
    "train probe=[{name:concrete,num_sample:2}]": ["probe[0].num_sample=2", "did you mean num_samples?"],
    "train probe=[{name:concrete,temprature:2}]": ["probe[0].temprature=2", "did you mean temperature?"],
    "train estimator=concrete model=gaussian_toy": ["estimator=concrete", "Bernoulli"],
    "train schedule={learning_rate:3}": ["schedule.learning_rate=3"],
    "train model=binary_vae data=mnist data.root=nowhere": ["data.root=nowhere", "no such folder"],
    "run model.checkpoint=nowhere": ["model.checkpoint=nowhere", "no such file"],
    "train steps=1,2": ["steps=1,2", "-m"],
}


@pytest.mark.parametrize("words", REFUSED)
def test_refusals(words: str, empty: Path, inside: Inside) -> None:
    code, out, err = inside(*words.split())
    assert code == (3 if "mnist" in words else 2) and out == "" and not (empty / "outputs").exists()
    said = one_line(err)
    assert all(part in said for part in REFUSED[words]), said


def test_a_checkpoint_of_another_model(empty: Path, inside: Inside) -> None:
    assert inside(*SMALL, "-q")[0] == 0
    folder, _ = training(empty)
    wrong = f"model.checkpoint={folder}: parameters of another model: "
    code, _, err = inside("run", "model=binary_vae", f"model.checkpoint={folder}")
    assert code == 2 and f"{wrong}it has no decoder.0.bias, binary_vae has" in one_line(err)
    code, _, err = inside("run", f"model.checkpoint={folder}")
    assert code == 2 and f"{wrong}logits is [2] there, [8] in bernoulli_toy with these settings" in one_line(err)
    flip(folder / "parameters-seed0.npz", b"param.logits.npy", 150)
    code, _, err = inside("run", "model.logits=[0.5,-1]", f"model.checkpoint={folder}")
    assert code == 6 and "parameters-seed0.npz" in one_line(err) and "model.checkpoint takes" in err and "force" not in err
    for strange in ("training.json", "curve.csv", "parameters-seed0.npz"):
        code, _, err = inside("run", "model.logits=[0.5,-1]", f"model.checkpoint={folder / strange}")
        assert code == 6 and one_line(err).startswith(f"model.checkpoint={folder / strange}: ") and "takes the folder" in err
        assert err.count(strange) == 1 and "force" not in err


def test_a_checkpoint_of_other_versions(empty: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inside(*SMALL, "-q")[0] == 0
    folder, _ = training(empty)
    (folder / "training.json").unlink()
    monkeypatch.setattr(torch, "__version__", "0.0")
    code, _, err = inside(*SMALL)
    assert code == 6 and "torch was" in one_line(err)


def test_without_tensorboard_it_is_refused(empty: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard" or name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it were not installed
    code, _, err = inside(*SMALL, "tensorboard=true")
    assert code == 2 and "pip install gsx[tensorboard]" in one_line(err) and not (empty / "outputs").exists()


def test_tensorboard_reads_the_curve(empty: Path, inside: Inside) -> None:
    """By TensorBoard's own reader, number for number; resuming adds none twice, and the identity does not know of it."""
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="pip install gsx[tensorboard]")
    code, _, err = inside(*SMALL, "tensorboard=true", "seeds=2", "workers=1", "-q")
    assert code == 0, err
    folder, _ = training(empty)
    stored = TrainingDirectory(folder).read()
    assert stored is not None
    for seed in (0, 1):
        events = reading.EventAccumulator(str(folder / "tensorboard" / f"seed{seed}"))
        events.Reload()
        told = {(tag, event.step): event.value for tag in events.Tags()["scalars"] for event in events.Scalars(tag)}
        curve = [point for point in stored.curve if point.seed == seed]
        wanted = {("/".join(filter(None, (p.metric, p.split, p.estimator))), p.step): p.value for p in curve}
        assert told.keys() == wanted.keys() and {"exact_loss", "variance/rloo", "cosine/rloo"} <= {tag for tag, _ in told}
        assert told == pytest.approx(wanted, rel=1e-6, nan_ok=True)  # events are float32
    assert "complete" in inside(*SMALL, "seeds=2", "--dry-run")[1]


def test_help(empty: Path) -> None:
    out = gsx("train", "--help", cwd=empty).stdout
    assert "gsx train optimises" in out and "optimizer: adam, rmsprop, sgd" in out
    assert not any(line.startswith(("experiment: ", "reference: ", "tune: ")) and "#" not in line for line in out.splitlines())
    assert "tune:                      # of what an estimator learns for itself" in out and "\n  wrt: auto                # whose" in out
