"""What a configuration may not do: name code to run, or read the environment. A setting is a value, stored with the result."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.resolvers import oc

from gsx.records import ConfigurationError

#: Whose classes Hydra may be told to make: its own plug-ins, which it looks up and does not import by name, and their samplers.
PLUGINS = ("hydra._internal.core_plugins.", "hydra_plugins.", "optuna.samplers.")
#: What logging may be told to make.
_LOGGING = re.compile(r"logging\.(handlers\.)?\w+|colorlog\.\w+|ext://sys\.(stdout|stderr)")


def check_hydra(node: DictConfig) -> None:
    """ConfigurationError where Hydra's part of a configuration names code. As it is written: what is interpolated is no known name."""
    written = OmegaConf.to_container(node, resolve=False)
    assert isinstance(written, dict)
    if written.get("callbacks"):
        raise ConfigurationError(
            f"hydra.callbacks={written['callbacks']}: a configuration names no code to run; plugins=[MODULE] imports yours"
        )
    for key, value in _leaves(written, "hydra"):
        last = key.rpartition(".")[2]
        logs = key.startswith(("hydra.job_logging.", "hydra.hydra_logging."))
        if last == "_target_" and not str(value).startswith(PLUGINS):
            raise ConfigurationError(f"{key}={value}: a configuration names no code to run; only plug-ins of Hydra's are made")
        if logs and (last in ("class", "()") or "://" in str(value)) and not _LOGGING.fullmatch(str(value)):
            raise ConfigurationError(
                f"{key}={value}: a configuration names no code to run; only handlers and formatters of logging are made"
            )


def _leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if children is None:
        yield key, node
    else:
        for name, child in children:
            yield from _leaves(child, f"{key}.{name}")


def _environment(name: str, *default: str | None, _node_: Node) -> str | None:
    """`oc.env`, for Hydra's own part only: launchers and folders depend on a machine, measurements do not."""
    key = str(_node_._get_full_key(None))
    if not key.startswith("hydra."):
        raise ConfigurationError(
            f"{key}=${{oc.env:{name}}}: a configuration does not read the environment, for it is stored; let the shell do it"
        )
    return oc.env(name, *default)


OmegaConf.register_new_resolver("oc.env", _environment, replace=True)
