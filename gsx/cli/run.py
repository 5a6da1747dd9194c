"""`gsx run`: every cell is checked before the first one starts; Hydra composes, sweeps and launches; each cell owns a folder."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gsx.cli import failures
from gsx.cli.compose import cells, composed, composing, expanded, for_sweeper, plain
from gsx.cli.dry_run import HYDRA_SECONDS, show
from gsx.cli.launch import asks_hydra, hand_over, parse
from gsx.cli.launchers import for_launcher
from gsx.cli.progress import duration, progress, silent
from gsx.cli.summary import describe, describe_part, table
from gsx.configuration import Configuration
from gsx.measurement import Measurement
from gsx.naming import printable
from gsx.provenance import typed_command
from gsx.records import Result, Shard
from gsx.registry import Room, find, schema
from gsx.store import RunDirectory, write_sweep

log = logging.getLogger("gsx")

#: Set by ``-q``; an environment variable, because launchers start processes of their own.
QUIET = "GSX_QUIET"
#: How many cells the sweep has, likewise.
CELLS = "GSX_CELLS"

#: Set by ``--fail-fast``: after the first failure of a process, its other cells are left undone.
FAIL_FAST = "GSX_FAIL_FAST"
#: So many cells are not checked without a word.
MANY_CELLS = 100


def command(arguments: list[str]) -> int:
    dry_run = "--dry-run" in arguments
    if "-q" in arguments or "--quiet" in arguments:
        os.environ[QUIET] = "1"
    os.environ |= {FAIL_FAST: "1"} if "--fail-fast" in arguments else {}
    arguments = [word for word in arguments if word not in ("--dry-run", "-q", "--quiet", "--fail-fast")]
    flags, arguments = _parse(arguments)
    if asks_hydra(flags):
        hand_over(job, arguments)
        return 0
    work = _planned(flags, arguments)
    if dry_run:
        return show(work.cells, prepared, quiet=QUIET in os.environ)
    _write_plan(work)
    return carry_out(work)


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Hydra's options and overrides, which may stand in any order; the arguments again, options first, as Hydra wants them.

    An experiment is what its one step says, and no longer there.
    """
    flags = parse("run", arguments)
    options = list(arguments)
    for override in flags.overrides:
        options.remove(override)
    flags.overrides, sweep = expanded(flags.overrides, flags.config_dir)
    if sweep and not flags.multirun:
        flags.multirun = True
        options.append("-m")
    return flags, options + flags.overrides


def _say(text: str) -> None:
    if QUIET not in os.environ:
        print(text, file=sys.stderr)


# ----------------------------------------------------------------------------------------------------------------------- before


@dataclass(frozen=True)
class Work:
    """The cells of one command, all checked, and the arguments with which Hydra runs them."""

    cells: list[Cell]
    sweep: bool
    arguments: list[str]


def planned(arguments: list[str]) -> Work:
    """What `gsx run` with these arguments would do. Whatever is wrong with it is raised here, before any work."""
    return _planned(*_parse(arguments))


def _planned(flags: argparse.Namespace, arguments: list[str]) -> Work:
    with composing(flags.config_dir):
        along = for_launcher(flags.overrides, flags.multirun)
        flags.overrides, arguments = flags.overrides + along, arguments + along
        overrides, sweep = cells(flags.overrides, flags.multirun)
        if len(overrides) >= MANY_CELLS:
            _say(f"checking {len(overrides)} cells, about {duration(HYDRA_SECONDS * len(overrides))}")
        work = [plan(cell) for cell in overrides]
    for rounding in dict.fromkeys(cell.rounding for cell in work if cell.rounding):
        _say(rounding)
    options = arguments[: len(arguments) - len(flags.overrides)]
    return Work(work, sweep, [*options, *for_sweeper(flags.overrides)] if sweep and work else arguments)


