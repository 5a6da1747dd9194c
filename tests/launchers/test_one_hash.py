"""What `scripts/one-hash` says of its ways, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launchers import one_hash


def gives(*hashes: str) -> Callable[[Path], None]:
    """A way that leaves a result of each hash."""

    def way(folder: Path) -> None:
        for number, moments in enumerate(hashes):
            (folder / str(number)).mkdir()
            (folder / str(number) / "result.json").write_text(json.dumps({"status": "complete", "moments_sha256": moments}))

    return way


def lacks(folder: Path) -> None:
    raise one_hash.Lacking("no SLURM here")


def fails(folder: Path) -> None:
    raise RuntimeError("gsx run ended with 1:\n  Traceback\n  KeyError")


@pytest.mark.parametrize(
    ("ways", "code", "last"),
    [
        ([gives("a"), gives("a"), lacks], 0, "2 of 3 ways ran, 0 failed, 1 skipped: one hash"),
        ([gives("a"), gives("b"), lacks], 4, "2 of 3 ways ran, 0 failed, 1 skipped: 2 hashes"),
        ([gives("a"), gives("a"), fails], 1, "2 of 3 ways ran, 1 failed, 0 skipped: one hash"),
        ([gives("a"), gives("a"), gives()], 1, "2 of 3 ways ran, 1 failed, 0 skipped: one hash"),
        ([gives("a"), gives("b"), gives("a", "a")], 4, "2 of 3 ways ran, 1 failed, 0 skipped: 2 hashes"),
        ([gives("a"), lacks], 1, "1 of 2 ways ran, 0 failed, 1 skipped: nothing to compare"),
        ([lacks, lacks], 1, "0 of 2 ways ran, 0 failed, 2 skipped: nothing to compare"),
    ],
)
def test_one_hash_is_of_ways_that_ran(
    ways: list[Callable[[Path], None]], code: int, last: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(one_hash, "WAYS", {f"way {number}": way for number, way in enumerate(ways)})
    assert one_hash.main() == code
    *rows, said = capsys.readouterr().out.splitlines()
    assert said == last and len(rows) == len(ways)  # a row each, whatever it raised
