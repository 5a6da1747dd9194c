"""What the report says on trainings: a page each whatever their state, counted, told apart, found again by their parameters."""

import dataclasses
import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gsx.cli.cell import plan, prepared
from gsx.cli.compose import composed, composing
from gsx.cli.report import command
from gsx.cli.train_cell import plan as plan_training
from gsx.records import Parameters
from gsx.report import build, report, rerun, trainings
from gsx.report.html import curves
from gsx.store import TrainingDirectory, write_parameters
from tests.fuzz.test_reports import planned
from tests.report import factory
from tests.report.test_html import HOSTILE, Outline
from tests.report.trainings import Row, vae, write

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MOST_FIGURES", 0)


def finished(root: Path, estimator: str = "rloo", *, seeds: tuple[int, ...] = (0, 1), **config: Any) -> TrainingDirectory:
    """A training with parameters at the end of each seed, and how it ended."""
    directory = TrainingDirectory(vae(root, estimator, -100.0, {estimator: 1.0}, seeds=seeds, **config))
    training = directory.read()
    assert training is not None
    parameters = {seed: Parameters({"logits": np.array([0.25 + seed, -1.5])}) for seed in seeds}
    summary = {"elbo.test": {"value": -101.25, "se": 0.0625, "ci": [-102.0, -100.5], "seeds": [-101.3125, -101.1875]}}
    provenance = {"torch": "2.0", "command": "gsx train estimator=rloo", "environment": {"TOKEN": "secret"}}
    directory.write(dataclasses.replace(training, parameters=parameters, summary=summary, provenance=provenance))
    return directory


def made(root: Path) -> tuple[Outline, dict[str, dict[str, Any]]]:
    """The page, and title -> section of each page in it."""
    report([root / "outputs"], root / "report", html=True)
    seen = Outline((root / "report/report.html").read_text())
    pages = json.loads(seen.raw["script"][-1])
    return seen, {name: {section["title"]: section for section in page["sections"]} for name, page in pages.items()}


def every_state(root: Path) -> None:
    finished(root)
    write(root, "disarm", [(0, 40, "train", "", "loss", 1.0, 0.1)], status="partial", seeds=(0, 3))
    TrainingDirectory(root / "default/train-toy-arms-0123").write_error("Traceback\n  ...\nValueError: nonfinite loss")
    (root / "default/train-toy-killed-0123").mkdir()
    (root / "default/train-toy-killed-0123/.lock").touch()
    torn = vae(root, "rebar", -100.0, {"rebar": 1.0})
    (torn / "training.json").write_text((torn / "training.json").read_text().replace("rebar", "relax"))


# ----------------------------------------------------------------------------------------------------------------------- pages


def test_every_training_has_a_page_that_its_row_opens(tmp_path: Path) -> None:
    every_state(tmp_path / "outputs")
    seen, pages = made(tmp_path)
    links = [str(attributes["href"])[1:] for tag, attributes in seen.tags if tag == "a" and "#training-" in str(attributes.get("href"))]
    assert links == list(pages) and len(links) == 5
    states = [page["Training"]["pairs"][1][1].partition(":")[0] for page in pages.values()]
    assert sorted(states) == ["complete", "failed", "partial", "partial", "unreadable"]
    assert "ValueError: nonfinite loss" in seen.text and "sha256" in seen.text


def test_the_page_of_a_training(tmp_path: Path) -> None:
    directory = finished(tmp_path / "outputs", optimizer={"name": "adam", "lr": 0.01})
    _, pages = made(tmp_path)
    (page,) = pages.values()
    folder = f"outputs/default/{directory.path.name}"
    assert page["How it ended"]["rows"] == [["ELBO, test", "-101.25(6)", "[-102.00, -100.50]", "-101.31, -101.19"]]
    digests = directory.digests()
    assert page["Seeds"]["rows"] == [[str(k), "2000 of 2000", f"parameters-seed{k}.npz", digests[k]] for k in (0, 1)]
    assert ["torch", "2.0"] in page["Provenance"]["pairs"] and "secret" not in json.dumps(page)
    assert ["optimizer.lr", "0.01"] in page["Configuration"]["pairs"]
    assert page["Train it again"]["code"] == [
        "gsx train estimator=rloo model=binary_vae model.batch=null steps=2000 num_samples=1 optimizer.lr=0.01"
    ]
    measured = [
        f"gsx run estimator=rloo model=binary_vae model.batch=null num_samples=1 model.checkpoint={folder}/parameters-seed{k}.npz"
        for k in (0, 1)
    ]
    assert page["Measure at its parameters"]["code"] == measured
    assert page["Draw it again"]["code"] == [f"gsx report {folder} --html --out outputs/report-of-{directory.path.name}"]
    assert page["As it was typed"]["code"] == ["gsx train estimator=rloo"]


