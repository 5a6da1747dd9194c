"""What goes wrong in one cell costs that cell: a plug-in, a folder that is held, damaged files, a process that dies each time."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsx.cli.failures import heed_deaths
from gsx.store import RunDirectory
from tests.cli.conftest import Inside
from tests.cli.process import finished, flip, gsx, one_line, running
from tests.cli.test_interruption import NPY
from tests.cli.test_plugins import HALVED

SWEEP = ("run", "-m", "num_replicates=64", "seed=0,1", "-q")


@pytest.fixture
def fused(tmp_path: Path) -> tuple[str, ...]:
    """An estimator of a user's own that cannot be made with some settings, and how it is asked for."""
    code = HALVED.replace("Halved", "Fused").replace(
        "        self.factor =", "        if factor > 1:\n            1 / 0\n        self.factor ="
    )
    (tmp_path / "fused.py").write_text(code)
    return "plugins=[fused]", "estimator=concrete", "estimator.name=fused", "~estimator.temperature", "num_replicates=64", "-q"


def test_a_plugin_that_raises_before_there_is_anything_to_run(tmp_path: Path, fused: tuple[str, ...]) -> None:
    done = gsx("run", "-m", *fused, "+estimator.factor=2,0.5", cwd=tmp_path, code=1)
    *_, why, counts = done.stdout.splitlines()
    assert counts == "2 cells: 1 ran, 1 failed" and why.endswith("error.txt: ZeroDivisionError: division by zero (fused.py, line 16)")
    assert "failed: outputs" in done.stderr and "ZeroDivisionError: division by zero (fused.py, line 16)" in done.stderr
    (error,) = tmp_path.rglob("error.txt")
    assert "Traceback" in error.read_text() and len(finished(tmp_path)) == 1

    alone = gsx("run", *fused, "+estimator.factor=2", cwd=tmp_path, code=1)
    assert one_line(alone.stderr).endswith(f"; the traceback is in {error.relative_to(tmp_path)}") and alone.stdout == ""

    mended = (tmp_path / "fused.py").read_text().replace("factor > 1", "factor > 3")
    (tmp_path / "fused.py").write_text(mended)
    gsx("run", *fused, "+estimator.factor=2", cwd=tmp_path)
    assert not error.exists()


#: An estimator that does something else, as it is made or late in its run.
RUDE = """
import json
import os
import sys

from gsx.estimators.straight_through import StraightThrough


class Rude(StraightThrough):
    def __init__(self, *, act: int = -1, early: bool = False, num_samples: int | None = None):
        super().__init__(num_samples=num_samples)
        self.act, self.seen = act, 0
        if early:
            self.be_rude()

    def expect(self, q, cost, noise):
        self.seen += 1
        if self.seen > 20:
            self.be_rude()
        return super().expect(q, cost, noise)

    def be_rude(self):
"""

#: What it does, and what is said of that.
ACTS = {
    "sys.exit(0)": "SystemExit: 0, which would end the whole process",
    "raise GeneratorExit": "GeneratorExit, which would end the whole process",
    "raise KeyboardInterrupt": "KeyboardInterrupt, which would end the whole process",  # of which no signal has come
    "os._exit(0)": "SystemExit: os._exit(0), which would end the whole process",
    "raise BrokenPipeError('a socket')": "BrokenPipeError: a socket",
    "json.loads('{')": "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    "raise ValueError('x' * 9999)": f"ValueError: {'x' * 100}[...]{'x' * 20}",
}


@pytest.fixture
def rude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    monkeypatch.syspath_prepend(tmp_path)
    acts = (f"        if self.act == {number}:\n            {act}\n" for number, act in enumerate(ACTS))
    (tmp_path / "rude.py").write_text(RUDE + "".join(acts))
    own = ("plugins=[rude]", "estimator=concrete", "estimator.name=rude", "~estimator.temperature", "model.logits=[0.5]")
    yield (*own, "workers=1", "-q")
    sys.modules.pop("rude", None)


def test_a_plugin_ends_nothing_but_its_own_cell(empty: Path, inside: Inside, rude: tuple[str, ...]) -> None:
    """Whatever it raises, and be it what Python means to end a process with; it is told of as the plug-in's doing, in a line that ends."""
    rude = (*rude, "engine=loop", "num_replicates=64", "block_size=1")
    code, out, err = inside("run", "-m", *rude, f"+estimator.act=-1,{','.join(map(str, range(len(ACTS))))}")
    lines = out.splitlines()
    assert code == 1 and lines[-1] == f"{len(ACTS) + 1} cells: 1 ran, {len(ACTS)} failed", err
    for told, line in zip(ACTS.values(), lines[-1 - len(ACTS) : -1], strict=True):
        assert f"error.txt: {told} (rude.py, line " in line and f"{told} (rude.py, line " in err
    assert any("x" * 9999 in path.read_text() for path in empty.rglob("error.txt"))

    early = (*rude, "+estimator.act=0", "+estimator.early=true")
    code, out, err = inside("run", "--dry-run", *early)
    assert (code, err) == (1, "") and out.startswith("broken ") and "SystemExit: 0" in out
    code, out, err = inside("run", *early)
    assert (code, out) == (1, "") and "SystemExit: 0" in one_line(err) and "the traceback is in outputs" in err