@dataclass(frozen=True)
class Cell:
    """One job as it is before anything runs."""

    measurement: str  # "model estimator ...", as the user asked for it
    folder: Path
    result_id: str
    state: str  # complete | unfinished | new
    engine: str
    num_replicates: int
    block_size: int
    rounding: str  # how the replicates asked for were rounded up, or nothing
    config: dict[str, Any]  # as the result will hold it
    shard: Shard | None
    given: str  # as it was composed: what `prepared` takes
    reference_id: str

    @property
    def place(self) -> Path:
        """Its own folder: that of the run, or of the shard in it."""
        return self.folder if self.shard is None else self.folder / self.shard.folder

    @property
    def shown(self) -> str:
        """The folder as the user would type it."""
        return os.path.relpath(self.place)

    def result(self) -> Result | None:
        """What there is; of a shard the result of the whole will do."""
        whole = RunDirectory(self.folder).read_result()
        return whole if self.shard is None or self._is_in(whole) else RunDirectory(self.place).read_result()

    def _is_in(self, result: Result | None) -> bool:
        return result is not None and result.result_id == self.result_id and result.status == "complete"

    def line(self) -> str:
        return f"{self.state:<11}{self.shown}  engine={self.engine} num_replicates={self.num_replicates} block_size={self.block_size}"


def plan(overrides: list[str]) -> Cell:
    """Check a cell and look where it stands. Whatever is wrong with its configuration is raised here, before any work."""
    given = json.dumps(composed(overrides), sort_keys=True)
    measurement = prepared(given)
    configuration, blocks = measurement.configuration, measurement.plan
    folder = Path.cwd() / "outputs" / configuration.name / folder_name(measurement)
    RunDirectory(folder).check_links()  # Hydra writes there first
    state = "new"
    if not configuration.force:
        if measurement.complete(folder):
            state = "complete"
        elif (measurement.folder(folder).path / "segments.npz").exists():
            state = "unfinished"
    asked, rounding = configuration.num_replicates, ""
    if not measurement.exact and blocks.num_replicates != asked:
        rounding = f"num_replicates={asked} is rounded up to {blocks.num_replicates}: a multiple of 64 blocks of {blocks.block_size}"
    name = f"{measurement.model.name} {measurement.estimator.name}"
    size = (blocks.num_replicates, blocks.block_size)
    ids = (given, measurement.reference_id)
    return Cell(
        name, folder, measurement.result_id, state, measurement.engine, *size, rounding, measurement.config, measurement.shard, *ids
    )


def _write_plan(work: Work) -> None:
    """What a sweep is about to run, so that `gsx status` knows what it has not begun; unless Hydra was told to put it elsewhere."""
    unfinished = any(cell.state != "complete" for cell in work.cells)
    if len(work.cells) > 1 and unfinished and not any(re.match(r"\+*hydra\.sweep[.=]", word) for word in work.arguments):
        write_sweep(((cell.folder, cell.result_id) for cell in work.cells), typed_command())


@functools.lru_cache(maxsize=4)
def prepared(given: str) -> Measurement:
    """The measurement of a configuration (as JSON); kept, because its folder's name is asked for before its result is."""
    return Measurement(Configuration.of(json.loads(given)))


def folder_name(measurement: Measurement) -> str:
    """``<readable-slug>-<result_id[:12]>``: model and estimator with what is not as usual about them, and N."""
    words = [*telling_words(measurement.config, measurement.configuration.plugins), f"n{measurement.estimator.num_samples}"]
    return f"{'-'.join(words)[:100]}-{measurement.result_id[:12]}"


def telling_words(config: Mapping[str, Any], plugins: list[str]) -> list[str]:
    """The model and the estimator, each with what is not as usual about it."""
    words = []
    rooms: tuple[tuple[Room, str], ...] = (("models", "model"), ("estimators", "estimator"))
    for room, group in rooms:
        chosen = config[group]
        usual = schema(find(room, chosen["name"], plugins))
        words.append(chosen["name"])
        words += [f"{key}_{_safe(value)}" for key, value in chosen.items() if key in usual and value != usual[key].default]
        if "checkpoint" in chosen:
            words.append(f"at_{chosen['checkpoint'][:8]}")
    return words


