"""Shards on the command line: sweeps, kills, torchrun, and `gsx merge`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from gsx.store import RunDirectory
from tests.cli.conftest import Inside
from tests.cli.process import HELD, environment, finished, gsx, one_line, running, wait_for

SMALL = ("model.logits=[0.5,-1]", "num_replicates=2048", "workers=1")


def moments(folder: Path) -> str:
    result = RunDirectory(folder).read_result()
    assert result is not None and result.status == "complete"
    return result.moments_sha256


def test_a_sweep_over_shards_is_one_run(inside: Inside, empty: Path) -> None:
    code, out, _ = inside("run", "-q", *SMALL, "name=whole")
    (whole,) = finished(empty)
    assert code == 0

    sweep = ("run", "-m", *SMALL, "shard=all/3")
    code, out, err = inside("run", "-q", *SMALL, "shard=1/3")
    assert code == 0 and "shard       1/3, 672 of R=2048 replicates" in out and out.splitlines()[-1].endswith("shard-1-of-3")
    code, out, err = inside("merge")
    assert (code, err) == (1, "") and out.split()[0] == "incomplete" and out.endswith("missing 2 of 3: 0, 2\n")
    assert [line.split()[0] for line in inside(*sweep, "--dry-run")[1].splitlines()] == ["new", "complete", "new", "total"]
    parts = [
        int(re.findall(r"evaluations=(\d+)", inside("run", *SMALL, f"shard={k}/3", "force=true", "--dry-run")[1])[0]) for k in range(3)
    ]
    assert sum(parts) == int(re.findall(r"evaluations=(\d+)", inside("run", *SMALL, "name=other", "--dry-run")[1])[0]) and min(parts) > 0
    code, out, _ = inside(*sweep)
    _, *rows, merged, counts = out.splitlines()
    assert code == 0 and counts == "3 cells: 2 ran, 1 skipped"
    assert [line.split()[4:6] for line in rows] == [["shard", f"{k}/3"] for k in range(3)]
    assert merged.split()[0] == "merged" and merged.endswith("3 shards, R=2048")
    (run,) = (folder for folder in finished(empty) if folder.parent.name == "default" and "shard" not in folder.name)
    assert run.name == whole.name and moments(run) == moments(whole)
    assert (run / "coordinates.csv").read_bytes() == (whole / "coordinates.csv").read_bytes()
    assert inside("merge")[1].split()[0] == "complete"
    assert inside("run", "--dry-run", *SMALL)[1].startswith("complete")
    out = inside(*sweep)[1]
    assert out.splitlines()[-1] == "3 cells: 3 skipped" and "complete" not in out  # nor joined again
    out = inside("report")[1]  # `whole` and `default` hold the same bits: one row
    assert "1 complete" in out and "partial" not in out


def test_merging_goes_on_beside_a_broken_run(inside: Inside, empty: Path) -> None:
    for seed, k in product((1, 2), range(2)):
        assert inside("run", "-q", *SMALL, f"seed={seed}", f"shard={k}/2")[0] == 0
    broken = sorted(path.parent for path in empty.rglob("shard-1-of-2"))[0]
    (broken / "shard-1-of-2" / "segments.npz").write_bytes(b"")
    code, out, err = inside("merge")
    assert code == 6 and "segments.npz" in one_line(err) and out.split()[0] == "merged" and len(out.splitlines()) == 1
    assert not (broken / "result.json").exists()


def test_a_sweep_joins_each_run_that_it_has_all_shards_of(inside: Inside, empty: Path) -> None:
    """One that cannot be joined is told with its exit code, as by `gsx merge`, and costs no other."""
    for shard in ("0/2", "1/2"):
        code, out, _ = inside("run", "-q", "-m", *SMALL, "seed=3", f"shard={shard}")
        assert code == 0 and out.splitlines()[-1] == "1 cells: 1 ran" and "merged" not in out  # it was not asked for all
    (third,) = (path.parent for path in empty.rglob("shard-1-of-2"))
    (reference,) = third.parent.glob("reference-*")
    reference.rename(empty / "away")
    code, out, err = inside("run", "-q", "-m", *SMALL, "seed=1,3", "shard=0/2,1/2")
    assert code == 3 and reference.name in one_line(err) and out.splitlines()[-1] == "4 cells: 2 ran, 2 skipped"
    (merged,) = (line for line in out.splitlines() if line.startswith("merged"))
    assert os.path.relpath(third) not in merged


def test_there_may_be_nothing_to_merge(inside: Inside, empty: Path) -> None:
    assert inside("merge", "nowhere")[0] == 2
    (empty / "outputs").mkdir()
    assert inside("merge") == (0, "", "no shards below outputs\n")


def test_a_failed_shard_tells_why_in_its_own_folder(inside: Inside, empty: Path) -> None:
    assert inside("run", "-q", *SMALL, "shard=0/2")[0] == 0
    (run,) = (path.parent for path in empty.rglob("shard-0-of-2"))
    (run / "shard-1-of-2").mkdir()
    (run / "shard-1-of-2" / "segments.npz").write_bytes(b"")
    code, out, _ = inside("run", "-q", "-m", *SMALL, "shard=0/2,1/2")
    assert code == 1 and out.splitlines()[-1] == "2 cells: 1 skipped, 1 failed"
    (reason,) = (line for line in out.splitlines() if line.startswith("failed: "))
    assert "shard-1-of-2/error.txt: " in reason and "segments.npz" in reason
    assert "segments.npz" in (run / "shard-1-of-2" / "error.txt").read_text() and not (run / "error.txt").exists()
    assert inside("run", "-q", *SMALL, "shard=1/2", "force=true")[0] == 0
    assert inside("merge")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shard=auto"], "shard=auto: RANK and WORLD_SIZE are not set"),
        (["shard=4/4"], "shard=4/4: must be k/n"),
        (["shard=0"], "shard=0: must be k/n"),
        (["shard=0/65"], "shard=0/65: at most 64 shards here"),
        (["-m", "shard=all/65"], "shard=0/65: at most 64 shards here"),
        (["-m", "shard=all/0"], "shard=all/0: must be k/n"),
        (["shard=all/3"], "shard=0/3,1/3,2/3: "),
        (["shard=0/2", "target_se=0.1"], "target_se=0.1: a shard does not see"),
        (["shard=0/2", "draws=3"], "draws=3: kept beside a whole run only"),
        (["target_se=0"], "target_se=0: must be between 0 and 1"),
        (["target_se=nan"], "target_se=nan: must be finite"),
        (["target_se=abc"], "target_se=abc: must be a number"),
    ],
)
def test_refused(inside: Inside, empty: Path, words: list[str], said: str) -> None:
    code, out, err = inside("run", *words)
    assert (code, out) == (2, "") and one_line(err).startswith(said) and list(empty.iterdir()) == []


def test_a_rank_is_a_shard(inside: Inside, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert f"shard       {rank}/2" in inside("run", "-q", *SMALL, "shard=auto")[1]
    assert inside("merge")[0] == 0
    monkeypatch.setenv("RANK", "2")
    code, _, err = inside("run", *SMALL, "shard=auto")
    assert code == 2 and one_line(err) == "shard=auto: RANK='2' and WORLD_SIZE='2' name no shard"


def test_target_se_says_how_it_ended(inside: Inside) -> None:
    code, out, _ = inside("run", "-q", "target_se=0.02", "num_replicates=131072")
    (line,) = (line for line in out.splitlines() if line.startswith("stopped"))
    assert code == 0 and "target 0.02 reached with 2048 of at most 131072 replicates" in line and "R=2048" in out


@pytest.mark.slow
def test_killed_finished_by_torchrun_and_merged(tmp_path: Path) -> None:
    """SIGKILL after the first checkpoint of a shard; then two ranks at once, which wait for one reference; no process group is formed."""
    (tmp_path / "held.py").write_text(HELD)
    (tmp_path / "hold").touch()
    words = ["run", "-q", "plugins=[held]", "model.name=held", "~model.logits", "~model.target", "~model.power"]
    words += ["num_replicates=640", "block_size=1", "workers=2"]
    with running(*words, "shard=0/2", cwd=tmp_path) as process:
        wait_for(lambda: list(tmp_path.rglob("shard-0-of-2/segments.npz")), process)
        process.kill()
    (run,) = (path.parent for path in tmp_path.rglob("shard-0-of-2"))
    stored = RunDirectory(run / "shard-0-of-2").read_segments()
    assert stored is not None and 0 < stored.segments.count.sum() < 320
    (tmp_path / "hold").unlink()

    ranks = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "gsx.cli", *words, "shard=auto"]
    done = subprocess.run(ranks, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(line.split()[1] for line in done.stdout.splitlines() if line.startswith("shard")) == ["0/2,", "1/2,"]
    gsx("merge", cwd=tmp_path)
    gsx(*words, "name=whole", cwd=tmp_path)
    hashes = {moments(folder) for folder in finished(tmp_path) if "shard" not in folder.name}
    assert len(hashes) == 1 and len(list(tmp_path.rglob("reference.json"))) == 2  # one for each name
