"""The seeds of a training, one after another in this process, or each in a process of its own: the same bits either way."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from gsx.measurement import Progress
from gsx.naming import in_one_line
from gsx.process import answering, start
from gsx.raised import raised, told
from gsx.records import EnvironmentFault, GsxError
from gsx.store import State, TrainingDirectory
from gsx.training.configuration import TrainingConfiguration

if TYPE_CHECKING:
    from gsx.training.session import Session


def run_seeds(session: Session, directory: Path, progress: Progress | None, told: Callable[[State], None]) -> None:
    """Every seed to its end; ``told`` of every checkpoint once it is on disk. Raises what the first seed that failed has failed with."""
    if session.workers == 1:
        for seed in session.configuration.all_seeds:
            session.trajectory(seed, directory, progress, told)
        return
    folder = TrainingDirectory(directory)
    waiting = deque(session.configuration.all_seeds)
    heard: SimpleQueue[tuple[_Process, str]] = SimpleQueue()
    team: set[_Process] = set()
    advance = progress(session.chosen, session.configuration.steps * session.configuration.seeds) if progress else lambda steps: None
    try:
        while waiting or team:
            while waiting and len(team) < session.workers:
                team.add(_Process(session.configuration, waiting.popleft(), directory, heard))
            process, line = heard.get()
            what, _, rest = line.partition(" ")
            if what == "steps":
                advance(int(rest))
            elif what == "checkpoint":
                state = folder.read_state(process.seed)  # that one, or a newer one
                if state is not None:
                    told(state)
            elif what == "done":
                team.remove(process)
                process.close()
            else:
                code, _, message = rest.partition(" ")
                raise _fault(what, code, message, process.seed)
    finally:
        for process in team:
            process.close()


def _fault(what: str, code: str, message: str, seed: int) -> GsxError:
    if what != "failed":
        return EnvironmentFault(f"seed {seed}: its process was ended; run it again: it goes on from the last checkpoint")
    error = GsxError(message)
    error.exit_code = int(code)
    return error


class _Process:
    """A process that starts afresh and runs one seed. Of its own it ends when this process does."""

    def __init__(self, configuration: TrainingConfiguration, seed: int, directory: Path, heard: SimpleQueue[tuple[_Process, str]]) -> None:
        self.seed = seed
        self._process = start("from gsx.training.workers import serve; serve()")
        assert self._process.stdin is not None
        job = {"configuration": configuration.as_given(), "seed": seed, "directory": str(directory)}
        with contextlib.suppress(BrokenPipeError):  # its silence will tell
            print(json.dumps(job), file=self._process.stdin)

        def listen() -> None:
            assert self._process.stdout is not None
            last = ""
            for line in self._process.stdout:
                last = line.strip()
                heard.put((self, last))
            if not last.startswith(("done", "failed")):
                heard.put((self, "ended"))

        self._listener = threading.Thread(target=listen, daemon=True)
        self._listener.start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def serve() -> None:
    """The process's side."""
    from gsx.training.session import Session

    say = answering()
    job: dict[str, Any] = json.loads(sys.stdin.readline())

    def end_with_parent() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        session = Session(TrainingConfiguration.of(job["configuration"]))
        session.trajectory(
            job["seed"],
            Path(job["directory"]),
            lambda what, total: lambda steps: say(f"steps {steps}"),
            lambda state: say(f"checkpoint {state.step}"),
        )
    except BaseException as error:  # SystemExit too: a plug-in's, for what ends this process otherwise, kills it
        message = in_one_line(str(error)) if isinstance(error, GsxError) else told(error, raised(error))
        say(f"failed {getattr(error, 'exit_code', 1)} {message}")
    else:
        say("done")
