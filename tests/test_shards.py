"""A run in pieces: each a part of the whole to the bit, killed or not, wherever it was computed; and what does not fit is never joined."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gsx
from gsx import yardstick
from gsx.conclusion import combined
from gsx.merging import merge
from gsx.records import ConfigurationError, Cost, GsxError, IntegrityError, Layout, MissingData, Result, Shard
from gsx.shards import Share, furthest, own
from gsx.store import RunDirectory, StoredSegments, find_runs, find_shards
from tests.schedules import Interrupter, statistics_of
from tests.store.factory import make_segments
from tests.test_measurement import ROUTED, TUNED, run_directory

ISING: tuple[Any, Any, dict[str, Any]] = ("bernoulli_ising", "reinforce", {"block_size": 16, "num_replicates": 2048})


@pytest.fixture(autouse=True)
def least_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardstick, "SECONDS", 0.0)


def measure(case: tuple[Any, Any, dict[str, Any]], directory: Path | None = None, **more: Any) -> Result:
    model, estimator, settings = case
    return gsx.measure(model, estimator, directory=directory, **{"workers": 1, "blocks_per_task": 1, **settings, **more})


def place(root: Path, case: tuple[Any, Any, dict[str, Any]], **more: Any) -> Path:
    model, estimator, settings = case
    return run_directory(root, model, estimator, **settings, **more)


def cut(root: Path, case: tuple[Any, Any, dict[str, Any]] = ISING, of: int = 4, **more: Any) -> RunDirectory:
    directory = place(root, case)
    for number in range(of):
        part = measure(case, directory, shard=f"{number}/{of}", **more)
        assert part.status == "partial" and part.part is not None and part.part.shard == Shard(number, of)
    return RunDirectory(directory)


def same(merged: RunDirectory, whole: Result, root: Path) -> None:
    """Moments, statistics, verdict and coordinates, to the bit; and there is nothing more to do."""
    result = merged.read_result()
    assert result is not None and whole.coordinates is not None
    assert result.moments_sha256 == whole.moments_sha256 and statistics_of(result) == statistics_of(whole)
    alike = ("result_id", "status", "config", "num_replicates", "blocks", "verdict", "nonfinite", "tuning", "facts", "part", "stopping")
    assert [getattr(result, name) for name in alike] == [getattr(whole, name) for name in alike]
    assert result.reference == whole.reference
    counted = ("evaluations", "gradient_evaluations", "random_numbers")
    assert [getattr(result.cost, name) for name in counted] == [getattr(whole.cost, name) for name in counted]
    RunDirectory(root / "alone").write_result(whole)
    assert (merged.path / "coordinates.csv").read_bytes() == (root / "alone" / "coordinates.csv").read_bytes()


# ------------------------------------------------------------------------------------------------------------------- the same bits

LONG_RUN = {"reference": {"kind": "long_run", "num_replicates": 1024}, "block_size": 16, "num_replicates": 1024}
FLAT = {"name": "bernoulli_toy", "logits": [0.3, -0.2], "target": 0.5}  # its gradient is zero: there is no direction
CASES = [
    *(pytest.param((*param.values,), 4, id=str(param.id)) for param in ROUTED if param.id != "vmap"),
    pytest.param(ISING, 1, id="1 shard"),
    pytest.param(ISING, 3, id="3 shards"),
    pytest.param(("bernoulli_ising", "concrete", LONG_RUN), 2, id="long run"),
    pytest.param((FLAT, "straight_through", {"num_replicates": 1024}), 2, id="no direction"),
]


@pytest.mark.parametrize(("case", "of"), CASES)
def test_shards_merged_are_the_run_in_one_go(tmp_path: Path, case: tuple[Any, Any, dict[str, Any]], of: int) -> None:
    run, whole = cut(tmp_path, case, of), measure(case)
    assert len(list(tmp_path.glob("reference-*"))) == 1 and run.read_result() is None
    merged = merge(run)
    assert merged is not None and merged.state == "merged"
    same(run, whole, tmp_path)
    again = measure(case, run.path, progress=Interrupter(0))  # would stop any work
    assert again.status == "complete" and again.moments_sha256 == whole.moments_sha256
    assert merge(run) == dataclasses.replace(merged, state="complete", text=f"R={whole.num_replicates}")


def test_a_shard_may_be_a_single_segment(tmp_path: Path) -> None:
    directory = place(tmp_path, ISING)
    measure(ISING, directory, shard="63/64")
    stored, whole = RunDirectory(directory / "shard-63-of-64").read_segments(), measure(ISING).segments
    assert stored is not None and whole is not None and stored.segments.digest() == own(whole, Shard(63, 64)).digest()


def test_a_shard_interrupted_five_times(tmp_path: Path) -> None:
    directory, done = place(tmp_path, ISING), [0]
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            measure(ISING, directory, shard="1/2", progress=Interrupter(9), workers=2)
        stored = RunDirectory(directory / "shard-1-of-2").read_segments()
        assert stored is not None and len(stored.segments.blocks) == 32
        done.append(int(stored.segments.blocks.sum()))
    assert done == sorted(set(done))
    run = cut(tmp_path, of=2, workers=2)
    assert merge(run) is not None
    same(run, measure(ISING), tmp_path)


def test_a_shard_of_other_noise_would_show(tmp_path: Path) -> None:
    """The negative control: a wrong shard that says the right things is another run's bits."""
    run = cut(tmp_path, of=2)
    other = cut(tmp_path / "other", (*ISING[:2], {**ISING[2], "seed": 1}), of=2)
    segments = other.path / "shard-1-of-2" / "segments.npz"
    stored, folder = RunDirectory(segments.parent).read_segments(), RunDirectory(run.path / "shard-1-of-2")
    mine, result = folder.read_segments(), folder.read_result()
    assert stored is not None and mine is not None and result is not None
    folder.write_segments(stored.segments, mine.fingerprint, mine.result_id)
    folder.write_result(dataclasses.replace(result, moments_sha256=stored.segments.digest()))
    assert merge(run) is not None
    merged = run.read_result()
    assert merged is not None and merged.moments_sha256 != measure(ISING).moments_sha256


