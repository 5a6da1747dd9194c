"""Where every run and every training stands: done, running, unfinished, failed, damaged, or missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gsx.records import IntegrityError, Shard
from gsx.store.files import one_line
from gsx.store.find import find, find_shards
from gsx.store.folder import Folder, age
from gsx.store.planned import planned
from gsx.store.run_directory import RunDirectory
from gsx.store.shards import check_alike, progress, read_shards
from gsx.store.training import TrainingDirectory

#: In the order in which they are told: what asks for something to be done comes last. What is `nonfinite` is done too, and has no numbers.
STATES = ("done", "nonfinite", "running", "unfinished", "failed", "damaged", "missing")

#: Of these the same command again does nothing, or nothing yet.
SETTLED = {"done", "nonfinite", "running"}

#: The array of a checkpoint that says how many blocks there will be.
PLANNED = "planned"


@dataclass(frozen=True)
class Standing:
    path: Path
    state: str  # one of STATES
    progress: str  # how far it is
    detail: str = ""  # who runs it, why it failed, or what planned it; and since when


def standings(paths: Iterable[Path]) -> Iterator[Standing]:
    """Of all runs and trainings at or below `paths`, of links in their place and folders too deep, and of what an experiment or a sweep has
    planned and nothing is there of. ConfigurationError, EnvironmentFault.
    """
    found, there = find(paths), set()
    for run in found.runs:
        there.add(run.path.resolve())
        yield _of_run(run)
    for training in found.trainings:
        there.add(training.path.resolve())
        yield _of_training(training)
    for path, fault in found.refused:
        there.add(path.parent.resolve() / path.name)
        yield Standing(path, "damaged", "", str(fault))
    for cell in planned(found.plans):
        if cell.place not in there:
            there.add(cell.place)
            yield Standing(cell.path, cell.state, "", cell.detail)


def _of_run(run: RunDirectory) -> Standing:
    shards = find_shards(run.path)
    held = next(filter(None, (folder.holder for folder in (run, *shards.values()))), None)
    try:
        run.check_links()
        if (result := run.read_checked()) is not None and result.status == "complete":
            state = "nonfinite" if result.verdict.status == "nonfinite" else "done"
            return Standing(run.path, state, f"{result.num_replicates} replicates, result {age(run.path / 'result.json')}")
        return _unfinished(run, _blocks(run, shards), held, shards)
    except IntegrityError as fault:
        return _broken(run, fault, held)


def _of_training(folder: TrainingDirectory) -> Standing:
    held = folder.holder
    try:
        folder.check_links()
        if (training := folder.read()) is not None and training.status == "complete":
            folder.check(training)
            newest = age(folder.path / "training.json")
            return Standing(folder.path, "done", f"{training.steps} steps, {len(training.seeds)} seeds, result {newest}")
        return _unfinished(folder, _steps(folder), held)
    except IntegrityError as fault:
        return _broken(folder, fault, held)


def _broken(folder: Folder, fault: IntegrityError, held: str | None) -> Standing:
    """Files that are being replaced this very moment do not fit together."""
    return Standing(folder.path, "damaged", "", str(fault)) if held is None else Standing(folder.path, "running", "", held)


def _unfinished(folder: Folder, so_far: str, held: str | None, shards: Mapping[Shard, RunDirectory] | None = None) -> Standing:
    if held is not None:
        return Standing(folder.path, "running", so_far, held)
    for one in (folder, *(shards or {}).values()):
        if (error := one.read_error()) is not None:
            path = one.path / "error.txt"
            return Standing(folder.path, "failed", so_far, f"{path}, {age(path)}: {said(error)}")
    return Standing(folder.path, "unfinished", so_far)


def said(error: str) -> str:
    """What an error.txt says, in one line: its first, or of a traceback what stands below the last call."""
    lines = [line for line in error.splitlines() if line.strip()] or [""]
    if lines[0].startswith("Traceback"):
        calls = [place for place, line in enumerate(lines[:-1]) if line.startswith("  ")]
        return one_line(lines[calls[-1] + 1 if calls else -1])
    return one_line(lines[0])


# ------------------------------------------------------------------------------------------------------------------- how far


def _blocks(run: RunDirectory, shards: Mapping[Shard, RunDirectory]) -> str:
    """IntegrityError where shards are not of one run, too."""
    if shards:
        check_alike(run.path, read_shards(shards))
        return f"{progress(shards)}, {age(*(folder.path for folder in shards.values()))}"
    stored = run.read_segments()
    if stored is None:
        return f"no checkpoint, folder {age(run.path)}"
    number = stored.extra.get(PLANNED)
    of = f" of {int(number)}" if number is not None and number.shape == () and number.dtype.kind == "i" else ""
    return f"{int(stored.segments.blocks.sum())}{of} blocks, checkpoint {age(run.path / 'segments.npz')}"


def _steps(folder: TrainingDirectory) -> str:
    states = {seed: folder.read_state(seed) for seed in folder.seeds_begun()}
    if not states:
        return f"no checkpoint, folder {age(folder.path)}"
    training = folder.read()
    of = "" if training is None else f" of {training.steps * len(training.seeds)}"
    newest = age(*(folder.path / f"state-seed{seed}.npz" for seed in states))
    return f"{sum(state.step for state in states.values() if state)}{of} steps, checkpoint {newest}"
