"""kill -9 and Ctrl-C, at any moment."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from itertools import count
from pathlib import Path

from tests.torture.cases import RUNS, undisturbed
from tests.torture.command import answers, begun, completes, verified
from tests.torture.outcome import Outcome

#: The first part of a command's time is spent on importing torch, when nothing can be lost.
BEGINNING = 0.3


def kills(root: Path, amount: float) -> list[Outcome]:
    """Each case, killed until it has been killed often enough, and then let run to its end, in as many folders as that takes."""
    root.mkdir()
    return [_killed(name, words, root / f"kill {name}", max(1, round(6 * amount))) for name, words in RUNS.items()]


def _killed(name: str, words: tuple[str, ...], root: Path, wanted: int) -> Outcome:
    outcome, rng = Outcome(f"kill -9: {name}"), random.Random(name)
    root.mkdir()
    right, seconds = undisturbed(words, root / "undisturbed")
    for life in count():
        cwd = root / str(life)
        cwd.mkdir()
        while outcome.counts["killed"] < wanted:
            started = time.monotonic()
            with begun(words, cwd) as process, contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=rng.uniform(BEGINNING, 1) * seconds)
            if process.returncode != -signal.SIGKILL:
                outcome.expect(process.returncode == 0, f"ended with {process.returncode} before it was killed")
                seconds = min(seconds, time.monotonic() - started)  # the machine is less busy than it was
                break
            outcome.saw("killed")
            code, said = verified(cwd / "outputs")
            outcome.expect(code == 0, f"after a kill: {said}")
        else:
            completes(outcome, f"life {life}", words, cwd, right)
        outcome.saw("completed with the same hash" if answers(cwd) == right else "completed with another hash")
        outcome.expect(answers(cwd) == right, f"life {life}: another answer than the undisturbed run's")
        if outcome.counts["killed"] >= wanted:
            return outcome
    raise AssertionError


def interrupts(root: Path, amount: float) -> list[Outcome]:
    """Ctrl-C: what is computed is written, the exit code is 130, and the last line says how to go on."""
    outcome, rng = Outcome("Ctrl-C"), random.Random(1)
    words = RUNS["batched, worker processes"]
    root.mkdir()
    right, seconds = undisturbed(words, root / "undisturbed")
    for attempt in range(max(2, round(8 * amount))):
        cwd = root / str(attempt)
        cwd.mkdir()
        with begun(words, cwd) as process:
            try:
                process.communicate(timeout=rng.uniform(BEGINNING, 1) * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                if attempt % 2:
                    process.send_signal(signal.SIGINT)  # impatiently
            _, err = process.communicate()
        if process.returncode == 0:
            outcome.saw("had ended")
        else:
            outcome.saw("interrupted")
            last = err.rstrip().rpartition("\n")[2]
            outcome.expect(process.returncode == 130, f"exit code {process.returncode}: {last}")
            outcome.expect("Traceback" not in err and "the same command goes on" in last, f"last words: {err[-400:]}")
        completes(outcome, f"try {attempt}", words, cwd, right)
    return [outcome]
