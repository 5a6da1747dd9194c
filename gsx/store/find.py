"""Runs, trainings, plans and what is not entered below a folder, and the shards in that of a run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gsx.records import ConfigurationError, GsxError, IntegrityError, Shard
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

#: What lies in folders of one kind alone tells which it is, whatever anyone has named it. A copy may have left the lock behind, which is
#: hidden: then the checkpoint of a seed tells.
_OF_KIND = {
    "run": re.compile(r"result\.json"),
    "training": re.compile(r"training\.json|state-seed\d+\.npz"),
    "reference": re.compile(r"reference\.json"),
}
#: Where no more is there than what several kinds have, the name tells.
_OF_SEVERAL = {"segments.npz", "error.txt", ".lock"}
_REFERENCE_BEGUN = re.compile(r"reference-[0-9a-f]{12}")


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

    Symbolic links and hidden folders are not entered; a reference, or a shard, which is a part of a run, is none itself. ConfigurationError
    for a path that is no folder; EnvironmentFault for one that cannot be read, because a report that silently leaves a result out is wrong.
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
        for kind, folders in (("run", runs), ("training", trainings)):
            if kind in seen.kinds:
                folders.setdefault(real, seen.folder)
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
    found = {shard: RunDirectory(run / name) for name in names if (shard := Shard.of_folder(name)) and is_shard(run / name)}
    return {shard: found[shard] for shard in sorted(found, key=lambda shard: (shard.of, shard.number))}


def is_shard(folder: Path) -> bool:
    """Whether it is a shard's: named as one, with something of a run in it, and no result that is a whole run's. EnvironmentFault."""
    if Shard.of_folder(folder.name) is None or folder.is_symlink() or not folder.is_dir():
        return False
    try:
        if {"result.json", *_OF_SEVERAL}.isdisjoint(os.listdir(folder)):
            return False
        result = RunDirectory(folder).read_result()
    except OSError as error:
        raise environment_fault(folder, "cannot be read", error) from error
    except GsxError:  # damaged, of which others tell
        return True
    return result is None or result.part is not None


def refused(seen: Seen) -> Iterator[tuple[Path, IntegrityError]]:
    """What no walk enters, and why: symbolic links that stand where a folder of results could (to a folder, to a device, to nothing), and
    folders that lie too deep.

    Whoever tells what is there has to tell that these are there too. A link that lies inside a folder of results is a fault of that folder
    (`Folder.check_links`), and a link to a file elsewhere is nobody's business.
    """
    if seen.deep:
        yield seen.folder, IntegrityError(f"{seen.folder}: lies too deep, and what is in it is not read; name it, or move it up")
        return
    for name in () if seen.kinds else sorted({*seen.subfolders, *seen.files}):
        path = seen.folder / name
        if not name.startswith(".") and path.is_symlink() and not path.is_file():
            yield path, refused_link(path)


@dataclass(frozen=True)
class Seen:
    """A folder that a walk has come to."""

    folder: Path
    below: tuple[str, ...]  # its names below the path that was asked for
    subfolders: list[str]  # but for hidden ones
    files: list[str]
    deep: bool  # too deep: it is not entered

    @cached_property
    def kinds(self) -> set[str]:
        """What results lie in it: of a run, a training, a reference or a shard; none where it is another folder. EnvironmentFault."""
        real = Path(os.path.realpath(self.folder))
        found = {kind for kind, own in _OF_KIND.items() if any(map(own.fullmatch, self.files))}
        if any(is_shard(self.folder / name) for name in self.subfolders):
            found.add("run")
        if not found and not _OF_SEVERAL.isdisjoint(self.files):
            training = real.name.startswith(TRAINING) and "segments.npz" not in self.files
            found.add("training" if training else "reference" if _REFERENCE_BEGUN.fullmatch(real.name) else "run")
        return {"shard"} if "run" in found and is_shard(real) else found


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