# --------------------------------------------------------------------------------------------------------------- going on from parts


def advances(case: tuple[Any, Any, dict[str, Any]], directory: Path, total: int, **more: Any) -> tuple[int, Result]:
    """What was there as it began, and the result; every replicate is counted once."""
    moved: list[int] = []

    def progress(what: str, replicates: int) -> Callable[[int], None]:
        assert replicates == total
        return moved.append

    result = measure(case, directory, progress=progress, **more)
    assert sum(moved) == total
    return moved[0], result


def test_a_whole_run_begins_from_its_shards(tmp_path: Path) -> None:
    directory = place(tmp_path, ISING)
    for shard in ("0/4", "2/4", "1/8"):
        measure(ISING, directory, shard=shard)
    began, result = advances(ISING, directory, 2048)
    assert began == 2048 // 4 * 2 + 2048 // 8
    same(RunDirectory(directory), measure(ISING), tmp_path)
    assert result.cost.seconds is not None and result.cost.seconds > 0


def test_a_shard_begins_from_what_the_whole_has_done(tmp_path: Path) -> None:
    directory = place(tmp_path, ISING)
    with pytest.raises(KeyboardInterrupt):
        measure(ISING, directory, progress=Interrupter(100))
    began, _ = advances(ISING, directory, 512, shard="0/4")
    assert 16 * 20 < began < 512
    assert advances(ISING, directory, 512, shard="0/4", force=True)[0] == 0
    run = cut(tmp_path)
    merge(run)
    same(run, measure(ISING), tmp_path)


def test_nothing_is_left_to_a_shard_of_a_complete_run(tmp_path: Path) -> None:
    directory = place(tmp_path, ISING)
    whole = measure(ISING, directory)
    assert measure(ISING, directory, shard="1/4", progress=Interrupter(0)).moments_sha256 == whole.moments_sha256
    assert find_shards(directory) == {} or not list(directory.glob("shard-*/segments.npz"))


