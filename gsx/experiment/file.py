"""The files of experiments: `NAME.yaml` in a folder `experiment`, the user's own folders before those of gsx."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from gsx.experiment.definition import Experiment
from gsx.naming import did_you_mean
from gsx.records import ConfigurationError

MOST_BYTES, MOST_NODES = 1 << 20, 100_000  #: of an experiment


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.1 takes 1e-5 for a text, and of two equal keys the last: here it is a number, and they are a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key} stands there twice", node.start_mark)
        return dict(super().construct_mapping(node, deep))


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))


def _check_size(data: object, at: str) -> None:
    """ConfigurationError where aliases unfold to more than anybody writes, or to themselves."""
    left, seen = [data], 0
    while left:
        node = left.pop()
        seen += 1
        if seen > MOST_NODES:
            raise ConfigurationError(f"{at}: more than {MOST_NODES} entries, aliases unfolded")
        left += [*node, *node.values()] if isinstance(node, dict) else node if isinstance(node, list) else []


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
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # PyYAML says ValueError to the 31st of February
        raise ConfigurationError(f"{path.name}: is no YAML: {' '.join(str(error).split())}") from error
    _check_size(data, path.name)
    return Experiment.of(data, name, size, path.name)
