"""What `gsx run --help` and `gsx train --help` show of groups and keys: Hydra would list every group there is, and no comments."""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from gsx.cli.compose import plain
from gsx.cli.config_folder import config_folder

WIDTH = 100

#: What a key means, by the section that it stands in (none: "") and its name.
Comments = dict[tuple[str, str], str]


@functools.cache
def declared() -> None:
    """The resolvers that the templates in conf/hydra/help name."""
    OmegaConf.register_new_resolver("gsx_groups", _groups, replace=True)
    OmegaConf.register_new_resolver("gsx_keys", _keys, replace=True)


def _groups(*names: str) -> str:
    """Each with its options, those in a folder of the user's own among them."""
    loader = GlobalHydra.instance().config_loader()
    return "\n".join(_wrapped(f"{name}: {', '.join(sorted(loader.get_group_options(name)))}", "    ") for name in names)


def _keys(config_name: str, *, _root_: DictConfig) -> str:
    """Every key with its value, as it is composed, and what the files in conf say of it."""
    settings = plain(_root_)
    comments = _comments(config_folder() / f"{config_name}.yaml")
    for group, chosen in settings.items():
        if isinstance(chosen, Mapping):
            option = config_folder() / group / f"{chosen.get('name', chosen.get('kind'))}.yaml"
            comments = {(group, key): said for (_, key), said in _comments(option).items()} | comments
    return "\n".join(_lines(settings, comments)).replace("$", "$$")  # what Hydra makes of it is a template


def _lines(settings: Mapping[str, Any], comments: Comments, section: str = "") -> Iterator[str]:
    indent = "  " * bool(section)
    for key, value in settings.items():
        holds = isinstance(value, Mapping)
        text = f"{indent}{key}:" + ("" if holds else f" {_value(value)}")
        said = comments.get((section, key))
        yield text if said is None else _wrapped(f"{text:<26} # {said}", " " * 27 + "# ")
        if holds:
            yield from _lines(value, comments, key)


def _value(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return str(value)


def _comments(path: Path) -> Comments:
    """Those that stand behind a key."""
    found: Comments = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        if key := re.match(r"( *)(\w+):", line):
            section = "" if not key[1] else section
            _, mark, said = line.partition(" # ")
            if mark:
                found[section, key[2]] = said
            section = section or key[2]
    return found


def _wrapped(line: str, indent: str) -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True)
