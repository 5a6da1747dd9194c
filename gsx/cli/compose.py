"""Configurations from overrides, by Hydra."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationToMissingValueError

from gsx.cli import config_source, presets
from gsx.cli.config_folder import config_folder, config_folders
from gsx.cli.hydra_errors import one_line_errors
from gsx.cli.trusted import check_hydra
from gsx.experiment import load
from gsx.records import ConfigurationError

#: Hydra 1.4 knows no version_base; 1.3 warns without one.
HYDRA = {"version_base": "1.3"} if hydra.__version__.startswith("1.3") else {}


def expanded(overrides: list[str], config_dir: str | None = None) -> tuple[list[str], bool]:
    """The overrides with `experiment=NAME` replaced by what its one step says, and whether that is a sweep.

    Experiments are data of gsx: Hydra lists their files for TAB, and never composes them. What else the user says comes after, and wins.
    """
    chosen = [override for override in overrides if override.lstrip("+").startswith("experiment=")]
    names = [override.partition("=")[2] for override in chosen if not override.endswith("=null")]
    if not names:
        return overrides, False
    experiment = load(names[-1], config_folders(config_dir))
    if [step.command for step in experiment.steps] != ["run"]:
        steps = ", ".join(f"{step.name} ({step.command})" for step in experiment.steps)
        raise ConfigurationError(f"experiment={experiment.name}: is not one run but {steps}: gsx reproduce {experiment.name}")
    (step,) = experiment.steps
    arguments = step.arguments(f"name={experiment.name}", *(override for override in overrides if override not in chosen))
    return [word for word in arguments if word != "-m"], bool(step.sweep)


@contextmanager
def composing(config_dir: str | None = None) -> Iterator[None]:
    """Hydra ready to compose; ``config_dir`` is a user's own folder, searched first."""
    presets.declared()
    config_source.declared()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), job_name="gsx", **HYDRA):
        if config_dir is not None:
            path = Path(config_dir).resolve()
            if not path.is_dir():
                raise ConfigurationError(f"--config-dir={config_dir}: no such folder")
            # Hydra reads the search path once, as it starts.
            search_path = create_config_search_path(str(config_folder()))
            search_path.prepend("command-line", f"file://{path}")
            GlobalHydra.instance().clear()
            Hydra.create_main_hydra2(task_name="gsx", config_search_path=search_path)
        yield
    GlobalHydra.instance().clear()


def cells(overrides: list[str], multirun: bool, config_name: str = "config") -> tuple[list[list[str]], bool]:
    """The overrides of each job, and whether they are a sweep (by ``-m`` or by ``hydra.mode``).

    To be called within `composing`. A sweeper other than Hydra's basic one chooses its cells as it goes: then none are given.
    """
    loader = GlobalHydra.instance().config_loader()
    parser = OverridesParser.create(config_loader=loader)
    with one_line_errors(overrides, config_name):
        parsed = parser.parse_overrides(overrides)
        # Whether this is a sweep, and over what, is for Hydra's own keys to say; the rest belongs to the cells.
        deciding = [override for override in parsed if override.is_hydra_override()]
        fixed = [override.input_line or "" for override in deciding if not override.is_sweep_override()]
        config = compose(config_name, overrides=fixed, return_hydra_config=True)
        check_hydra(config.hydra)
        multirun = multirun or str(config.hydra.mode) == "RunMode.MULTIRUN"
        if not multirun:
            return [overrides], False  # as the one cell is composed, a sweep without -m is refused
        if not str(config.hydra.sweeper._target_).endswith(".BasicSweeper"):
            return [], True
        sweeps = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
        batches = BasicSweeper.split_arguments(parser.parse_overrides(sweeps + overrides), None)
    return batches[0], True


def for_sweeper(overrides: list[str]) -> list[str]:
    """The same overrides, as Hydra's multirun takes them.

    It composes the fixed ones once before it sweeps, against the groups' defaults, and so refuses `estimator.temperature=0.5` beside
    `estimator=concrete,st_gumbel`. Said as a choice of one, the value meets each cell's own estimator.
    """
    return [
        f"{override.key_or_group}=choice({override.get_value_element_as_str()})"
        if _meets_each_cell(override)
        else override.input_line or ""
        for override in OverridesParser.create().parse_overrides(overrides)
    ]


def _meets_each_cell(override: Override) -> bool:
    nested = "." in override.key_or_group and not override.is_hydra_override()
    # A choice of null is refused by Hydra, which otherwise has nothing against null.
    return nested and override.type == OverrideType.CHANGE and not override.is_sweep_override() and override.value() is not None


def composed(overrides: list[str], config_name: str = "config") -> dict[str, Any]:
    """The configuration of one job as plain data, Hydra's own part left out."""
    with one_line_errors(overrides, config_name):
        config = compose(config_name, overrides=overrides, return_hydra_config=True)
        check_hydra(config.hydra)
        return _checked(plain(config))


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """ConfigurationError where there is not even what a folder is named by: a file may put its keys elsewhere, `~` takes one away."""
    for key in ("estimator", "model"):
        if not isinstance(given.get(key), dict):
            raise ConfigurationError(f"{key}={given.get(key)}: must be chosen")
    for key in ("name", "plugins"):
        if key not in given:
            raise ConfigurationError(f"{key}: must be given")
    return given


def told_folder(overrides: list[str], sweep: bool) -> Path | None:
    """Where Hydra was told to put the results of a cell; None where that is left to gsx, or only known when its turn has come."""
    if not any(override.lstrip("+").startswith("hydra.sweep." if sweep else "hydra.run.") for override in overrides):
        return None
    with one_line_errors(overrides):
        config = compose("config", overrides=overrides, return_hydra_config=True)
        with open_dict(config):
            config.hydra.runtime.cwd = os.getcwd()
        try:
            told = (config.hydra.sweep.dir, config.hydra.sweep.subdir) if sweep else (config.hydra.run.dir,)
            return Path.cwd().joinpath(*map(str, told))
        except InterpolationToMissingValueError:  # ${hydra.job.num}
            return None


def sweep_folder(overrides: list[str]) -> Path:
    """Where Hydra will put a file of its own, beside the cells of a sweep."""
    if not any(override.lstrip("+").startswith("hydra.sweep.dir=") for override in overrides):
        return Path("outputs")
    with one_line_errors(overrides):
        parsed = OverridesParser.create().parse_overrides(overrides)
        own = [word for word in parsed if word.is_hydra_override() or word.key_or_group == "name"]
        config = compose("config", [word.input_line or "" for word in own if not word.is_sweep_override()], return_hydra_config=True)
        with open_dict(config):
            config.hydra.runtime.cwd = os.getcwd()
        return Path(config.hydra.sweep.dir)


def check_subfolder(overrides: list[str]) -> None:
    """ConfigurationError where a sweeper that searches is told the folders of its cells: none is known before Hydra writes there."""
    if moved := next((override for override in overrides if re.match(r"\+*hydra\.sweep(\.subdir)?=", override)), None):
        raise ConfigurationError(
            f"{moved}: with a sweeper that searches folders are named by what is in them; name=... or hydra.sweep.dir=... moves them"
        )


def plain(config: DictConfig) -> dict[str, Any]:
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    container = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
