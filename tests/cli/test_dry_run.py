"""What a dry run says of cost: counts that the run then has, times that are of the run's size, and nothing timed twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gsx.cli import dry_run, kinds
from gsx.cli.cell import prepared
from gsx.cli.dry_run import Clerk
from gsx.cli.foreseen import size
from gsx.cli.kinds import shape
from gsx.cli.run import QUIET, planned
from gsx.forecast import Times, forecast, reference_seconds, speed
from gsx.records import Result
from gsx.store import RunDirectory
from tests.cli.conftest import Inside

SMALL = ("model.logits=[0.5,-1]", "num_replicates=2048", "workers=1")


@pytest.fixture(autouse=True)
def aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """What -q sets is put back."""
    monkeypatch.setenv(QUIET, "")
    monkeypatch.delenv(QUIET)


def said(line: str) -> dict[str, str]:
    """The `key=value` and `key~value` of a line."""
    return dict(re.findall(r"(\w+)[=~](\S+)", line))


def result(folder: Path) -> tuple[Path, Result]:
    (found,) = folder.glob("outputs/default/*/result.json")
    stored = RunDirectory(found.parent).read_result()
    assert stored is not None
    return found.parent, stored


@pytest.mark.parametrize("words", [("estimator=concrete",), ("estimator=disarm", "num_samples=4"), ("estimator=rebar", "tune.steps=20")])
def test_what_is_counted_is_what_the_run_counts(words: tuple[str, ...], empty: Path, inside: Inside) -> None:
    code, out, err = inside("run", "--dry-run", *words, *SMALL)
    assert code == 0 and "predicted from 1 kinds of cell" in err and not (empty / "outputs").exists()
    line, total = out.splitlines()
    assert inside("run", "-q", *words, *SMALL)[0] == 0
    folder, measured = result(empty)
    told, cost = said(line), measured.cost
    for name in ("evaluations", "gradient_evaluations", "random_numbers"):
        assert int(told[name]) == getattr(cost, name) * measured.num_replicates == int(said(total)[name]), name
    assert told["checkpoint"] == size((folder / "segments.npz").stat().st_size)
    assert float(told["seconds"]) < 60


def test_exact_is_counted_too(empty: Path, inside: Inside) -> None:
    """Where there is a formula for the reference, too, `exact` is a sum over states."""
    line = inside("run", "--dry-run", "-q", "estimator=exact", *SMALL)[1]
    assert inside("run", "-q", "estimator=exact", *SMALL)[0] == 0
    assert int(said(line)["evaluations"]) == result(empty)[1].cost.evaluations == 2


def test_the_least_is_said_with_quiet(inside: Inside) -> None:
    code, out, err = inside("run", "--dry-run", "-q", *SMALL)
    assert (code, err) == (0, "") and len(out.splitlines()) == 2


def test_a_finished_run_costs_nothing_and_half_a_run_half(empty: Path, inside: Inside) -> None:
    assert inside("run", "-q", *SMALL, "block_size=16")[0] == 0
    assert inside("run", "--dry-run", *SMALL, "block_size=16")[1].splitlines()[-1] == "total      1 cells, 0 to measure"
    folder, stored = result(empty)
    segments = RunDirectory(folder).read_segments()
    assert segments is not None
    segments.segments.blocks[:32] -= 1
    RunDirectory(folder).write_segments(segments.segments, segments.fingerprint, segments.result_id)
    (folder / "result.json").unlink()
    line = inside("run", "--dry-run", *SMALL, "block_size=16")[1].splitlines()[0]
    assert line.startswith("unfinished") and int(said(line)["evaluations"]) == 32 * 16 * stored.cost.evaluations


def test_cells_of_one_shape_are_timed_once(empty: Path) -> None:
    """Seeds and temperatures cost nothing; a sample, a coordinate or another estimator does."""
    sweep = ("-m", "estimator.temperature=0.1,0.5", "seed=0,1", "model.target=0.2,0.4", *SMALL)
    cells = planned(["estimator=concrete", *sweep]).cells
    clerk = Clerk(prepared)
    bills = [clerk.bill(cell) for cell in cells]
    assert len(cells) == 8 and len(clerk.kinds) == 1 and len({bill.seconds for bill in bills}) == 1
    assert len(clerk.references) == 4 and not any(found.times is None for found in clerk.kinds)  # one for each target and seed
    for others in (["estimator=concrete", "num_samples=2", *SMALL], ["estimator=st_gumbel", *SMALL], ["model.logits=[1,2,3]"]):
        before = len(clerk.kinds)
        clerk.bill(planned(others).cells[0])
        assert len(clerk.kinds) == before + 1, others


def test_the_time_of_a_dry_run_is_bounded(empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is beyond the bound is counted, and said not to be timed."""
    monkeypatch.setattr(kinds, "MOST_SECONDS", 0.0)
    cells = planned(["-m", "estimator=concrete,st_gumbel", *SMALL]).cells
    assert dry_run.show(cells, prepared).broken == 0
    out, err = capsys.readouterr()
    assert out.count("seconds=?") == 2 and "evaluations=4096" in out.splitlines()[-1] and "about" not in out
    assert "not timed: 2 kinds of cell" in err and "not in it: 2 references" not in err


