"""Standard output and error that are closed, full, left by their reader, or of a narrow encoding: the work is done all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.process import GSX, environment, finished

RUN = "run model.logits=[0.5] num_replicates=64 block_size=1"


def shell(line: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], cwd=cwd, env=environment(**env), capture_output=True, text=True, check=False)


def test_a_run_whatever_becomes_of_its_streams(empty: Path) -> None:
    done = shell(f"{GSX} {RUN} >/dev/full 2>&- <&-", empty, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (folder,) = finished(empty)
    assert not (folder / "error.txt").exists()


def test_a_list_that_nobody_gets_is_a_failure(empty: Path) -> None:
    done = shell(f"{GSX} completion bash >/dev/full", empty)
    assert (done.returncode, done.stderr) == (5, "gsx: standard output: No space left on device\n")
    assert shell(f"{GSX} completion bash >&-", empty).returncode == 0  # nobody wants it
    assert shell(f"{GSX} nope 2>/dev/full", empty).returncode == 2  # nor what is wrong


@pytest.mark.parametrize(("words", "shown"), [([], b"\\xb1 \\udcff"), (["-u"], b"\\xb1 \\udcff"), (["-X", "utf8"], "± \\udcff".encode())])
def test_what_an_encoding_lacks_is_escaped(words: list[str], shown: bytes) -> None:
    code = "from gsx.cli import streams; streams.heed(); streams.heed(); print('\\xb1 \\udcff')"
    env = environment(**({} if "utf8" in words else {"PYTHONIOENCODING": "ascii"}))
    done = subprocess.run([sys.executable, *words, "-c", code], env=env, capture_output=True, check=True)
    assert done.stdout == shown + os.linesep.encode()


def test_no_current_folder(tmp_path: Path) -> None:
    done = shell(f"mkdir gone && cd gone && rmdir ../gone && {GSX} status", tmp_path)
    assert done.returncode == 5 and done.stderr.startswith("gsx: the current folder is gone") and len(done.stderr.splitlines()) == 1


CLOSING = """
import os, sys
from gsx.cli.failures import contained
with contained():
    os.close(1)
    os.close(2)
    files = open("one", "w"), open("two", "w")
    assert [file.fileno() for file in files] == [1, 2]
print("said")
print("logged", file=sys.stderr)
"""


def test_a_plugin_that_closes_the_streams_closes_them_for_itself(tmp_path: Path) -> None:
    """And no file that is opened meanwhile gets what is printed."""
    done = subprocess.run([sys.executable, "-c", CLOSING], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "said\n", "logged\n")
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text() == ""


def test_nor_does_one_that_closes_all_within_reach(tmp_path: Path) -> None:
    code = (
        CLOSING[: CLOSING.index("    os.close(1)")]
        + "    os.closerange(0, 200)\n    sys.stdout = sys.stderr = None\n"
        + CLOSING[CLOSING.index("print(") :]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "said\n", "logged\n")
