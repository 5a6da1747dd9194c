"""`gsx reproduce`, on experiments of a user's own that are as small as can be."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
import shutil
from pathlib import Path

import pytest
import yaml

from gsx.cli import main
from gsx.cli.completion import suggestions
from gsx.cli.exact import _named, known_values
from gsx.cli.run import QUIET
from gsx.experiment import Experiment
from gsx.records import IntegrityError
from gsx.store import PlannedCell, read_experiment, read_parameters
from gsx.store.strict_json import sealed_json
from tests.cli.conftest import Inside

STEP = {
    "name": "sweep",
    "overrides": ["model.logits=[0.5]", "num_replicates=256", "block_size=4"],
    "sweep": {"estimator": ["reinforce", "rloo"], "num_samples": [2, 4]},
    "quick": {"overrides": ["num_replicates=64", "block_size=1"], "sweep": {"num_samples": [2]}},
}


def of(estimator: str, number: str = "variance") -> dict[str, object]:
    return {"step": "sweep", "where": {"estimator": estimator, "num_samples": 2}, "number": number}


TOY = {
    "title": "a toy",
    "source": "nobody (2020)",
    "notes": ["as read off"],
    "steps": [STEP],
    "findings": [
        {"says": "RLOO is below", "kind": "less", "left": of("rloo"), "right": of("reinforce")},
        {"says": "the gradient", "kind": "value", "published": 0.0235, "tolerance": 1e-4, "measured": of("rloo", "reference.logits[0]")},
        {"says": "off by three", "kind": "value", "published": 0.0238, "tolerance": 1e-4, "measured": of("rloo", "reference.logits[0]")},
    ],
}
TWO = {
    "title": "two steps, of which the first fails",
    "steps": [{"name": "broken", "overrides": ["estimator=nope"]}, STEP],
    "findings": [{"says": "nothing", "kind": "measured", "measured": {"step": "broken", "number": "variance"}}, TOY["findings"][0]],
}
CONF = "--config-dir=conf"


@pytest.fixture
def own(empty: Path) -> Path:
    folder = empty / "conf" / "experiment"
    folder.mkdir(parents=True)
    for name, data in (("toy", TOY), ("two", TWO)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(data))
    return empty


def verdicts(out: str) -> list[str]:
    return [line.split("|")[-2].strip().partition(" (")[0] for line in out.splitlines() if line.startswith("| t")]


def test_an_experiment_from_steps_to_verdicts(own: Path, inside: Inside) -> None:
    code, out, err = inside("reproduce", "toy", CONF)
    assert code == 0 and verdicts(out) == ["reproduced", "reproduced", "not reproduced"]
    assert out.splitlines()[-1] == "- 3 published findings: 2 reproduced, 1 not reproduced."
    assert "rloo / reinforce = " in out and "rloo below reinforce" in out and "0.0235 ± 0.0001" in out and "toy: as read off" in out
    assert "gsx run -m" in err and "4 cells: 4 ran" in err and "cells:" not in out  # what a step says is not the result

    stored = read_experiment(own / "outputs" / "toy")
    assert stored is not None and stored.size == "full" and stored.definition["title"] == "a toy"
    cells = stored.steps["sweep"].cells
    assert cells is not None and len(cells) == 4
    for cell in cells:
        body = json.loads((own / "outputs" / "toy" / cell.folder / "result.json").read_text())
        assert (body["result_id"], body["config"]) == (cell.result_id, cell.config)

    # Again: nothing is measured anew, and the same is said.
    code, again, err = inside("reproduce", "toy", CONF)
    assert (code, again) == (0, out) and "4 skipped" in err

    # The report says the same from the files alone; without a cell it is missing, and comes back.
    gone = next(cell for cell in cells if cell.config["estimator"]["name"] == "rloo" and cell.config["num_samples"] == 2)
    before = (own / "outputs" / "toy" / gone.folder / "result.json").read_text()
    assert board(inside) == ["reproduced", "reproduced", "not reproduced"]
    shutil.rmtree(own / "outputs" / "toy" / gone.folder)
    assert board(inside) == ["missing", "missing", "missing"]
    code, again, err = inside("reproduce", "toy", CONF)
    assert (code, again) == (0, out) and "1 ran, 3 skipped" in err
    after = (own / "outputs" / "toy" / gone.folder / "result.json").read_text()
    assert [json.loads(text)["moments_sha256"] for text in (before, after)] == [json.loads(before)["moments_sha256"]] * 2


def board(inside: Inside) -> list[str]:
    code, _, _ = inside("report", "outputs/toy", "--out", "report")
    assert code == 0
    with open("report/tables/scoreboard.csv", newline="") as stream:
        return [row["verdict"] for row in csv.DictReader(stream)]


def test_quiet(own: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the scoreboard, and what failed."""
    monkeypatch.setenv(QUIET, "")
    monkeypatch.delenv(QUIET)  # that it is forgotten behind this test
    code, out, err = inside("reproduce", "toy", "--quick", CONF, "-q")
    assert code == 0 and len(verdicts(out)) == 3 and err == ""
    code, out, err = inside("reproduce", "two", "--quick", CONF, "--quiet")
    assert code == 1 and [line.partition(": ")[0] for line in err.splitlines()] == ["gsx"] and "estimator=nope" in err