def test_a_page_tells_the_reference_of_a_cosine_that_was_measured(tmp_path: Path) -> None:
    reference = {"kind": "closed_form"}
    vae(tmp_path / "outputs", "rloo", -100.0, {"rloo": 1.0}, seeds=(0,), reference=reference)
    write(tmp_path / "outputs", "arms", [(0, 40, "train", "", "loss", 1.0, math.nan)], seeds=(0,), reference=reference, probe_every=0)
    _, pages = made(tmp_path)
    told = {name: page.get("Reference of the cosine") for name, page in pages.items()}
    assert [section and section["pairs"] for section in told.values()] == [None, [["kind", "closed form: exact"]]]


def test_parameters_that_are_gone_or_changed_are_said_and_not_measured_at(tmp_path: Path) -> None:
    directory = finished(tmp_path / "outputs", seeds=(0, 1, 2))
    (directory.path / "parameters-seed0.npz").unlink()
    write_parameters(directory.path / "parameters-seed1.npz", Parameters({"logits": np.zeros(2)}))
    _, pages = made(tmp_path)
    (page,) = pages.values()
    assert ["missing" in row[2] for row in page["Seeds"]["rows"]] == [True, True, False]
    (command,) = page["Measure at its parameters"]["code"]
    assert command.endswith("parameters-seed2.npz")


def test_what_an_unfinished_training_goes_on_from(tmp_path: Path) -> None:
    folder = tmp_path / "outputs/default/train-toy-killed-0123"
    folder.mkdir(parents=True)
    for name in (".lock", "state-seed10.npz", "state-seed2.npz"):
        (folder / name).touch()
    _, pages = made(tmp_path)
    (page,) = pages.values()
    assert page["Checkpoints to go on from"]["text"] == "state-seed2.npz, state-seed10.npz"
    assert "resumes" in page["Train it again"]["text"]


def test_a_hostile_training_is_text(tmp_path: Path) -> None:
    rows = [(0, 1, "train", "", "loss", 1.0, 0.1)]
    folder = write(tmp_path / "outputs", "rloo", rows, note=HOSTILE, plugins=["${oc.env:HOME}"])
    directory = TrainingDirectory(folder)
    training = directory.read()
    assert training is not None
    directory.write(dataclasses.replace(training, model=HOSTILE, estimator=HOSTILE, provenance={"torch": HOSTILE, "command": [HOSTILE]}))
    seen, pages = made(tmp_path)
    assert not [tag for tag, _ in seen.tags if tag == "img"] and seen.text.count("<img src=x") >= 2
    (page,) = pages.values()
    assert "No command says" in page["Train it again"]["text"]


# -------------------------------------------------------------------------------------------------------------- counts and names


