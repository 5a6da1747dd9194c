"""A folder to stand in with a finished run, a folder outside it that must stay as it is, and the command in this process."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gsx import yardstick
from gsx.cli import main
from gsx.cli.cell import prepared
from gsx.report import build
from tests.fuzz.guided import bounded
from tests.trust.hostile import CANARY

RUN = ("run", "num_replicates=64", "block_size=1", "name=stranger", "workers=1")
SECRET = "hunter2-do-not-tell"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line that a refusal is, with nothing in it that a terminal would obey."""
        (line,) = self.err.splitlines()
        assert line.startswith("gsx: ") and line.isprintable() and len(line) < 2000, ascii(self.err)
        return line


@dataclass(frozen=True)
class Place:
    here: Path
    outside: Path
    gsx: Callable[..., Said]
    finished: Path

    def folder(self) -> Path:
        """Of the finished run, which is put here first."""
        if not (self.here / "outputs" / "stranger").exists():
            shutil.copytree(self.finished, self.here / "outputs", dirs_exist_ok=True)
        (found,) = (path.parent for path in self.here.glob("outputs/stranger/*/segments.npz"))
        return found

    def check(self) -> None:
        """Nothing was run, and nothing outside was written."""
        assert not [path for root in (self.here, self.outside) for path in root.rglob(f"{CANARY}*")]
        assert sorted(path.name for path in self.outside.iterdir()) == ["precious"]
        assert (self.outside / "precious").read_text() == "precious\n"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, made once: its identity does not depend on where it lies."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(root)
        patch.setattr(yardstick, "SECONDS", 0.0)
        assert main([*RUN]) == 0
    return root / "outputs"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take a second each; what they are drawn of is in the tables."""
    monkeypatch.setattr(build, "_plots", lambda *_, **__: iter(()))


@pytest.fixture
def place(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    here, outside = tmp_path / "here", tmp_path / "outside"
    for made in (here, outside):
        made.mkdir()
    (outside / "precious").write_text("precious\n")
    monkeypatch.chdir(here)
    monkeypatch.setattr(yardstick, "SECONDS", 0.0)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("GSX_SECRET", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("GSX_DATA", raising=False)

    def run(*words: str) -> Said:
        prepared.cache_clear()
        with bounded():
            code = main(list(words))
        said = capsys.readouterr()
        assert "Traceback" not in said.err, said.err
        return Said(code, said.out, said.err)

    return Place(here, outside, run, finished)
