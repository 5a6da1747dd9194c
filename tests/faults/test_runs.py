"""What a run meets in its folder that is not its own, and a sweep whose jobs fail."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gsx import measure
from gsx.measurement import Measurement
from gsx.records import IntegrityError
from gsx.store import RunDirectory, read_sweep
from gsx.store import said as standing_said
from tests.cli.conftest import Inside, empty, inside  # noqa: F401 (fixtures)
from tests.torture.company import FRAGILE

SETTINGS = {"block_size": 16, "workers": 1}


def folder_of(root: Path, name: str) -> Path:
    return root / "default" / f"run-{name}"


def test_more_blocks_than_a_run_has_are_not_its_own(tmp_path: Path) -> None:
    """They are of the same measurement, which hides them from every other check; R would be a lie."""
    small, large = (folder_of(tmp_path, name) for name in ("111111111111", "222222222222"))
    measure("bernoulli_toy", "reinforce", directory=large, num_replicates=2048, **SETTINGS)
    small.mkdir()
    shutil.copy(large / "segments.npz", small)
    with pytest.raises(IntegrityError, match="more blocks than this run has; move the folder away"):
        measure("bernoulli_toy", "reinforce", directory=small, num_replicates=1024, **SETTINGS)
    right = measure("bernoulli_toy", "reinforce", num_replicates=1024, **SETTINGS)
    forced = measure("bernoulli_toy", "reinforce", directory=small, num_replicates=1024, force=True, **SETTINGS)
    assert forced.moments_sha256 == right.moments_sha256


def test_an_unfinished_larger_neighbour_that_is_ahead_in_one_segment_is_no_beginning(tmp_path: Path) -> None:
    small, large = (folder_of(tmp_path, name) for name in ("111111111111", "222222222222"))
    measure("bernoulli_toy", "reinforce", directory=large, num_replicates=2048, **SETTINGS)
    stored = RunDirectory(large).read_segments()
    assert stored is not None
    segments = stored.segments
    for name in ("blocks", "count", "mean", "second", "third", "largest", "cosine_mean"):  # killed with two of its workers behind
        getattr(segments, name)[:40] = 0
    RunDirectory(large).write_segments(segments, stored.fingerprint, stored.result_id)
    assert segments.blocks.sum() <= 64 and segments.blocks.max() == 2
    found = measure("bernoulli_toy", "reinforce", directory=small, num_replicates=1024, **SETTINGS)
    assert found.moments_sha256 == measure("bernoulli_toy", "reinforce", num_replicates=1024, **SETTINGS).moments_sha256


def test_a_smaller_neighbour_that_is_a_link_is_no_beginning(tmp_path: Path) -> None:
    """What is behind it says that it is the beginning, and is not."""
    away, large = folder_of(tmp_path / "away", "111111111111"), folder_of(tmp_path, "222222222222")
    measure("bernoulli_toy", "reinforce", directory=away, num_replicates=1024, **SETTINGS)
    stored = RunDirectory(away).read_segments()
    assert stored is not None
    stored.segments.mean[:] += 1
    RunDirectory(away).write_segments(stored.segments, stored.fingerprint, stored.result_id)
    large.parent.mkdir()
    (large.parent / away.name).symlink_to(away)
    found = measure("bernoulli_toy", "reinforce", directory=large, num_replicates=2048, **SETTINGS)
    assert found.moments_sha256 == measure("bernoulli_toy", "reinforce", num_replicates=2048, **SETTINGS).moments_sha256


def test_another_reference_is_not_compared_with(tmp_path: Path) -> None:
    run = folder_of(tmp_path, "111111111111")
    measure("bernoulli_toy", "reinforce", directory=run, num_replicates=1024)
    measure({"name": "bernoulli_toy", "target": 0.9}, "reinforce", directory=folder_of(tmp_path / "b", "1"), num_replicates=1024)
    (mine,), (other,) = tmp_path.glob("default/reference-*"), tmp_path.glob("b/default/reference-*")
    shutil.rmtree(mine)
    shutil.copytree(other, mine)
    (run / "result.json").unlink()
    with pytest.raises(IntegrityError, match="holds another reference; move the folder away"):
        measure("bernoulli_toy", "reinforce", directory=run, num_replicates=1024)
    assert measure("bernoulli_toy", "reinforce", directory=run, num_replicates=1024, force=True).verdict.status != "biased"


WORDS = ("run", "-m", "plugins=[fragile]", "model.name=fragile", "~model.logits", "~model.target", "~model.power", "num_replicates=1024")


def test_a_job_that_raises_and_one_that_returns_nan(empty: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    (empty / "fragile.py").write_text(FRAGILE)
    monkeypatch.syspath_prepend(str(empty))
    monkeypatch.delenv("GSX_FAIL_FAST", raising=False)
    (empty / "ill").touch()
    code, out, _ = inside(*WORDS, "+model.mode=fine,raise,nans")
    assert code == 1 and "3 cells: 2 ran, 1 failed" in out and "nonfinite" in out
    (failed,) = (line for line in out.splitlines() if line.startswith("failed: "))
    path, _, reason = failed.removeprefix("failed: ").partition(": ")
    assert (
        (empty / path).name == "error.txt" and (empty / path).exists() and reason == "RuntimeError: the model fails (fragile.py, line 28)"
    )
    code, out, _ = inside("status")
    assert code == 1 and "1 done, 1 nonfinite, 1 failed" in out

    monkeypatch.setenv("GSX_FAIL_FAST", "")  # to be put back as it was
    code, out, _ = inside(*WORDS, "--fail-fast", "+model.mode=raise,other")
    assert code == 1 and "2 cells: 1 failed, 1 missing" in out
    (missing,) = (line for line in inside("status")[1].splitlines() if line.startswith("missing "))
    assert "mode_other" in missing and "/sweep-" in missing and " s old: " in missing  # the plan, how old it is, and of what command
    with RunDirectory(empty / missing.split()[1]).lock():
        pass  # somebody has begun it, and was killed
    code, out, _ = inside(*WORDS, "--fail-fast", "+model.mode=raise,other")
    assert code == 1 and "2 cells: 1 failed, 1 unfinished" in out and "1 unfinished, 1 failed" in inside("status")[1]  # one word for it
    (empty / "ill").unlink()
    with monkeypatch.context() as patched:  # what is tried again has not failed yet
        patched.setattr(Measurement, "run", lambda *_: signal.raise_signal(signal.SIGINT))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have set to ignore
        assert inside(*WORDS, "+model.mode=raise,other")[0] == 130 and "2 unfinished" in inside("status")[1]
    code, out, _ = inside(*WORDS, "+model.mode=fine,raise,other")
    assert code == 0 and "3 cells: 2 ran, 1 skipped" in out
    assert inside("status")[0] == 0 and inside("verify")[0] == 0


def test_a_plan_is_kept_of_a_sweep_that_has_something_left_to_do(empty: Path, inside: Inside) -> None:  # noqa: F811
    words = ("-q", "estimator=exact")
    assert inside("run", *words, "-m", "model.target=0.1,0.2", "hydra.sweep.dir=elsewhere")[0] == 0  # nothing of it comes to lie in outputs
    assert inside("run", *words, "-m", "model.target=0.4,0.5", "--dry-run")[0] == 0
    assert list(empty.rglob("sweep-*")) == []
    assert inside("run", *words, "-m", "model.target=0.4,0.5", "hydra/sweeper=basic")[0] == 0
    (plan,) = empty.rglob("sweep-*")
    stored = read_sweep(plan)
    assert stored is not None and {*stored.cells} == {path.parent.name for path in empty.glob("outputs/default/*/result.json")}
    assert stored.configs == {path.parent.name: json.loads(path.read_text())["config"] for path in empty.glob("outputs/*/*/result.json")}
    plan.unlink()
    assert inside("run", *words, "-m", "model.target=0.4,0.5")[0] == 0 and list(empty.rglob("sweep-*")) == []  # complete already


def test_memory_that_torch_cannot_be_loaded_in_is_refused_before_it_is_tried(tmp_path: Path) -> None:
    """It may crash, or hang, on its way."""
    words = ["bash", "-c", 'ulimit -v 600000; exec "$0" -m gsx.cli "$@"', sys.executable]
    end = subprocess.run([*words, "run", "estimator=exact"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    said = "gsx: a process may have 585 MiB here (ulimit -v); torch alone takes 640 MiB\n"
    assert (end.returncode, end.stderr) == (5, said) and not any(tmp_path.iterdir())
    assert subprocess.run([*words, "status", "."], cwd=tmp_path, capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize("said", ["can't start new thread", "DefaultCPUAllocator: can't allocate memory: you tried", "CUDA out of memory."])
def test_too_little_memory_is_one_line(said: str, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def short(*_: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr("gsx.cli.status.standings", short)
    code, _, err = inside("status", ".")
    assert code == 5 and err.startswith("gsx: out of memory") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("busy, by 7\n", "busy, by 7"),
        (
            'Traceback (most recent call last):\n  File "a.py", line 1\n    f()\nRuntimeError: boom \x1b[31mred\nsecond line\n',
            "RuntimeError: boom  [31mred",
        ),
        ("Traceback (most recent call last):\nValueError: x\n", "ValueError: x"),
        ("", ""),
    ],
)
def test_what_is_said_of_an_error(error: str, line: str) -> None:
    """The reason, whatever lines its message has, and nothing that a terminal obeys."""
    assert standing_said(error) == line


#: A model that cannot be made the first time that it is asked for: as its cell is planned.
AT_FIRST = """
import torch

