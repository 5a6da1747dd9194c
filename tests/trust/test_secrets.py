"""Provenance is an allow-list: nothing of the environment is in what a command leaves behind or says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from gsx.provenance import provenance
from tests.trust.conftest import SECRET, Place

SMALL = ("num_replicates=64", "block_size=1")
TRAIN = ("train", "model=tied_bernoulli", "estimator=rloo", "steps=2", "probe_every=0", "evaluate_every=0")


def holding(text: str, *roots: Path) -> list[Path]:
    return [path for root in roots for path in root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.usefixtures("undrawn")
def test_secrets_of_the_environment_are_nowhere(place: Place, tmp_path: Path) -> None:
    """Every variable of the environment holds the secret, by its name or in an address."""
    said = [place.gsx("run", *SMALL), place.gsx("run", "-m", *SMALL, "seed=1,2"), place.gsx(*TRAIN)]
    said += [place.gsx("report", "--html"), place.gsx("run", "estimator.temperature=${oc.env:GSX_SECRET}"), place.gsx("list", "data")]
    assert [one.code for one in said] == [0, 0, 0, 0, 2, 0]
    assert not any(SECRET in one.out + one.err for one in said)
    written = [path for path in place.here.rglob("*") if path.is_file()]
    assert {"result.json", "training.json", "config.yaml", "hydra.yaml", "overrides.yaml", "report.html"} <= {path.name for path in written}
    assert holding(SECRET, tmp_path) == []
    # and it would be found
    (place.here / "leak").write_text(f"x{SECRET}x")
    assert holding(SECRET, tmp_path) == [place.here / "leak"]


def test_what_a_command_told_a_machine_alone_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords in addresses, and variables that are set for jobs; the rest is as it was typed."""
    typed = [
        "gsx",
        "run",
        "seed=3",
        "x=https://me:pass@host/path?a=b",
        f"+hydra.job.env_set.TOKEN={SECRET}",
        f"+hydra.job.env_set={{T:{SECRET}}}",
    ]
    monkeypatch.setattr(sys, "orig_argv", ["python", *typed])
    command = provenance(torch.device("cpu"), 1)["command"]
    assert SECRET not in command and "pass" not in command
    assert "seed=3" in command and "https://***@host/path" in command


def test_provenance_is_an_allow_list() -> None:
    assert set(provenance(torch.device("cpu"), 1)) == {
        *("gsx", "python", "torch", "numpy", "noise", "device", "system", "workers", "commit", "time", "command")
    }