def test_a_plugin_ends_nothing_but_its_own_training(empty: Path, inside: Inside, rude: tuple[str, ...]) -> None:
    """As it is planned and as it goes; and once it is mended its error is gone."""
    train = ("train", *rude, "steps=30", "probe_every=0", "reference.kind=none")
    said = f"{ACTS['sys.exit(0)']} (rude.py, line "
    code, out, err = inside(*train, "-m", "+estimator.act=0,-1", "+estimator.early=true,false")
    assert code == 1 and out.splitlines()[-1] == "4 trainings: 2 ran, 2 failed" and out.count(said) == 2, err
    early = (*train, "+estimator.act=0", "+estimator.early=true")
    code, out, err = inside(*early, "--dry-run")
    assert (code, err) == (1, "") and out.startswith("broken ") and said in out
    code, out, err = inside(*early)
    assert (code, out) == (1, "") and one_line(err).startswith(said) and len(list(empty.rglob("error.txt"))) == 2

    (empty / "rude.py").write_text(RUDE + "        pass\n")
    del sys.modules["rude"]
    assert inside(*early)[0] == 0 and len(list(empty.rglob("error.txt"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("act", "said"), [(0, "SystemExit: 0"), (5, ACTS["json.loads('{')"])])
def test_a_plugin_ends_the_process_of_a_seed(empty: Path, inside: Inside, rude: tuple[str, ...], act: int, said: str) -> None:
    """In the words of one that ends here."""
    code, _, err = inside("train", *rude, "workers=2", "seeds=2", "steps=30", f"+estimator.act={act}")
    assert code == 1 and one_line(err).startswith(f"{said} (rude.py, line ")


#: A model that does something else whenever its loss is asked for, and so as soon as it is planned.
EARLY = """
import os

import torch

from gsx.distributions import Bernoulli
from gsx.models.base import Model


class Early(Model):
    def __init__(self, *, act: str, seed: int = 0):
        super().__init__(seed=seed)
        self.act = act

    def init(self, noise):
        return {"logits": torch.zeros(2, dtype=torch.float64)}

    def loss(self, params, expect):
        if self.act == "die":
            os.kill(os.getpid(), 9)
        if self.act == "leave":
            os.chdir("/")
        if self.act == "freeze":
            torch.set_grad_enabled(False)
        return expect(Bernoulli(params["logits"]), lambda z, q: z.sum(-1))
"""

ASKED = ("plugins=[early]", "model.name=early", "~model.logits", "~model.target", "~model.power", "estimator=rloo", "workers=1", "-q")


def test_what_a_plugin_does_as_it_is_planned_costs_its_own_cell(tmp_path: Path) -> None:
    """It kills the process, which is counted, goes to another folder, or switches gradients off."""
    (tmp_path / "early.py").write_text(EARLY)
    sweep = ("run", "-m", *ASKED, "num_replicates=64", "+model.act=freeze,leave,die")
    for died in range(2):
        killed = gsx(*sweep, cwd=tmp_path, code=-signal.SIGKILL)
        assert killed.stdout == "" and ("was killed while it was planned (1 of 3 times" in killed.stderr) == (died == 1)
    died_again(tmp_path)
    left_out = gsx(*sweep, cwd=tmp_path, code=1)
    assert left_out.stdout.splitlines()[-1] == "3 cells: 1 ran, 2 failed", left_out.stdout
    assert "was killed 3 times while it was planned" in left_out.stdout
    assert [path.name.partition("-rloo")[0] for path in finished(tmp_path)] == ["early-act_leave"]

    # By itself it is tried again; and once that went well, it is a cell like others.
    (tmp_path / "early.py").write_text(EARLY.replace("os.kill(os.getpid(), 9)", "pass"))
    gsx("run", *ASKED, "num_replicates=64", "+model.act=die", cwd=tmp_path)
    assert not list(tmp_path.rglob(".holder")) and len(list(tmp_path.rglob("error.txt"))) == 1


def died_again(tmp_path: Path) -> None:
    """The note of a process that was killed is that of a third one."""
    (holder,) = tmp_path.rglob(".holder")
    holder.write_text(json.dumps(json.loads(holder.read_text()) | {"deaths": 2}))


def test_a_training_dies_as_it_is_planned(tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text(EARLY)
    sweep = ("train", "-m", *ASKED, "steps=2", "probe_every=0", "reference.kind=none", "+model.act=die,stay")
    gsx(*sweep, cwd=tmp_path, code=-signal.SIGKILL)
    died_again(tmp_path)
    left_out = gsx(*sweep, cwd=tmp_path, code=1)
    assert left_out.stdout.splitlines()[-1] == "2 trainings: 1 ran, 1 failed" and "3 times while it was planned" in left_out.stdout


def folders(tmp_path: Path) -> list[Path]:
    """Of the sweep's cells, in their order."""
    gsx(*SWEEP, cwd=tmp_path)
    return sorted(finished(tmp_path), key=lambda path: json.loads((path / "result.json").read_text())["config"]["seed"])


def test_busy_damaged_and_deadly_cells_cost_themselves_alone(tmp_path: Path) -> None:
    first, second = folders(tmp_path)

    # Complete is what its moments vouch for.
    whole = flip(first / "segments.npz", b"mean.npy", NPY)
    damaged = gsx(*SWEEP, cwd=tmp_path, code=1)
    assert (
        damaged.stdout.splitlines()[-1] == "2 cells: 1 skipped, 1 failed"
        and f"{first}/segments.npz: array 'mean.npy' is not what was written" in damaged.stdout
    )
    (first / "segments.npz").write_bytes(whole)

    # Hydra would write where a link points to before anybody else.
    (first / "link").symlink_to(second)
    linked = gsx(*SWEEP, cwd=tmp_path, code=1)
    assert linked.stdout.splitlines()[-1] == "2 cells: 1 skipped, 1 failed" and "link: is a symbolic link" in linked.stdout
    (first / "link").unlink()
    gsx(*SWEEP, cwd=tmp_path)
    assert not list(tmp_path.rglob("*-broken-*/error.txt"))

    # What another process computes has not failed.
    RunDirectory(second).discard()
    with RunDirectory(second).lock():
        busy = gsx(*SWEEP, cwd=tmp_path, code=7)
    assert busy.stdout.splitlines()[-1].startswith("2 cells: 1 skipped, 1 busy; what is busy another process computes: wait for it")
    assert not (second / "error.txt").exists()

    # A cell whose process was killed three times stands in nobody's way.
    RunDirectory(first).discard()
    for _ in range(3):
        die_holding(first)
    left_out = gsx(*SWEEP, cwd=tmp_path, code=1)
    assert left_out.stdout.splitlines()[-1] == "2 cells: 1 ran, 1 failed" and "was killed 3 times" in left_out.stdout
    gsx("run", "num_replicates=64", "-q", cwd=tmp_path)
    assert len(finished(tmp_path)) == 2


def die_holding(*folders: Path) -> None:
    """What a process leaves that is killed while it computes a run, or several."""
    code = "import os, sys, contextlib; from pathlib import Path; from gsx.store import RunDirectory as Run\n"
    code += "held = contextlib.ExitStack(); [held.enter_context(Run(Path(word)).lock()) for word in sys.argv[1:]]; os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code, *map(str, folders)], check=False).returncode == -signal.SIGKILL


def test_progress_forgives_a_death(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The control: kills with checkpoints between them are somebody's Ctrl-Z or a queue's time limit."""
    run = RunDirectory(tmp_path / "run")
    for killed in range(4):
        die_holding(run.path)
        (run.path / "segments.npz").touch()
        os.utime(run.path / "segments.npz", ns=(killed, killed))
    run.check_deaths()
    with run.lock():
        pass
    heed_deaths(run, "this one")
    assert not caplog.messages
    die_holding(run.path)
    die_holding(run.path)
    heed_deaths(run, "this one")
    assert caplog.messages == ["this one: its process was killed (2 of 3 times, then a sweep leaves it out)"]


@pytest.mark.parametrize(("words", "told"), [(("run",), ""), (("run", "-m"), "1 cells: 1 missing\n")])
def test_a_file_that_may_not_grow(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    """Not even Hydra's files: one line that says which, what is safe and what to do; a sweep tells of its cells first."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
    try:
        with running(*words, "num_replicates=64", "-q", cwd=tmp_path) as process:
            out, err = process.communicate(timeout=60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert process.returncode == 5 and out[out.rfind("\n", 0, -1) + 1 :] == told
    said = one_line(err)
    assert "cannot be written: File too large; what is stored is whole" in said and "ulimit -f" in said and str(tmp_path) in said