from gsx.distributions import Bernoulli
from gsx.models.base import Model

BEGUN = []


class AtFirst(Model):
    def __init__(self, *, seed: int = 0):
        super().__init__(seed=seed)
        BEGUN.append(1)
        if len(BEGUN) == 1:
            raise RuntimeError("not yet")

    def init(self, noise):
        return {"logits": torch.zeros(2, dtype=torch.float64)}

    def loss(self, params, expect):
        return expect(Bernoulli(params["logits"]), lambda z, q: z.sum(-1))
"""


@pytest.mark.parametrize("sweep", [True, False])
def test_a_plugin_that_fails_only_as_it_is_planned_has_failed(
    sweep: bool,
    empty: Path,  # noqa: F811
    inside: Inside,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has no identity by which it could be told that it was measured after all; the next command plans it, and finds that."""
    (empty / "at_first.py").write_text(AT_FIRST)
    monkeypatch.delitem(sys.modules, "at_first", raising=False)
    monkeypatch.syspath_prepend(str(empty))
    own = ("plugins=[at_first]", "model.name=at_first", "~model.logits", "~model.target", "~model.power", "num_replicates=64", "-q")
    words = ("run", *(["-m"] if sweep else []), *own)
    code, out, err = inside(*words)
    assert code == 1 and "RuntimeError: not yet (at_first.py, line 15)" in (out if sweep else err)
    code, out, _ = inside("status")
    assert code == 1 and "error.txt, " in out and "1 done, 1 failed" in out
    assert inside(*words)[0] == inside("status")[0] == 0
