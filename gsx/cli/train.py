"""`gsx train`: every training is checked before the first one starts; each owns a folder, and goes on where it stopped."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gsx.cli import failures
from gsx.cli.closing import counted, exit_code
from gsx.cli.compose import cells, composing
from gsx.cli.foreseen import Foreseen
from gsx.cli.launch import answer, asks_hydra, parse
from gsx.cli.launchers import asked
from gsx.cli.plan_file import write_plan
from gsx.cli.progress import progress, silent
from gsx.cli.run import QUIET
from gsx.cli.train_cell import CONFIG, Cell, plan
from gsx.cli.train_dry_run import show
from gsx.cli.train_summary import describe, table
from gsx.naming import printable
from gsx.records import Busy, ConfigurationError, IntegrityError, Training
from gsx.store import TrainingDirectory


def command(arguments: list[str]) -> int:
    dry_run = "--dry-run" in arguments
    flags, arguments = _parse(arguments)
    if asks_hydra(flags):
        return answer(json.dumps, arguments, CONFIG)
    work = _planned(flags, dry_run)
    if dry_run:
        return min(1, show(work.cells, quiet=work.quiet).broken)
    write_plan(work.cells)
    return carry_out(work)


@dataclass(frozen=True)
class Work:
    """The trainings of one command, all checked."""

    cells: list[Cell]
    sweep: bool
    quiet: bool
    fail_fast: bool  # after the first failure the others are left undone


def foreseen(arguments: list[str]) -> Foreseen:
    """What `gsx train --dry-run` with these arguments says, and prints."""
    work = _planned(_parse(arguments)[0], dry_run=True)
    return show(work.cells, quiet=work.quiet)


def planned(arguments: list[str]) -> Work:
    """What `gsx train` with these arguments would do. Whatever is wrong with it is raised here, before any work."""
    return _planned(_parse(arguments)[0])


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Hydra's options and overrides, and ours; and what is Hydra's of the arguments."""
    quiet = bool({"-q", "--quiet"} & set(arguments)) or QUIET in os.environ
    fail_fast = "--fail-fast" in arguments
    arguments = [word for word in arguments if word not in ("--dry-run", "-q", "--quiet", "--fail-fast")]
    flags = parse("train", arguments)
    flags.quiet, flags.fail_fast = quiet, fail_fast
    return flags, arguments


def _planned(flags: argparse.Namespace, dry_run: bool = False) -> Work:
    if launcher := asked(flags.overrides):
        raise ConfigurationError(f"{launcher}: gsx train runs its trainings here, one after another; launchers are for gsx run")
    with composing(flags.config_dir):
        overrides, sweep = cells(flags.overrides, flags.multirun, CONFIG)
        if not overrides:
            raise ConfigurationError("hydra/sweeper: gsx train sweeps over what it is given; a sweeper that searches is for gsx run")
        work = Work([plan(cell, not sweep, dry_run) for cell in overrides], sweep, flags.quiet, flags.fail_fast)
    for note in dict.fromkeys(cell.session.configuration.choice for cell in work.cells if cell.state != "broken"):
        if note and not work.quiet:
            print(note, file=sys.stderr)
    return work


def carry_out(work: Work) -> int:
    """Train what is not complete, and say what became of it; the exit code."""
    states: list[str] = []
    with _log_shown():
        for place, cell in enumerate(work.cells, 1):
            if work.fail_fast and "failed" in states and cell.state != "complete":
                states.append("unfinished" if TrainingDirectory(cell.folder).begun else "missing")
            else:
                states.append(_run(cell, work.quiet, f"cell {place} of {len(work.cells)}" if work.sweep else ""))
    read = [_read(cell) for cell in work.cells]
    # What a file says of its configuration is not believed: that of its identity is known.
    trainings = [found and dataclasses.replace(found, config=cell.config) for found, cell in zip(read, work.cells, strict=True)]
    # One that was busy when its turn came may have ended meanwhile.
    ended = [
        found is not None and found.status == "complete" and found.training_id == cell.result_id
        for found, cell in zip(read, work.cells, strict=True)
    ]
    states = ["skipped" if state == "busy" and done else state for state, done in zip(states, ended, strict=True)]
    if not work.sweep:
        (training,) = trainings
        assert training is not None
        print(printable(describe(training, work.cells[0].shown)))
        return 0
    rows = [(state, cell.what, training, cell.shown) for state, cell, training in zip(states, work.cells, trainings, strict=True)]
    print(printable(table(rows)))
    for cell, state in zip(work.cells, states, strict=True):
        if state == "failed":
            failures.recall(TrainingDirectory(cell.folder), cell.shown)
    print(f"{len(states)} trainings: {counted(states)}")
    return exit_code(states)


@contextlib.contextmanager
def _log_shown() -> Iterator[None]:
    """Log lines on stderr, as Hydra's configuration shows those of `gsx run`; where that has been done already, it stays."""
    root = logging.getLogger()
    if root.handlers:
        yield
        return
    handler, level = logging.StreamHandler(sys.stderr), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _read(cell: Cell) -> Training | None:
    with contextlib.suppress(IntegrityError):  # why, error.txt says
        return TrainingDirectory(cell.folder).read()
    return None


def _run(cell: Cell, quiet: bool, place: str) -> str:
    """What became of it. In a sweep, where it has a place, a failure is written down, and the others go on."""
    if cell.state == "complete":
        if not quiet:
            print(f"{cell.shown}: complete already; force=true starts anew", file=sys.stderr)
        return "skipped"
    bar: Callable[[str, int], Callable[[int], None]] = silent if quiet else functools.partial(progress, unit="steps", cell=place)
    try:
        with failures.contained():
            session = cell.session
            TrainingDirectory(cell.broken).forget_error()  # what raised may have been mended since
            if place:
                failures.heed_deaths(TrainingDirectory(cell.folder), cell.shown)
            TrainingDirectory(cell.folder).forget_error()  # it is tried again
            session.run(cell.folder, bar)
    except Exception as error:
        failures.write_down(TrainingDirectory(cell.folder), error)
        if not place:
            raise failures.fatal(error, cell.folder) from error
        failures.announce(cell.shown, error)
        return "busy" if isinstance(error, Busy) else "failed"
    return "ran"
