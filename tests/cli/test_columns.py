"""Tables in a terminal: a real one, of a known width."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

from gsx.cli.columns import fitted, folded
from gsx.naming import printable
from tests.cli.process import GSX, environment
from tests.report import factory


def on_a_terminal(*words: str, columns: int, cwd: Path) -> str:
    """What a command says there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with os.fdopen(ours, "rb", buffering=0) as reading:
        with subprocess.Popen([str(GSX), *words], cwd=cwd, env=environment(), stdout=theirs, stderr=subprocess.PIPE) as process:
            os.close(theirs)
            said = b""
            try:
                while chunk := reading.read(65536):
                    said += chunk
            except OSError:  # the terminal is gone with the last that had it open
                pass
        assert process.returncode == 0
    return said.decode().replace("\r\n", "\n")


def test_a_report_fits_the_terminal(tmp_path: Path) -> None:
    factory.make(tmp_path / "outputs", status="partial")  # of which there are no figures to draw
    said = on_a_terminal("report", columns=80, cwd=tmp_path)
    assert all(len(line) <= 80 for line in said.splitlines() if line.startswith("  ")) and "| model" not in said
    assert "no room for: " in said and "notes; the tables" in said
    for shown in ("estimator", "verdict", "variance", "reinforce", "unbiased"):
        assert shown in said.partition("no room for")[0]


def test_a_list_fits_the_terminal(tmp_path: Path) -> None:
    said = on_a_terminal("list", "experiments", columns=80, cwd=tmp_path)
    assert all(len(line) <= 80 for line in said.splitlines())
    heading, first, below, *_ = said.splitlines()
    assert (
        heading.split() == ["name", "steps", "findings", "--quick"] and first.startswith("arms_toy") and below.startswith("    title: ARMS")
    )


def test_nothing_is_left_out_where_there_is_room() -> None:
    table = "| model | a \\| b | c |\n|:--|--:|:--|\n| m &lt;1&gt; | 1 | x |\n| m &lt;1&gt; | 22 | y |\n| n | 3 | z |\n\n- said \\[0\\]"
    assert fitted(table, 40) == "  a | b  c\nm <1>\n  1      x\n  22     y\nn\n  3      z\n\n- said [0]"
    assert fitted(table, 8).splitlines()[:3] == ["  a | b", "m <1>", "  1"] and "no room for: c;" in " ".join(fitted(table, 8).split())
    rows = [("name", "what"), ("one", "a thing"), ("two", "")]
    assert folded(rows, 13) == "name  what\none   a thing\ntwo"
    assert folded(rows, 12) == "name\none\n    what: a\n    thing\ntwo"


def test_an_entity_is_no_way_for_an_escape_sequence() -> None:
    assert "\x1b" not in printable(fitted("| a | b |\n|--|--|\n| x | &#27;[31m |", 40))
