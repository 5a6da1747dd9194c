"""The lock, against other processes and their sudden ends."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gsx.records import Busy, GsxError, canonical_json
from gsx.store import RunDirectory
from tests.store.factory import ROOT

IMPORTS = "import sys, time\nfrom pathlib import Path\nfrom gsx.records import Busy\nfrom gsx.store import RunDirectory"


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process with the store imported; it prints a line when it is where the test wants it."""
    program = f"{IMPORTS}\nrun = RunDirectory(Path(sys.argv[1]))\n{code}"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def wait_for_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


HOLD = "with run.lock():\n    print('held', flush=True)\n    time.sleep(60)"
TRY = "try:\n    with run.lock(): print('got it', flush=True)\nexcept Busy as busy: print(busy.exit_code, busy, flush=True)"
WAIT = "print('waiting', flush=True)\nwith run.lock(wait=True): print('got it', flush=True)"


def test_the_second_process_is_told_who_holds_the_run_and_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    with start(HOLD, run.path) as holder:
        try:
            assert wait_for_line(holder) == "held"
            with start(TRY, run.path) as second:
                told = wait_for_line(second)
            assert told.startswith(f"7 {run.path}: busy, held by pid {holder.pid} on {os.uname().nodename} since 20")
            with pytest.raises(Busy, match=f"pid {holder.pid} "), run.lock():
                pass
            with start(WAIT, run.path) as waiting:
                assert wait_for_line(waiting) == "waiting"
                time.sleep(0.2)
                assert waiting.poll() is None
                holder.kill()
                holder.wait()
                assert wait_for_line(waiting) == "got it"
        finally:
            holder.kill()
    with run.lock():
        pass
    assert os.listdir(run.path) == [".lock"]


def test_a_dead_holders_note_is_neither_an_obstacle_nor_believed(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with start("pass", tmp_path) as dead:
        pass
    with run.lock():
        with pytest.raises(Busy, match=f"pid {os.getpid()} "), run.lock():
            pass
        host = os.uname().nodename
        for note in (canonical_json({"pid": dead.pid, "host": host, "since": ""}), "", "[]", "{}", "\x00", "[" * 4000, '{"pid": 1e400}'):
            (tmp_path / ".holder").write_text(note)
            with pytest.raises(Busy, match="held by another process"), run.lock():
                pass
        (tmp_path / ".holder").write_text(canonical_json({"pid": 1, "host": "else\nwhere\x1b", "since": "noon"}))
        with pytest.raises(Busy, match="held by pid 1 on else where  since noon"), run.lock():
            pass
    (tmp_path / ".holder").write_text(canonical_json({"pid": dead.pid, "host": host, "since": ""}))
    with run.lock():
        assert json.loads((tmp_path / ".holder").read_text())["pid"] == os.getpid()


def test_a_fault_inside_the_lock_frees_it(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with pytest.raises(GsxError, match="inside"), run.lock():
        raise GsxError("inside")
    with run.lock():
        pass


REWRITE = """
import numpy as np
from gsx.records import Layout, Segments
layout = Layout(("w",), ((20_000,),))
with run.lock():
    for i in range(10**6):
        whole, part = np.full(4, i), np.full((4, 20_000), float(i))
        run.write_segments(Segments(layout, whole, whole, part, part, None, None, None, whole, whole), {}, "id", seconds=float(i))
        if i == 0:
            print("writing", flush=True)
"""


def test_a_writer_killed_at_any_instant_leaves_a_readable_checkpoint(tmp_path: Path) -> None:
    run, rng, kills, between, within = RunDirectory(tmp_path), random.Random(0), 0, 0, 0
    while kills < 10 or (kills < 50 and not (between and within)):  # without both kinds of kill the test has no power
        with start(REWRITE, tmp_path) as writer:
            assert wait_for_line(writer) == "writing"
            time.sleep(rng.uniform(0.01, 0.15))
            writer.kill()
        stored = run.read_segments()
        assert stored is not None
        assert (stored.segments.mean == stored.seconds).all()
        kills += 1
        between += stored.seconds > 0
        within += any(tmp_path.glob(".*.tmp"))  # its own: the next holder sweeps it away
    assert between
    assert within
    with run.lock():
        pass
    assert sorted(os.listdir(tmp_path)) == [".lock", "segments.npz"]


def test_who_waits_says_for_what_and_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("gsx.store.lock._FIRST_WORD", 0.1)
    monkeypatch.setattr("gsx.store.lock._NEXT_WORD", 0.3)
    caplog.set_level("INFO")
    monkeypatch.chdir(tmp_path)
    run = RunDirectory(tmp_path / "reference-1a2b")
    with start(HOLD, run.path) as holder:
        assert wait_for_line(holder) == "held"
        end = threading.Timer(1.0, holder.kill)
        end.start()
        with run.lock(wait=True):
            said = list(caplog.messages)
        end.join()
    assert said[0].startswith(
        f"waiting for reference-1a2b, which is computed elsewhere: held by pid {holder.pid} on {os.uname().nodename} since"
    )
    assert 2 <= len(said) <= 4 and said[1].startswith("waiting, for 0 min now for reference-1a2b")
    caplog.clear()
    with run.lock(wait=True):
        pass
    assert caplog.messages == []
