"""The structured route on every schedule: the same bits from any number of workers, in any pieces, and after any interruption."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import gsx
from gsx import yardstick
from gsx.configuration import Configuration
from gsx.measurement import Measurement
from gsx.records import Result
from gsx.routes.structured import Structured
from gsx.store import RunDirectory
from tests.schedules import Interrupter, statistics_of


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Nobody reads the times here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


#: Settings of a run. In `tiles` a block is three of them; `hidden` has matrix products that torch would cut for several threads.
RUNS: dict[str, dict[str, Any]] = {
    "tiles": {"model": {"name": "binary_vae", "latents": 3, "batch": 4}, "estimator": "rloo", "block_size": 40, "num_replicates": 2560},
    "hidden": {
        "model": {"name": "categorical_vae", "latents": 2, "hidden": [60], "batch": 100},
        "estimator": "st_gumbel",
        "block_size": 2,
        "num_replicates": 128,
    },
    "encoder": {
        "model": {"name": "binary_vae", "latents": 3, "hidden": [8], "batch": 5},
        "estimator": {"name": "reinforce", "baseline": "moving_average", "warmup": 20},
        "wrt": "encoder",
        "block_size": 3,
        "num_replicates": 192,
    },
}
runs = pytest.mark.parametrize("run", RUNS)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Structured, "tile", lambda self, replicates: min(replicates, 16))


def measure(run: str, **settings: Any) -> Result:
    return gsx.measure(**{"workers": 1, "blocks_per_task": 1, "engine": "structured", "seed": 3, **RUNS[run], **settings})


def run_directory(root: Path, run: str, **settings: Any) -> Path:
    """Where the command line would put it: <slug>-<id>."""
    named = {"engine": "structured", "seed": 3, **RUNS[run], **settings}
    if isinstance(named["estimator"], str):
        named["estimator"] = {"name": named["estimator"]}
    measurement = Measurement(Configuration.of(named))
    return root / f"{measurement.model.name}-{measurement.estimator.name}-{measurement.result_id[:12]}"


@runs
def test_schedules_do_not_change_a_bit(run: str) -> None:
    results = [measure(run, workers=workers, blocks_per_task=together) for workers in (1, 2) for together in (1, 3)]
    assert {result.engine for result in results} == {"structured"}
    assert len({result.moments_sha256 for result in results}) == 1
    # Negative control: another seed does change them.
    assert measure(run, seed=4).moments_sha256 != results[0].moments_sha256


@runs
def test_the_callers_threads_do_not_change_a_bit(run: str) -> None:
    before, found = torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.add(measure(run).moments_sha256)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


@runs
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_and_resumed(tmp_path: Path, run: str, workers: int) -> None:
    in_one_go, directory, done = measure(run), run_directory(tmp_path, run), [0]
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            measure(run, directory=directory, progress=Interrupter(14), workers=workers)
        stored = RunDirectory(directory).read_segments()
        assert stored is not None
        assert stored.segments.third is None and stored.segments.cosine_mean is None and stored.segments.largest is not None
        done.append(int(stored.segments.blocks.sum()))
        assert RunDirectory(directory).read_result() is None
    assert done == sorted(done) and len(set(done)) == 4, "no progress was kept"
    resumed = measure(run, directory=directory, workers=workers)
    assert resumed.moments_sha256 == in_one_go.moments_sha256
    assert statistics_of(resumed) == statistics_of(in_one_go)
    again = measure(run, directory=directory, progress=Interrupter(0))  # complete: would stop any work
    for result in (resumed, again):
        assert result.engine == "structured" and result.summary["cosine_single"] is None
    stored = RunDirectory(directory).read_segments()
    assert stored is not None and stored.segments.third is None and stored.segments.cosine_mean is None
    assert stored.segments.digest() == again.moments_sha256 == in_one_go.moments_sha256


def test_a_larger_run_starts_from_a_smaller_ones_segments(tmp_path: Path) -> None:
    more = {"num_replicates": 5120}
    measure("tiles", directory=run_directory(tmp_path, "tiles"))
    advanced: list[int] = []
    directory = run_directory(tmp_path, "tiles", **more)
    grown = measure("tiles", directory=directory, progress=lambda what, replicates: advanced.append, **more)
    assert advanced[0] == 2560 and sum(advanced) == 5120
    assert grown.moments_sha256 == measure("tiles", **more).moments_sha256


def test_moments_of_another_engine_are_not_taken_over(tmp_path: Path) -> None:
    """They are other numbers: a resumed run must not mix them."""
    advanced: list[int] = []
    measure("tiles", directory=run_directory(tmp_path, "tiles", engine="vmap"), engine="vmap")
    structured = measure("tiles", directory=run_directory(tmp_path, "tiles"), progress=lambda what, replicates: advanced.append)
    assert advanced[0] == 0 and sum(advanced) == 2560
    assert structured.moments_sha256 == measure("tiles").moments_sha256 != measure("tiles", engine="vmap").moments_sha256
