"""`gsx run`: every cell is checked before the first one starts; Hydra composes, sweeps and launches; each cell owns a folder."""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from gsx.cli import failures
from gsx.cli.cell import Cell, plan, prepared, runnable
from gsx.cli.closing import closing, complete, died, forgive, searched
from gsx.cli.compose import cells, check_subfolder, composing, expanded, for_sweeper, plain, sweep_folder
from gsx.cli.cutting import cut
from gsx.cli.dry_run import HYDRA_SECONDS, show
from gsx.cli.folder_name import broken_name
from gsx.cli.foreseen import Foreseen
from gsx.cli.launch import answer, asks_hydra, hand_over, parse
from gsx.cli.launchers import for_launcher
from gsx.cli.orphans import follow
from gsx.cli.plan_file import write_plan
from gsx.cli.progress import duration, progress, silent
from gsx.cli.signals import ending_with_a_checkpoint
from gsx.cli.survival import UNKNOWN, Cells
from gsx.records import Busy, EnvironmentFault
from gsx.store import RunDirectory, check_file

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
        return answer(job, arguments)
    work = _planned(flags, arguments, dry_run)
    if dry_run:
        return min(1, show(work.cells, prepared, quiet=QUIET in os.environ).broken)
    if not any(re.match(r"\+*hydra\.sweep[.=]", word) for word in work.arguments):  # else Hydra was told to put it elsewhere
        write_plan(work.cells)
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
    flags.overrides = cut(flags.overrides)
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


def foreseen(arguments: list[str]) -> Foreseen:
    """What `gsx run --dry-run` with these arguments says, and prints."""
    return show(_planned(*_parse(arguments), dry_run=True).cells, prepared, quiet=QUIET in os.environ)


def planned(arguments: list[str]) -> Work:
    """What `gsx run` with these arguments would do. Whatever is wrong with it is raised here, before any work."""
    return _planned(*_parse(arguments))


def _planned(flags: argparse.Namespace, arguments: list[str], dry_run: bool = False) -> Work:
    with composing(flags.config_dir):
        along = for_launcher(flags.overrides, flags.multirun)
        flags.overrides, arguments = flags.overrides + along, arguments + along
        overrides, sweep = cells(flags.overrides, flags.multirun)
        if sweep:
            check_file(sweep_folder(flags.overrides) / "multirun.yaml")  # Hydra's, written before the first cell
        if sweep and not overrides:
            check_subfolder(flags.overrides)
        if len(overrides) >= MANY_CELLS:
            _say(f"checking {len(overrides)} cells, about {duration(HYDRA_SECONDS * len(overrides))}")
        work = [plan(cell, alone=not sweep, dry_run=dry_run) for cell in overrides]
    for note in dict.fromkeys(note for cell in work for note in cell.notes):
        _say(note)
    options = arguments[: len(arguments) - len(flags.overrides)]
    return Work(work, sweep, [*options, *for_sweeper(flags.overrides)] if sweep and work else arguments)


# ----------------------------------------------------------------------------------------------------------------------- during


def carry_out(work: Work) -> int:
    """Run what is not complete, and say what became of it; the exit code."""
    _failed.clear()
    _folders.clear()
    elsewhere: list[Path | None] = []
    if work.cells and all(cell.state == "complete" for cell in work.cells):
        _say("complete already; force=true starts anew")
    else:
        os.environ[CELLS] = str(len(work.cells))
        try:
            elsewhere = hand_over(job, work.arguments, cells=_known(work.cells))
        except EnvironmentFault:  # a full disk that Hydra has met
            if work.sweep and work.cells:
                closing(work.cells, work.sweep, _failed, _folders)
            raise
    return closing(work.cells, work.sweep, _failed, _folders) if work.cells else searched(_failed, elsewhere)


def _known(cells: list[Cell]) -> Cells:
    if not cells:
        return UNKNOWN
    return Cells(functools.partial(complete, cells), functools.partial(forgive, cells), functools.partial(died, cells, _failed))


#: What went wrong in the cells of this process, by folder. Hydra would print a line of its own for an exception, and end the sweep with it.
_failed: dict[Path, Exception] = {}

#: Where the cells of this process put their results, by result_id.
_folders: dict[str, Path] = {}


@ending_with_a_checkpoint()
def job(config: DictConfig) -> float | None:
    """One cell. In a sweep its failure is written down, and the others go on. Returns the mean squared error, for sweepers that search."""
    follow()
    if FAIL_FAST in os.environ and not all(isinstance(error, Busy) for error in _failed.values()):
        return None
    context = HydraConfig.get()
    folder = RunDirectory(Path(context.runtime.output_dir))
    bar = functools.partial(silent if QUIET in os.environ else progress, cell=_place(context))
    run, sweep = folder.path, context.mode == RunMode.MULTIRUN
    try:
        given = plain(config)
        measurement = runnable(given)
        if isinstance(measurement, Exception):
            raise measurement
        with failures.contained():
            if os.environ.get(CELLS, "0") == "0":  # it was not planned, and what was broken may have been mended since
                RunDirectory(run.parent / broken_name(given)).forget_error()
            folder = measurement.folder(run)
            if sweep:
                failures.heed_deaths(folder, os.path.relpath(folder.path))
            folder.forget_error()  # it is tried again
            result = measurement.run(run, bar)
    except KeyboardInterrupt as interruption:
        interruption.args = (os.path.relpath(folder.path),)  # said at the end
        raise
    except Exception as error:
        _failed[folder.path] = error
        failures.write_down(folder, error)
        if sweep:
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
