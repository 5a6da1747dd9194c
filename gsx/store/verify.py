"""Every stored file below a folder, read whole and held against the others that it belongs to."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gsx.records import EnvironmentFault, IntegrityError, Shard
from gsx.store.experiment import StoredExperiment, read_experiment
from gsx.store.files import one_line
from gsx.store.find import find, find_shards, refused, walk
from gsx.store.folder import MOVE_AWAY, check_address
from gsx.store.lock import holder
from gsx.store.parameters import read_parameters
from gsx.store.run_directory import RunDirectory
from gsx.store.shards import StoredShard, check_alike, read_shards
from gsx.store.sweep import is_sweep, read_sweep
from gsx.store.training import TrainingDirectory

#: The files of a folder of results; what else lies there is not ours.
_FILES = re.compile(
    r"(result|training|reference|experiment)\.json|(segments|reference)\.npz|(coordinates|draws|curve)\.csv|error\.txt"
    r"|(state|parameters)-seed\d+\.npz"
)
_LEFTOVER = re.compile(r"\..+\.tmp")

T = TypeVar("T")


@dataclass(frozen=True)
class Checked:
    """One folder of results: how many files it holds, what is wrong with them, and what a killed process has left behind."""

    path: Path
    files: int
    problems: list[str]  # each one line: the file, what is wrong, what to do
    leftovers: list[Path]
    held: str | None = None  # by whom; then nothing was checked: its files are being replaced


def verify(paths: Iterable[Path]) -> Iterator[Checked]:
    """Every folder of results at or below `paths`, and every link in the place of one, or folder too deep, which is a problem: neither they
    nor hidden folders are entered. ConfigurationError for a path that is no folder.
    """
    known: set[str] = set()
    for seen in walk(paths):
        for path, fault in refused(seen):
            yield Checked(path, 0, [str(fault)], [])
        ours = [name for name in seen.files if _FILES.fullmatch(name) or _LEFTOVER.fullmatch(name) or is_sweep(name)]
        if not seen.deep and (ours or seen.kinds) and (real := os.path.realpath(seen.folder)) not in known:
            known.add(real)
            yield _checked(seen.folder, ours, bool(seen.kinds))


def _checked(folder: Path, names: list[str], results: bool) -> Checked:
    leftovers = [folder / name for name in sorted(names) if _LEFTOVER.fullmatch(name)]
    files = len(names) - len(leftovers)
    for _ in range(2):  # a run may have ended while it was looked at: what is wrong then, is wrong twice
        # Shards lie in the folder of their run, and have locks of their own.
        if (held := holder(folder)) is not None:
            return Checked(folder, files, [], [], held)
        if not (problems := _problems(folder, results)):
            break
    return Checked(folder, files, problems, leftovers)


class _Faults(list[str]):
    """What is wrong with one folder, each line once."""

    def add(self, line: str) -> None:
        if line not in self:
            self.append(line)

    def of(self, read: Callable[[], T]) -> T | None:
        """What is read, or None where it is damaged, which is noted, or not there."""
        try:
            return read()
        except (IntegrityError, EnvironmentFault) as fault:
            self.add(str(fault))
            return None


def _problems(folder: Path, results: bool) -> list[str]:
    faults = _Faults()
    if results:
        faults.of(RunDirectory(folder).check_links)
    for look in (_run, _shards, _reference, _training, _plans):
        look(folder, faults)
    return faults


# ---------------------------------------------------------------------------------------------------------------------- runs


def _run(folder: Path, faults: _Faults) -> None:
    run = RunDirectory(folder)
    faults.of(run.read_error)
    stored = faults.of(run.read_stored)
    if stored is None:
        faults.of(run.read_segments)
        return
    faults.of(functools.partial(run.holds_moments, stored.result))
    for look in (run.check, run.read_coordinates, run.read_draws):
        faults.of(functools.partial(look, stored))


def _shards(folder: Path, faults: _Faults) -> None:
    faults.of(lambda: check_alike(folder, _whole(find_shards(folder))))


def _whole(shards: Mapping[Shard, RunDirectory]) -> Iterator[StoredShard]:
    """Those that can be read; the others are told as the folders that they are."""
    for shard, run in shards.items():
        if run.holder is None:  # else it is being replaced
            with contextlib.suppress(IntegrityError):
                yield from read_shards({shard: run})


# ------------------------------------------------------------------------------------------------------------ everything else


def _reference(folder: Path, faults: _Faults) -> None:
    if (stored := faults.of(RunDirectory(folder).read_reference)) is not None:
        faults.of(functools.partial(check_address, folder, stored.reference.id))


def _training(folder: Path, faults: _Faults) -> None:
    training = TrainingDirectory(folder)
    stored = faults.of(training.read)
    if stored is not None:
        faults.of(functools.partial(check_address, folder, stored.training_id))
    for path in sorted(folder.glob("parameters-seed*.npz")):
        faults.of(functools.partial(read_parameters, path, training.made_anew))
    for seed in () if stored is None else stored.seeds:
        faults.of(functools.partial(training.read_parameters, seed))
    for seed in training.seeds_begun():
        state = faults.of(functools.partial(training.read_state, seed))
        if state is not None and stored is not None and state.training_id != stored.training_id:
            faults.add(f"{folder}: holds the checkpoint of another training for seed {seed}; {MOVE_AWAY}")


def _plans(folder: Path, faults: _Faults) -> None:
    stored = faults.of(functools.partial(read_experiment, folder))
    if stored is not None and _foreign(folder, stored):
        whose = f"{one_line(stored.name)} ({one_line(stored.size)})"
        faults.add(f"{folder / 'experiment.json'}: of {whose}, and none of its cells is here; gsx reproduce writes it anew")
    for path in sorted(folder.glob("sweep-*.json")):
        if is_sweep(path.name):
            faults.of(functools.partial(read_sweep, path))


def _foreign(folder: Path, stored: StoredExperiment) -> bool:
    """Whether an experiment is of another folder: whoever gave this one a new name has its cells in it."""
    if folder.resolve().name == (stored.name if stored.size == "full" else f"{stored.name}-{stored.size}"):
        return False
    planned = {cell.folder for step in stored.steps.values() for cell in step.cells or ()}
    found = find([folder])
    there = {one.path.name for one in (*found.runs, *found.trainings)}
    return bool(there) and planned.isdisjoint(there)
