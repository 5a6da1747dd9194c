"""Launchers that are asked for wrongly, or are not there; and plain runs, which do not ask for one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

from gsx.cli import job_folder, survival
from gsx.cli.compose import composing
from gsx.cli.cutting import cut
from gsx.cli.launchers import for_launcher
from tests.cli.conftest import Inside, empty, inside
from tests.cli.process import environment, one_line

__all__ = ["empty", "inside"]

ROOT = Path(__file__).parent.parent.parent
installed = pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra/launcher=joblib is not installed")

BARE = """
from gsx.cli import main

names = ("joblib", "submitit_local", "submitit_slurm", "ray")
codes = [main(["run", "-m", "num_replicates=64", f"hydra/launcher={name}"]) for name in names]
codes += [main(["run", "-q", "num_replicates=64"]), main(["run", "hydra/launcher=ray", "--cfg", "hydra", "-p", "hydra.launcher"])]
assert codes == [2, 2, 2, 2, 0, 0], codes
"""


def test_where_no_launcher_is_installed(tmp_path: Path) -> None:
    """A package of that name, with nothing in it, hides all plug-ins: so does their absence."""
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", BARE], cwd=tmp_path, env=environment(PYTHONPATH=path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"gsx: hydra/launcher={name}: is not installed: pip install 'gsx[{extra}]'"
        for name, extra in [("joblib", "parallel"), ("submitit_local", "slurm"), ("submitit_slurm", "slurm"), ("ray", "ray")]
    ]
    assert "folder" in done.stdout and "max_retries: 3" in done.stdout


@pytest.mark.parametrize(
    ("launcher", "package", "extra"), [("joblib", "joblib", "parallel"), ("submitit_local", "submitit", "slurm"), ("ray", "ray", "ray")]
)
def test_where_only_the_plug_in_of_a_launcher_is_installed(
    launcher: str, package: str, extra: str, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{package}_launcher", reason=f"hydra/launcher={launcher} is not installed")
    monkeypatch.setitem(sys.modules, package, None)
    code, out, err = inside("run", "-m", "num_replicates=64", f"hydra/launcher={launcher}")
    assert code == 2 and out == "" and one_line(err) == f"hydra/launcher={launcher}: is not installed: pip install 'gsx[{extra}]'"
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "hydra/launcher=joblib"), "hydra/launcher=joblib: launches the cells of a sweep, be it of one cell: gsx run -m"),
        (("run", "-m", "hydra/launcher=joblob"), "hydra/launcher=joblob: unknown; did you mean joblib?"),
        (("run", "-m", "hydra/launcher=joblib", "hydra.launcher.n_job=2"), "n_job=2: unknown key; did you mean hydra.launcher.n_jobs?"),
        (("run", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=two"), "hydra.launcher.n_jobs: Value 'two'"),
        (("run", "-m", "hydra/launcher=joblib", "hydra.sweep.dir=ours"), "hydra.sweep.dir=ours: with hydra/launcher=joblib results are in"),
        (("train", "-m", "hydra/launcher=joblib", "steps=3"), "hydra/launcher=joblib: gsx train runs its trainings here"),
    ],
)
def test_what_is_refused(words: Sequence[str], said: str, inside: Inside) -> None:
    code, out, err = inside(*words)
    assert code == 2 and out == "" and said in one_line(err)
    assert not Path("outputs").exists()


def test_cells_that_share_a_machine_have_one_core_each(inside: Inside) -> None:
    """As many as the launcher was told to give; and what the user says is what is done."""
    with composing():
        assert for_launcher(["hydra/launcher=joblib"], True) == ["workers=1"]
        assert for_launcher(["hydra/launcher=joblib", "workers=2"], True) == []
        assert for_launcher(["seed=1,2"], True) == for_launcher(["hydra/launcher=basic"], True) == []
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra/launcher=submitit_local is not installed")
        assert for_launcher(["hydra/launcher=submitit_local", "hydra.launcher.cpus_per_task=4"], True) == ["workers=4"]


def test_a_launcher_cuts_a_run_into_shards(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight, or as many as the user says; submitit only takes a SLURM for one that can be asked."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra/launcher=submitit_slurm is not installed")
    (tmp_path / "sbatch").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    asked = ["hydra/launcher=submitit_shards"]
    with composing():
        assert for_launcher(asked, True) == ["shard=0/8,1/8,2/8,3/8,4/8,5/8,6/8,7/8", "workers=1"]
        assert for_launcher([*asked, *cut(["shard=all/3"])], True) == ["workers=1"]
        assert for_launcher([*asked, "workers=2"], True) == cut(["shard=all/8"])


def test_no_answer_is_sought_behind_a_link(inside: Inside, tmp_path: Path) -> None:
    """A stranger's folder of results may hold one."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra/launcher=submitit_local is not installed")
    (behind := tmp_path / "behind").mkdir()
    (jobs := tmp_path / "outputs" / "default" / ".submitit").parent.mkdir(parents=True)
    jobs.symlink_to(behind)
    code, out, err = inside("run", "-m", "-q", "num_replicates=1024", "hydra/launcher=submitit_local")
    assert code == 6 and out == "" and one_line(err).startswith(f"{jobs}: is a symbolic link")
    assert not [*behind.iterdir()]


