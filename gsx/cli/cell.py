"""One cell of `gsx run` before anything runs: checked, named by its content, and where it stands; Hydra names its folder likewise."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gsx.cli.compose import composed, plain, told_folder
from gsx.cli.failures import reason, write_down
from gsx.cli.folder_name import broken_name, chosen, folder_name, telling_words
from gsx.cli.planning import broken_folder, standing, unless_broken
from gsx.configuration import Configuration
from gsx.measurement import Measurement
from gsx.records import IntegrityError, Result, Shard
from gsx.store import RunDirectory, check_way


@dataclass(frozen=True)
class Cell:
    """One job as it is before anything runs."""

    measurement: str  # "model estimator ...", as the user asked for it
    folder: Path
    result_id: str
    state: str  # complete | unfinished | new | damaged | broken: there is nothing to run, `fault` says why
    engine: str
    num_replicates: int
    block_size: int
    notes: list[str]  # what is not quite as it was asked for
    config: dict[str, Any]  # as the result will hold it
    shard: Shard | None
    given: str  # as it was composed: what `prepared` takes
    reference_id: str
    fault: str = ""  # of what is broken: what a plug-in did, or a link in its folder

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
        if self.shard is None:
            return RunDirectory(self.folder).read_result()
        with contextlib.suppress(IntegrityError):  # the whole is not what was asked for
            if self._is_in(whole := RunDirectory(self.folder).read_result()):
                return whole
        return RunDirectory(self.place).read_result()

    def _is_in(self, result: Result | None) -> bool:
        return result is not None and result.result_id == self.result_id and result.status == "complete"

    def line(self) -> str:
        what = self.fault or f"engine={self.engine} num_replicates={self.num_replicates} block_size={self.block_size}"
        return f"{self.state:<11}{self.shown}  {what}"


def plan(overrides: list[str], alone: bool = True, dry_run: bool = False) -> Cell:
    """Check a cell and look where it stands. Whatever is wrong with its configuration is raised here, before any work.

    A plug-in that raises, or kills its process again and again, fails when the cell's turn comes, and so in a sweep, where the cell is not
    `alone`, do damaged files and links: none is a fault of the other cells. With `dry_run` no death is counted: nothing is written.
    """
    given = composed(overrides)
    text = json.dumps(given, sort_keys=True)
    measurement = _made(given, heed=not alone, count=not dry_run)
    broken = RunDirectory(broken_folder(given))
    if isinstance(measurement, Exception):
        if not dry_run:
            write_down(broken, measurement)  # whatever it does when its turn comes
        return _broken(given, text, measurement)
    configuration, blocks = measurement.configuration, measurement.plan
    folder, fault = told_folder(overrides, sweep=not alone) or _home(measurement), ""
    check_way(folder.parent)
    try:
        RunDirectory(folder).check_links()  # Hydra writes there first
        moments = measurement.folder(folder).path / "segments.npz"
        state = standing(configuration.force, alone, lambda: measurement.complete(folder), moments.exists)
    except IntegrityError as error:
        if alone or folder != _home(measurement):
            raise
        folder, state, fault = broken.path, "broken", reason(error)
    if not fault and not dry_run:
        broken.forget_error()  # what was in its way is gone
    asked, notes = configuration.num_replicates, [configuration.choice] if configuration.choice else []
    if not measurement.exact and blocks.num_replicates != asked:
        notes.append(f"num_replicates={asked} is rounded up to {blocks.num_replicates}: a multiple of 64 blocks of {blocks.block_size}")
    return Cell(
        measurement=f"{measurement.model.name} {measurement.estimator.name}",
        folder=folder,
        result_id=measurement.result_id,
        state=state,
        engine=measurement.engine,
        num_replicates=blocks.num_replicates,
        block_size=blocks.block_size,
        notes=notes,
        config=measurement.config,
        shard=measurement.shard,
        given=text,
        reference_id=measurement.reference_id,
        fault=fault,
    )


def _broken(given: dict[str, Any], text: str, error: Exception) -> Cell:
    """What cannot be measured has no identity; its error is kept under what was asked for."""
    return Cell(" ".join(chosen(given)), broken_folder(given), "", "broken", "?", 0, 0, [], given, None, text, "", reason(error))


@functools.lru_cache(maxsize=4)
def prepared(given: str) -> Measurement:
    """The measurement of a configuration (as JSON); kept, because its folder's name is asked for before its result is."""
    return Measurement(Configuration.of(json.loads(given)))


def _made(given: Mapping[str, Any], *, heed: bool, count: bool) -> Measurement | Exception:
    text = json.dumps(given, sort_keys=True)
    return unless_broken(lambda: prepared(text), given, broken_folder(given), heed=heed, count=count)


def runnable(given: Mapping[str, Any]) -> Measurement | Exception:
    """That of a job, or why there is none and it is to fail of it: what a plug-in did, or a link where Hydra would write first."""
    measurement = _made(given, heed=True, count=False)
    if isinstance(measurement, Exception):
        return measurement
    try:
        RunDirectory(_home(measurement)).check_links()
    except IntegrityError as error:
        return error
    return measurement


def _home(measurement: Measurement) -> Path:
    """Its folder, if Hydra is told no other."""
    words = telling_words(measurement.config, measurement.configuration.plugins, measurement.estimator.num_samples)
    return Path.cwd() / "outputs" / measurement.configuration.name / folder_name(words, measurement.result_id)


def _folder_of(*, _root_: DictConfig) -> str:
    given = plain(_root_)
    if _root_.hydra.mode == RunMode.MULTIRUN:  # of a sweeper that searches no cell was planned
        check_way(Path(_root_.hydra.sweep.dir, str(given["name"])))
    measurement = runnable(given)
    return broken_name(given) if isinstance(measurement, Exception) else _home(measurement).name


# Sub-process launchers import this module afresh and need the resolver too.
OmegaConf.register_new_resolver("gsx_folder", _folder_of, replace=True)
