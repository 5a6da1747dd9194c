"""Every launcher, for real: a sweep of which one cell is killed with -9, and what the same command makes of it afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import pytest

from gsx.cli.launchers import EXTRAS
from tests.cli.process import HELD, finished, gsx, installed, running, wait_for
from tests.launchers.slurm import lacking, one_node

HELD_RUN = ("plugins=[held]", "model.name=held", "~model.logits", "~model.target", "~model.power", "num_replicates=640", "block_size=1")
SEEDS = (0, 1, 2)


def hashes(folder: Path) -> dict[int, str]:
    """The moments of each seed's result."""
    results = [json.loads((run / "result.json").read_text()) for run in finished(folder) if "reference" not in run.name]
    return {result["config"]["seed"]: result["moments_sha256"] for result in results}


@pytest.fixture(scope="module")
def one_after_another(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """The same cells without a launcher, on two workers."""
    folder = tmp_path_factory.mktemp("serial")
    (folder / "held.py").write_text(HELD)
    gsx("run", "-m", *HELD_RUN, f"seed={','.join(map(str, SEEDS))}", "workers=2", cwd=folder)
    return hashes(folder)


@pytest.fixture
def environment(launcher: str) -> Iterator[dict[str, str]]:
    package = next(package for package in EXTRAS if launcher.partition("_")[0] in package)
    if find_spec("hydra_plugins") is None or find_spec(package) is None:
        pytest.skip(f"hydra/launcher={launcher} is not installed: pip install 'gsx[{EXTRAS[package]}]'")
    if launcher == "submitit_slurm" and (reason := lacking()):
        pytest.skip(reason)
    with one_node() if launcher == "submitit_slurm" else nullcontext({}) as more:
        yield more


class Planted:
    """As an answer it runs a command in whatever reads it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch read",)


def plant(jobs: Path) -> list[Path]:
    """Answers of a stranger's, or of an earlier SLURM, whose first job was 1 as well."""
    for name in [*map(str, range(1, 7)), *(f"{job}_{cell}" for job in range(1, 7) for cell in range(len(SEEDS)))]:
        for folder in (jobs, jobs / name):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}_0_result.pkl").write_bytes(pickle.dumps(("success", Planted())))
    return sorted(jobs.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "states"),
    [
        # A job of its own, which nobody starts again. The others start it again, be it with those that went down with it.
        ("submitit_slurm", ["failed", "ran", "ran"]),
        ("submitit_local", ["failed", "ran", "ran"]),
        ("joblib", ["ran", "ran", "ran"]),
        ("ray", ["ran", "ran", "ran"]),
    ],
)
def test_a_cell_is_killed(
    launcher: str, states: list[str], environment: dict[str, str], one_after_another: dict[int, str], tmp_path: Path
) -> None:
    """Beside planted answers, which nobody takes for those of its jobs."""
    (tmp_path / "held.py").write_text(HELD)
    (tmp_path / "hold").touch()
    planted = plant(jobs := tmp_path / "outputs" / "default" / ".submitit")
    words = ("run", "-m", *HELD_RUN, f"seed={','.join(map(str, SEEDS))}", f"hydra/launcher={launcher}")

    def holders() -> list[Path]:
        """Of runs: not of a reference, nor of a cell that is being planned."""
        return [path for path in tmp_path.rglob(".holder") if not re.search("reference|-broken-", path.parent.name)]

    with running(*words, cwd=tmp_path, **environment) as process:
        wait_for(holders, process, seconds=120)
        os.kill(int(json.loads(holders()[0].read_text())["pid"]), signal.SIGKILL)
        (tmp_path / "hold").unlink()
        out, err = process.communicate(timeout=200)
    assert "Traceback" not in err, err
    header, *rows = (line for line in out.splitlines() if not line.startswith("failed: "))
    counts = rows.pop()
    assert header.startswith("state") and sorted(row.split()[0] for row in rows) == states, f"{out}\n{err}"
    assert process.returncode == (1 if "failed" in states else 0), err
    assert "the process of a cell has died, and took others with it" in err or launcher != "joblib", err
    # Of those that went down together nobody knows which of them did it; Ray's cells have a process each.
    assert ("was killed (1 of" in err) is (launcher == "ray"), err
    assert counts.startswith("3 cells: ")

    kept = [folder for folder in jobs.iterdir() if folder not in planted]
    assert len(kept) == ("failed" in states)
    if "failed" in states:  # told by its name, in the table, in its folder and by gsx status; and the log of what died is all that is kept
        (failed,) = (row.split()[-1] for row in rows if row.startswith("failed"))
        why = rf"{failed}(?:/error.txt)?: its process has died: job \d+(?:_\d)? has ended without an answer; its log: (outputs/\S+)"
        (log,) = re.findall(why, err)
        assert [log] == re.findall(why, out), out
        assert [*kept[0].rglob("*_result.pkl")] == [] and [*kept[0].rglob("*_log.out")] == [tmp_path / log]
        assert "error.txt, " in gsx("status", cwd=tmp_path, code=1).stdout
        assert gsx(*words, cwd=tmp_path, **environment).stdout.splitlines()[-1] == "3 cells: 1 ran, 2 skipped"
    assert not (tmp_path / "read").exists() and sorted(jobs.iterdir()) == sorted([*planted, *kept])
    assert hashes(tmp_path) == one_after_another and len(set(one_after_another.values())) == len(SEEDS)


