"""Worker processes: the same bits as without them, and what happens where one cannot be had, differs, fails or is killed."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gsx
from gsx import accumulate as accumulating
from gsx import accumulator as accumulators
from gsx import process as processes
from gsx import worker as worker_module
from gsx.accumulate import Schedule, accumulate
from gsx.accumulator import Accumulator, Plan
from gsx.configuration import Configuration
from gsx.estimators.reinforce import Reinforce
from gsx.measurement import Measurement
from gsx.models.bernoulli_ising import BernoulliIsing
from gsx.moments import Moments, merge, moments
from gsx.parcel import pack, unpack
from gsx.records import Parameters, Segments
from gsx.store import write_parameters
from gsx.tune import tune
from gsx.worker import Work, Worker
from tests.cli.process import finished, running, wait_for
from tests.worker_models import FailsOnceAsked

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system shares no memory between gsx's processes")


PLUGIN = "tests.worker_models"
#: What the processes tell apart.
HOME = {"home": os.getpid()}


def named(model: Any, estimator: Any = "reinforce", **settings: Any) -> Configuration:
    named = {"model": model, "estimator": estimator}
    named = {key: {"name": value} if isinstance(value, str) else value for key, value in named.items()}
    return Configuration.of({**named, "plugins": [PLUGIN], **settings})


def measured(model: Any = "bernoulli_ising", estimator: Any = "reinforce", **settings: Any) -> Measurement:
    """Tuned, and ready to be run."""
    measurement = Measurement(named(model, estimator, **settings))
    tune(measurement.estimator, measurement.program, measurement.seen, measurement.tuned_so, seed=0)
    return measurement


def beginning(measurement: Measurement, writers: int = 4) -> tuple[Work, Accumulator]:
    route = measurement.route
    direction = torch.nn.functional.normalize(torch.arange(1.0, 1 + measurement.program.layout.size, dtype=torch.float64), dim=0)
    work = Work(route, measurement.plan.block_size, 0, "base", direction, measurement.given)
    segments = measurement.plan.segments
    return work, Accumulator(measurement.program.layout, segments, torch.device("cpu"), materialises=route.materialises, writers=writers)


def run(work: Work, accumulator: Accumulator, plan: Plan, **how: Any) -> None:
    accumulate(accumulator, work, plan, **how)


@contextlib.contextmanager
def worker(work: Work, accumulator: Accumulator) -> Iterator[Worker]:
    process = Worker(work, accumulator)
    try:
        yield process
    finally:
        process.close()


def long() -> Measurement:
    """Work of a few seconds: that its processes are there in time to do some of it."""
    return measured("bernoulli_ising", engine="loop", num_replicates=2**14, block_size=16)


@pytest.fixture(scope="module")
def digest() -> str:
    """Of that work by one thread."""
    measurement = long()
    work, alone = beginning(measurement)
    run(work, alone, measurement.plan)
    return alone.segments().digest()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Processes are started after the first task, and what they are asked for is noted."""
    monkeypatch.setattr(accumulating, "PROCESSES_AFTER", 0.0)
    monkeypatch.setattr(accumulating, "PROCESSES_PAY", 0.0)
    asked: list[tuple[int, ...]] = []
    add = Worker.add

    def noted(self: Worker, blocks: tuple[int, ...]) -> bool:
        asked.append(blocks)
        return add(self, blocks)

    monkeypatch.setattr(Worker, "add", noted)
    return asked


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """The stream of each process that was tried, and whether it is trusted."""
    found: list[tuple[str, bool]] = []
    try_out = Worker.try_out

    def noted(self: Worker, work: Work, block: int) -> None:
        try_out(self, work, block)
        found.append((work.stream, self.trusted))

    monkeypatch.setattr(Worker, "try_out", noted)
    return found


ROUTED = [
    pytest.param("bernoulli_toy", {"name": "reinforce", "baseline": "moving_average", "warmup": 20}, {"block_size": 64}, id="batched"),
    pytest.param("binary_vae", "concrete", {"block_size": 2}, id="vmap"),
    pytest.param("binary_vae", "rloo", {"engine": "structured", "block_size": 2}, id="structured"),
    pytest.param("bernoulli_ising", "rebar", {"engine": "loop", "block_size": 2, "tune": {"steps": 3, "replicates": 4}}, id="loop"),
]


