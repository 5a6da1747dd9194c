"""Launchers, which run the cells of a sweep in processes of their own: what must be installed, and how many cores a cell has."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gsx.cli import presets
from gsx.cli.cutting import LAUNCHER, PARTS, cut
from gsx.cli.hydra_errors import one_line_errors
from gsx.records import ConfigurationError

#: The packages that launch, each with the extra of gsx that brings it.
EXTRAS = {
    "hydra_plugins.hydra_joblib_launcher": "parallel",
    "hydra_plugins.hydra_submitit_launcher": "slurm",
    "hydra_plugins.hydra_ray_launcher": "ray",
}


def asked(overrides: list[str]) -> str | None:
    """The override that chooses a launcher other than Hydra's own, if one does."""
    chosen = [override for override in overrides if override.lstrip("+").startswith("hydra/launcher=")]
    return chosen[-1] if chosen and not chosen[-1].endswith("=basic") else None


def for_launcher(overrides: list[str], multirun: bool) -> list[str]:
    """What goes with the launcher that is asked for: cells that share a machine take the cores they were given, and no more; the shards.

    To be called within `composing`. A launcher that cannot be had, or whose settings are wrong, is refused.
    """
    if asked(overrides) is None:
        return []
    with one_line_errors(overrides):
        parsed = OverridesParser.create().parse_overrides(overrides)
        deciding = [word.input_line or "" for word in parsed if word.is_hydra_override() and not word.is_sweep_override()]
        hydra = compose("config", deciding, return_hydra_config=True).hydra
    choice, target = f"hydra/launcher={hydra.runtime.choices['hydra/launcher']}", str(hydra.launcher._target_)
    package = ".".join(target.split(".")[:2])
    if package not in EXTRAS:
        return []
    if not _installed("hydra_plugins", package, package.removeprefix("hydra_plugins.hydra_").removesuffix("_launcher")):
        raise ConfigurationError(f"{choice}: is not installed: pip install 'gsx[{EXTRAS[package]}]'")
    if not multirun and str(hydra.mode) != "RunMode.MULTIRUN":
        raise ConfigurationError(f"{choice}: launches the cells of a sweep, be it of one cell: gsx run -m")
    if target.endswith(".SlurmLauncher") and shutil.which("sbatch") is None:
        raise ConfigurationError(f"{choice}: this machine has no sbatch; submitit_local goes the same way without it")
    if moved := next((word.input_line for word in parsed if word.key_or_group.startswith(("hydra.sweep.", "hydra.run."))), None):
        raise ConfigurationError(f"{moved}: with {choice} results are in outputs/<name>; name=... moves them")
    _check(target, hydra.launcher)
    given = {word.key_or_group for word in parsed}
    shards = cut([PARTS]) if choice.endswith(f"={LAUNCHER}") and "shard" not in given else []
    if "workers" in given:
        return shards
    cores = (OmegaConf.select(hydra.launcher, key) for key in ("cpus_per_task", "ray.remote.num_cpus"))
    return [*shards, f"workers={next(filter(None, cores), 1)}"]


def _installed(*modules: str) -> bool:
    """Modules, the outermost first: what is in a package is not looked for where there is no package."""
    return all(find_spec(module) is not None for module in modules)


def _check(target: str, launcher: DictConfig) -> None:
    """Presets are plain YAML, which knows no types: the plug-in's own declaration is asked."""
    given = OmegaConf.masked_copy(launcher, [key for key in map(str, launcher) if not OmegaConf.is_interpolation(launcher, key)])
    try:
        OmegaConf.merge(presets.declared()[target], given)
    except OmegaConfBaseException as error:
        raise ConfigurationError(f"hydra.launcher.{error.full_key}: {str(error).splitlines()[0]}") from error
