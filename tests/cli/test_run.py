"""`gsx run` and `gsx report` as the README writes them, and what they leave in an empty folder."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NoReturn

import numpy as np
import pytest
import torch

from gsx.cli import main
from gsx.cli.run import planned
from tests.cli.conftest import Inside
from tests.cli.process import finished, gsx, installed

KEYS = {
    "schema_version", "result_id", "status", "config", "estimator", "model", "engine", "num_samples", "num_replicates", "blocks",
    "summary", "parameters", "reference", "verdict", "cost", "nonfinite", "provenance", "sha256",
}  # fmt: skip
SUMMARY = {"variance", "bias_sq", "mse", "snr", "cosine", "cosine_single", "variance_times_evaluations", "variance_times_time_ratio"}
COLUMNS = "parameter,index,mean,mean_se,variance,variance_se,reference,reference_se,bias,bias_se,z"
SWEEP = ("run", "-m", "estimator=concrete", "estimator.temperature=0.1,0.5,1.0")


@dataclass(frozen=True)
class Session:
    """One folder, and what each command in turn said."""

    folder: Path
    run: CompletedProcess[str]
    sweep: CompletedProcess[str]
    again: CompletedProcess[str]
    sweep_again: CompletedProcess[str]
    report: CompletedProcess[str]
    unchanged: bool  # whether the repetitions left every result file as it was, time stamps included


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("empty")

    def files() -> dict[Path, tuple[int, bytes]]:
        kept = [path for path in folder.rglob("*") if path.is_file() and ".hydra" not in path.parts and path.suffix != ".yaml"]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in kept}

    run = installed("run", "estimator=concrete", "device=cpu", cwd=folder)
    sweep = gsx(*SWEEP, cwd=folder)
    before = files()
    again = gsx("run", "estimator=concrete", "device=cpu", cwd=folder)
    sweep_again = gsx(*SWEEP, cwd=folder)
    unchanged = files() == before
    return Session(folder, run, sweep, again, sweep_again, gsx("report", cwd=folder), unchanged)


def strict(path: Path) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not strict JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


# --------------------------------------------------------------------------------------------------------- the commands as written


def test_one_measurement(session: Session) -> None:
    labels = [line[:12].strip() for line in session.run.stdout.splitlines()]
    assert {"model", "estimator", "reference", "verdict", "variance", "bias^2", "mse", "snr", "cosine", "cost", "folder"} <= set(labels)
    assert "bernoulli_toy" in session.run.stdout and "concrete(temperature=0.5), N=1, R=65536" in session.run.stdout
    folder = session.run.stdout.splitlines()[-1].split()[-1]
    assert (session.folder / folder / "result.json").exists()


def test_a_sweep_skips_what_there_is(session: Session) -> None:
    header, *rows, counts = session.sweep.stdout.splitlines()
    assert header.split() == ["state", "model", "estimator", "N", "verdict", "bias^2", "variance", "mse", "folder"]
    assert [row.split()[0] for row in rows] == ["ran", "skipped", "ran"]
    assert [row.split("temperature=")[1].split(")")[0] for row in rows] == ["0.1", "0.5", "1"]
    assert counts == "3 cells: 2 ran, 1 skipped"
    assert len(finished(session.folder)) == 3


def test_a_repetition_computes_and_changes_nothing(session: Session) -> None:
    assert session.unchanged
    assert session.again.stdout == session.run.stdout
    assert session.sweep_again.stdout.splitlines()[-1] == "3 cells: 3 skipped"


def test_results_alone_are_on_stdout(session: Session) -> None:
    for done in (session.run, session.sweep, session.again, session.sweep_again):
        assert "replicates, " not in done.stdout and "complete already" not in done.stdout
        for stream in (done.stdout, done.stderr):
            assert not re.search(r"[\r\x1b█]|\d%\|", stream)  # no bar and no colour in a pipe
    assert session.run.stderr == "" and "complete already" in session.again.stderr


def test_report(session: Session) -> None:
    assert "3 complete" in session.report.stdout and session.report.stderr == ""
    assert "concrete" in (session.folder / "outputs" / "report" / "report.md").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------------ what they leave


def test_folders_are_named_by_content(session: Session) -> None:
    for folder in finished(session.folder):
        slug, _, short = folder.name.rpartition("-")
        assert slug.startswith("bernoulli_toy-concrete")
        assert re.fullmatch(r"[0-9a-f]{12}", short) and strict(folder / "result.json")["result_id"].startswith(short)


def test_result_json(session: Session) -> None:
    for folder in finished(session.folder):
        body = strict(folder / "result.json")
        assert body.keys() >= KEYS
        assert body["status"] == "complete" and body["estimator"] == "concrete" and body["model"] == "bernoulli_toy"
        assert body["summary"].keys() == SUMMARY
        for interval in body["summary"].values():
            assert interval is None or (interval.keys() == {"value", "se", "ci"} and len(interval["ci"]) == 2)
        assert body["parameters"]["logits"]["shape"] == [8] and {"variance", "bias_sq"} <= body["parameters"]["logits"].keys()
        assert body["reference"].keys() == {"id", "kind", "estimator", "error"} and body["reference"]["error"].keys() == {"max", "norm"}
        assert body["verdict"].keys() >= {"status", "max_abs_z", "p_value", "delta_min"}
        assert body["verdict"]["delta_min"].keys() == {"absolute", "relative"}
        assert body["cost"].keys() == {"evaluations", "gradient_evaluations", "random_numbers", "seconds", "time_ratio", "peak_bytes"}
        assert body["nonfinite"] == {"replicates": 0, "coordinates": 0, "first_block": None}
        sha256 = body.pop("sha256")
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        assert sha256 == hashlib.sha256(canonical.encode()).hexdigest()


def test_the_commands_are_kept(session: Session) -> None:
    commands = [strict(folder / "result.json")["provenance"]["command"] for folder in finished(session.folder)]
    assert sorted(commands) == sorted(["gsx run estimator=concrete device=cpu", *[f"gsx {' '.join(SWEEP)}"] * 2])


def test_coordinates_csv(session: Session) -> None:
    for folder in finished(session.folder):
        text = (folder / "coordinates.csv").read_text(encoding="utf-8")
        assert text.splitlines()[0] == COLUMNS
        rows = list(csv.DictReader(text.splitlines()))
        assert [(row["parameter"], row["index"]) for row in rows] == [("logits", str(i)) for i in range(8)]
        trace = sum(float(row["variance"]) for row in rows)
        assert trace == pytest.approx(strict(folder / "result.json")["summary"]["variance"]["value"])


def test_segments_npz(session: Session) -> None:
    for folder in finished(session.folder):
        with np.load(folder / "segments.npz", allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        assert arrays["mean"].shape == (64, 8) and arrays["count"].sum() == 65536
        assert all(array.dtype != object for array in arrays.values())


def test_no_litter(session: Session) -> None:
    assert not [path for path in session.folder.rglob("*") if path.name == ".holder" or path.suffix == ".tmp"]
    assert [path.name for path in session.folder.iterdir()] == ["outputs"]


# ------------------------------------------------------------------------------------------------------------------------- identity


def identity(*words: str) -> str:
    """Found without running."""
    (cell,) = planned([*words]).cells
    return cell.result_id


def test_a_name_of_the_same_measurement_is_the_same_identity(empty: Path) -> None:
    concrete = identity("estimator=concrete")
    assert identity("estimator=gumbel_softmax") == concrete
    given = ["num_samples=1", "num_replicates=65536", "block_size=1024", "seed=0", "dtype=float32", "wrt=all", "plugins=[]", "workers=3"]
    given += ["name=another", "reference=auto", "reference.num_replicates=131072", "data=digits", "model=bernoulli_toy", "model.seed=0"]
    given += ["model.power=2", "estimator.temperature=5e-1", "force=false", "engine=batched"]
    assert identity("estimator=concrete", *given) == concrete
    for one in ("num_replicates=65000", "num_replicates=65536.0", "data=mnist", "engine=batched"):
        assert identity("estimator=concrete", one) == concrete, one
    assert list(empty.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="auto is the GPU here")
def test_auto_is_resolved(empty: Path) -> None:
    assert identity("device=auto") == identity("device=cpu")
    assert identity("model=binary_vae", "data=auto") == identity("model=binary_vae", "data=digits")


def test_a_binarization_is_resolved(empty: Path) -> None:
    """The data set's default, written out, is the same data."""
    assert identity("model=binary_vae") == identity("model=binary_vae", "data.binarization=threshold")


