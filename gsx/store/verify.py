"""Every stored file below a folder, read whole and held against the others that it belongs to."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gsx.records import EnvironmentFault, IntegrityError
from gsx.store.experiment import read_experiment
from gsx.store.files import ADVICE, one_line
from gsx.store.find import walk
from gsx.store.lock import holder
from gsx.store.run_directory import RunDirectory
from gsx.store.training import TrainingDirectory, read_parameters

#: The files of a folder of results; what else lies there is not ours.
_FILES = re.compile(
    r"(result|training|reference|experiment)\.json|(segments|reference)\.npz|(coordinates|draws|curve)\.csv|error\.txt"
    r"|(state|parameters)-seed\d+\.npz"
)
_LEFTOVER = re.compile(r"\..+\.tmp")
_SHARD = re.compile(r"shard-\d+-of-\d+")

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
    """Every folder of results at or below `paths`; links and hidden folders are not entered. ConfigurationError for a path that is none."""
    seen = set()
    for folder, _, files in walk(paths):
        ours = [name for name in files if _FILES.fullmatch(name) or _LEFTOVER.fullmatch(name)]
        if ours and (real := os.path.realpath(folder)) not in seen:
            seen.add(real)
            yield _checked(folder, ours)


def _checked(folder: Path, names: list[str]) -> Checked:
    leftovers = [folder / name for name in sorted(names) if _LEFTOVER.fullmatch(name)]
    files = len(names) - len(leftovers)
    for _ in range(2):  # a run may have ended while it was looked at: what is wrong then, is wrong twice
        # Shards lie in the folder of their run, and have locks of their own.
        if (held := holder(folder)) is not None:
            return Checked(folder, files, [], [], held)
        if not (problems := _problems(folder)):
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


def _problems(folder: Path) -> list[str]:
    faults = _Faults()
    for look in (_run, _reference, _training, _experiment):
        look(folder, faults)
    return faults


# ---------------------------------------------------------------------------------------------------------------------- runs


def _run(folder: Path, faults: _Faults) -> None:
    run = RunDirectory(folder)
    result = faults.of(run.read_result)
    for read in (run.read_coordinates, run.read_draws, run.read_error):
        faults.of(read)
    if result is None:
        faults.of(run.read_segments)
        return
    _address(folder, result.result_id, faults)
    there = faults.of(functools.partial(run.holds_moments, result))
    if there is False and result.status == "complete" and result.engine != "exact":
        faults.add(f"{folder / 'segments.npz'}: missing, and result.json was made from it; {ADVICE}")


def _address(folder: Path, identity: str, faults: _Faults) -> None:
    """A folder that is named by content must hold it; one that a user named may hold anything."""
    named = folder.parent if _SHARD.fullmatch(folder.name) else folder
    address = re.search(r"-([0-9a-f]{12})$", named.name)
    if address and not identity.startswith(address[1]):
        faults.add(f"{folder}: holds {one_line(identity[:12])}, which is not what its name says; {ADVICE}")


# ------------------------------------------------------------------------------------------------------------ everything else


def _reference(folder: Path, faults: _Faults) -> None:
    if (stored := faults.of(RunDirectory(folder).read_reference)) is not None:
        _address(folder, stored.reference.id, faults)


def _training(folder: Path, faults: _Faults) -> None:
    training = TrainingDirectory(folder)
    stored = faults.of(training.read)
    if stored is not None:
        _address(folder, stored.training_id, faults)
    for path in sorted(folder.glob("parameters-seed*.npz")):
        faults.of(functools.partial(read_parameters, path))
    for seed in () if stored is None else stored.seeds:
        faults.of(functools.partial(training.read_parameters, seed))
    for seed in training.seeds_begun():
        state = faults.of(functools.partial(training.read_state, seed))
        if state is not None and stored is not None and state.training_id != stored.training_id:
            faults.add(f"{folder}: holds the checkpoint of another training for seed {seed}; {ADVICE}")


def _experiment(folder: Path, faults: _Faults) -> None:
    faults.of(functools.partial(read_experiment, folder))
