"""Everything that is measured, by name."""

from __future__ import annotations

from collections.abc import Callable

from gsx.benchmark.commands import memory, startup, workers
from gsx.benchmark.gpu import gpu
from gsx.benchmark.growth import growth
from gsx.benchmark.row import Effort, Job
from gsx.benchmark.storing import storing
from gsx.benchmark.toy import toy_engine, toy_process
from gsx.benchmark.vae import vae, vae_coupled, vae_hidden
from gsx.benchmark.vae_moments import vae_moments

#: name: what lists its jobs; the docstring says what they are.
WORKS: dict[str, Callable[[Effort], list[Job]]] = {
    "toy-process": toy_process,
    "toy-engine": toy_engine,
    "vae": vae,
    "vae-coupled": vae_coupled,
    "vae-moments": vae_moments,
    "vae-hidden": vae_hidden,
    "memory": memory,
    "storing": storing,
    "start-up": startup,
    "workers": workers,
    "growth": growth,
    "gpu": gpu,
}
