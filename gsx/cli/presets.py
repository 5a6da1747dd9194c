"""The presets in conf/hydra/launcher, which take the place of what the launchers' packages register under the same names."""

from __future__ import annotations

import functools

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

#: The launchers that gsx has presets for.
LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm", "ray")


@functools.cache
def declared() -> dict[str, DictConfig]:
    """The settings that the installed launchers declare, with their types, by `_target_`.

    They are taken out of Hydra's store: where it has two of a name, it merges them with a page of warnings that it soon will not.
    """
    Plugins.instance()  # imports whatever is installed, which is when it is registered
    registered = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    taken = (registered.pop(f"{name}.yaml") for name in LAUNCHERS if f"{name}.yaml" in registered)
    return {str(entry.node._target_): entry.node for entry in taken}
