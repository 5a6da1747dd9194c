"""experiment.json: what `gsx reproduce` set out to do, written before it is done, so that a report knows what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from gsx.records import ConfigurationError
from gsx.store.configured import CONFIG
from gsx.store.files import MAX_JSON, atomic_write, create_folder, read
from gsx.store.schema import Each, Rule, amount, check, number
from gsx.store.strict_json import parse_json, require, sealed_json

SCHEMA_VERSION = 1
FILE = "experiment.json"
EXACT: Rule = {"mean": [number], "variance": [amount], "error": amount}


@dataclass(frozen=True)
class PlannedCell:
    """One run or training that a step asks for: its folder beside experiment.json, its identity and its configuration."""

    folder: str
    result_id: str
    config: dict[str, Any]


@dataclass(frozen=True)
class PlannedStep:
    arguments: list[str]  # of the command, as it could be typed
    cells: list[PlannedCell] | None  # None where they are not known: of a step that was not reached


@dataclass(frozen=True)
class StoredExperiment:
    name: str
    size: str
    definition: dict[str, Any]
    steps: dict[str, PlannedStep]
    exact: dict[str, dict[str, Any]] = field(default_factory=dict)  # by result_id: {mean: [P], variance: [P], error, how}
    not_exact: dict[str, str] = field(default_factory=dict)  # by the same, where there is none: for which methods


def write_experiment(folder: Path, stored: StoredExperiment) -> None:
    """EnvironmentFault where the disk refuses."""
    data = sealed_json({"schema_version": SCHEMA_VERSION, **asdict(stored)})
    create_folder(folder)
    atomic_write(folder / FILE, data)


def read_experiment(folder: Path) -> StoredExperiment | None:
    """The plan, or None where there is none. IntegrityError, EnvironmentFault."""
    return read(folder / FILE, MAX_JSON, _parse, advice="gsx reproduce writes it anew")


def find_experiments(paths: Iterable[Path]) -> Iterator[Path]:
    """Every folder at or below `paths` that holds an experiment.json, each once. ConfigurationError for a path that is no folder."""
    found = set()
    for path in paths:
        if not path.is_dir():
            raise ConfigurationError(f"{path}: no such folder")
        # Experiments lie at the top of their folder, or of `outputs`: what is below is runs.
        found |= {file.parent.resolve() for pattern in (FILE, f"*/{FILE}") for file in path.glob(pattern)}
    return iter(sorted(found))


def _parse(stream: BinaryIO) -> StoredExperiment:
    body = parse_json(stream)
    if body["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version {body['schema_version']}, this gsx reads {SCHEMA_VERSION}")
    require(body, str, "name", "size")
    require(body, dict, "definition", "steps", "exact")
    steps = {name: PlannedStep(list(map(str, step["arguments"])), _cells(step["cells"])) for name, step in body["steps"].items()}
    check(body["exact"], Each(EXACT), "exact")
    not_exact = body.setdefault("not_exact", {})  # older plans do not tell
    require(body, dict, "not_exact")
    require(not_exact, str, *not_exact)
    return StoredExperiment(body["name"], body["size"], body["definition"], steps, body["exact"], not_exact)


def _cells(given: list[Mapping[str, Any]] | None) -> list[PlannedCell] | None:
    if given is None:
        return None
    cells = []
    for entry in given:
        require(dict(entry), str, "folder", "result_id")
        check(entry["config"], CONFIG, "config")
        if entry["folder"] != Path(entry["folder"]).name or entry["folder"] in (
            "",
            "..",
        ):  # never a path out of the experiment's own folder
            raise ValueError(f"folder {entry['folder']!r} is no plain name")
        cells.append(PlannedCell(entry["folder"], entry["result_id"], entry["config"]))
    return cells
