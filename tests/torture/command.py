"""The installed command, and what its results are: equal answers are equal bits."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gsx.records import canonical_json
from gsx.store import find_runs, find_trainings, verify
from tests.cli.process import GSX, environment
from tests.torture.outcome import Outcome

#: No command here takes longer, however busy the machine is.
SECONDS = 180


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def plain(self) -> bool:
        """Whether its last words are one line of ours."""
        return "Traceback" not in self.err and self.err.rstrip().rpartition("\n")[2].startswith("gsx: ")


_running: set[subprocess.Popen[str]] = set()
_stopped = threading.Event()


def stop() -> None:
    """End the commands that run, and let no other begin: whoever waits for one is at its end soon."""
    _stopped.set()
    for process in tuple(_running):
        process.kill()


@contextlib.contextmanager
def begun(words: tuple[str, ...], cwd: Path, limits: str = "", **env: str) -> Iterator[subprocess.Popen[str]]:
    """A command while it runs, under limits that the shell sets (`ulimit -f 8;`)."""
    shell = ["bash", "-c", f'{limits} exec "$0" "$@"', str(GSX), *words]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # A background job ignores Ctrl-C, and so would all that it starts.
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **pipes}
    with subprocess.Popen(shell, cwd=cwd, env=environment(**env), text=True, **options) as process:  # type: ignore[call-overload]
        _running.add(process)
        try:
            if _stopped.is_set():
                raise RuntimeError("stopped")
            yield process
        finally:
            process.kill()
            _running.remove(process)


def ended(words: tuple[str, ...], cwd: Path, limits: str = "", **env: str) -> Ended:
    """A command at its end."""
    with begun(words, cwd, limits, **env) as process:
        out, err = process.communicate(timeout=SECONDS)
    return Ended(process.returncode, out, err)


def verified(folder: Path) -> tuple[int, str]:
    """The exit code of `gsx verify` for the results in a folder, and its lines; in this process, because it is asked hundreds of times."""
    problems = [problem for checked in verify([folder]) for problem in checked.problems] if folder.is_dir() else []
    return 6 if problems else 0, "\n".join(problems)


def answers(cwd: Path) -> dict[str, str]:
    """A digest of everything in each complete result and training that follows from its configuration, by the name of its folder."""
    if not (cwd / "outputs").is_dir():
        return {}
    found = {}
    for run in find_runs([cwd / "outputs"]):
        if (result := run.read_result()) is not None and result.status == "complete":
            body = result.as_json()
            kept = {key: body[key] for key in ("result_id", "moments_sha256", "parameters", "verdict", "nonfinite", "reference", "tuning")}
            tables = [path.read_bytes() for name in ("coordinates.csv", "draws.csv") if (path := run.path / name).exists()]
            found[run.path.name] = _digest(canonical_json(kept).encode(), *tables)
    for folder in find_trainings([cwd / "outputs"]):
        if (training := folder.read()) is not None and training.status == "complete":
            ends = [parameters.digest for seed in training.seeds if (parameters := folder.read_parameters(seed))]
            curve = [tuple(map(str, point)) for point in training.curve if point.metric != "seconds"]
            found[folder.path.name] = _digest(canonical_json([training.training_id, ends, curve]).encode())
    return found


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def completes(outcome: Outcome, what: str, words: tuple[str, ...], cwd: Path, right: dict[str, str]) -> None:
    """The same command again, undisturbed: it ends well, with the answers of a run that never was disturbed, and every file is whole."""
    end = ended(words, cwd)
    outcome.expect(end.code == 0, f"{what}: the same command again ended with {end.code}: {end.err.strip()[-300:]}")
    outcome.expect(bool(right) and answers(cwd) == right, f"{what}: another answer than the undisturbed run's")
    code, said = verified(cwd / "outputs")
    outcome.expect(code == 0, f"{what}: {said}")
