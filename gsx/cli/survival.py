"""The death of a process among those that run the cells of a sweep: it costs the cell that it ran, and the others go on."""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus

from gsx.cli import signals
from gsx.cli.ending import end_joblib, end_jobs, gentle_joblib
from gsx.cli.job_folder import Answer, fresh
from gsx.cli.orphans import followed
from gsx.records import EnvironmentFault

log = logging.getLogger("gsx")


@dataclass(frozen=True)
class Cells:
    """What can be known of the cells of a sweep and be done about them, by their numbers."""

    complete: Callable[[int], bool] = lambda number: False
    forgive: Callable[[int], None] = lambda number: None  # the death of its process, which another may have caused
    died: Callable[[int, str], None] = lambda number, reason: log.error("cell %d: %s", number + 1, reason)  # alone, and why, if it is known


UNKNOWN = Cells()

#: What a launcher does: it runs the cells with these overrides, numbered from the second argument on.
Launch = Callable[[Any, Sequence[Sequence[str]], int], Sequence[JobReturn]]


@contextlib.contextmanager
def surviving(cells: Cells) -> Iterator[list[JobReturn]]:
    """Within it the launchers that are installed go on where a process dies. As they come, they lose the rest of the sweep with it.

    Gives the list in which the answers of their processes are kept.
    """
    answers: list[JobReturn] = []
    known = Plugins.instance().class_name_to_class
    found = {name: known[name] for name in _KINDS if name in known}
    before = {launcher: launcher.launch for launcher in found.values()}  # type: ignore[attr-defined]
    for name, launcher in found.items():
        launcher.launch = _kept(_KINDS[name](before[launcher], cells), answers)  # type: ignore[attr-defined]
    try:
        yield answers
    finally:
        end_joblib()
        for launcher, launch in before.items():
            launcher.launch = launch  # type: ignore[attr-defined]


def _kept(usual: Launch, answers: list[JobReturn]) -> Launch:
    def launch(self: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        found = usual(self, job_overrides, initial_job_idx)
        answers.extend(found)
        return found

    return launch


def _joblib(usual: Launch, cells: Cells) -> Launch:
    """Its pool of processes breaks with the first of them that dies."""

    def launch(self: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from joblib.externals.loky.process_executor import BrokenProcessPool

        with gentle_joblib(), followed():
            return _in_halves(
                lambda jobs, first: usual(self, jobs, first), BrokenProcessPool, cells, list(enumerate(job_overrides, initial_job_idx))
            )

    return launch


def _ray(usual: Launch, cells: Cells) -> Launch:
    """Ray starts a cell again whose process died, `max_retries` times; then the launcher waits for none of the others."""

    def launch(self: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        import ray
        from hydra_plugins.hydra_ray_launcher._launcher_util import start_ray
        from ray.exceptions import LocalRayletDiedError, NodeDiedError, OutOfMemoryError, WorkerCrashedError

        deaths = (WorkerCrashedError, OutOfMemoryError, NodeDiedError, LocalRayletDiedError)

        def once(jobs: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
            try:
                with contextlib.redirect_stdout(sys.stderr):  # Ray has things to say, and stdout is for results
                    with signals.kept():
                        start_ray(self.ray_cfg.init)
                    return usual(self, jobs, first)
            except deaths:
                ray.shutdown()  # ends the others too: they are started again
                raise

        return _in_halves(once, deaths, cells, list(enumerate(job_overrides, initial_job_idx)))

    return launch


def _submitit(usual: Launch, cells: Cells) -> Launch:
    """Every cell is a job of its own; but the launcher waits for none behind the first that gives no answer."""

    def launch(self: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        import submitit

        jobs: list[Any] = []

        class Patient(submitit.AutoExecutor):
            def map_array(self, function: Any, *arguments: Any) -> list[Any]:
                with signals.for_this_process_alone(), nullcontext() if self.cluster == "slurm" else followed():
                    jobs.extend(super().map_array(function, *arguments))
                return [Answer(job, functools.partial(_nothing, cells, number)) for number, job in enumerate(jobs, initial_job_idx)]

        usual_executor, asked = submitit.AutoExecutor, self.params["submitit_folder"]
        folder, self.params["submitit_folder"] = fresh(asked)
        setattr(submitit, "AutoExecutor", Patient)  # noqa: B010 (a name of a class, to mypy)
        try:
            answers = usual(self, job_overrides, initial_job_idx)
            if all(answer.hydra_cfg is not None for answer in answers):  # else there are logs to be read
                shutil.rmtree(folder, ignore_errors=True)
            return answers
        except submitit.core.utils.FailedJobError as error:  # what submitit says of a command that failed, such as sbatch
            raise EnvironmentFault(f"hydra/launcher: the jobs were not taken: {error}") from error
        except KeyboardInterrupt as interruption:
            if end_jobs(jobs, interruption):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            setattr(submitit, "AutoExecutor", usual_executor)  # noqa: B010
            self.params["submitit_folder"] = asked

    return launch


_KINDS: dict[str, Callable[[Launch, Cells], Launch]] = {
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher": _joblib,
    "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher": _ray,
    # Both inherit it from here.
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher": _submitit,
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher": _submitit,
}


def _in_halves(
    launch: Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]],
    deaths: type[Exception] | tuple[type[Exception], ...],
    cells: Cells,
    jobs: Sequence[tuple[int, Sequence[str]]],
) -> list[JobReturn]:
    """Launch; where a process dies and takes the others with it, launch again what is not complete, in halves.

    So a cell that kills whatever runs it is alone in the end, and costs no other. Until then nobody knows which of them it is, and none is
    blamed.
    """
    try:
        return list(launch([overrides for _, overrides in jobs], jobs[0][0]))
    except deaths as error:
        if len(jobs) == 1:
            return [_nothing(cells, jobs[0][0], str(error))]
    left = [job for job in jobs if not cells.complete(job[0])]
    for number, _ in left:
        cells.forgive(number)
    log.error("the process of a cell has died, and took others with it; %d cells are not complete and are started again", len(left))
    middle = (len(left) + 1) // 2
    return [answer for half in (left[:middle], left[middle:]) if half for answer in _in_halves(launch, deaths, cells, half)]


def _nothing(cells: Cells, number: int, reason: str) -> JobReturn:
    """The answer of a cell that has given none."""
    cells.died(number, f"its process has died: {' '.join(reason.split())[:300]}")
    return JobReturn(status=JobStatus.COMPLETED)