@pytest.mark.parametrize("flags", [[], ["--html"]])
def test_the_terminal_counts_trainings(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every_state(tmp_path / "outputs")
    factory.make(tmp_path / "outputs")
    assert command([str(tmp_path / "outputs"), "--out", str(tmp_path / "r"), *flags]) == 0
    said = capsys.readouterr().out
    told = "1 run: 1 complete; 5 trainings: 1 complete, 2 partial, 1 failed, 1 unreadable"
    assert told in said and told in (tmp_path / "r/report.md").read_text()
    assert re.search("train-binary_vae-rebar.*: unreadable: training.json", said)


def test_a_folder_of_trainings_only_is_named_and_counted(tmp_path: Path) -> None:
    for estimator in ("rloo", "arms"):
        finished(tmp_path / "outputs", estimator, name="lessons")
    seen, _ = made(tmp_path)
    assert re.search(r"\nlessons\s+How each of these 2 trainings went, from stored results only.\s+2\s*trainings", seen.text)
    assert "0 runs" not in seen.text and ("section", "runs") not in [(tag, a.get("id")) for tag, a in seen.tags]
    assert "gsx train estimator=rloo" in (tmp_path / "report/report.md").read_text()


def test_trainings_that_are_alike_are_told_apart_by_where_they_lie(tmp_path: Path) -> None:
    for name in ("first", "second"):
        finished(tmp_path, name=name)
    finished(tmp_path, "arms")
    (course,), _ = trainings.collect([tmp_path])
    assert [t.label for t in course.trajectories] == ["arms", "rloo name=first", "rloo name=second"]
    finished(tmp_path, "arms", num_samples=2)
    (course,), _ = trainings.collect([tmp_path])
    assert [t.label for t in course.trajectories][2:] == ["rloo name=first", "rloo name=second"]
    assert all("name" not in t.label for t in course.trajectories[:2])


# ------------------------------------------------------------------------------------------------- measured at trained parameters


def measured(root: Path, digest: str) -> None:
    factory.make(root, "arm", model="binary_vae", model_settings={"checkpoint": digest}, samples=2, data="digits")


def test_a_run_at_the_parameters_of_a_training_names_them(tmp_path: Path) -> None:
    directory = finished(tmp_path / "outputs", name="lessons")
    digest = directory.digests()[1]
    measured(tmp_path / "outputs", digest)
    _, pages = made(tmp_path)
    (run,), (training,) = ([name for name in pages if name.startswith(kind)] for kind in ("run-", "training-"))
    file = f"outputs/lessons/{directory.path.name}/parameters-seed1.npz"
    about = dict(pages[run]["Parameters it was measured at"]["pairs"])
    assert about == {"training": [f"lessons/{directory.path.name}", training], "seed": "1", "steps": "2000", "file": file, "sha256": digest}
    (command,) = pages[run]["Measure it again"]["code"]
    assert f"model.checkpoint={file}" in shlex.split(command) and digest not in command


def test_parameters_known_by_their_digest_only_are_no_path(tmp_path: Path) -> None:
    """No training has them; or one says so, and its file holds others."""
    directory = finished(tmp_path / "outputs")
    write_parameters(directory.path / "parameters-seed0.npz", Parameters({"logits": np.zeros(2)}))
    for number, digest in enumerate(("f" * 64, directory.digests()[0])):
        measured(tmp_path / "outputs", digest)
        _, pages = made(tmp_path)
        runs = [page for name, page in pages.items() if name.startswith("run-")]
        assert len(runs) == number + 1
        for run in runs:
            assert "code" not in run["Measure it again"] and "model.checkpoint=FILE" in run["Measure it again"]["text"]
            assert ["training", "none of this report has them"] in run["Parameters it was measured at"]["pairs"]


def test_the_command_measures_at_the_same_parameters(tmp_path: Path) -> None:
    file = tmp_path / "parameters-seed0.npz"
    write_parameters(file, Parameters({"logits": np.array([0.5, -1.0])}))
    with composing():
        given = ["estimator=rloo", "num_samples=2", "model.logits=[0.5,-1]", f"model.checkpoint={file}"]
        asked = plan(given)
        config = json.loads(json.dumps(prepared(json.dumps(composed(given), sort_keys=True)).config))
        assert len(config["model"]["checkpoint"]) == 64
        assert plan(shlex.split(rerun.command(config, str(file)))[2:]).result_id == asked.result_id
    with pytest.raises(rerun.Inexpressible, match="digest"):
        rerun.command(config)


@pytest.mark.parametrize(
    "given",
    [
        ["estimator=rloo", "model=binary_vae", "num_samples=2", "optimizer.lr=0.002", "steps=20", "probe_every=0", "wrt=encoder"],
        [
            *("estimator=concrete", "optimizer=sgd", "optimizer.momentum=0.9", "seeds=3", "seed=2", "maximize=true", "name=my-name"),
            "schedule={learning_rate:{from:1e-3,to:1e-4,steps:10},estimator.temperature:{from:1.0,to:0.5,rate:1e-2,every:5}}",
            *("probe=[rloo,{name: nvil, num_samples: 3}]", "reference.kind=none", "tune.kind=none"),
        ],
    ],
)
def test_the_command_trains_the_same_thing(given: list[str]) -> None:
    with composing():
        asked = plan_training(given)
        config = json.loads(json.dumps(asked.config))
        words = shlex.split(rerun.command(config, program="train"))
        assert words[:2] == ["gsx", "train"]
        again = plan_training(words[2:])
        assert again.result_id == asked.result_id and again.folder == asked.folder


# ------------------------------------------------------------------------------------------------------------------------- links


def test_a_folder_that_is_a_link_is_unreadable_and_nothing_behind_it_is_read(tmp_path: Path) -> None:
    """Of a run, of a training, of many; and what only holds a link."""
    away, here = tmp_path / "away", tmp_path / "outputs"
    run, training = factory.make(away, "rloo", samples=2), finished(away).path
    factory.make(here, "arm", samples=2)
    (here / "default/rloo-n2-0123").symlink_to(run)
    (here / "default/train-rloo-0123").symlink_to(training)
    (here / "many").symlink_to(away)
    holding = factory.make(here, "disarm", samples=2)
    (holding / "segments.npz").rename(away / "segments.npz")
    (holding / "segments.npz").symlink_to(away / "segments.npz")
    done = report([here], tmp_path / "report", html=True)
    assert done.counts == {"complete": 1, "partial": 0, "failed": 0, "unreadable": 3, "missing": 0}
    assert done.trainings == {"complete": 0, "partial": 0, "failed": 0, "unreadable": 1, "missing": 0}
    assert done.table.count("symbolic link") == 4 and "-101.25" not in done.table
    everything = "".join(path.read_text() for path in (tmp_path / "report").rglob("*.*"))
    assert "away" not in everything and str(tmp_path) not in everything
    # What the user names is entered.
    assert report([here / "many"], tmp_path / "r").counts["complete"] == 1


def test_no_finding_is_measured_behind_a_link(tmp_path: Path) -> None:
    folder = planned(tmp_path / "outputs")
    scoreboard = tmp_path / "r/tables/scoreboard.csv"
    report([tmp_path / "outputs"], tmp_path / "r")
    assert ",reproduced," in scoreboard.read_text()
    folder.rename(tmp_path / "away")
    folder.symlink_to(tmp_path / "away")
    report([tmp_path / "outputs"], tmp_path / "r")
    assert ",missing," in scoreboard.read_text()


# ---------------------------------------------------------------------------------------------------------------------- curves


def test_a_page_has_the_curves_and_the_wall_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MOST_FIGURES", 1)
    rows: list[Row] = []
    for seed in (0, 3):
        for i in range(301):
            rows.append((seed, 10 * i, "test", "", "elbo", -100.0 + i / 100, math.nan))
            rows.append((seed, 10 * i, "train", "rloo", "variance", 10.0 ** (2 - i / 100), 0.1))
            rows.append((seed, 10 * i, "", "", "seconds", (seed + 1) * i / 10, math.nan))
    write(tmp_path / "outputs", "rloo", rows, seeds=(0, 3))
    seen, pages = made(tmp_path)
    (page,) = pages.values()
    told = dict(page["Training"]["pairs"])
    assert told["wall time"] == "150 s, by seed: 30 s, 120 s"
    assert told["figure"][1] in {attributes.get("id") for _, attributes in seen.tags}
    first, second = page["Curves"]["curves"]
    assert first["title"] == "ELBO, test, a line for each of 2 seeds"
    assert second["title"] == "gradient variance, rloo, log scale, a line for each of 2 seeds"
    assert [label[3] for label in first["labels"]] == ["-100", "0", "step 3000", "-97"]
    assert [label[3] for label in second["labels"]] == ["0.1", "0", "step 3000", "100"]
    for drawing, down in ((first, False), (second, True)):
        axis, *lines = drawing["lines"]
        assert axis.startswith("M") and len(lines) == 2
        for line in lines:
            at = [tuple(map(float, pair.split())) for pair in line[1:].split("L")]
            x, y = [a for a, _ in at], [b for _, b in at]
            assert len(at) <= curves.MOST_POINTS and x == sorted(x) and y == sorted(y, reverse=not down)
            assert x[-1] == curves.WIDTH - curves.RIGHT and {min(y), max(y)} <= {curves.TOP, curves.HEIGHT - curves.BOTTOM} | {y[0]}
            assert y[-1] == (curves.HEIGHT - curves.BOTTOM if down else curves.TOP)  # the end is never left out


@pytest.mark.parametrize("values", [[math.nan, math.inf, 1.0], [-1e308, 1e308, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0]])
def test_curves_of_whatever_there_is(tmp_path: Path, values: list[float]) -> None:
    rows: list[Row] = [(0, step, "train", "", "loss", value, math.nan) for step, value in enumerate(values)]
    rows += [(0, step, "train", "rloo", "variance", value, math.nan) for step, value in enumerate(values)]
    write(tmp_path / "outputs", "rloo", rows, seeds=(0,))
    _, pages = made(tmp_path)
    (page,) = pages.values()
    drawn = page.get("Curves", {"curves": []})["curves"]
    level = values == [1.0, 1.0, 1.0]
    assert len(drawn) == (2 if level else 1 if values == [0.0, 0.0, 0.0] else 0)
    assert not re.search("nan|inf", json.dumps(drawn))


# ---------------------------------------------------------------------------------------------------------------------- labels


def test_trainings_are_told_apart_by_the_fewest_settings() -> None:
    """Five differ; two are enough, and those of the model are taken before others. What only some have may tell them apart, too."""
    adam = {"optimizer.name": "adam", "optimizer.betas": [0.9, 0.999]}
    one = {"dtype": "float32", "model.logits": [0.0], "model.target": 0.45, "steps": 10} | adam
    other = one | {"model.target": 0.499}
    many = other | {"dtype": "float64", "model.logits": [0.0] * 200, "optimizer.name": "rmsprop", "steps": 20}
    del many["optimizer.betas"]
    short = {"model.logits": [0.0]}
    assert trainings._telling([one, other, many]) == [
        short | {"model.target": 0.45},
        short | {"model.target": 0.499},
        {"model.logits": [0.0] * 200, "model.target": 0.499},
    ]
    assert trainings._telling([one]) == [{}]
    assert trainings._telling([{"a": 1, "data.name": "digits"}, {"a": 2, "data.name": "mnist"}]) == [
        {"data.name": "digits"},
        {"data.name": "mnist"},
    ]
    assert trainings._telling([{}, {"only": 1}]) == [{}, {"only": 1}]