#: A sweeper that is not Hydra's own, and so may choose its cells as it goes.
SWEEPER = """
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore


class Mine(BasicSweeper):
    pass


node = {"_target_": "hydra_plugins.mine.Mine", "max_batch_size": None, "params": None}
ConfigStore.instance().store(group="hydra/sweeper", name="mine", node=node)
"""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib"])
def test_a_sweeper_that_searches_knows_what_failed_elsewhere(launcher: str, environment: dict[str, str], tmp_path: Path) -> None:
    """And ends, although a thread that a cell has started does not."""
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "mine.py").write_text(SWEEPER)
    code = HELD.replace('Path("hold").exists()', "z.numel() > 16").replace("time.sleep(0.2)", "raise SystemExit")
    thread = "        import threading; threading.Thread(target=time.sleep, args=(1000,)).start()\n"
    (tmp_path / "held.py").write_text(code.replace("        return {", f"{thread}        return {{"))
    words = ("run", "-m", *HELD_RUN, "engine=batched", f"hydra/launcher={launcher}", "hydra/sweeper=mine", "-q")
    done = installed(*words, "block_size=1,64", cwd=tmp_path, code=1, PYTHONPATH=str(tmp_path))
    assert done.stdout.count("failed: outputs") == 1 and "SystemExit" in done.stdout and len(finished(tmp_path)) == 1


@contextlib.contextmanager
def two_cells(
    launcher: str, environment: dict[str, str], root: Path
) -> Iterator[tuple[subprocess.Popen[str], list[int], Callable[[str], list[Path]]]]:
    """A sweep whose two cells have a checkpoint each: its process, theirs, and how to find a file of the cells."""

    def cells(file: str) -> list[Path]:
        return [path for path in root.rglob(file) if "reference" not in path.parent.name]

    words = ("run", "-m", "num_replicates=1e9", "seed=0,1", f"hydra/launcher={launcher}")
    with running(*words, cwd=root, **environment) as process:
        wait_for(lambda: len(cells("segments.npz")) == 2, process, seconds=120)
        yield process, [int(json.loads(path.read_text())["pid"]) for path in cells(".holder")], cells


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "number"), [("joblib", signal.SIGTERM), ("submitit_local", signal.SIGINT)])
def test_a_sweep_is_interrupted(launcher: str, number: int, environment: dict[str, str], tmp_path: Path) -> None:
    """Its cells end with it, each with a checkpoint that is newer than the signal."""
    with two_cells(launcher, environment, tmp_path) as (process, started, cells):
        signalled = time.time()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number and out == "" and "Traceback" not in err, err
    assert err.splitlines()[-2:] == [
        "ending 2 processes; each writes a checkpoint first",
        "gsx: interrupted; what was computed is kept, and the same command goes on from there",
    ]
    assert len(started) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in started)
    assert not [*tmp_path.glob("outputs/default/.submitit/*")]  # nothing to be read there
    assert cells(".holder") == cells("error.txt") == []
    assert min(path.stat().st_mtime for path in cells("segments.npz")) > signalled


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_the_command_of_a_sweep_is_killed(launcher: str, environment: dict[str, str], tmp_path: Path) -> None:
    """Its cells end, and with a checkpoint: no lock is held, no death is counted."""
    with two_cells(launcher, environment, tmp_path) as (process, started, cells):
        killed = time.time()
        process.kill()
        process.wait()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in started) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(started) == 2 and cells(".holder") == cells("error.txt") == []
    assert min(path.stat().st_mtime for path in cells("segments.npz")) > killed
