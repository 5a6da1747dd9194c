"""The folder in which submitit's jobs leave their answers. Those are pickles, which are code: only what this command asked for is read."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from submitit.core.utils import JobPaths

from gsx.store import refused_link


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
