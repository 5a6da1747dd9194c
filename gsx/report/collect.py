"""The runs to report on: every run directory becomes a cell, and a cell is never dropped, whatever its state."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gsx.records import VERDICTS, ConfigurationError, GsxError, IntegrityError, Result, canonical_json
from gsx.report import escape, labels
from gsx.report.absent import absent
from gsx.store import Folder, RunDirectory, find, find_shards
from gsx.store.find import TRAINING
from gsx.store.planned import Planned, planned

#: The states of a cell, in the order they are counted in.
STATES = ("complete", "partial", "failed", "unreadable", "missing")

#: What reading a stranger's file may raise.
UNREADABLE = (GsxError, OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class Cell:
    """One run directory: its state, why it is in that state, and the result where there is one."""

    name: str  # the last two parts of its path: reports must not depend on where the folder lies
    state: str
    reason: str | None
    result: Result | None
    directory: RunDirectory = field(repr=False)
    label: str = ""


@dataclass(frozen=True)
class Group:
    """The runs on one model in one setting: what may share a figure, and a baseline."""

    label: str
    slug: str
    model: str
    settings: dict[str, Any]
    cells: tuple[Cell, ...]
    #: What experiments plan and nothing complete is there of: in the state `missing`, with a result that has no numbers.
    absent: tuple[Cell, ...] = ()

    @property
    def complete(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.state == "complete"]

    @property
    def everything(self) -> list[Cell]:
        """With what is absent; a partial run is there and absent, and told once."""
        names = {cell.name for cell in self.cells}
        return [*self.cells, *(cell for cell in self.absent if cell.name not in names)]


def result_of(cell: Cell) -> Result:
    assert cell.result is not None, cell.name
    return cell.result


def collect(paths: Sequence[Path]) -> tuple[list[Group], list[Cell], list[Cell]]:
    """The groups, the cells without a result, and the duplicates that were left out. A group may have nothing but what is absent of it."""
    for path in paths:
        if not path.is_dir():
            raise ConfigurationError(f"report: there is no folder {path}; measure first: gsx run estimator=reinforce model=bernoulli_toy")
    found = find(paths)
    directories: dict[Path, tuple[RunDirectory, IntegrityError | None]] = {_place(run): (run, None) for run in found.runs}
    refused = [(RunDirectory(path), fault) for path, fault in found.refused if not path.name.startswith(TRAINING)]
    directories |= {_place(directory): (directory, fault) for directory, fault in refused}
    cells = [*(_read(*directories[path]) for path in sorted(directories)), *map(_planned, missing(found.plans, directories))]
    cells.sort(key=lambda cell: cell.name)
    measured: dict[tuple[str, str, str], Cell] = {}
    duplicates = []
    for cell in cells:
        if cell.result is None:
            continue
        # The same measurement with the same bits, reached through two names, is one row.
        if measured.setdefault((cell.result.result_id, cell.state, cell.result.moments_sha256), cell) is not cell:
            duplicates.append(cell)
    there = {result_id for result_id, state, _ in measured if state == "complete"}
    gone = [Cell(name_of(one.directory), "missing", escape.line(one.what), one.result, one.directory) for one in absent(found.plans, there)]
    return _grouped(list(measured.values()), gone), [cell for cell in cells if cell.result is None], duplicates


def missing(plans: Iterable[Path], there: Container[Path], trainings: bool = False) -> Iterator[Planned]:
    """The runs, or the trainings, that experiments and sweeps have planned and nothing is there of, each once."""
    told: set[Path] = set()
    for one in planned(plans):
        wanted = one.cell and one.path.name.startswith(TRAINING) == trainings
        if wanted and one.place not in told and one.place not in there and not one.place.exists():
            told.add(one.place)
            yield one


def _planned(one: Planned) -> Cell:
    return Cell(name_of(one), one.state, escape.line(one.what), None, RunDirectory(one.path))


def counted(states: Iterable[str]) -> dict[str, int]:
    """How many are in each state."""
    found = Counter(states)
    return {state: found[state] for state in STATES}


def _place(directory: Folder | Planned) -> Path:
    """Where it lies, itself not followed."""
    path = directory.path
    return path.parent.resolve() / path.name if path.is_symlink() else path.resolve()


def name_of(directory: Folder | Planned) -> str:
    """The last two parts of its path."""
    return "/".join(_place(directory).parts[-2:])


def reason(text: str, directory: Folder) -> str:
    """What went wrong in a folder, in one line that does not tell where the folder lies: of a traceback its end, else its beginning."""
    lines = [line for line in text.splitlines() if line.strip()] or [""]
    first = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    for root in (directory.path, _place(directory)):
        first = first.replace(f"{root}/", "").replace(str(root), name_of(directory))
    return escape.line(first)


def _read(directory: RunDirectory, refused: IntegrityError | None = None) -> Cell:
    name = name_of(directory)
    try:
        if refused is not None:
            raise refused
        directory.check_links()
        error = directory.read_error()
        result = directory.read_checked()
        if result is not None:
            _check(result)
    except UNREADABLE as fault:
        return Cell(name, "unreadable", reason(str(fault), directory) or type(fault).__name__, None, directory)
    told = reason(error, directory) if error else None
    if result is None:
        return Cell(name, "failed", told, None, directory) if error else Cell(name, "partial", _so_far(directory), None, directory)
    why = told if result.status != "complete" else None
    if result.status == "partial":
        why = why or f"{result.num_replicates} of {result.config.get('num_replicates')} replicates"
    return Cell(name, result.status, why, result, directory)


def _so_far(directory: RunDirectory) -> str:
    finished = [str(shard) for shard, folder in find_shards(directory.path).items() if (folder.path / "result.json").exists()]
    return f"no result yet; shards {', '.join(finished)} are there for gsx merge" if finished else "no result yet"


def _check(result: Result) -> None:
    """TypeError where a number is none: the store vouches for the file, not for whoever wrote it."""
    cost, verdict = result.cost, result.verdict
    numbers = [
        getattr(cost, key) for key in ("evaluations", "gradient_evaluations", "random_numbers", "seconds", "time_ratio", "peak_bytes")
    ]
    numbers += [
        verdict.max_abs_z,
        verdict.p_value,
        *(part for i in result.summary.values() if i for part in (i.value, i.se, *(i.ci or ()))),
    ]
    if not all(number is None or (isinstance(number, (int, float)) and not isinstance(number, bool)) for number in numbers):
        raise TypeError("a statistic or a cost in result.json is not a number")
    if verdict.status not in VERDICTS:
        raise TypeError(f"verdict {verdict.status!r} is none of {', '.join(VERDICTS)}")


def _setting(result: Result) -> dict[str, Any]:
    """What must agree for two results to be about the same gradient."""
    config = result.config
    flat = labels.flatten(config.get("model") or {})
    flat.pop("name", None)
    return flat | {key: config[key] for key in ("wrt", "data") if key in config}


def _grouped(cells: list[Cell], gone: list[Cell]) -> list[Group]:
    members: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in (*cells, *gone):
        members[result_of(cell).model, canonical_json(_setting(result_of(cell)))].append(cell)
    keys_of: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key in members:
        keys_of[key[0]].append(key)
    groups = []
    for model in sorted(keys_of):
        keys = sorted(keys_of[model], key=lambda key: natural(_setting(result_of(members[key][0]))))
        settings = [_setting(result_of(members[key][0])) for key in keys]
        for key, setting, differing in zip(keys, settings, labels.differences(settings), strict=True):
            text = " ".join(filter(None, [model, ", ".join(differing)]))
            there = [cell for cell in members[key] if cell.state != "missing"]
            planned = [cell for cell in members[key] if cell.state == "missing"]
            # Named among those that are there, whose own names do not hang on what is missing.
            named = tuple(_named([*there, *planned], f" on {text}")[len(there) :]) if planned else ()
            groups.append(Group(text, escape.slug(text), model, setting, _ordered(there), named))
    return groups


def _ordered(cells: list[Cell]) -> tuple[Cell, ...]:
    def key(cell: Cell) -> tuple[Any, ...]:
        result = result_of(cell)
        settings = (natural(labels.tunables(result)), result.num_samples, natural(labels.circumstances(result)))
        return result.estimator, *settings, result.result_id, cell.name

    return tuple(sorted(_named(cells), key=key))


def _named(cells: list[Cell], where: str = "") -> list[Cell]:
    told = labels.labels([result_of(cell) for cell in cells])
    return [dataclasses.replace(cell, label=label + where) for cell, label in zip(cells, told, strict=True)]


def natural(settings: dict[str, Any]) -> tuple[tuple[str, int, float, str], ...]:
    """A sort key in which numbers sort as numbers."""

    def one(key: str, value: Any) -> tuple[str, int, float, str]:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return (key, 0, float(value), "") if number else (key, 1, 0.0, canonical_json(value))

    return tuple(one(key, settings[key]) for key in sorted(settings))
