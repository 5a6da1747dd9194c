"""A file of a user's own group, whatever is in it: one line and exit code 2, or a plan; never a traceback, and never for long."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gsx import forecast
from gsx.cli import main
from tests.fuzz.guided import ROUNDS, bounded, shown
from tests.fuzz.mutation import damaged_bytes

START = (
    b"name: concrete\ntemperature: 0.5\n",
    b"# @package _global_\ndefaults: [/model: gamma_toy]\nestimator: {name: rloo}\nseed: ${draws}\n",
    b"a: &a {temperature: 1e-1}\nname: concrete\n<<: *a\n? x\n: !!str y\n",
    b"hydra: {mode: RUN}\nname: '${name}'\nx: ${oc.env:HOME}\ny: [{z: ???}]\n",
)


@pytest.mark.parametrize("seed", range(max(8, ROUNDS // 5)))
def test_any_group_file(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(forecast, "TIMING_SECONDS", 0.0)
    rng = random.Random(seed)
    content = damaged_bytes(rng, rng.choice(START))
    (tmp_path / "conf" / "estimator").mkdir(parents=True)
    (tmp_path / "conf" / "estimator" / "theirs.yaml").write_bytes(content)
    with bounded():
        code = main(["run", "--config-dir=conf", "estimator=theirs", "num_replicates=64", "-q", "--dry-run"])
    said = capsys.readouterr()
    assert (code, len(said.err.splitlines())) in ((0, 0), (2, 1)), f"{code}: {said.err}, for {shown(content)}"
    assert said.err.rstrip("\n").isprintable()