def test_whatever_matters_is_another_identity(empty: Path) -> None:
    changes = [
        "estimator=concrete", "estimator.temperature=0.5000001", "estimator=st_gumbel", "estimator=reinforce", "seed=1", "model.seed=1",
        "model.target=0.46", "model.power=2.5", "model.logits=[-2.0]", "dtype=float64", "num_samples=2", "num_replicates=131072",
        "block_size=512", "wrt=distribution", "engine=vmap", "engine=loop", "reference=long_run", "reference.num_replicates=4096",
        "model=bernoulli_ising",
    ]  # fmt: skip
    ids = {change: identity("estimator=concrete", change) for change in changes}
    assert len(set(ids.values())) == len(changes), ids
    vae = [(), ("data.binarization=stochastic",), ("data.binarization=none",), ("model.batch=21",), ("wrt=encoder",)]
    assert len({identity("model=binary_vae", *change) for change in vae}) == len(vae)


# -------------------------------------------------------------------------------------------------------------------------- dry runs


def test_a_dry_run_creates_nothing(empty: Path) -> None:
    done = gsx("run", "--dry-run", "-m", "estimator=concrete", "estimator.temperature=0.1,0.5", "num_replicates=100", cwd=empty)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["new", "new", "total"]
    assert all("engine=batched num_replicates=1024 block_size=16 evaluations=1024 " in line for line in lines[:2])
    assert "num_replicates=100 is rounded up to 1024" in done.stderr
    assert list(empty.iterdir()) == []


