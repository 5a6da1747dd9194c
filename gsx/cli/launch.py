"""Where Hydra is handed the command line: its options are read as it reads them, and then it runs, or answers itself."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser

from gsx.cli import config_source, help, presets
from gsx.cli.arguments import Parser
from gsx.cli.compose import HYDRA
from gsx.cli.config_folder import config_folder
from gsx.cli.hydra_errors import one_line_errors
from gsx.cli.survival import UNKNOWN, Cells, surviving
from gsx.store import environment_fault


def parse(command: str, arguments: list[str]) -> argparse.Namespace:
    """Hydra's options and the overrides of `gsx COMMAND`, which may stand in any order."""
    parser = get_args_parser()
    parser.error = Parser(prog=f"gsx {command}").error  # type: ignore[method-assign]
    flags: argparse.Namespace = parser.parse_intermixed_args(arguments)
    return flags


def asks_hydra(flags: argparse.Namespace) -> bool:
    """Whether Hydra itself is to answer: help, or the configuration as it is composed."""
    return bool(flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion)


def answer(job: Callable[[Any], Any], arguments: list[str], config_name: str = "config") -> int:
    """What Hydra says itself. Only here does it find our help's text, for which it would ask whenever it composes."""
    help.declared()
    hand_over(job, arguments, config_name)
    return 0


def hand_over(job: Callable[[Any], Any], arguments: list[str], config_name: str = "config", cells: Cells = UNKNOWN) -> list[Path | None]:
    """Let Hydra, which reads sys.argv, compose and run the jobs; its errors in one line.

    Where a launcher's process dies, the jobs are started again whose `cells` are not complete. The folders of the jobs that
    launchers' processes have run, None for one that has died.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, do not print and exit
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # what is run here is reported to nobody
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # as Ray does of itself, with a warning
    presets.declared()
    config_source.declared()
    before, sys.argv = sys.argv, ["gsx", *arguments]
    try:
        with one_line_errors(arguments, config_name), surviving(cells) as answers:
            hydra.main(config_path=str(config_folder()), config_name=config_name, **HYDRA)(job)()
        return [None if answer.hydra_cfg is None else Path(answer.hydra_cfg.hydra.runtime.output_dir) for answer in answers]
    except BrokenPipeError:
        raise
    except OSError as error:  # Hydra writes its own files beside the results
        where = Path(error.filename) if error.filename else Path.cwd() / "outputs"
        raise environment_fault(where, "cannot be written", error) from error
    finally:
        sys.argv = before
