"""Where numbers come from: an allow-list of facts about the software and the machine, never the environment."""

from __future__ import annotations

import platform
import re
import resource
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gsx
from gsx.noise import SCHEME

#: What is typed to stay between the user and a machine: passwords in addresses, and variables that Hydra is told to set.
_SECRET = re.compile(r"(?<=://)[^/@\s]*(?=@)|(?<=env_set).*", re.DOTALL)


def fingerprint(device: torch.device) -> dict[str, str]:
    """What bits depend on: moments with different fingerprints are never mixed."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "noise": SCHEME,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu {torch.backends.cpu.get_cpu_capability()}",
    }


def provenance(device: torch.device, workers: int) -> dict[str, Any]:
    """The versions, the machine, the commit, the time and the command."""
    return {
        "gsx": gsx.__version__,
        "python": platform.python_version(),
        **fingerprint(device),
        "system": f"{platform.system()} {platform.machine()}",
        "workers": workers,
        "commit": _commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": typed_command(),
    }


def typed_command() -> str:
    """What was typed, from `gsx` on; nothing where gsx was called from a program of the user's."""
    for position, word in enumerate(sys.orig_argv):
        if word == "gsx.cli" or Path(word).name == "gsx":
            words = [_SECRET.sub("***", typed) for typed in sys.orig_argv[position + 1 :]]
            return shlex.join(["gsx", *words])
    return ""


def _commit() -> str | None:
    """The commit of the checkout gsx runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    asked = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None


def peak_bytes(device: torch.device) -> int:
    """The most memory this process has held: of the GPU where that is the device, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return high_water("self") or (used if sys.platform == "darwin" else used * 1024)


def high_water(process: int | str) -> int:
    """The most memory a process has held, in bytes; 0 once it has ended, or where there is no /proc.

    On Linux, what getrusage says begins with the memory of the process that started it; this does not.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
