"""A SLURM of one node, as long as it is needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "slurm"


def lacking() -> str | None:
    """Why there can be none here, or None."""
    if not shutil.which("slurmctld") or not shutil.which("munged"):
        return "no SLURM here; on Debian: apt-get install slurm-wlm munge"
    return None if os.getuid() == 0 else "a SLURM is started by root"


@contextlib.contextmanager
def one_node() -> Iterator[dict[str, str]]:
    """The environment of a command that is to use it."""
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp", ignore_cleanup_errors=True) as folder:  # a socket's path must be short
        try:
            said = subprocess.run([SCRIPT, folder], stdout=subprocess.PIPE, text=True, check=True).stdout
            yield dict([said.strip().split("=", 1)])
        finally:
            subprocess.run([SCRIPT, folder, "stop"], check=True)
