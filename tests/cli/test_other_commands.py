"""Help, lists, completion; and what must not be imported for them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gsx as package
from gsx.cli import COMMANDS, main
from gsx.cli.config_folder import config_folder
from gsx.experiment import load
from tests.cli.process import GSX, environment, gsx, installed
from tests.report import factory

SHELLS = ("bash", "zsh", "fish")
ROOT = Path(package.__file__).parent.parent


def names(group: str) -> set[str]:
    return {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}


def test_help_and_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert installed("--version", cwd=tmp_path).stdout == f"gsx {package.__version__}\n"
    for words in ([], ["--help"], ["-h"]):
        assert main(words) == 0
        said = capsys.readouterr()
        assert all(name in said.out for name in COMMANDS) and "exit codes" in said.out and said.err == ""
    for name in ("report", "list"):
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0 and f"gsx {name}" in capsys.readouterr().out
    assert main(["completion", "--help"]) == 0


def test_help_of_run(tmp_path: Path) -> None:
    said = gsx("run", "--help", "estimator=rebar", "seed=7", cwd=tmp_path).stdout
    assert all(len(line) <= 120 for line in said.splitlines())
    groups = dict(re.findall(r"^([a-z]+): ([^#\[\n]+)$", said.replace("\n    ", " "), re.MULTILINE))
    for group in ("estimator", "model", "device", "data", "reference", "tune", "experiment"):
        assert set(groups[group].split(", ")) == names(group)
    assert "optimizer" not in said
    # What is chosen, and what the files say of it.
    told = [line.split(maxsplit=2) for line in said.splitlines()]
    assert ["seed:", "7", "# of the noise; model.seed is that of the problem"] in told
    assert ["temperature:", "0.5", "# where the tuning begins"] in told and [
        "scale:",
        "1.0",
        "# of the control variate; where the tuning begins",
    ] in told
    assert "gsx run estimator=concrete device=cuda" in said
    assert "gsx run -m estimator=concrete estimator.temperature=0.1,0.5,1.0" in said
    assert "num_replicates: 65536      # R, independent" in said and "--dry-run" in said and "hydra.run.dir" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["estimators", "models", "experiments", "devices", "data"])
def test_list(what: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["list", what]) == 0
    said = capsys.readouterr()
    header, *rows = said.out.splitlines()
    assert header.startswith("name") and said.err == "" and all(row == row.rstrip() for row in rows)
    listed = {row.split()[0] for row in rows}
    group = what.removesuffix("s")
    missing = names(group) - listed - {"auto", "gumbel_softmax"}  # auto is a rule, gumbel_softmax an alias
    assert missing == set()
    if what == "experiments":
        assert header.split() == ["name", "steps", "findings", "--quick", "title", "source"] and "Dimitriev & Zhou (2021)" in said.out
        (training,) = (row.split() for row in rows if row.startswith("binary_vae_training"))
        assert [len(load("binary_vae_training", [config_folder()], size).findings) for size in ("full", "quick")] == [
            int(n) for n in training[2:4]
        ]
    if what == "models":
        assert all(row.split()[2] in ("none", "digits", "breast_cancer") for row in rows)  # of presets too
    if what == "estimators":
        assert all(row.rstrip().count("  ") >= 5 for row in rows)  # no column is empty
    assert list(tmp_path.iterdir()) == []


def test_list_everything(tmp_path: Path) -> None:
    said = gsx("list", cwd=tmp_path).stdout
    assert [line for line in said.splitlines() if line.endswith(":")] == ["estimators:", "models:", "experiments:", "devices:", "data:"]


def test_a_reader_who_leaves(tmp_path: Path) -> None:
    """`gsx list | head -1`: the pipe is closed before a word is written."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [str(GSX), "list", "experiments"],
            cwd=tmp_path,
            env=environment(),
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == "" and done.returncode == 0


# ----------------------------------------------------------------------------------------------------------------------- completion


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    first = script.splitlines()[0]
    assert first.startswith("# put this into") and f"gsx completion {shell}" in first
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""


def test_completion_in_bash(tmp_path: Path) -> None:
    """The function that bash calls on TAB, with the variables that bash sets."""
    lines = {
        "gsx r": {"run", "report", "reproduce"},
        "gsx list est": {"estimators"},
        "gsx completion ": set(SHELLS),
        "gsx run estimator=conc": {"concrete"},
        "gsx run device=": {"auto", "cpu", "cuda"},
        "gsx run estimator=concrete estimator.temp": {"estimator.temperature="},
        "gsx run -m model=bernoulli_t": {"bernoulli_toy"},
        "gsx run num_rep": {"num_replicates="},
    }
    calls = "\n".join(f'COMP_LINE={line!r} COMP_POINT={len(line)}; COMPREPLY=(); _gsx; echo "> ${{COMPREPLY[*]}}"' for line in lines)
    # The cursor in the middle of a line: what stands behind it does not count.
    calls += '\nCOMP_LINE="gsx run device=c estimator=foo" COMP_POINT=16; COMPREPLY=(); _gsx; echo "> ${COMPREPLY[*]}"'
    program = f"set -u\nsource <(gsx completion bash)\ncomplete -p gsx >/dev/null || echo none\n{calls}"
    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    answers = [set(line.removeprefix("> ").split()) for line in done.stdout.splitlines()]
    assert answers == [*lines.values(), {"cpu", "cuda"}], done.stdout
    assert list(tmp_path.iterdir()) == []


def test_completion_knows_no_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("", "gsx", "gsx zzz ", "gsx run estimator=zzz", "gsx report ", "gsx run =", "gsx run 'a"):
        monkeypatch.setenv("COMP_LINE", line)
        assert main(["completion", "query"]) == 0
        assert capsys.readouterr().err == ""


# ------------------------------------------------------------------------------------------------------------------- what is imported


@pytest.mark.parametrize(
    ("words", "forbidden"),
    [
        (["--version"], ["torch", "hydra", "matplotlib", "pandas"]),
        (["--help"], ["torch", "hydra", "matplotlib", "pandas"]),
        (["completion", "bash"], ["torch", "hydra", "matplotlib"]),
        (["completion", "query"], ["torch", "matplotlib", "pandas"]),
        (["list", "experiments"], ["matplotlib", "pandas"]),
        (["report"], ["torch", "hydra"]),
    ],
    ids=lambda value: "-".join(value) if value[0] in (*COMMANDS, "--version", "--help") else "",
)
def test_quick_commands_import_little(words: list[str], forbidden: list[str], tmp_path: Path) -> None:
    if words == ["report"]:
        factory.make(tmp_path / "outputs")
    code = "import sys\nfrom gsx.cli import main\ncode = main(sys.argv[2:])\n"
    code += "print(*sorted(set(sys.argv[1].split(',')) & set(sys.modules)), file=sys.stderr)\nsys.exit(code)"
    command = [sys.executable, "-c", code, ",".join(forbidden), *words]
    env = environment(COMP_LINE="gsx run estimator=", PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""