def test_force_forgets_the_shards_too(tmp_path: Path) -> None:
    run = cut(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        measure(ISING, run.path, progress=Interrupter(3), force=True)
    assert not [*run.path.glob("shard-*/result.json"), *run.path.glob("shard-*/segments.npz")]


def test_exact_has_nothing_to_cut(tmp_path: Path) -> None:
    case = ("bernoulli_ising", "exact", {})
    directory = place(tmp_path, case)
    results = [measure(case, directory, shard=f"{number}/3") for number in range(3)]
    assert [result.status for result in results] == ["complete"] * 3
    assert merge(RunDirectory(directory)) is None and len({result.provenance["time"] for result in results}) == 1


@pytest.mark.parametrize("shard", ["4/4", "-1/4", "0/0", "1", "a/b", "0/65", "1/99999", "0x1/4", "", "１/４"])
def test_what_is_no_shard_is_refused(tmp_path: Path, shard: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^shard=.*(must be k/n|at most 64 shards here)"):
        measure(ISING, tmp_path / "run", shard=shard)
    assert list(tmp_path.iterdir()) == []


def test_the_segments_furthest_on_are_chosen() -> None:
    layout = Layout(("w",), ((2,),))
    whole, half = make_segments(layout, 4, seed=1), own(make_segments(layout, 4, seed=2), Shard(1, 2))
    whole.blocks[:], half.blocks[:] = [3, 1, 0, 9], [2, 5]
    shares = [Share(Shard(), StoredSegments(whole, {}, "", 8.0, {})), Share(Shard(1, 2), StoredSegments(half, {}, "", 1.0, {}))]
    joined, seconds = furthest(shares, 4, most=5)
    assert joined.blocks.tolist() == [3, 2, 0, 5]  # nine blocks are more than wanted: they are another run's
    assert np.array_equal(joined.mean[[0, 1, 3]], np.stack([whole.mean[0], half.mean[0], half.mean[1]]), equal_nan=True)
    assert (joined.mean[2] == 0).all() and joined.nonfinite_first_block[2] == -1
    assert seconds == pytest.approx(8.0 * 3 / 13 + 1.0)
    mine, _ = furthest(shares, 4, most=5, shard=Shard(0, 2))
    assert mine.blocks.tolist() == [3, 0, 0, 0]


def test_time_ratios_are_combined_with_the_larger_error() -> None:
    """Geometric mean; shards on unlike machines show more error than each claims."""
    cost = Cost(3, 1, 2, seconds=1.5, time_ratio=2.0, time_ratio_log_se=0.1, peak_bytes=7)
    alike = combined([cost, dataclasses.replace(cost, peak_bytes=9)])
    assert (alike.time_ratio, alike.seconds, alike.peak_bytes, alike.evaluations) == (pytest.approx(2.0), 3.0, 9, 3)
    assert alike.time_ratio_log_se == pytest.approx(0.1 / math.sqrt(2))
    unlike = combined([cost, dataclasses.replace(cost, time_ratio=8.0)])
    assert unlike.time_ratio == pytest.approx(4.0) and unlike.time_ratio_log_se == pytest.approx(math.log(4) / 2)


# -------------------------------------------------------------------------------------------------------------------------- refusals


@pytest.fixture(scope="module")
def in_four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in four parts, to be copied and spoilt."""
    root = tmp_path_factory.mktemp("parts")
    cut(root)
    return root


@pytest.fixture
def parts(in_four: Path, tmp_path: Path) -> RunDirectory:
    shutil.copytree(in_four, tmp_path / "parts")
    return next(find_runs([tmp_path / "parts"]))


def test_what_is_missing_is_said(parts: RunDirectory) -> None:
    (parts.path / "shard-1-of-4" / "result.json").unlink()
    shutil.rmtree(parts.path / "shard-3-of-4")
    (parts.path / "shard-5-of-8").mkdir()
    (parts.path / "shard-5-of-8" / ".lock").touch()
    merged = merge(parts)
    assert merged is not None and (merged.state, merged.text) == (
        "incomplete",
        "missing 2 of 4: 1, 3; missing 8 of 8: 0, 1, 2, 3, 4, 5, ...",
    )
    assert parts.read_result() is None


def rewrite(folder: RunDirectory, **changes: Any) -> None:
    stored = folder.read_segments()
    assert stored is not None
    stored = dataclasses.replace(stored, **changes)
    folder.write_segments(stored.segments, stored.fingerprint, stored.result_id)


def retell(folder: RunDirectory, **changes: Any) -> None:
    result = folder.read_result()
    assert result is not None
    folder.write_result(dataclasses.replace(result, **changes))


def other_machine(parts: RunDirectory, shard: RunDirectory) -> None:
    rewrite(shard, fingerprint={"torch": "1.0"})


def other_run(parts: RunDirectory, shard: RunDirectory) -> None:
    retell(shard, result_id="0" * 64)


def other_moments(parts: RunDirectory, shard: RunDirectory) -> None:
    rewrite(shard, result_id="0" * 64)


def other_shard(parts: RunDirectory, shard: RunDirectory) -> None:
    shutil.rmtree(shard.path)
    shutil.copytree(parts.path / "shard-0-of-4", shard.path)


def other_bits(parts: RunDirectory, shard: RunDirectory) -> None:
    retell(shard, moments_sha256="0" * 64)


def other_folder(parts: RunDirectory, shard: RunDirectory) -> None:
    for folder in find_shards(parts.path).values():
        retell(folder, result_id="0" * 64)


def flipped(parts: RunDirectory, shard: RunDirectory) -> None:
    path = shard.path / "segments.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def without_moments(parts: RunDirectory, shard: RunDirectory) -> None:
    (shard.path / "segments.npz").unlink()


def unfinished(parts: RunDirectory, shard: RunDirectory) -> None:
    stored, result = shard.read_segments(), shard.read_result()
    assert stored is not None and result is not None
    stored.segments.blocks[0] -= 1
    rewrite(shard, segments=stored.segments)
    retell(shard, moments_sha256=stored.segments.digest())


def way_out(parts: RunDirectory, shard: RunDirectory) -> None:
    for folder in find_shards(parts.path).values():
        result = folder.read_result()
        assert result is not None
        retell(folder, reference={**result.reference, "id": "../../../evil"})


def odd_configuration(parts: RunDirectory, shard: RunDirectory) -> None:
    for folder in find_shards(parts.path).values():
        retell(folder, config={"num_replicates": "many"})


@pytest.mark.parametrize(
    "spoil",
    [
        other_machine, other_run, other_moments, other_shard, other_bits, other_folder, flipped, without_moments, unfinished, way_out,
        odd_configuration,
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_not_joined(parts: RunDirectory, spoil: Callable[[RunDirectory, RunDirectory], None]) -> None:
    spoil(parts, RunDirectory(parts.path / "shard-1-of-4"))
    with pytest.raises(IntegrityError) as refusal:
        merge(parts)
    assert str(parts.path) in str(refusal.value) and "anew" in str(refusal.value) and "\n" not in str(refusal.value)
    assert refusal.value.exit_code == 6
    assert not (parts.path / "result.json").exists() and not (parts.path / "segments.npz").exists()


def test_without_their_reference_shards_wait(parts: RunDirectory) -> None:
    (reference,) = parts.path.parent.glob("reference-*")
    shutil.rmtree(reference)
    with pytest.raises(MissingData, match="the shards were measured against it") as refusal:
        merge(parts)
    assert refusal.value.exit_code == 3
    measure(ISING, parts.path)  # as it advises
    same(parts, measure(ISING), parts.path.parent)


def test_a_reference_behind_a_link_is_not_read(parts: RunDirectory, tmp_path: Path) -> None:
    (reference,) = parts.path.parent.glob("reference-*")
    reference.rename(tmp_path / "away")
    reference.symlink_to(tmp_path / "away")
    with pytest.raises(IntegrityError, match="is a symbolic link"):
        merge(parts)
    assert parts.read_result() is None


def test_a_run_that_is_busy_is_not_merged(parts: RunDirectory) -> None:
    with parts.lock(), pytest.raises(GsxError) as refusal:
        merge(parts)
    assert refusal.value.exit_code == 7


# -------------------------------------------------------------------------------------------------------------------------- the report


def test_a_report_shows_a_run_once(parts: RunDirectory) -> None:
    """Unfinished with its shards named, then complete; never a shard as a result of its own, not even where one is asked for."""
    from gsx.report.collect import collect

    groups, others, _ = collect([parts.path.parent])
    assert groups == [] and [(cell.state, cell.reason) for cell in others] == [
        ("partial", "no result yet; shards 0/4, 1/4, 2/4, 3/4 are there for gsx merge")
    ]
    assert list(find_runs([parts.path / "shard-1-of-4"])) == []
    merge(parts)
    groups, others, duplicates = collect([parts.path.parent])
    assert [len(group.complete) for group in groups] == [1] and others == duplicates == []


def test_a_shards_result_is_strict_json(parts: RunDirectory) -> None:
    body = json.loads((parts.path / "shard-1-of-4" / "result.json").read_text(encoding="utf-8"))
    assert body["status"] == "partial" and body["part"]["shard"] == "1/4" and body["num_replicates"] == 512
    assert set(body["summary"].values()) == {None} and body["verdict"]["status"] == "inconclusive"
    stored = RunDirectory(parts.path / "shard-1-of-4").read_segments()
    assert stored is not None and stored.segments.mean.shape == (16, 6)  # its own rows: all shards together are as large as the run


def test_tuned_estimators_are_tuned_alike(tmp_path: Path) -> None:
    run = cut(tmp_path, ("bernoulli_ising", TUNED, {"num_replicates": 1024}), of=2)
    results = [folder.read_result() for folder in find_shards(run.path).values()]
    assert results[0] is not None and results[1] is not None and results[0].tuning == results[1].tuning
