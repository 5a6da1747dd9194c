"""Where every run and every training stands: done, running, unfinished, failed, damaged, or missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gsx.records import IntegrityError
from gsx.store.experiment import find_experiments, read_experiment
from gsx.store.files import one_line
from gsx.store.find import find_runs, find_shards, find_trainings
from gsx.store.folder import Folder
from gsx.store.run_directory import RunDirectory
from gsx.store.training import TrainingDirectory

#: In the order in which they are told: what asks for something to be done comes last.
STATES = ("done", "running", "unfinished", "failed", "damaged", "missing")

#: The array of a checkpoint that says how many blocks there will be.
PLANNED = "planned"


@dataclass(frozen=True)
class Standing:
    path: Path
    state: str  # one of STATES
    progress: str  # how far it is
    detail: str = ""  # who runs it, or why it failed


def standings(paths: Iterable[Path]) -> Iterator[Standing]:
    """Of all runs and trainings at or below `paths`, and of what an experiment.json declares. ConfigurationError, EnvironmentFault."""
    paths, there = list(paths), set()
    for run in find_runs(paths):
        there.add(run.path.resolve())
        yield _standing(run, partial(_finished_run, run), partial(_blocks, run))
    for training in find_trainings(paths):
        there.add(training.path.resolve())
        yield _standing(training, partial(_finished_training, training), partial(_steps, training))
    for folder in find_experiments(paths):
        yield from _missing(folder, there)


def _standing(folder: Folder, finished: Callable[[], str | None], unfinished: Callable[[], str]) -> Standing:
    """`finished` tells of the end, where it has been reached; `unfinished` how far it is."""
    held = folder.holder or _shard_held(folder.path)
    try:
        if (end := finished()) is not None:
            return Standing(folder.path, "done", end)
        progress, error = unfinished(), folder.read_error()
    except IntegrityError as fault:
        if held is None:
            return Standing(folder.path, "damaged", "", str(fault))
        progress, error = "", None
    if held is not None:
        return Standing(folder.path, "running", progress, held)
    if error is not None:
        return Standing(folder.path, "failed", progress, f"{folder.path / 'error.txt'}: {said(error)}")
    return Standing(folder.path, "unfinished", progress)


def said(error: str) -> str:
    """What an error.txt says, in one line: its first, or of a traceback what stands below the last call."""
    lines = [line for line in error.splitlines() if line.strip()] or [""]
    if lines[0].startswith("Traceback"):
        calls = [place for place, line in enumerate(lines[:-1]) if line.startswith("  ")]
        return one_line(lines[calls[-1] + 1 if calls else -1])
    return one_line(lines[0])


def _missing(folder: Path, there: set[Path]) -> Iterator[Standing]:
    """What an experiment has planned and nothing is there of."""
    try:
        planned = read_experiment(folder)
    except IntegrityError as fault:
        yield Standing(folder, "damaged", "", str(fault))
        return
    for name, step in {} if planned is None else planned.steps.items():
        if step.cells is None:
            yield Standing(folder, "missing", "", f"step {one_line(name)} was not reached")
        for cell in step.cells or ():
            if (folder / cell.folder).resolve() not in there:
                yield Standing(folder / cell.folder, "missing", "", f"of step {one_line(name)}")


# ------------------------------------------------------------------------------------------------------------------- how far


def _finished_run(run: RunDirectory) -> str | None:
    result = run.read_result()
    return None if result is None or result.status != "complete" else f"{result.num_replicates:,} replicates"


def _blocks(run: RunDirectory) -> str:
    if shards := find_shards(run.path):
        number = max(shard.of for shard in shards)
        ended = sum((folder.path / "result.json").exists() for shard, folder in shards.items() if shard.of == number)
        return f"{ended} of {number} shards" + ("; gsx merge joins them" if ended == number else "")
    stored = run.read_segments()
    if stored is None:
        return "no checkpoint"
    planned = stored.extra.get(PLANNED)
    of = f" of {int(planned):,}" if planned is not None and planned.shape == () else ""
    return f"{int(stored.segments.blocks.sum()):,}{of} blocks{_age(run.path / 'segments.npz')}"


def _finished_training(folder: TrainingDirectory) -> str | None:
    training = folder.read()
    return None if training is None or training.status != "complete" else f"{training.steps:,} steps, {len(training.seeds)} seeds"


def _steps(folder: TrainingDirectory) -> str:
    states = {seed: folder.read_state(seed) for seed in folder.seeds_begun()}
    if not states:
        return "no checkpoint"
    training = folder.read()
    of = "" if training is None else f" of {training.steps * len(training.seeds):,}"
    newest = max((folder.path / f"state-seed{seed}.npz" for seed in states), key=lambda path: path.stat().st_mtime)
    return f"{sum(state.step for state in states.values() if state):,}{of} steps{_age(newest)}"


def _age(path: Path) -> str:
    """A clock may have jumped: an age is told, and nothing depends on it."""
    try:
        seconds = time.time() - path.stat().st_mtime
    except OSError:  # replaced this very moment
        return ""
    if seconds < -1:
        return ", checkpoint dated in the future"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f", checkpoint {seconds / size:.0f} {unit} old"
    return f", checkpoint {max(seconds, 0):.0f} s old"


def _shard_held(folder: Path) -> str | None:
    return next(filter(None, (shard.holder for shard in find_shards(folder).values())), None)
