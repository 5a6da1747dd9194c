"""SLURM's queue. Submitit asks SLURM's accounting what became of a job; where there is none, it would wait for a dead one for ever."""

from __future__ import annotations

import itertools
import subprocess
import time
from typing import Any

#: Seconds after the end of a job in which a shared file system may still be hiding its answer.
_LAG = 10


def slurm_answers(job: Any) -> bool:
    """Wait for a job: until its answer lies there, or it has left the queue without one."""
    since: int | None = None  # when it was seen to have left
    for second in itertools.count():
        if job.paths.result_pickle.exists():
            return True
        if since is not None and second - since >= _LAG:
            return False
        if since is None and (second & (second - 1) == 0 or second % 16 == 0) and not _queued(job.job_id):
            since = second
        time.sleep(1)
    raise AssertionError


def _queued(job_id: str) -> bool:
    """Whether SLURM still has a job to run; where it cannot be reached, nothing is known to have ended."""
    asked = subprocess.run(["squeue", "--noheader", f"--jobs={job_id}"], capture_output=True, text=True, check=False)
    return bool(asked.stdout.strip()) if asked.returncode == 0 else "Invalid job id" not in asked.stderr
