"""Runs, trainings, plans and what is not entered below a folder, and the shards in that of a run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gsx.records import ConfigurationError, IntegrityError, Shard
from gsx.store.experiment import FILE as EXPERIMENT
from gsx.store.files import environment_fault, refused_link
from gsx.store.run_directory import RunDirectory
from gsx.store.sweep import is_sweep
from gsx.store.training import TrainingDirectory

#: How the folders of trainings begin.
TRAINING = "train-"

#: Levels, and bytes of a path, below the folder that is asked for: gsx writes four and some hundreds, and deep enough no call of the system
#: takes the name.
MOST_LEVELS, MOST_BYTES = 32, 1024

#: One of them at least lies in the folder of a run, of a training, of a reference.
_RUN = {"result.json", "segments.npz", "error.txt", ".lock"}
_TRAINING = {"training.json", "error.txt", ".lock"}
_OF_A_SEED = re.compile(r"state-seed\d+\.npz")
_REFERENCE = {"reference.json"}


@dataclass(frozen=True)
class Found:
    """What lies at or below some paths; the folders of results in the order of their paths, each once."""

    runs: list[RunDirectory]
    trainings: list[TrainingDirectory]
    plans: list[Path]
    refused: list[tuple[Path, IntegrityError]]


def find(paths: Iterable[Path]) -> Found:
    """One walk: every folder that holds a result, a checkpoint, an error, a shard or at least a lock, which is what a run killed before its
    first checkpoint leaves; every experiment.json and sweep-<hash>.json; and what is not entered, as `refused` has it.

    Symbolic links and hidden folders are not entered, nor are references and shards, which are parts of a run, looked through for more.
    ConfigurationError for a path that is no folder; EnvironmentFault for one that cannot be read, because a report that silently leaves a
    result out is wrong.
    """
    runs: dict[str, Path] = {}
    trainings: dict[str, Path] = {}
    plans: dict[tuple[str, str], Path] = {}
    kept_out: list[tuple[Path, IntegrityError]] = []
    for seen in walk(paths):
        kept_out += refused(seen)
        if seen.deep:
            continue
        real = os.path.realpath(seen.folder)
        for name in sorted(seen.files):
            if name == EXPERIMENT or is_sweep(name):
                plans.setdefault((real, name), seen.folder / name)
        own = os.path.basename(real)
        kind, marks = (trainings, _TRAINING) if own.startswith(TRAINING) else (runs, _RUN)
        # A copy may have left the lock behind, which is hidden: then the checkpoint of a seed tells.
        holds = not marks.isdisjoint(seen.files) or any(map(Shard.of_folder, seen.subfolders)) or any(map(_OF_A_SEED.fullmatch, seen.files))
        if holds and not Shard.of_folder(own) and not any(part.startswith("reference-") or Shard.of_folder(part) for part in seen.below):
            kind.setdefault(real, seen.folder)
    return Found(
        [RunDirectory(path) for path in sorted(runs.values())],
        [TrainingDirectory(path) for path in sorted(trainings.values())],
        list(plans.values()),
        kept_out,
    )


def find_runs(paths: Iterable[Path]) -> Iterator[RunDirectory]:
    """Runs alone."""
    return iter(find(paths).runs)


def find_trainings(paths: Iterable[Path]) -> Iterator[TrainingDirectory]:
    """Trainings alone."""
    return iter(find(paths).trainings)


def find_shards(run: Path) -> dict[Shard, RunDirectory]:
    """The shards that have left anything in the folder of a run, sets of one size together. EnvironmentFault."""
    try:
        names = sorted(os.listdir(run))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise environment_fault(run, "cannot be read", error) from error
    found = {shard: RunDirectory(run / name) for name in names if (shard := Shard.of_folder(name)) and not (run / name).is_symlink()}
    return {shard: found[shard] for shard in sorted(found, key=lambda shard: (shard.of, shard.number))}


def refused(seen: Seen) -> Iterator[tuple[Path, IntegrityError]]:
    """What no walk enters, and why: symbolic links that stand where a folder of results could (to a folder, to a device, to nothing), and
    folders that lie too deep.

    Whoever tells what is there has to tell that these are there too. A link that lies inside a folder of results is a fault of that folder
    (`Folder.check_links`), and a link to a file elsewhere is nobody's business.
    """
    if seen.deep:
        yield seen.folder, IntegrityError(f"{seen.folder}: lies too deep, and what is in it is not read; name it, or move it up")
        return
    for name in () if holds_results(seen.subfolders, seen.files) else sorted({*seen.subfolders, *seen.files}):
        path = seen.folder / name
        if not name.startswith(".") and path.is_symlink() and not path.is_file():
            yield path, refused_link(path)


def holds_results(subfolders: Iterable[str], files: Iterable[str]) -> bool:
    """Whether what lies in a folder makes it that of a run, a training, a reference or a shard."""
    return not (_RUN | _TRAINING | _REFERENCE).isdisjoint(files) or any(map(Shard.of_folder, subfolders))


@dataclass(frozen=True)
class Seen:
    """A folder that a walk has come to."""

    folder: Path
    below: tuple[str, ...]  # its names below the path that was asked for
    subfolders: list[str]  # but for hidden ones
    files: list[str]
    deep: bool  # too deep: it is not entered


def walk(paths: Iterable[Path]) -> Iterator[Seen]:
    """Every folder at or below `paths` that is no link, nor hidden or in a hidden one, and the first that lie too deep.

    ConfigurationError for a path that is no folder, EnvironmentFault for one that cannot be read.
    """

    def fault(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a folder that vanished under the walk
            raise environment_fault(Path(error.filename), "cannot be read", error)

    for path in paths:
        if not path.is_dir():
            raise ConfigurationError(f"{path}: no such folder")
        for name, subfolders, files in os.walk(path, onerror=fault):
            folder = Path(name)
            below = folder.relative_to(path)
            deep = len(below.parts) > MOST_LEVELS or len(os.fsencode(below)) > MOST_BYTES
            subfolders[:] = () if deep else sorted(name for name in subfolders if not name.startswith("."))
            yield Seen(folder, below.parts, subfolders, files, deep)
