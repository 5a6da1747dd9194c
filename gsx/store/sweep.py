"""sweep-<hash>.json: the cells of a sweep, written before the first of them begins, so that `gsx status` knows which never did."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from gsx.records import digest
from gsx.store.configured import CONFIG
from gsx.store.files import MAX_JSON, atomic_write, create_folder, read
from gsx.store.schema import Each, Rule, check
from gsx.store.strict_json import parse_json, sealed_json

SCHEMA_VERSION = 1
SCHEMA: Rule = {"command": str, "cells": Each(str)}
CONFIGS: Rule = Each(CONFIG)

#: The way out of a damaged plan: nothing depends on it but the word `missing`.
ADVICE = "the same sweep again writes it anew; without it nothing is lost"


@dataclass(frozen=True)
class StoredSweep:
    command: str  # as provenance tells it
    cells: dict[str, str]  # the folder of each, beside this file, and its result_id
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)  # by folder, as results hold them; {} in plans of before

    @property
    def file(self) -> str:
        """Its name: of the same cells the same, so that a sweep given again replaces its plan."""
        return f"sweep-{digest(self.cells)[:12]}.json"


def is_sweep(name: str) -> bool:
    """Whether a file of this name is the plan of a sweep."""
    return re.fullmatch(r"sweep-[0-9a-f]{12}\.json", name) is not None


def write_sweep(cells: Iterable[tuple[Path, str]], command: str, configs: Mapping[str, dict[str, Any]] = {}) -> None:
    """Of folders and result_ids, which may lie below several names: to each its own plan. EnvironmentFault where the disk refuses.

    ``configs`` are by result_id: with them figures know where a cell that is missing would stand.
    """
    plans: dict[Path, dict[str, str]] = {}
    for folder, result_id in cells:
        plans.setdefault(folder.parent, {})[folder.name] = result_id
    for parent, planned in plans.items():
        plan = StoredSweep(command, planned, {name: configs[result_id] for name, result_id in planned.items() if result_id in configs})
        data = sealed_json({"schema_version": SCHEMA_VERSION, **asdict(plan)})
        if len(data) > MAX_JSON:  # of some ten thousand cells; the plan does without
            data = sealed_json({"schema_version": SCHEMA_VERSION, **asdict(replace(plan, configs={}))})
        create_folder(parent)
        atomic_write(parent / plan.file, data)


def read_sweep(path: Path) -> StoredSweep | None:
    """The plan, or None where there is none. IntegrityError, EnvironmentFault."""
    return read(path, MAX_JSON, lambda stream: _parse(stream, path.name), advice=ADVICE)


def _parse(stream: BinaryIO, name: str) -> StoredSweep:
    body = parse_json(stream)
    if body["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version {body['schema_version']}, this gsx reads {SCHEMA_VERSION}")
    check(body, SCHEMA)
    check(configs := body.get("configs", {}), CONFIGS, "configs")
    plan = StoredSweep(body["command"], body["cells"], configs)
    for folder, result_id in plan.cells.items():
        # A name and never a path; and one that says what it holds, as every folder of a run or a training.
        address = re.fullmatch(r"[^/\\\0]{1,240}-([0-9a-f]{12})", folder)
        if address is None or not re.fullmatch(r"[0-9a-f]{64}", result_id) or address[1] != result_id[:12]:
            raise ValueError(f"folder {folder[:200]!r} is not the name of that of a run or a training")
    if not plan.configs.keys() <= plan.cells.keys():
        raise ValueError("a configuration of none of its cells")
    if plan.file != name:
        raise ValueError("not the sweep that its name says")
    return plan
