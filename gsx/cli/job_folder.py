"""The folder in which submitit's jobs leave their answers. Those are pickles, which are code: only what this command asked for is read."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn

from gsx.cli.queue import slurm_answers
from gsx.store import refused_link

if TYPE_CHECKING:
    from submitit.core.utils import JobPaths


def fresh(asked: str) -> tuple[Path, str]:
    """A new folder, for this user alone, below the one that was asked for; and its jobs' part of it, such as `%j`.

    Its name nobody can know beforehand: the numbers of jobs are small, and begin anew with each SLURM, so what lies below them may be a
    stranger's, or an earlier job's. IntegrityError where a link would lead elsewhere.
    """
    from submitit.core.utils import JobPaths

    above: Path = JobPaths.get_first_id_independent_folder(asked)
    if above.is_symlink():
        raise refused_link(above)
    above.mkdir(parents=True, exist_ok=True)
    folder = above / secrets.token_hex(16)
    folder.mkdir(mode=0o700)
    return folder, str(folder / Path(asked).expanduser().absolute().relative_to(above))


def clear(paths: JobPaths) -> None:
    """The files of a job that has answered; those of one that has died stay, to be read."""
    with contextlib.suppress(OSError):
        for file in paths.folder.glob(f"{paths.job_id}_*"):
            file.unlink()
        paths.folder.rmdir()  # its own, as a rule


class Answer:
    """What a job of submitit's has to say, or that it has died; the log of one that has answered is not needed any more."""

    def __init__(self, job: Any, died: Callable[[str], JobReturn]) -> None:
        self._job, self._died = job, died

    def results(self) -> list[JobReturn]:
        import submitit

        try:
            if isinstance(self._job, submitit.SlurmJob) and not slurm_answers(self._job):
                raise submitit.core.utils.UncompletedJobError
            answers: list[JobReturn] = list(self._job.results())
        except submitit.core.utils.UncompletedJobError:
            return [self._nothing("has ended without an answer")]
        for answer in answers:
            if isinstance(answer._return_value, submitit.core.utils.UncompletedJobError):  # out of time once too often
                return [self._nothing(f"has ended: {answer._return_value}")]
        clear(self._job.paths)
        return answers

    def _nothing(self, what: str) -> JobReturn:
        return self._died(f"job {self._job.job_id} {what}; its log: {os.path.relpath(self._job.paths.stdout)}")