def test_a_dry_run_knows_what_there_is(session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(session.folder)
    assert main(["run", "--dry-run", "-m", "estimator=concrete", "estimator.temperature=0.1,0.2"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["complete", "new", "total"]
    assert main(["run", "--dry-run", "estimator=concrete", "force=true"]) == 0
    assert capsys.readouterr().out.startswith("new")


def test_a_sweep_over_estimators_shares_their_tunable(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both have a temperature; the default estimator, which is not asked for, has none."""
    assert main(["run", "--dry-run", "-m", "estimator=concrete,st_gumbel", "estimator.temperature=0.4"]) == 0, capsys.readouterr().err
    assert [line.count("temperature_0.4") for line in capsys.readouterr().out.splitlines()] == [1, 1, 0]


def test_an_experiment_takes_a_tunable_of_its_estimators(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty / "experiment").mkdir()
    step = "{name: sweep, sweep: {estimator: [concrete, st_gumbel], estimator.temperature: [0.1, 0.2]}}"
    (empty / "experiment" / "mine.yaml").write_text(f"title: mine\nsteps: [{step}]\n")
    assert main(["run", "--dry-run", "experiment=mine", "--config-dir=.", "estimator.temperature=0.4"]) == 0, capsys.readouterr().err
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all("temperature_0.4" in line for line in lines[:2])


# ------------------------------------------------------------------------------------------------------------------------ quiet


def test_quiet(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GSX_QUIET", "")  # set by -q, and put back after this test
    code, out, err = inside("run", "-q", "num_replicates=100", "model.logits=[0.5]")
    assert code == 0 and err == "" and "folder" in out
    assert inside("run", "-q", "num_replicates=100", "model.logits=[0.5]") == (0, out, "")


def test_a_folder_of_the_users_own_is_where_the_result_is_looked_for(inside: Inside) -> None:
    """Hydra's own keys move the folders; what ran must be found where it ran, alone and in a sweep."""
    code, out, _ = inside("run", "-q", "num_replicates=64", "hydra.run.dir=mine")
    assert code == 0 and out.splitlines()[-1].split() == ["folder", "mine"] and Path("mine/result.json").exists()
    code, out, _ = inside("run", "-q", "-m", "num_replicates=64", "seed=5,6", "hydra.sweep.dir=ours")
    assert code == 0 and out.splitlines()[-1] == "2 cells: 2 ran"
