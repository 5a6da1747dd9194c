"""One measurement in every way there is of running it: `scripts/one-hash`. Its moments must have one hash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

from gsx.cli import COMMANDS
from gsx.cli.launchers import EXTRAS
from tests.launchers.slurm import lacking, one_node

RUN = ("model=categorical_toy", "estimator=concrete", "num_replicates=65536")
SHARDS = "shard=0/4,1/4,2/4,3/4"


class Lacking(Exception):
    """Why this way cannot be gone here."""


def gsx(folder: Path, *words: str, start: tuple[str, ...] = (), **more: str) -> None:
    """A command, to its end; what it said where it fails."""
    command = [sys.executable, *start, "-m", "gsx.cli", *words] if not start else [sys.executable, *start, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")


def plain(*more: str) -> Callable[[Path], None]:
    return lambda folder: gsx(folder, "run", *RUN, *more)


def launched(launcher: str) -> Callable[[Path], None]:
    def way(folder: Path) -> None:
        package = next(package for package in EXTRAS if launcher.partition("_")[0] in package)
        if find_spec("hydra_plugins") is None or find_spec(package) is None:
            raise Lacking(f"pip install 'gsx[{EXTRAS[package]}]'")
        slurm = launcher == "submitit_slurm"
        if slurm and (reason := lacking()):
            raise Lacking(reason)
        with one_node() if slurm else nullcontext({}) as environment:
            gsx(folder, "run", "-m", *RUN, f"hydra/launcher={launcher}", **environment)

    return way


def shards(folder: Path) -> None:
    _can_merge()
    gsx(folder, "run", "-m", *RUN, SHARDS)


def array(folder: Path) -> None:
    """Shards as a SLURM array."""
    _can_merge()
    if reason := lacking():
        raise Lacking(reason)
    with one_node() as environment:
        gsx(folder, "run", "-m", *RUN, SHARDS, "hydra/launcher=submitit_slurm", **environment)


def torchrun(folder: Path) -> None:
    _can_merge()
    ranks = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "gsx.cli")
    gsx(folder, "run", *RUN, "shard=auto", start=ranks)
    gsx(folder, "merge")


def _can_merge() -> None:
    if "merge" not in COMMANDS:
        raise Lacking("this gsx has no gsx merge")


WAYS = {
    "serially": plain("workers=1"),
    "2 workers": plain("workers=2"),
    "joblib": launched("joblib"),
    "submitit local": launched("submitit_local"),
    "ray": launched("ray"),
    "SLURM": launched("submitit_slurm"),
    "4 shards merged": shards,
    "4 shards, SLURM array": array,
    "torchrun, 2 ranks": torchrun,
}


def moments(folder: Path) -> str:
    """The hash in the one complete result below a folder."""
    results = [json.loads(path.read_text()) for path in folder.rglob("result.json")]
    (found,) = [result["moments_sha256"] for result in results if result.get("status") == "complete" and "moments_sha256" in result]
    return str(found)


def main() -> int:
    """4 where the hashes differ, 1 where a way failed, or so few ran that there is nothing to compare."""
    found: dict[str, str] = {}
    failed = 0
    for name, way in WAYS.items():
        with tempfile.TemporaryDirectory(prefix="gsx-") as folder:
            try:
                way(Path(folder))
                said = found[name] = moments(Path(folder))
            except Lacking as reason:
                said = f"skipped: {reason}"
            except Exception as error:  # whatever it is, the others are still tried
                failed += 1
                said = f"failed: {type(error).__name__}: {' '.join(str(error).split())}"
        print(f"{name:<24}{said}", flush=True)
    hashes = len(set(found.values()))
    told = f"{hashes} hashes" if hashes > 1 else "one hash" if len(found) > 1 else "nothing to compare"
    print(f"{len(found)} of {len(WAYS)} ways ran, {failed} failed, {len(WAYS) - len(found) - failed} skipped: {told}")
    return 4 if hashes > 1 else int(bool(failed) or len(found) < 2)


if __name__ == "__main__":
    sys.exit(main())