def _safe(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else "_".join(map(_safe, value)) if isinstance(value, list) else str(value)
    return "".join(c if c.isalnum() or c in "._" else "_" for c in text)


def _folder_of(*, _root_: DictConfig) -> str:
    return folder_name(prepared(json.dumps(plain(_root_), sort_keys=True)))


# Sub-process launchers import this module afresh and need the resolver too.
OmegaConf.register_new_resolver("gsx_folder", _folder_of, replace=True)


# ----------------------------------------------------------------------------------------------------------------------- during


def carry_out(work: Work) -> int:
    """Run what is not complete, and say what became of it; the exit code."""
    _failed.clear()
    _folders.clear()
    if work.cells and all(cell.state == "complete" for cell in work.cells):
        _say("complete already; force=true starts anew")
    else:
        os.environ[CELLS] = str(len(work.cells))
        hand_over(job, work.arguments, complete=functools.partial(_complete, work.cells))
    return _closing(work.cells, work.sweep)


#: What went wrong in the cells of this process. Hydra would print a line of its own for an exception, and end the sweep with it.
_failed: list[Exception] = []

#: Where the cells of this process put their results, by result_id: not where they were planned, if Hydra was told another folder.
_folders: dict[str, Path] = {}


def job(config: DictConfig) -> float | None:
    """One cell. In a sweep its failure is written down, and the others go on. Returns the mean squared error, for sweepers that search."""
    if _failed and FAIL_FAST in os.environ:
        return None
    context = HydraConfig.get()
    folder = RunDirectory(Path(context.runtime.output_dir))
    bar = functools.partial(silent if QUIET in os.environ else progress, cell=_place(context))
    run = folder.path
    try:
        measurement = prepared(json.dumps(plain(config), sort_keys=True))
        folder = measurement.folder(run)
        result = measurement.run(run, bar)
    except Exception as error:
        _failed.append(error)
        failures.write_down(folder, error)
        if context.mode == RunMode.MULTIRUN:
            failures.announce(os.path.relpath(folder.path), error)
        return None
    _folders[result.result_id] = run
    mse = result.summary["mse"]
    return None if mse is None else mse.value


def _place(context: HydraConf) -> str:
    """Which cell of the sweep this is."""
    if context.mode != RunMode.MULTIRUN:
        return ""
    place, cells = f"cell {context.job.num + 1}", os.environ.get(CELLS, "0")
    return place if cells == "0" else f"{place} of {cells}"  # a searching sweeper has no number


# ------------------------------------------------------------------------------------------------------------------------ after


def _closing(planned: list[Cell], sweep: bool) -> int:
    """Say what ran, what was skipped and what failed; the exit code."""
    if not planned:  # a searching sweeper has said what it tried
        return 1 if _failed else 0
    if _failed and not sweep:
        raise _failed[0]
    planned = [dataclasses.replace(cell, folder=_folders.get(cell.result_id, cell.folder)) for cell in planned]
    results = [_believed(cell.result(), cell) for cell in planned]
    if not sweep:
        (result,) = results
        assert result is not None
        print(printable(describe(result, planned[0].shown) if result.part is None else describe_part(result, planned[0].shown)))
        return 0
    states = [_state(cell, result) for cell, result in zip(planned, results, strict=True)]
    rows = [(state, cell.measurement, result, cell.shown) for state, cell, result in zip(states, planned, results, strict=True)]
    print(printable(table(rows)))
    for cell, state in zip(planned, states, strict=True):
        if state == "failed":
            failures.recall(RunDirectory(cell.place), cell.shown)
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("ran", "skipped", "failed", "missing") if state in states)
    print(f"{len(states)} cells: {counts}")
    return 1 if {"failed", "missing"} & set(states) else 0


def _believed(result: Result | None, cell: Cell) -> Result | None:
    """With the configuration that was asked for: a stored one may name plug-ins, which are code, and its identity vouches for all else."""
    return result if result is None or result.result_id != cell.result_id else dataclasses.replace(result, config=cell.config)


def _complete(cells: list[Cell], number: int) -> bool:
    """Whether the folder of a planned cell holds its result, whichever process put it there."""
    return bool(cells) and _state(cells[number], cells[number].result()) in ("ran", "skipped")


def _state(cell: Cell, result: Result | None) -> str:
    if result is not None and result.result_id == cell.result_id and result.status in ("complete", "partial"):
        return "skipped" if cell.state == "complete" else "ran"
    return "missing" if RunDirectory(cell.place).read_error() is None else "failed"
