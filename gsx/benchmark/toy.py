"""The toy: whole processes against libraries, and the engine against formulas worked out by hand."""

from __future__ import annotations

import tempfile
from functools import partial
from itertools import count
from pathlib import Path

from gsx.benchmark.child import Peer
from gsx.benchmark.engine import Engine, measurement
from gsx.benchmark.pairs import Measure, fastest, interleave, timed
from gsx.benchmark.peers import closed_form
from gsx.benchmark.process import wall
from gsx.benchmark.row import Effort, Job, Row, Samples
from gsx.process import one_thread_each

#: peer: (its module, the estimates of one sample, how many times faster gsx must be)
LIBRARIES = {
    "storchastic": ("storchastic", 1000, 2000.0),
    "storchastic, 16384 estimates as one plate": ("storchastic_plate", 16384, None),
    "Python loop over torch.distributions": ("python_loop", 5000, 500.0),
}
BLOCK = 16384
TILES = (4096, 8192, 16384)


def toy_process(effort: Effort) -> list[Job]:
    """One estimate in a whole process, two workers, against one estimate of a library that is warm."""
    power = effort.of(17, 24)

    def measure(module: str, estimates: int) -> Samples:
        words = ("run", "model=bernoulli_toy", "estimator=reinforce", f"num_replicates={2**power}", "workers=2", "force=true", "-q")
        with tempfile.TemporaryDirectory() as folder, Peer(module) as peer:
            peer.seconds(10)  # imports, before any of ours is run for nothing
            return interleave(
                lambda: wall(*words, folder=Path(folder)) / 2**power,
                lambda: peer.seconds(effort.of(min(estimates, 100), estimates)),
                effort.of(1, 5),
                warm=not effort.quick,
            )

    return [
        Job(
            Row("toy-process", f"bernoulli_toy, reinforce, 2^{power} replicates, whole process", "faster", "estimate", name, target=target),
            partial(measure, module, estimates),
        )
        for name, (module, estimates, target) in LIBRARIES.items()
    ]


def toy_engine(effort: Effort) -> list[Job]:
    """The engine, one thread, against a closed form in the same numbers, of which mean and second moment are taken in float64."""
    return [
        Job(
            Row("toy-engine", f"bernoulli_toy, {name}, engine", "cost", "estimate", "closed form by hand", target=2.5),
            partial(_engine_and_formula, name, effort),
        )
        for name in closed_form.CANDIDATES
    ]


@one_thread_each()
def _engine_and_formula(estimator: str, effort: Effort) -> Samples:
    engine, times = Engine(measurement({"name": "bernoulli_toy"}, estimator, num_replicates=2**24)), effort.of(1, 4)
    formulas = {
        f"{name}, tiles of {tile}": _formula(engine, gradients, tile, times)
        for name, gradients in closed_form.CANDIDATES[estimator].items()
        for tile in TILES
    }
    chosen = fastest(formulas)
    ours = timed(lambda: [engine.next(BLOCK) for _ in range(times)], times * BLOCK)
    return interleave(ours, formulas[chosen], effort.of(3, 31)).noted(f"the fastest: {chosen}")


def _formula(engine: Engine, gradients: closed_form.Gradients, tile: int, times: int) -> Measure:
    blocks = count()

    def work() -> None:
        for _ in range(times):
            closed_form.moments(gradients, engine.block(next(blocks)), BLOCK, tile)

    return timed(work, times * BLOCK)
