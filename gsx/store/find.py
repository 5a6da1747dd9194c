"""Runs, trainings, plans and what is not entered below a folder, and the shards in that of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
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
_REFERENCE = {"reference.json"}


def find_runs(paths: Iterable[Path]) -> Iterator[RunDirectory]:
    """Every folder at or below `paths` that holds a result, a checkpoint, an error, a shard or at least a lock, which is what a run killed
    before its first checkpoint leaves; in the order of their paths, each once.

    Symbolic links, hidden folders, references, trainings and shards, which are parts of a run, are not entered. ConfigurationError for a
    path that is no folder; EnvironmentFault for one that cannot be read, because a report that silently leaves a result out is wrong.
    """
    return (RunDirectory(path) for path in _folders(paths, _RUN) if not path.resolve().name.startswith(TRAINING))


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


def find_trainings(paths: Iterable[Path]) -> Iterator[TrainingDirectory]:
    """The same, of trainings."""
    return (TrainingDirectory(path) for path in _folders(paths, _TRAINING) if path.resolve().name.startswith(TRAINING))


def find_refused(paths: Iterable[Path]) -> Iterator[tuple[Path, IntegrityError]]:
    """What no walk enters, and why: symbolic links below `paths` that stand where a folder of results could (to a folder, to a device, to
    nothing), and folders that lie too deep.

    Whoever tells what is there has to tell that these are there too. A link that lies inside a folder of results is a fault of that folder
    (`Folder.check_links`), and a link to a file elsewhere is nobody's business.
    """
    for folder, subfolders, files, deep in _entered(paths):
        if deep:
            yield folder, IntegrityError(f"{folder}: lies too deep, and what is in it is not read; name it, or move it up")
        for name in () if deep or holds_results(subfolders, files) else sorted({*subfolders, *files}):
            path = folder / name
            if not name.startswith(".") and path.is_symlink() and not path.is_file():
                yield path, refused_link(path)


def holds_results(subfolders: Iterable[str], files: Iterable[str]) -> bool:
    """Whether what lies in a folder makes it that of a run, a training, a reference or a shard."""
    return not (_RUN | _TRAINING | _REFERENCE).isdisjoint(files) or any(map(Shard.of_folder, subfolders))


def find_plans(paths: Iterable[Path]) -> Iterator[Path]:
    """Every experiment.json and sweep-<hash>.json at or below `paths`, each once."""
    seen = set()
    for folder, _, files in walk(paths):
        for name in sorted(files):
            if (name == EXPERIMENT or is_sweep(name)) and (real := (os.path.realpath(folder), name)) not in seen:
                seen.add(real)
                yield folder / name


def _folders(paths: Iterable[Path], marks: set[str]) -> list[Path]:
    found: dict[str, Path] = {}
    for folder, subfolders, files in walk(paths):
        shards = {name for name in subfolders if Shard.of_folder(name)}
        subfolders[:] = [name for name in subfolders if not name.startswith("reference-") and name not in shards]
        real = os.path.realpath(folder)
        if (shards or not marks.isdisjoint(files)) and not Shard.of_folder(os.path.basename(real)):
            found.setdefault(real, folder)
    return sorted(found.values())


def walk(paths: Iterable[Path]) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Every folder at or below `paths`, its subfolders, of which some may be struck out, and its files.

    Links, hidden folders and what lies too deep are not entered. ConfigurationError for a path that is no folder, EnvironmentFault for one
    that cannot be read.
    """
    return ((folder, subfolders, files) for folder, subfolders, files, deep in _entered(paths) if not deep)


def _entered(paths: Iterable[Path]) -> Iterator[tuple[Path, list[str], list[str], bool]]:
    """The same, with the first folders that lie too deep, below which nothing is looked at."""

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
            yield folder, subfolders, files, deep
