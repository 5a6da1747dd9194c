"""`gsx reproduce`: the steps of experiments, and the scoreboard of their findings, those published and those of our own."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import os
import shlex
import sys
import traceback
from pathlib import Path

from gsx.cli.arguments import Parser
from gsx.cli.config_folder import config_folders
from gsx.cli.exact import find_exact, find_exact_at_start, known_values
from gsx.cli.foreseen import Foreseen
from gsx.cli.run import QUIET
from gsx.experiment import Experiment, Step, check_cells, experiments, load
from gsx.naming import did_you_mean
from gsx.records import ConfigurationError, GsxError, MissingCheckpoint, MissingData
from gsx.store import PlannedCell, PlannedStep, StoredExperiment, check_way, write_experiment

DESCRIPTION = """Run what is unfinished of the experiments, each into outputs/NAME, and print for every finding who claims it (a
publication, or we ourselves), what was measured, and whether it reproduced, or is as we expected; last, how many did. Exit code 0
whatever the verdicts: a result is a result; 1 where a step failed, or its data are not on this machine, while the others went on."""


def command(arguments: list[str]) -> int:
    parser = Parser(prog="gsx reproduce", description=DESCRIPTION)
    parser.add_argument("names", nargs="+", metavar="NAME", help="experiments, as gsx list experiments names them, or all")
    parser.add_argument(
        "--quick", action="store_true", help="the small size: some eight minutes for all on 2 cores, into outputs/NAME-quick"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would run")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress: only the scoreboard, and what failed")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of your own, with experiment/*.yaml")
    chosen = parser.parse_args(arguments)
    names = _names(chosen.names, config_folders(chosen.config_dir))
    # Every definition is read before the first step of any is run.
    studies = [load(name, config_folders(chosen.config_dir), "quick" if chosen.quick else "full") for name in names]
    options = [f"--config-dir={chosen.config_dir}"] if chosen.config_dir else []
    if chosen.quiet:
        os.environ[QUIET] = "1"  # what gsx run and gsx train heed
    for experiment in studies:
        check_way(_folder(experiment))
    if chosen.dry_run:
        _announce(studies, options)
        return 0
    failures = [failure for experiment in studies for failure in _reproduce(experiment, options, chosen.quiet)]

    from gsx.report.scoreboard import scoreboard

    board = scoreboard([_folder(experiment) for experiment in studies])
    if board is not None:
        print(board.plain(), end="")
    for failure in failures:
        print(f"gsx: failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _names(names: list[str], folders: list[Path]) -> list[str]:
    """The experiments meant, each once."""
    known = experiments(folders)
    for name in names:
        if "=" in name:
            raise ConfigurationError(f"reproduce {name}: an experiment has its settings; with your own: gsx run experiment=NAME {name}")
        if name != "all" and name not in known:
            raise ConfigurationError(f"reproduce {name}: unknown experiment{did_you_mean(name, [*known, 'all'])}")
    return list(dict.fromkeys(every for name in names for every in (known if name == "all" else [name])))


def _folder(experiment: Experiment) -> Path:
    return Path.cwd() / "outputs" / experiment.folder


def _announce(studies: list[Experiment], options: list[str]) -> None:
    """What would run, step by step, and what all of it would cost."""
    steps = [(experiment, step) for experiment in studies for step in experiment.steps]
    seen: list[Foreseen] = []
    for experiment, step in steps:
        try:
            module = importlib.import_module(f"gsx.cli.{step.command}")
            seen.append(module.foreseen([*options, *step.arguments(f"name={experiment.folder}")]))
        except MissingCheckpoint:
            print(f"waits      {experiment.folder}: {step.name}, for a training that is not there yet")
        except MissingData as error:
            print(f"lacks data {experiment.folder}: {step.name}: {error}")
    if len(steps) > 1:
        unknown = f"; not in it: {len(steps) - len(seen)} steps that wait or lack data" if len(seen) < len(steps) else ""
        print(f"total      {len(studies)} experiments, {len(steps)} steps: {sum(seen, Foreseen())}{unknown}")


def _reproduce(experiment: Experiment, options: list[str], quiet: bool) -> list[str]:
    """Run every step, whatever became of the one before it; what failed. The plan is on disk before anything runs."""
    folder, failures = _folder(experiment), []
    typed = {step.name: step.arguments(f"name={experiment.folder}") for step in experiment.steps}
    steps = {step.name: PlannedStep(["gsx", step.command, *typed[step.name]], None) for step in experiment.steps}
    plan = StoredExperiment(experiment.name, experiment.size, experiment.definition, steps, **known_values(folder))
    write_experiment(folder, plan)
    for step in experiment.steps:
        if not quiet:
            print(f"{experiment.folder}: {shlex.join(steps[step.name].arguments)}", file=sys.stderr)
        try:
            # What a step says is not the result of this command: stdout is for the scoreboard.
            with contextlib.redirect_stdout(io.StringIO() if quiet else sys.stderr):
                failed = _run(experiment, step, [*options, *typed[step.name]], plan, quiet)
        except GsxError as error:
            failures.append(f"{experiment.folder}: {step.name}: {error}")
        except Exception as error:
            traceback.print_exc()
            failures.append(f"{experiment.folder}: {step.name}: internal error: {type(error).__name__}: {error}")
        else:
            if failed:
                failures.append(f"{experiment.folder}: {step.name}: a job failed, as said above")
    return failures


def _run(experiment: Experiment, step: Step, arguments: list[str], plan: StoredExperiment, quiet: bool) -> bool:
    """One step; whether a job of it failed. Its cells are written down before they are measured."""
    module = importlib.import_module(f"gsx.cli.{step.command}")
    work = module.planned(arguments)
    cells = [PlannedCell(cell.folder.name, cell.result_id, cell.config) for cell in work.cells]
    check_cells(experiment, step.name, [cell.config for cell in cells])
    plan.steps[step.name] = dataclasses.replace(plan.steps[step.name], cells=cells)
    write_experiment(_folder(experiment), plan)
    code = module.carry_out(work)
    if step.command == "run":
        find_exact(experiment, step, work.cells, plan, quiet)
    else:
        find_exact_at_start(experiment, step, work.cells, plan, quiet)
    write_experiment(_folder(experiment), plan)
    return bool(code)
