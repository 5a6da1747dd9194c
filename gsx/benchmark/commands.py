"""Whole processes of gsx against each other and against the clock: memory, start-up, workers."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from gsx.benchmark.engine import Engine, measurement
from gsx.benchmark.pairs import interleave, repeat, timed
from gsx.benchmark.process import peak, wall
from gsx.benchmark.row import Effort, Job, Row, Samples
from gsx.process import one_thread_each
from gsx.store import find_runs

#: What a run on one worker takes at least, in seconds; aimed at with a margin.
SECONDS, MARGIN = 40, 1.1


def memory(effort: Effort) -> list[Job]:
    """Peak memory of a whole process: many replicates against few."""
    few, many = 5, effort.of(6, 7)

    def measure() -> Samples:
        with tempfile.TemporaryDirectory() as folder:
            run = partial(peak, "run", "model=bernoulli_toy", "force=true", "-q", folder=Path(folder))
            return interleave(
                lambda: run(f"num_replicates={10**many}"), lambda: run(f"num_replicates={10**few}"), effort.of(1, 3), warm=False
            )

    what = f"bernoulli_toy, 10^{many} replicates, peak memory"
    return [Job(Row("memory", what, "cost", "process", f"10^{few} replicates", unit="B", target=1.1), measure)]


def startup(effort: Effort) -> list[Job]:
    """How long the shortest commands take, as whole processes."""
    row = partial(Row, "start-up", kind="alone", per="command")
    tab, results = {"COMP_LINE": "gsx run esti"}, effort.of(4, 20)
    return [
        Job(row("gsx --version", target=0.15), lambda: repeat(partial(wall, "--version", folder=Path.cwd()), effort.of(3, 15))),
        Job(
            row("one TAB", target=0.3),
            lambda: repeat(partial(wall, "completion", "query", folder=Path.cwd(), environment=tab), effort.of(3, 15)),
        ),
        Job(row(f"gsx report, {results} results with all figures", target=5.0), partial(_report, effort, results)),
    ]


def _report(effort: Effort, results: int) -> Samples:
    """Half of the results by each of two estimators, at different temperatures."""
    temperatures = ",".join(f"{(step + 1) / 10:g}" for step in range(results // 2))
    sweep = ("estimator=concrete,st_gumbel", f"estimator.temperature={temperatures}", "num_replicates=1024")
    with tempfile.TemporaryDirectory() as folder:
        wall("run", "-m", *sweep, "-q", folder=Path(folder))
        return repeat(partial(wall, "report", "outputs", "--out", "report", folder=Path(folder)), effort.of(1, 5), warm=not effort.quick)


#: name: the model's settings, and the words that choose it.
MODELS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "bernoulli_toy": ({"name": "bernoulli_toy"}, ("model=bernoulli_toy",)),
    "binary_vae": ({"name": "binary_vae"}, ("model=binary_vae",)),
    # Its reference is a long run, and here a short one: it is computed once, before.
    "binary_vae_200": ({"name": "binary_vae", "latents": 200}, ("model=binary_vae_200", "reference.num_replicates=1024")),
}


def workers(effort: Effort) -> list[Job]:
    """Whole processes: two workers against one, on runs that take one worker 40 seconds, with equal moments."""
    row = partial(Row, "workers", kind="faster", per="run", target=1.7)
    seconds = SECONDS / effort.of(100, 1)
    return [
        Job(row(f"{name}, {seconds:g} s or more on one worker: two workers", peer="one worker"), partial(_workers, name, seconds, effort))
        for name in (("bernoulli_toy",) if effort.quick else MODELS)
    ]


def _workers(name: str, seconds: float, effort: Effort) -> Samples:
    model, chosen = MODELS[name]
    replicates = _replicates(model, MARGIN * seconds)
    digests: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        words = ("run", *chosen, "estimator=reinforce", f"num_replicates={replicates}", "force=true", "-q")

        def measure(workers: int) -> float:
            took = wall(*words, f"workers={workers}", folder=Path(folder))
            digests.update(result.moments_sha256 for run in find_runs([Path(folder)]) if (result := run.read_result()))
            return took

        samples = interleave(partial(measure, 2), partial(measure, 1), effort.of(1, 3), warm=False)
    if len(digests) != 1:
        raise RuntimeError(f"the moments depend on the number of workers: {sorted(digests)}")
    return samples.noted(f"{replicates} replicates, equal moments")


@one_thread_each()
def _replicates(model: dict[str, Any], seconds: float) -> int:
    """How many take one worker so long."""
    engine = Engine(measurement(model, "reinforce", num_replicates=2**24))
    block = engine.measured.plan.block_size
    each = repeat(timed(partial(engine.next, block), block), 5).ours
    return int(seconds / min(each))
