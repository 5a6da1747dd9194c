"""An empty folder to stand in, and the command in this process where starting one more would teach nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gsx import forecast, yardstick
from gsx.cli import main
from gsx.cli.cell import prepared

#: ``inside(*words) -> (exit code, stdout, stderr)``.
Inside = Callable[..., tuple[int, str, str]]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GSX_DATA", raising=False)
    return tmp_path


@pytest.fixture
def inside(empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inside:
    """With the least timing."""
    monkeypatch.setattr(yardstick, "SECONDS", 0.0)
    monkeypatch.setattr(forecast, "TIMING_SECONDS", 0.0)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def run(*words: str) -> tuple[int, str, str]:
        prepared.cache_clear()
        code = main(list(words))
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return run