def test_what_waits_for_a_training(own: Path, inside: Inside) -> None:
    """Parameters that are not there yet are waited for; a path that is none is wrong now."""
    for checkpoint, code in (("nowhere", 0), ("3", 2)):
        data = TOY | {"steps": [STEP | {"overrides": [*STEP["overrides"], f"model.checkpoint={checkpoint}"]}]}
        (own / "conf" / "experiment" / "toy.yaml").write_text(yaml.safe_dump(data))
        found, out, err = inside("reproduce", "toy", CONF, "--dry-run")
        assert found == code, err
        assert ("waits      toy: sweep" in out) == (code == 0) and ("must be a path" in err) == (code == 2)


def test_exact_values_are_told_where_there_are_some(own: Path, inside: Inside) -> None:
    assert "toy-quick: exact values of 2 cells" in inside("reproduce", "toy", "--quick", CONF)[2]
    data = TOY | {"steps": [STEP | {"quick": {**STEP["quick"], "sweep": {"num_samples": [64]}}}], "findings": []}
    (own / "conf" / "experiment" / "toy.yaml").write_text(yaml.safe_dump(data))
    shutil.rmtree(own / "outputs")
    assert "exact values" not in inside("reproduce", "toy", "--quick", CONF)[2]


def test_what_has_no_exact_value_is_not_tried_again(own: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until there are other methods; and a plan that does not tell is a plan."""
    step = STEP | {"sweep": {"estimator": ["arms", "rloo"], "num_samples": [16]}}
    findings = [{"says": name, "kind": "measured", "measured": of(name) | {"where": {"estimator": name}}} for name in ("arms", "rloo")]
    (own / "conf" / "experiment" / "toy.yaml").write_text(yaml.safe_dump(TOY | {"steps": [step], "findings": findings}))
    assert "exact values of 1 cells" in inside("reproduce", "toy", CONF)[2]
    folder = own / "outputs" / "toy"
    stored = read_experiment(folder)
    assert stored is not None and len(stored.exact) == len(stored.not_exact) == 1 and not stored.exact.keys() & stored.not_exact.keys()
    with monkeypatch.context() as patch:
        patch.delattr("gsx.cli.exact._exact")
        assert inside("reproduce", "toy", CONF)[0] == 0
    assert read_experiment(folder) == stored
    with monkeypatch.context() as patch:
        patch.setattr("gsx.cli.exact._methods", lambda: "others")
        assert known_values(folder) == {"exact": stored.exact, "not_exact": {}}
    body = json.loads((folder / "experiment.json").read_text())
    (folder / "experiment.json").write_bytes(sealed_json({key: body[key] for key in body if key not in ("sha256", "not_exact")}))
    assert read_experiment(folder) == dataclasses.replace(stored, not_exact={})


def test_exact_values_of_what_has_learnt(own: Path, inside: Inside) -> None:
    """A baseline that was warmed up, or tuned, as it was for the measuring; and before the first step of a training, that of each seed."""
    baseline = ["estimator=reinforce", "estimator.baseline=mean", "model.logits=[0.5]"]
    first = {"metric": "variance", "to": 0}
    data = TOY | {
        "steps": [
            {"name": "run", "overrides": [*baseline, "num_replicates=1024"]},
            {"name": "tuned", "overrides": ["estimator=nvil", "model.logits=[0.5]", "tune.steps=200", "num_replicates=1024"]},
            {
                "name": "beside",
                "command": "train",
                "overrides": [
                    "model.logits=[0.5]",
                    "estimator=rloo",
                    "steps=2",
                    "seeds=2",
                    "workers=1",
                    "probe=[{name: reinforce, baseline: mean, warmup: 3}]",
                ],
            },
        ],
        "findings": [
            {"says": "run", "kind": "measured", "measured": {"step": "run", "number": "variance"}},
            {"says": "tuned", "kind": "measured", "measured": {"step": "tuned", "number": "variance"}},
            {"says": "rloo", "kind": "measured", "measured": {"step": "beside", "number": first | {"estimator": "rloo"}}},
            {
                "says": "beside",
                "kind": "measured",
                "measured": {"step": "beside", "number": first | {"estimator": "reinforce"}},
            },
        ],
    }
    (own / "conf" / "experiment" / "toy.yaml").write_text(yaml.safe_dump(data))
    code, out, err = inside("reproduce", "toy", CONF)
    assert code == 0 and err.count("exact values of 1 cells") == 2 and "exact values of 2 cells" in err, err
    assert not any("≠" in line for line in out.splitlines() if line.startswith("| toy"))
    stored = read_experiment(own / "outputs" / "toy")
    assert stored is not None and len(stored.exact) == 4
    p = 1 / (1 + math.exp(-0.5))
    f = [0.45**2, 0.55**2]
    of_run, of_tuned, of_rloo, of_seeds = (entry["variance"][0] for entry in stored.exact.values())
    # Leave-one-out of two: half the difference times the difference of the scores, where the two differ.
    assert of_rloo == pytest.approx((f[1] - f[0]) ** 2 * p * (1 - p) / 2 * (1 - 2 * p * (1 - p)), rel=1e-6)
    # A constant baseline, whatever it is, leaves at most this; and the best one this little.
    second = [p * (1 - p) * ((1 - p) * (f[1] - c) ** 2 + p * (f[0] - c) ** 2) for c in (0.0, (1 - p) * f[1] + p * f[0])]
    without, least = (moment - ((f[1] - f[0]) * p * (1 - p)) ** 2 for moment in second)
    assert least <= of_run < 0.1 * without and of_run != of_seeds and least <= of_seeds < without
    assert least <= of_tuned < 0.1 * without


def test_exact_values_are_asked_of_the_cells_that_findings_name() -> None:
    cells = [PlannedCell(name, name, {"estimator": {"name": name}, "num_samples": 2}) for name in ("reinforce", "rloo")]
    for number, named in (("variance_times_evaluations", ["rloo"]), ("bias_sq", ["rloo"]), ("cosine", [])):
        finding = {"says": "a number", "kind": "measured", "measured": of("rloo", number)}
        experiment = Experiment.of(TOY | {"findings": [finding]}, "toy")
        assert [cell.folder for cell in _named(experiment, experiment.steps[0], cells)] == named


def test_exact_values_at_trained_parameters(own: Path, inside: Inside) -> None:
    words = ("train", "estimator=rloo", "steps=40", "optimizer.lr=0.1", "model.logits=[0.5]", "probe_every=0", "name=trained", "-q")
    assert inside(*words)[0] == 0
    data = TOY | {"steps": [STEP | {"overrides": [*STEP["overrides"], "model.checkpoint=outputs/trained"]}]}
    (own / "conf" / "experiment" / "toy.yaml").write_text(yaml.safe_dump(data))
    code, out, err = inside("reproduce", "toy", "--quick", CONF)
    assert code == 0 and len(verdicts(out)) == 3 and "exact values of 2 cells" in err, err
    stored = read_experiment(own / "outputs" / "toy-quick")
    (parameters,) = own.glob("outputs/trained/*/parameters-seed0.npz")
    (logit,) = read_parameters(parameters).arrays["logits"]
    assert stored is not None and abs(logit - 0.5) > 0.1
    p, step = 1 / (1 + math.exp(-logit)), (1 - 0.45) ** 2 - 0.45**2
    law = 2 * p * (1 - p)  # that two samples differ: the estimate is then half the step
    assert any(one["variance"] == pytest.approx([step**2 / 4 * law * (1 - law)], rel=1e-6) for one in stored.exact.values())


def test_the_quick_size_has_a_folder_of_its_own(own: Path, inside: Inside) -> None:
    code, out, _ = inside("reproduce", "toy", "--quick", CONF)
    assert code == 0 and len(verdicts(out)) == 3
    folder = own / "outputs" / "toy-quick"
    assert len(list(folder.glob("*/result.json"))) == 2 and not (own / "outputs" / "toy").exists()
    (folder / "experiment.json").write_text((folder / "experiment.json").read_text().replace("a toy", "another"))
    with pytest.raises(IntegrityError, match="sha256"):
        read_experiment(folder)
    assert inside("reproduce", "toy", "--quick", CONF)[:2] == (0, out)  # the plan is written anew


def test_what_the_quick_size_leaves_out_and_who_says_what(own: Path, inside: Inside) -> None:
    first, second, third = TOY["findings"]
    changed = [first | {"quick": "skip"}, second, third | {"source": "somebody (2021)"}]
    (own / "conf" / "experiment" / "toy.yaml").write_text(yaml.safe_dump(TOY | {"findings": changed}))
    code, out, _ = inside("reproduce", "toy", "--quick", CONF)
    assert code == 0 and "toy-quick: 1 findings more are left out: this size is too small for them.\n" in out
    assert "toy-quick: source of what is published: off by three: somebody (2021).\n" in out
    assert "toy-quick: source of what is published: all others: nobody (2020).\n" in out
    assert inside("report", "outputs/toy-quick", "--out", "report")[0] == 0  # from what is stored
    assert "1 findings more are left out" in (own / "report" / "report.md").read_text()


def test_a_step_that_fails_stops_no_other(own: Path, inside: Inside) -> None:
    code, out, err = inside("reproduce", "two", "toy", "--quick", CONF)
    assert code == 1
    assert [line for line in err.splitlines() if line.startswith("gsx: failed")] == [
        line for line in err.splitlines() if line.startswith("gsx: failed: two-quick: broken: estimator=nope: unknown")
    ]
    assert sorted(verdicts(out)[:3]) == sorted(["reproduced", "reproduced", "not reproduced"]) and verdicts(out)[3:] == [
        "missing",
        "reproduced",
    ]
    assert "two-quick: the step broken was not reached" in out


def test_a_finding_about_no_cell_is_refused_before_any_is_measured(own: Path, inside: Inside) -> None:
    data = TOY | {"findings": [{"says": "nothing", "kind": "measured", "measured": of("arm")}]}
    (own / "conf" / "experiment" / "toy.yaml").write_text(yaml.safe_dump(data))
    code, _, err = inside("reproduce", "toy", CONF)
    assert code == 1 and "toy: sweep: toy: 'nothing': 0 cells of sweep have estimator=arm, num_samples=2; must be one" in err
    assert not list((own / "outputs").rglob("result.json"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"reproduce toyy {CONF}", "reproduce toyy: unknown experiment; did you mean toy?"),
        (f"reproduce nothing_like_it {CONF}", "reproduce nothing_like_it: unknown experiment; known: arms_toy, "),
        (f"reproduce toy num_samples=8 {CONF}", "reproduce num_samples=8: an experiment has its settings; with your own: gsx run"),
        ("reproduce", "reproduce: the following arguments are required: NAME"),
        (f"run experiment=two {CONF}", "experiment=two: is not one run but broken (run), sweep (run): gsx reproduce two"),
        (f"run experiment=toy {CONF} estimator.temperature=1", "estimator.temperature=1: unknown key"),
        ("run experiment=toy --config-dir=nowhere", "experiment=toy: unknown"),
    ],
)
def test_refused_in_one_line(line: str, expected: str, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"gsx: {expected}") and len(said.err.splitlines()) == 1 and said.out == ""
    assert not (own / "outputs").exists()


def test_a_dry_run_writes_nothing(own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(QUIET, raising=False)
    assert main(["reproduce", "toy", CONF, "--dry-run", "-q"]) == 0
    said = capsys.readouterr()
    assert "4 to measure" in said.out and said.err == ""
    assert main(["reproduce", "toy", CONF, "--dry-run"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("total ")]
    assert len(lines) == 4 and all(line.startswith("new") and "outputs/toy/" in line for line in lines)
    steps = [
        STEP,
        {"name": "trained", "command": "train", "overrides": ["steps=3", "seeds=1", "probe_every=0", "num_samples=2"]},
        {"name": "later", "overrides": ["model.checkpoint=nowhere"]},
    ]
    (own / "conf" / "experiment" / "toy.yaml").write_text(yaml.safe_dump(TOY | {"steps": steps}))
    assert main(["reproduce", "toy", CONF, "--dry-run"]) == 0
    *before, last = capsys.readouterr().out.splitlines()
    counts = [[int(count) for count in re.findall(r"\bevaluations=(\d+)", line)] for line in (*before, last)]
    told = sum(count for line, found in zip(before, counts, strict=False) if line.startswith("new") for count in found)
    assert counts[-1] == [told] and last.startswith(
        f"total      1 experiments, 3 steps: 5 runs and trainings to compute: evaluations={told} "
    )
    assert re.search(r" checkpoints~[\d.]+kB; about \d+ s; not in it: 1 steps that wait or lack data$", last)
    assert not (own / "outputs").exists()


def test_one_step_is_also_a_run_and_the_users_words_win(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--dry-run", "experiment=toy", CONF, "num_samples=8", "name=mine", "num_replicates=128"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert (
        total.startswith("total ")
        and len(lines) == 2
        and all("outputs/mine/" in line and "-n8-" in line and "num_replicates=256" in line for line in lines)
    )


def test_tab() -> None:
    assert {"arms_toy", "all", "--quick"} <= set(suggestions("gsx reproduce "))
    assert suggestions("gsx reproduce arms_t") == ["arms_toy"]
    assert "experiment=arms_toy" in suggestions("gsx run experiment=arms")