def test_a_cell_that_will_fail_is_told_of(empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cells = planned([*SMALL]).cells
    (cell,) = cells

    def broken(*of: object) -> None:
        raise ValueError("no such luck")

    monkeypatch.setattr(prepared(cell.given).route, "moments", broken)
    assert dry_run.show(cells, prepared).broken == 0
    out, err = capsys.readouterr()
    assert "seconds=?" in out and "could not be timed" in err and "ValueError: no such luck" in err
    prepared.cache_clear()


def test_a_forecast_changes_nothing(empty: Path) -> None:
    """Tuning is timed on a copy; a run after a forecast has the bits of one without."""
    words = ["estimator=rebar", "tune.steps=5", *SMALL]
    (cell,) = planned(words).cells
    prepared.cache_clear()
    plain = prepared(cell.given).run().moments_sha256
    prepared.cache_clear()
    measurement = prepared(cell.given)
    assert forecast(measurement).times is not None
    assert measurement.run().moments_sha256 == plain
    prepared.cache_clear()


def test_seconds_grow_with_the_blocks_and_shrink_with_workers(empty: Path) -> None:
    measurement = prepared(planned([*SMALL]).cells[0].given)
    one = forecast(measurement)
    assert one.times is not None and min(vars(one.times).values()) >= 0 < one.times.replicate
    few, many, more = (one.seconds(blocks, 1024) for blocks in (0, 1000, 2000))
    assert few is not None and many is not None and more is not None
    assert more - many == pytest.approx(many - few)
    assert speed(1) == 1 and 1.5 < speed(2) < 2
    assert isinstance(one.times, Times) and reference_seconds(measurement, None) is None
    assert (reference_seconds(measurement, 1e-6) or 0) < 1


def test_shapes() -> None:
    """The planted bug: a kind without the number of coordinates would take a long model for a short one."""
    short, long = ({"model": {"logits": [0.1] * n, "seed": n, "power": n / 3}, "num_samples": 1} for n in (2, 3))
    assert shape(short) != shape(long)
    assert shape(short) == shape(short | {"model": {"logits": [0.7, -1.0], "seed": 9, "power": 1.5}})


def test_sizes() -> None:
    assert [size(n) for n in (7, 24_250, 3.3e6, 999.6e6, 4e9, 3e13)] == ["7.0B", "24kB", "3.3MB", "1.0GB", "4.0GB", "30.0TB"]


@pytest.mark.parametrize(
    ("words", "folders"),
    [
        (["hydra.run.dir=X/${estimator.name}"], ["X/reinforce"]),
        (["-m", "seed=0,1", "hydra.sweep.dir=Y", "hydra.sweep.subdir=${seed}"], ["Y/0", "Y/1"]),
        (["-m", "seed=0,1", "hydra.sweep.dir=Y"], ["Y/default/bernoulli_toy-reinforce-n1-"] * 2),
        (["-m", "seed=0,1", "hydra.sweep.subdir=${hydra.job.num}"], ["outputs/default/bernoulli_toy-reinforce-n1-"] * 2),  # not known yet
    ],
)
def test_where_hydra_was_told_to_put_it(words: list[str], folders: list[str], inside: Inside) -> None:
    code, out, _ = inside("run", "--dry-run", *words)
    told = [line.split()[1] for line in out.splitlines()[:-1]]
    assert code == 0 and all(found.startswith(folder) for found, folder in zip(told, folders, strict=True)), out
