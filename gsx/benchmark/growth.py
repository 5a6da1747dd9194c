"""What one estimate costs as the problem grows."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from gsx.benchmark.engine import Engine, measurement
from gsx.benchmark.pairs import repeat, timed
from gsx.benchmark.row import Effort, Job, Row, Samples
from gsx.process import one_thread_each


def growth(effort: Effort) -> list[Job]:
    """Ours only, one thread: the engine's time for one replicate of reinforce."""

    def sweep(what: str, sizes: tuple[int, ...], replicates: int, **settings: Any) -> list[Job]:
        """``settings`` are the model's, each a value or a function of the size."""
        jobs = []
        for size in sizes if not effort.quick else sizes[:2]:
            model = {key: value(size) if callable(value) else value for key, value in settings.items()}
            row = Row("growth", what, "alone", "replicate", size=str(size))
            jobs.append(Job(row, partial(_block, model, effort.of(replicates // 16, replicates))))
        return jobs

    powers = (4, 5) if effort.quick else (4, 5, 6, 7, 8)
    return [
        *(Job(Row("growth", "bernoulli_toy, replicates", "alone", "replicate", size=f"10^{k}"), partial(_run, 10**k)) for k in powers),
        *sweep("bernoulli_toy, latents", (8, 64, 512, 4096), 16384, name="bernoulli_toy", logits=_spread),
        *sweep("binary_vae, rows", (1, 4, 16, 64, 256), 1024, name="binary_vae", batch=int),
        *sweep("categorical_toy, categories", (2, 4, 16, 64, 256), 16384, name="categorical_toy", logits=_spread, target=_uniform),
    ]


def _spread(count: int) -> list[float]:
    return [float(logit) for logit in np.linspace(-2, 2, count)]


def _uniform(count: int) -> list[float]:
    return [1 / count] * count


def _run(replicates: int) -> Samples:
    """The moments of a whole plan, which may be a little more than was asked for."""
    engine = Engine(measurement({"name": "bernoulli_toy"}, "reinforce", num_replicates=replicates))
    return repeat(timed(engine.run, engine.measured.plan.num_replicates), 3 if replicates < 10**8 else 1).noted(engine.route.name)


@one_thread_each()
def _block(model: dict[str, Any], replicates: int) -> Samples:
    engine = Engine(measurement(model, "reinforce"))
    return repeat(timed(partial(engine.next, replicates), replicates), 5).noted(engine.route.name)
