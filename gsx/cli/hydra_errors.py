"""What Hydra and OmegaConf refuse, in one line each."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra import compose
from hydra.core.default_element import DefaultsTreeNode
from hydra.errors import HydraException, OverrideParseException
from omegaconf import Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gsx.cli.config_folder import config_folder
from gsx.naming import did_you_mean
from gsx.records import ConfigurationError, GsxError


@contextmanager
def one_line_errors(overrides: list[str], config_name: str = "config") -> Iterator[None]:
    """Hydra's and OmegaConf's exceptions as a ConfigurationError that names key, value and rule."""
    try:
        yield
    except GsxError:
        raise
    except RecursionError as error:
        raise ConfigurationError(_endless(error)) from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # Hydra says ValueError to `estimator=null`
        for cause in _causes(error):
            if isinstance(cause, GsxError | KeyboardInterrupt):  # Hydra makes its own of whatever interrupts it
                raise cause from None
        raise ConfigurationError(_explain(error, overrides, config_name)) from error


def _explain(error: Exception, overrides: list[str], config_name: str) -> str:
    text = str(error)
    if unknown := re.search(r"Could not override '([^']+)'", text):
        key = unknown[1]
        given = next((override for override in overrides if override.lstrip("+~").startswith(f"{key}=")), key)
        others = [override for override in overrides if override != given]
        group, dot, _ = key.rpartition(".")
        known = _keys(others, config_name)
        if inside := [name for name in known if name.rpartition(".")[0] == key]:
            return f"{given}: holds settings, not a value: {', '.join(inside)}"
        if deeper := [name for name in known if not dot and name.endswith(f".{key}") and not name.startswith("hydra.")]:
            return f"{given}: unknown key; did you mean {' or '.join(deeper)}?"
        siblings = [name for name in known if name.rpartition(".")[0] == group and name != "hydra"]
        return f"{given}: unknown key{did_you_mean(key, siblings)}" if siblings or not dot else f"{given}: unknown group {group}"
    if option := re.search(r"Could not find '([^']+)/([^/']*)'", text):
        known = re.findall(r"^\t(\S+)$", text, re.MULTILINE)
        listed = f"gsx list {option[1]}s" if option[1] in ("estimator", "model") else ""
        return f"{option[1]}={option[2]}: unknown{did_you_mean(option[2], known, listed=listed)}"
    if several := re.search(r"Ambiguous value for argument '(.+)'", text):
        return f"{several[1]}: several values; -m sweeps over them, and [ ] around them makes a list"
    if "Config group override must be a string" in text:
        groups = (override for override in overrides if (config_folder() / override.partition("=")[0]).is_dir())
        return f"{next(groups, 'a group')}: must be the name of an option"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value ({text.partition('See https')[0].strip().splitlines()[-1]})"
    if group := re.search(r"Could not override '?([^'\s]+)'?\. No match in the defaults list", text):
        return f"{group[1]}: unknown group"
    file = re.match("In '([^']+)'", text)
    where = f"{file[1]}.yaml: " if file else ""
    for cause in _causes(error):
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            node: Node | None = cause.child_node  # where it is not the value that is wrong but what is there
            value = cause.value if cause.value is not None or node is None else node._value()
            return f"{where}{cause.full_key}={value}: {_first_line(cause)}"
    return _first_line(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that it was made of."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _first_line(error: BaseException) -> str:
    lines = (str(error).strip() or type(error).__name__).splitlines()
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])


def _endless(error: RecursionError) -> str:
    """Which file Hydra was at, whose defaults lead back to it."""
    roots = [
        frame.f_locals["root"]
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if isinstance(frame.f_locals.get("root"), DefaultsTreeNode)
    ]
    if not roots:
        return "the configuration is nested too deep, or refers to itself"
    return f"{roots[-1].node.get_config_path()}.yaml: its defaults lead back to itself"


def _keys(overrides: list[str], config_name: str) -> list[str]:
    """Every key of the configuration, dotted."""

    def walk(node: Any, prefix: str) -> Iterator[str]:
        for key, value in node.items():
            yield f"{prefix}{key}"
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{key}.")

    try:
        return list(walk(OmegaConf.to_container(compose(config_name, overrides=overrides, return_hydra_config=True)), ""))
    except HydraException:
        return []
