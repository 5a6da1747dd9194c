"""The files of experiments: `NAME.yaml` in a folder `experiment`, the user's own folders before those of gsx."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gsx.experiment.definition import Experiment
from gsx.experiment.strict_yaml import read_yaml
from gsx.naming import did_you_mean
from gsx.records import ConfigurationError


def experiments(folders: Iterable[Path]) -> dict[str, Path]:
    """The file of every experiment, by name."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted((folder / "experiment").glob("*.yaml")):
            if path.is_file():  # a FIFO would never be read to its end
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def load(name: str, folders: Iterable[Path], size: str = "full") -> Experiment:
    """ConfigurationError for an unknown name, or for what is wrong in its file: file, key, rule."""
    known = experiments(folders)
    if name not in known:
        raise ConfigurationError(f"experiment={name}: unknown{did_you_mean(name, known)}")
    path = known[name]
    return Experiment.of(read_yaml(path, path.name), name, size, path.name)
