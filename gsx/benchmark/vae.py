"""VAEs of 784 pixels and 200 latents, wrt=all: mean and variance of every weight's gradient, against the ordinary training step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from gsx.benchmark.engine import Engine, measurement
from gsx.benchmark.images import images
from gsx.benchmark.pairs import fastest, interleave, timed
from gsx.benchmark.peers.vae_step import LOSSES, PlainStep
from gsx.benchmark.row import Effort, Job, Row, Samples
from gsx.models.binary_vae import BinaryVAE
from gsx.process import one_thread_each

#: Copies of the rows in one minibatch of the plain step; the fastest is taken.
CHUNKS = {"cpu": (16, 32, 64, 128), "cuda": (64, 256, 1024)}


@dataclass(frozen=True)
class Cell:
    """An estimator on a VAE."""

    estimator: str
    samples: int = 1
    hidden: int = 0  # width of a hidden layer in both networks; 0: linear networks
    rows: int = 20
    latents: int = 200
    device: str = "cpu"

    def __str__(self) -> str:
        widths = f"784-{self.hidden}-{self.latents}" if self.hidden else f"784-{self.latents}"
        return f"binary VAE {widths} on {self.device}, rows={self.rows}, {self.estimator}, N={self.samples}"

    def engine(self, **settings: int) -> Engine:
        model = BinaryVAE(data=images(), latents=self.latents, hidden=[self.hidden] if self.hidden else [], batch=self.rows)
        return Engine(measurement(model, self.estimator, num_samples=self.samples, device={"name": self.device}, **settings))


def vae(effort: Effort) -> list[Job]:
    """One sample, linear networks: the engine against the plain step on the same rows, which keeps nothing apart."""
    return [against_step("vae", Cell(estimator), 1.3, effort, in_blocks) for estimator in LOSSES for in_blocks in (True, False)]


def vae_coupled(effort: Effort) -> list[Job]:
    """Estimators that couple two samples: against the plain step of reinforce on twice the rows."""
    return [against_step("vae-coupled", Cell(estimator, samples=2), 2.0, effort) for estimator in ("rloo", "disarm")]


def vae_hidden(effort: Effort) -> list[Job]:
    """One sample, a hidden layer of 200 in both networks: against the plain step."""
    return [against_step("vae-hidden", Cell("reinforce", hidden=200), 2.0, effort)]


def against_step(work: str, cell: Cell, target: float, effort: Effort, in_blocks: bool = True) -> Job:
    """``in_blocks``: as a run of 1024 replicates has them, 64 blocks of 16 in 16 segments; else one block, as a longer run does."""
    twice = "" if cell.samples == 1 else f" of reinforce, rows x {cell.samples}"
    replicates = effort.of(128, 1024)
    how = f"R={replicates}" if in_blocks else f"one block of {replicates}"
    row = Row(work, f"{cell}, {how}", "cost", "replicate", f"plain training step{twice}", target=target)
    return Job(row, partial(_measure, cell, effort, replicates, in_blocks))


@one_thread_each()
def _measure(cell: Cell, effort: Effort, replicates: int, in_blocks: bool) -> Samples:
    engine = cell.engine(num_replicates=replicates, block_size=effort.of(2, 16))
    step = PlainStep(LOSSES.get(cell.estimator, LOSSES["reinforce"]), engine.program.params, engine.program.model.get_buffer("x"))
    steps = {
        f"{chunk} copies of the rows at once": timed(partial(step, cell.samples * replicates, chunk), replicates, cell.device)
        for chunk in CHUNKS[cell.device]
    }
    chosen = fastest(steps)
    ours = timed(engine.run if in_blocks else partial(engine.next, replicates), replicates, cell.device)
    pairs = interleave(ours, steps[chosen], effort.of(1, 9))
    return pairs.noted(f"engine {engine.route.name}; the fastest step: {chosen}")