def test_each_launch_has_a_folder_of_its_own_for_answers(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="hydra/launcher=submitit_local is not installed")
    (jobs := tmp_path / ".submitit").mkdir()
    found = [job_folder.fresh(f"{jobs}/%j/%t") for _ in range(2)]
    assert sorted(folder for folder, _ in found) == sorted(jobs.iterdir()) and len({folder for folder, _ in found}) == 2
    for folder, of_job in found:
        assert of_job == f"{folder}/%j/%t" and folder.stat().st_mode & 0o777 == 0o700


def test_what_a_job_has_left_is_cleared_once_it_has_answered(tmp_path: Path) -> None:
    """In a folder of its own, and in one that jobs share: those of no other."""
    JobPaths = pytest.importorskip("submitit", reason="hydra/launcher=submitit_local is not installed").core.utils.JobPaths
    for asked in (tmp_path / "%j", tmp_path / "shared"):
        answered, dead = JobPaths(asked, "7"), JobPaths(asked, "77")
        for paths in (answered, dead):
            paths.folder.mkdir(parents=True, exist_ok=True)
            for file in (paths.submitted_pickle, paths.stdout, paths.result_pickle):
                file.touch()
        job_folder.clear(answered)
        assert not answered.stdout.exists() and len([*dead.folder.iterdir()]) == 3
    assert not (tmp_path / "7").exists()


class Died(Exception):
    pass


@pytest.mark.parametrize("killers", [{3}, {0, 6}, set(range(7))])
def test_what_kills_whatever_runs_it_is_alone_in_the_end(killers: set[int], caplog: pytest.LogCaptureFixture) -> None:
    """Cells are run in order, two at a time; a death costs both."""
    complete: set[int] = set()
    forgiven: set[int] = set()
    launches = 0

    def launch(jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        nonlocal launches
        launches += 1
        numbers = [int(job[0]) for job in jobs]
        for pair in (numbers[at : at + 2] for at in range(0, len(numbers), 2)):
            if killers & set(pair):
                raise Died
            complete.update(pair)
        return [JobReturn(status=JobStatus.COMPLETED)] * len(jobs)

    cells = survival.Cells(complete.__contains__, forgiven.add)
    answers = survival._in_halves(launch, Died, cells, [(number, [str(number)]) for number in range(7)])
    assert killers <= forgiven  # as long as nobody knew
    assert complete == set(range(7)) - killers
    assert all(answer.return_value is None for answer in answers)
    assert launches < 20 and "are started again" in caplog.text
