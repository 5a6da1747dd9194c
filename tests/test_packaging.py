"""What leaves the repository: one version, a wheel with all of its configuration, no traces of the machine it was written on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import gsx

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SCRIPTS = sorted(path for path in [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"] if path.is_file())

#: Folders that are some machine's, and the hosts of package registries. (Neither pattern matches its own text.)
MACHINE_PATH = re.compile(r"(?<![\w.~*-])/(?:work|root|home|Users)/\w|(?<![\w.])/tmp/ven[v]\b")
REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|download\.pytorch\.org|conda\.anaconda\.org|deb\.debian\.org")


def git(*arguments: str) -> str:
    command = ["git", "-c", "safe.directory=*", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        pytest.skip(f"not a git repository: {done.stderr.strip()}")
    return done.stdout


def tracked() -> Iterator[tuple[str, str]]:
    """``(name, text)`` of every tracked text file."""
    for name in git("ls-files", "-z").split("\0"):
        path = ROOT / name
        if name and path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_version_has_one_source(wheel: zipfile.ZipFile) -> None:
    assert "version" not in PROJECT["project"] and PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "gsx/__init__.py"
    assert Path(str(wheel.filename)).name == f"gsx-{gsx.__version__}-py3-none-any.whl"


def test_the_wheel_has_the_package_and_all_of_conf(wheel: zipfile.ZipFile) -> None:
    content = set(wheel.namelist())
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gsx").rglob("*") if path.suffix in {".py", ".npz", ".md", ".html"}}
    configuration = {f"gsx/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert "gsx/data/digits.npz" in sources and "gsx/conf/data/digits.yaml" in configuration
    assert sources - content == set()
    assert {name for name in content if name.endswith(".yaml")} == configuration


def test_the_wheel_has_nothing_else(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist()} == {"gsx", f"gsx-{gsx.__version__}.dist-info"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_the_command_is_gsx(wheel: zipfile.ZipFile) -> None:
    entry_points = wheel.read(f"gsx-{gsx.__version__}.dist-info/entry_points.txt").decode()
    assert entry_points.split() == ["[console_scripts]", "gsx", "=", "gsx.__main__:main"]


def test_constraints_pin_every_requirement() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    pinned = {line.partition("==")[0] for line in lines if re.fullmatch(r"[a-z0-9-]+==[0-9][0-9.]*(b\d+|\.post\d+)?", line)}
    assert len(pinned) == len(lines) and "torch==2.13.0" in lines  # a plain pin each: no local version, no folder, no host
    required = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]
    assert {re.match(r"[a-z0-9-]+", requirement).group() for requirement in required} <= pinned  # type: ignore[union-attr]


def test_no_machine_path_is_tracked() -> None:
    assert [(name, found.group()) for name, text in tracked() for found in MACHINE_PATH.finditer(text)] == []


def test_no_registry_is_named() -> None:
    assert [(name, found.group()) for name, text in tracked() for found in REGISTRY.finditer(text)] == []


@pytest.mark.parametrize("folder", ["work", "root", "home", "Users"])
def test_a_machine_path_would_be_found(folder: str) -> None:
    for text in ("see {}", "cd '{}'", "path={}", "({})"):
        assert MACHINE_PATH.search(text.format(f"/{folder}/someone/gsx"))
    for text in (f"a/{folder}/b", f"../{folder}/b", f"~/{folder}/b", f"$HOME/{folder}/b", f"the {folder}/rest ratio"):
        assert not MACHINE_PATH.search(text)


@pytest.mark.parametrize("host", [("pypi", "org"), ("files.pythonhosted", "org"), ("registry.npmjs", "org"), ("download.pytorch", "org")])
def test_a_registry_would_be_found(host: tuple[str, str]) -> None:
    assert REGISTRY.search("https://" + ".".join(host) + "/simple")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_run(path: Path) -> None:
    """Executable, with a first line that finds bash, valid, and strict about errors."""
    assert os.access(path, os.X_OK)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\n" in text
    assert subprocess.run(["bash", "-n", str(path)], capture_output=True, check=False).returncode == 0


def test_scripts_are_executable_for_others_too() -> None:
    """The mode that git records is the one a clone gets."""
    for line in git("ls-files", "--stage", "scripts", ".ci").splitlines():
        assert line.startswith("100755 "), line