@pytest.mark.parametrize(("model", "estimator", "settings"), ROUTED)
def test_a_process_adds_the_same_bits(model: str, estimator: Any, settings: dict[str, Any]) -> None:
    """Half of the blocks here, half of them there, in turns within a segment; with what was learnt here."""
    measurement = measured(model, estimator, num_replicates=256 * settings["block_size"], **settings)
    plan = Plan(measurement.plan.block_size, 4 * measurement.plan.segments, measurement.plan.segments)
    work, alone = beginning(measurement)
    run(work, alone, plan)
    _, together = beginning(measurement)
    with worker(work, together) as process:
        process.try_out(work, 0)
        assert process.trusted
        for turn in range(4):
            blocks = tuple(range(turn * plan.segments, (turn + 1) * plan.segments))
            assert process.add(blocks[::2])
            for block in blocks[1::2]:
                together.add(block, work.moments(block))
    assert together.segments().digest() == alone.segments().digest()
    assert all(together.holds(block) for block in range(plan.blocks)) and not together.holds(plan.blocks)


def test_a_run_by_threads_and_processes(digest: str, at_once: list[tuple[int, ...]]) -> None:
    """Three workers, two of which get a process; the checkpoints on the way are whole."""
    measurement = long()
    work, together = beginning(measurement)
    seen: list[int] = []
    run(work, together, measurement.plan, workers=3, progress=seen.append)
    assert sum(map(len, at_once)) > 64, "the processes were never used"
    assert together.segments().digest() == digest
    assert sum(seen) == 2**14


#: A model as a user writes it, in a module in the current folder.
OWN = """
import torch
from gsx import Bernoulli, Model
class Own(Model):
    def init(self, noise):
        return {"logits": torch.tensor([0.3, -0.8])}
    def loss(self, params, expect):
        return expect(Bernoulli(params["logits"]), lambda z, q: (z - 0.2).square().prod(-1))
"""
WHOLE = [
    pytest.param(
        {"model": {"name": "own"}, "estimator": {"name": "concrete"}, "reference": {"kind": "long_run", "num_replicates": 4096}}
        | {"target_se": 0.9, "num_replicates": 2**13, "block_size": 64},
        ["reference", "base"],
        id="a plug-in, a long run, a target",
    ),
    pytest.param(
        {"model": {"name": "own", "checkpoint": "learnt.npz"}, "estimator": {"name": "relax"}, "tune": {"steps": 3, "replicates": 4}}
        | {"shard": "1/2", "num_replicates": 2**13, "block_size": 16},
        ["base"],
        id="a checkpoint, tuned, a shard",
    ),
]


