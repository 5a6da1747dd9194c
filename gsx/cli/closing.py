"""What became of the cells of `gsx run`: a table, what failed and why, which runs are joined of their shards, and the exit code."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gsx.cli import failures
from gsx.cli.cell import Cell
from gsx.cli.merge import join
from gsx.cli.summary import describe, describe_part, table
from gsx.naming import printable
from gsx.records import Busy, GsxError, IntegrityError, Killed, Result
from gsx.store import RunDirectory, environment_fault

#: What may become of a cell, in the order in which it is told.
STATES = ("ran", "skipped", "busy", "failed", "unfinished", "missing")

#: Bytes. With fewer a disk is full: a job has to leave its answer on it, and a log.
_ROOM = 1 << 16


def closing(planned: list[Cell], sweep: bool, failed: Mapping[Path, Exception], folders: Mapping[str, Path]) -> int:
    """Say what ran, what was skipped and what failed; join the runs that came in shards; the exit code.

    `failed` is what this process met, by folder; `folders` says where it put results, by identity: not where they were planned, if Hydra
    was told another folder.
    """
    if failed and not sweep:
        ((place, error),) = failed.items()
        raise failures.fatal(error, place)
    if not sweep and planned[0].state == "broken":  # as it was planned, and not as its turn came
        raise failures.JobFailed(f"{planned[0].fault}; the traceback is in {planned[0].shown}/error.txt")
    cells = [dataclasses.replace(cell, folder=folders.get(cell.result_id, cell.folder)) for cell in planned]
    results = [_result(cell) for cell in cells]
    if not sweep:
        (result,) = results
        assert result is not None
        print(printable(describe(result, cells[0].shown) if result.part is None else describe_part(result, cells[0].shown)))
        return 0
    states = [_state(cell, result, failed) for cell, result in zip(cells, results, strict=True)]
    rows = [(state, cell.measurement, result, cell.shown) for state, cell, result in zip(states, cells, results, strict=True)]
    print(printable(table(rows)))
    for cell, state in zip(cells, states, strict=True):
        if state == "failed":
            failures.recall(RunDirectory(cell.place), cell.shown, failed.get(cell.place))
    done = [result for result, state in zip(results, states, strict=True) if result is not None and state in ("ran", "skipped")]
    codes = [join(RunDirectory(folder)) or 0 for folder in _whole(cells, results, states)]
    print(_counts(states, sum(result.verdict.status == "nonfinite" for result in done)))
    return max(exit_code(states), *codes, 0)


def searched(failed: Mapping[Path, Exception], elsewhere: Sequence[Path | None]) -> int:
    """After a sweeper that chooses its cells as it goes, and has said what it tried: what failed; the exit code.

    `failed` is what this process met, `elsewhere` the folders of what others ran, None for one that has died.
    """
    ill = [folder for folder in elsewhere if folder is not None and RunDirectory(folder).read_error() is not None]
    for folder in dict.fromkeys([*failed, *ill]):
        failures.recall(RunDirectory(folder), os.path.relpath(folder), failed.get(folder))
    return 1 if failed or ill or None in elsewhere else 0


def counted(states: Sequence[str]) -> str:
    """How many became what, in the order of `STATES`."""
    return ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)


def exit_code(states: Sequence[str]) -> int:
    """Of a sweep in which this became of its jobs."""
    if {"failed", "unfinished", "missing"} & set(states):
        return 1
    return Busy.exit_code if "busy" in states else 0


def _whole(cells: Sequence[Cell], results: Sequence[Result | None], states: Sequence[str]) -> list[Path]:
    """The folders of runs of which all shards are among these cells, and complete; less those that are joined already."""
    shards: dict[tuple[Path, int], set[int]] = {}
    for cell, result, state in zip(cells, results, states, strict=True):
        if cell.shard is not None and state in ("ran", "skipped") and result is not None and result.part is not None:
            shards.setdefault((cell.folder, cell.shard.of), set()).add(cell.shard.number)
    return list(dict.fromkeys(folder for (folder, of), numbers in shards.items() if len(numbers) == of))


def _counts(states: list[str], nonfinite: int) -> str:
    text = f"{len(states)} cells: {counted(states)}"
    if nonfinite:
        text += f"; {nonfinite} of them not finite: no statistics"
    if "busy" in states:
        text += "; what is busy another process computes: wait for it, or repeat the command when it has ended"
    return text


def complete(cells: list[Cell], number: int) -> bool:
    """Whether the folder of a planned cell holds its result, whichever process put it there."""
    return _state(cells[number], _result(cells[number]), {}) in ("ran", "skipped")


def forgive(cells: list[Cell], number: int) -> None:
    """The death of a planned cell's process, which went down with another."""
    RunDirectory(cells[number].place).forgive_death()


def died(cells: list[Cell], failed: dict[Path, Exception], number: int, reason: str) -> None:
    """The process of a planned cell: it has `failed` then, and where it could not say why, error.txt says what is known."""
    folder = RunDirectory(cells[number].place)
    if folder.holder is not None or complete(cells, number) or folder.read_error() is not None:
        return
    error: GsxError = Killed(reason)
    try:
        if shutil.disk_usage(Path.cwd()).free < _ROOM:
            raise environment_fault(folder.path, "cannot be written", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        folder.write_error(f"{error}\n")
    except GsxError as fault:  # which may well be what it died of
        error = fault
    failed[folder.path] = error
    failures.announce(cells[number].shown, error)


def _result(cell: Cell) -> Result | None:
    """With the configuration that was asked for: a stored one may name plug-ins, which are code, and its identity vouches for all else."""
    try:
        result = cell.result()
    except IntegrityError:  # why, error.txt says
        return None
    return result if result is None or result.result_id != cell.result_id else dataclasses.replace(result, config=cell.config)


def _state(cell: Cell, result: Result | None, failed: Mapping[Path, Exception]) -> str:
    met = failed.get(cell.place)
    there = result is not None and result.result_id == cell.result_id and result.status in ("complete", "partial")
    if there and (met is None or isinstance(met, Busy)):  # else it is damaged
        return "skipped" if cell.state == "complete" or met is not None else "ran"
    folder = RunDirectory(cell.place)
    if isinstance(met, Busy) or (met is None and folder.holder is not None):
        return "busy"
    if met is not None or folder.read_error() is not None:
        return "failed"
    return "unfinished" if folder.begun else "missing"
