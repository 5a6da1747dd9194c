"""The commands that are disturbed: every engine route, references, tuning, sweeps and trainings, a few seconds each."""

from __future__ import annotations

import time
from pathlib import Path

from tests.torture.command import answers, ended

RUNS: dict[str, tuple[str, ...]] = {
    "batched, 1 worker": ("run", "num_replicates=4e6", "workers=1"),
    "batched, worker processes": ("run", "num_replicates=1e7", "workers=2"),
    "vmap": ("run", "model=binary_vae", "estimator=straight_through", "num_replicates=8192", "workers=2"),
    "structured": ("run", "model=binary_vae", "estimator=reinforce", "num_replicates=16384", "workers=2"),
    "loop": ("run", "engine=loop", "num_replicates=4096", "workers=1"),
    "long reference": ("run", "reference=long_run", "reference.num_replicates=3e6", "estimator=concrete", "num_replicates=1e5"),
    "exact": ("run", "model=binary_vae", "estimator=exact"),
    "tuned": ("run", "model=bernoulli_ising", "estimator=relax", "tune.steps=300", "num_replicates=2e5"),
    "larger from smaller": ("run", "-m", "num_replicates=1e6,3e6", "block_size=4096"),
    "sweep with draws": ("run", "-m", "estimator=reinforce,concrete,st_gumbel", "num_replicates=5e5", "draws=50"),
    "training": ("train", "steps=800", "seeds=2", "workers=2", "checkpoint_every=50"),
}

#: Where any run will do.
SMALL = ("run", "model.logits=[0.5,-1]", "num_replicates=1e5", "workers=1", "draws=20")
SWEEP = ("run", "-m", "estimator=reinforce,concrete,arm,exact", "num_replicates=2e4", "workers=1")


def undisturbed(words: tuple[str, ...], cwd: Path) -> tuple[dict[str, str], float]:
    """The answers of a command that nothing happens to, and the seconds it takes."""
    cwd.mkdir()
    started = time.monotonic()
    end = ended(words, cwd)
    seconds = time.monotonic() - started
    if end.code:
        raise RuntimeError(f"gsx {' '.join(words)}: {end.code}\n{end.err}")
    return answers(cwd), seconds
