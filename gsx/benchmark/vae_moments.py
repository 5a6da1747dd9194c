"""The same mean and variance from gradients that are kept replicate by replicate."""

from __future__ import annotations

from functools import partial

from gsx.benchmark.child import Peer
from gsx.benchmark.engine import Engine
from gsx.benchmark.pairs import Measure, fastest, interleave, timed
from gsx.benchmark.peers.vae_moments import PerReplicate
from gsx.benchmark.peers.vae_step import LOSSES
from gsx.benchmark.row import Effort, Job, Row, Samples
from gsx.benchmark.vae import Cell
from gsx.process import one_thread_each

CELL = Cell("reinforce")
#: Replicates whose gradients vmap keeps at once; the fastest is taken.
CHUNKS = (4, 8, 16, 32)


def vae_moments(effort: Effort) -> list[Job]:
    """Against gradients that exist: vmap(grad), a backward pass for each replicate, and BackPACK's second moments of single rows."""
    row = partial(Row, "vae-moments", kind="faster", per="replicate")
    one_row = Cell("reinforce", rows=1)
    return [
        Job(row(f"{CELL}", peer="vmap(grad), moments in float64", target=2.0), partial(_vmap, effort)),
        Job(row(f"{CELL}", peer="loop of backward, moments in float64", target=8.0), partial(_loop, effort)),
        Job(row(f"{one_row}", peer="BackPACK, gradient and its squares, decoder only"), partial(_backpack, one_row, effort)),
    ]


@one_thread_each()
def _vmap(effort: Effort) -> Samples:
    engine, replicates = CELL.engine(), effort.of(32, 1024)
    peer = _per_replicate(engine)

    def moments(chunk: int) -> Measure:
        return timed(lambda: peer.vmap(peer.uniforms(replicates), chunk), replicates)

    chunks = {f"{chunk} replicates at once": moments(chunk) for chunk in CHUNKS}
    chosen = fastest(chunks, rounds=1)
    return interleave(_ours(engine, replicates), chunks[chosen], effort.of(1, 7)).noted(f"the fastest: {chosen}")


@one_thread_each()
def _loop(effort: Effort) -> Samples:
    engine, fewer = CELL.engine(), effort.of(16, 256)
    peer = _per_replicate(engine)
    theirs = timed(lambda: peer.loop(peer.uniforms(fewer)), fewer)
    return interleave(_ours(engine, effort.of(32, 1024)), theirs, effort.of(1, 7))


@one_thread_each()
def _backpack(cell: Cell, effort: Effort) -> Samples:
    replicates = effort.of(1024, 16384)
    with Peer("backpack") as peer:
        peer.seconds(64)  # imports
        return interleave(_ours(cell.engine(), replicates), partial(peer.seconds, replicates), effort.of(1, 7))


def _per_replicate(engine: Engine) -> PerReplicate:
    return PerReplicate(LOSSES[CELL.estimator], engine.program.params, engine.program.model.get_buffer("x"))


def _ours(engine: Engine, replicates: int) -> Measure:
    return timed(partial(engine.next, replicates), replicates)