@pytest.mark.parametrize(("settings", "streams"), WHOLE)
def test_a_whole_measurement_with_processes(
    at_once: list[tuple[int, ...]],
    tried: list[tuple[str, bool]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    streams: list[str],
) -> None:
    """Whatever the measurement is told, its processes are told, and every one of them is trusted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    module = f"own_{len(streams)}"
    Path(f"{module}.py").write_text(OWN)
    write_parameters(Path("learnt.npz"), Parameters({"logits": np.array([-1.5, 0.25])}))
    two, one = (gsx.measure(**settings, plugins=[module], directory=f"by-{workers}/run", workers=workers) for workers in (2, 1))
    assert tried == [(stream, True) for stream in streams] and at_once
    assert (two.result_id, two.moments_sha256, two.reference) == (one.result_id, one.moments_sha256, one.reference)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("bernoulli_ising", {"dtype": "float64", "shard": "0/4", "seed": 2**62, "num_samples": 4}),
        ("binary_vae", {"wrt": "encoder", "reference": {"kind": "long_run"}, "data": {"name": "digits", "binarization": "threshold"}}),
        ({"name": "bernoulli_toy", "logits": [0.1, 1e-7]}, {"tune": {"kind": "none"}, "target_se": 0.01, "draws": 3}),
    ],
)
def test_a_configuration_is_made_again_from_json(model: Any, settings: dict[str, Any]) -> None:
    configuration = named(model, **settings)
    assert Configuration.of(json.loads(json.dumps(configuration.as_given()))) == configuration


@pytest.mark.parametrize("kind", ["float64", "float32", "bfloat16", "int64", "bool"])
def test_numbers_are_handed_over_as_they_are(kind: str) -> None:
    """Of any type and shape, none and no numbers among them."""
    tensors = {
        f"{shape}": (torch.arange(math.prod(shape)) % 3).view(shape).to(getattr(torch, kind)) for shape in [(), (0,), (2, 3), (3, 0)]
    }
    tensors["turned"] = tensors["(2, 3)"].t()
    descriptor = pack({"word": ["é", 1, None]}, tensors)
    assert descriptor is not None
    words, found = unpack(descriptor)
    os.close(descriptor)
    assert words == {"word": ["é", 1, None]} and found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)


def test_a_process_of_another_opinion_is_not_trusted(at_once: list[tuple[int, ...]], tried: list[tuple[str, bool]]) -> None:
    measurement = measured({"name": "elsewhere", **HOME}, num_replicates=2**12, block_size=16, engine="loop")
    work, alone = beginning(measurement)
    run(work, alone, measurement.plan)
    _, together = beginning(measurement)
    run(work, together, measurement.plan, workers=2)
    assert tried == [("base", False)] and at_once == []
    assert together.segments().digest() == alone.segments().digest()


@pytest.mark.parametrize("by_hand", ["model", "estimator"])
def test_what_is_made_by_hand_is_computed_by_threads(at_once: list[tuple[int, ...]], by_hand: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no words that another process could make it of."""
    monkeypatch.setattr(accumulating, "Worker", lambda *_: pytest.fail("a process is started"))
    objects = {"model": BernoulliIsing(), "estimator": Reinforce()}
    chosen: dict[str, Any] = {"model": "bernoulli_ising", "estimator": "reinforce"} | {by_hand: objects[by_hand]}
    two, one = (gsx.measure(**chosen, num_replicates=2**10, block_size=2, workers=workers) for workers in (2, 1))
    assert two.moments_sha256 == one.moments_sha256


def test_a_process_that_fails_is_replaced_by_its_thread(at_once: list[tuple[int, ...]], tried: list[tuple[str, bool]]) -> None:
    measurement = measured({"name": "fails", "blocks": 1, **HOME}, num_replicates=2**15, block_size=16, engine="batched")
    work, alone = beginning(measurement)
    run(work, alone, measurement.plan)
    _, together = beginning(measurement)
    run(work, together, measurement.plan, workers=2)
    assert tried == [("base", True)] and len(at_once) == 1
    assert together.segments().digest() == alone.segments().digest()


def test_a_failure_of_the_model_shows_as_what_it_is(at_once: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a process meets it first."""
    monkeypatch.setattr(FailsOnceAsked, "asked", at_once)
    measurement = measured({"name": "fails_once_asked", "blocks": 100, **HOME}, num_replicates=2**20, block_size=16, engine="batched")
    work, accumulator = beginning(measurement)
    with pytest.raises(ZeroDivisionError, match="the model's own"):
        run(work, accumulator, measurement.plan, workers=2)
    assert at_once, "no process was asked"


def test_a_killed_process_costs_nothing(digest: str, at_once: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at a random moment of its work: what it has added stays, the rest is done by its thread."""
    measurement = long()
    work, together = beginning(measurement)
    asked = Worker._ask
    killed: list[int] = []

    def ask(self: Worker, *words: object) -> None:
        asked(self, *words)
        if words[0] == "add" and not killed:
            time.sleep(0.01)
            os.kill(self._process.pid, signal.SIGKILL)
            killed.append(self._process.pid)

    monkeypatch.setattr(Worker, "_ask", ask)
    run(work, together, measurement.plan, workers=2, blocks_per_task=8)
    assert len(killed) == 1 and 1 <= len(at_once) <= 2  # its last answer may have come before the end
    assert together.segments().digest() == digest


#: What a process does first of all, here: at its fifth merge it does half of it and is gone.
DIES_MERGING = """
import os, signal
from gsx import accumulator
merges, whole = [], accumulator.merge
def merge(row, other):
    merges.append(1)
    if len(merges) == 5:
        row.mean.add_(1)
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(row, other)
accumulator.merge = merge
"""


def test_a_process_killed_in_the_middle_of_a_merge_costs_nothing(
    digest: str, at_once: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row it was writing is nobody's."""
    measurement = long()
    work, together = beginning(measurement)
    started: list[Any] = []

    def start(statement: str, descriptors: Sequence[int]) -> Any:
        started.append(processes.start(f"exec({DIES_MERGING!r}); {statement}", descriptors))
        return started[-1]

    monkeypatch.setattr(worker_module, "start", start)
    run(work, together, measurement.plan, workers=2, blocks_per_task=8)
    assert [child.returncode for child in started] == [-signal.SIGKILL] and sum(map(len, at_once)) >= 5
    assert together.segments().digest() == digest


def test_ctrl_c_in_the_middle_of_a_merge_leaves_the_row_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    measurement = measured("bernoulli_ising", num_replicates=2**12, block_size=16)
    work, alone = beginning(measurement)
    run(work, alone, measurement.plan)
    _, accumulator = beginning(measurement)
    merges: list[int] = []

    def interrupted(row: Moments, other: Moments) -> Moments:
        merges.append(1)
        if len(merges) == 100:
            row.mean.add_(1)  # half of it is done
            raise KeyboardInterrupt
        return merge(row, other)

    monkeypatch.setattr(accumulators, "merge", interrupted)
    kept: list[Segments] = []
    with pytest.raises(KeyboardInterrupt):
        run(work, accumulator, measurement.plan, checkpoint=lambda: kept.append(accumulator.segments()))
    assert int(kept[-1].blocks.sum()) == 99
    resumed = Accumulator.resume(kept[-1], torch.device("cpu"))
    run(work, resumed, measurement.plan)
    assert resumed.segments().digest() == alone.segments().digest()


def test_an_accumulator_keeps_a_row_for_itself() -> None:
    """A process that would take the last one is not started: its thread goes on by itself."""
    measurement = measured("bernoulli_ising", num_replicates=2**12, block_size=16)
    work, accumulator = beginning(measurement, writers=2)
    with worker(work, accumulator), pytest.raises(OSError, match="no row of it to spare"):
        Worker(work, accumulator)
    accumulator.add(0, work.moments(0))
    assert accumulator.holds(0)


@pytest.mark.parametrize("segments", [16, 64])
@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_the_schedule_gives_each_block_once_and_in_order_within_a_segment(segments: int, workers: int) -> None:
    plan = Plan(1, 5 * segments + 3, segments)
    accumulator = Accumulator(measured().program.layout, segments, torch.device("cpu"))
    for block in (7, 7 + segments, 7 + 2 * segments):
        accumulator.add(block, moments(torch.ones(1, accumulator.layout.size), None))
    schedule = Schedule(accumulator, plan, workers, None)
    given: list[int] = []
    waiting: list[tuple[int, ...]] = []
    generator = torch.Generator().manual_seed(5)
    while True:
        if (task := schedule.take()) and len(waiting) < 2 * workers:
            waiting.append(task)
            given.extend(task)
            busy = [block % segments for task in waiting for block in task]
            assert len(set(busy)) == len(busy)
            continue
        if task:
            waiting.append(task)
            given.extend(task)
        if not waiting:
            break
        schedule.give_back(waiting.pop(int(torch.randint(len(waiting), (), generator=generator))))
    assert sorted(given) == sorted(set(range(plan.blocks)) - {7, 7 + segments, 7 + 2 * segments})
    for segment in range(segments):
        of_segment = [block for block in given if block % segments == segment]
        assert of_segment == sorted(of_segment)


# ----------------------------------------------------------------------------------------------------------------- a whole command

LONG = ("run", "model=binary_vae", "engine=loop", "num_replicates=65536", "block_size=4", "workers=2", "name=long")


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(word) for word in " ".join([text, *threads]).split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_run(tmp_path: Path, how: signal.Signals) -> None:
    with running(*LONG, cwd=tmp_path) as process:
        wait_for(lambda: [path for path in tmp_path.rglob("segments.npz") if "reference" not in path.parent.name], process)
        wait_for(lambda: children(process.pid), process)
        started = children(process.pid)
        time.sleep(3)  # it is at work by now
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), err
    assert "Traceback" not in err and finished(tmp_path) == []
    deadline = time.monotonic() + 20
    while not all(map(gone, started)):
        assert time.monotonic() < deadline, "a worker process outlives its run"
        time.sleep(0.05)
