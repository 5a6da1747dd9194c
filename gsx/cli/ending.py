"""A command is interrupted while processes of a launcher run its cells: they end first, each with its checkpoint, or are SLURM's to end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from gsx.cli.signals import for_this_process_alone

log = logging.getLogger("gsx")

_ENDING = "ending %d processes; each writes a checkpoint first"


@contextlib.contextmanager
def gentle_joblib() -> Iterator[None]:
    """Within it joblib ends its processes with SIGTERM and waits for them; as it comes, it kills them."""
    from joblib import register_parallel_backend
    from joblib.parallel import BACKENDS

    usual: Any = BACKENDS["loky"]

    class Gentle(usual):  # type: ignore[misc]
        def configure(self, *arguments: Any, **settings: Any) -> Any:
            with for_this_process_alone():  # it starts the one that cleans up
                return super().configure(*arguments, **settings)

        def submit(self, *arguments: Any, **settings: Any) -> Any:
            with for_this_process_alone():  # it starts those that work
                return super().submit(*arguments, **settings)

        def abort_everything(self, ensure_ready: bool = True) -> None:
            workers = list(self._workers._processes.values())
            self._workers._processes.clear()  # where joblib knows of one that has gone, it kills the others
            if workers:
                log.warning(_ENDING, len(workers))
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.join()
            super().abort_everything(ensure_ready)

    register_parallel_backend("loky", Gentle)
    try:
        yield
    finally:
        register_parallel_backend("loky", usual)


def end_joblib() -> None:
    """Its processes wait for another launch; where none comes, a thread of a plug-in's would keep them, and they the command."""
    executor = getattr(sys.modules.get("joblib.externals.loky.reusable_executor"), "_executor", None)
    if executor is not None:
        executor.shutdown(wait=True, kill_workers=True)


def end_jobs(jobs: Sequence[Any], interruption: KeyboardInterrupt) -> bool:
    """Jobs of submitit's: those of this machine end now; SLURM's outlive whoever asked for them, and it is said how they are ended. Whether
    they have ended.
    """
    import submitit

    if array := {job.job_id.partition("_")[0] for job in jobs if isinstance(job, submitit.SlurmJob)}:
        name = " ".join(sorted(array))
        interruption.add_note(f"SLURM's jobs go on: gsx status says how far they are, scancel {name} ends them, each with a checkpoint")
        return False
    running = [job for job in jobs if not job.done()]
    if running:
        log.warning(_ENDING, len(running))
    while running := [job for job in running if not job.done()]:
        for job in running:  # again and again: submitit takes no notice before the cell itself begins
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(job.job_id), signal.SIGTERM)
        time.sleep(0.5)
    return True
