"""One cell of `gsx run` before anything runs: checked, named by its content, and where it stands; Hydra names its folder likewise."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gsx.cli.compose import composed, plain
from gsx.configuration import Configuration
from gsx.measurement import Measurement
from gsx.records import GsxError, IntegrityError, Result, Shard
from gsx.registry import Room, find, schema
from gsx.store import RunDirectory


@dataclass(frozen=True)
class Cell:
    """One job as it is before anything runs."""

    measurement: str  # "model estimator ...", as the user asked for it
    folder: Path
    result_id: str
    state: str  # complete | unfinished | new | damaged | broken: its own code raised before there was anything to run
    engine: str
    num_replicates: int
    block_size: int
    notes: list[str]  # what is not quite as it was asked for
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
        if self.shard is None:
            return RunDirectory(self.folder).read_result()
        with contextlib.suppress(IntegrityError):  # the whole is not what was asked for
            if self._is_in(whole := RunDirectory(self.folder).read_result()):
                return whole
        return RunDirectory(self.place).read_result()

    def _is_in(self, result: Result | None) -> bool:
        return result is not None and result.result_id == self.result_id and result.status == "complete"

    def line(self) -> str:
        return f"{self.state:<11}{self.shown}  engine={self.engine} num_replicates={self.num_replicates} block_size={self.block_size}"


def plan(overrides: list[str], alone: bool = True) -> Cell:
    """Check a cell and look where it stands. Whatever is wrong with its configuration is raised here, before any work.

    A plug-in that raises fails when the cell's turn comes, and so in a sweep, where the cell is not `alone`, do damaged files: neither is
    a fault of the other cells.
    """
    given = composed(overrides)
    text = json.dumps(given, sort_keys=True)
    measurement = _unless_broken(text)
    if measurement is None:
        return _broken(given, text)
    configuration, blocks = measurement.configuration, measurement.plan
    folder = Path.cwd() / "outputs" / configuration.name / folder_name(measurement)
    RunDirectory(folder).check_links()  # Hydra writes there first
    asked, notes = configuration.num_replicates, [configuration.choice] if configuration.choice else []
    if not measurement.exact and blocks.num_replicates != asked:
        notes.append(f"num_replicates={asked} is rounded up to {blocks.num_replicates}: a multiple of 64 blocks of {blocks.block_size}")
    return Cell(
        measurement=f"{measurement.model.name} {measurement.estimator.name}",
        folder=folder,
        result_id=measurement.result_id,
        state=_state(measurement, folder, alone),
        engine=measurement.engine,
        num_replicates=blocks.num_replicates,
        block_size=blocks.block_size,
        notes=notes,
        config=measurement.config,
        shard=measurement.shard,
        given=text,
        reference_id=measurement.reference_id,
    )


def _state(measurement: Measurement, folder: Path, alone: bool) -> str:
    if measurement.configuration.force:
        return "new"
    try:
        if measurement.complete(folder):
            return "complete"
    except IntegrityError:
        if alone:
            raise
        return "damaged"
    return "unfinished" if (measurement.folder(folder).path / "segments.npz").exists() else "new"


def _broken(given: dict[str, Any], text: str) -> Cell:
    """What cannot be measured has no identity; its error is kept under what was asked for."""
    chosen = [str(given[group].get("name")) for group in ("model", "estimator")]
    folder = Path.cwd() / "outputs" / str(given["name"]) / broken_name(text)
    return Cell(" ".join(chosen), folder, "", "broken", "?", 0, 0, [], given, None, text, "")


def broken_name(text: str) -> str:
    given = json.loads(text)
    chosen = [_safe(given[group].get("name")) for group in ("model", "estimator")]
    return f"{'-'.join(chosen)[:100]}-broken-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@functools.lru_cache(maxsize=4)
def prepared(given: str) -> Measurement:
    """The measurement of a configuration (as JSON); kept, because its folder's name is asked for before its result is."""
    return Measurement(Configuration.of(json.loads(given)))


def _unless_broken(given: str) -> Measurement | None:
    """The same; None where a plug-in raises, whatever it is that it raises: the job meets it again, where it is written down."""
    try:
        return prepared(given)
    except (GsxError, MemoryError):
        raise
    except Exception:
        if not json.loads(given)["plugins"]:
            raise
        return None


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
    given = json.dumps(plain(_root_), sort_keys=True)
    measurement = _unless_broken(given)
    return broken_name(given) if measurement is None else folder_name(measurement)


# Sub-process launchers import this module afresh and need the resolver too.
OmegaConf.register_new_resolver("gsx_folder", _folder_of, replace=True)
