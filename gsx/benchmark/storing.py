"""What is done once the moments are there: statistics, and files."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from gsx import statistics
from gsx.benchmark.engine import Engine, measurement
from gsx.benchmark.pairs import interleave, timed
from gsx.benchmark.row import Effort, Job, Row, Samples
from gsx.store import RunDirectory


def storing(effort: Effort) -> list[Job]:
    """Statistics and files of a run, against computing its moments with one worker."""
    replicates = effort.of(1024, 65536)
    what = f"binary_vae, reinforce, {replicates} replicates: statistics and storing"
    return [Job(Row("storing", what, "cost", "run", "computing the moments", target=0.1), partial(_measure, effort, replicates))]


def _measure(effort: Effort, replicates: int) -> Samples:
    measured = measurement({"name": "binary_vae"}, "reinforce", num_replicates=replicates)
    with tempfile.TemporaryDirectory() as folder:
        result = measured.run(Path(folder) / "run")
        stored = RunDirectory(next(Path(folder).glob("reference-*"))).read_reference()
        assert stored is not None and result.segments is not None
        reference, segments, run = stored.reference, result.segments, RunDirectory(Path(folder) / "run")

        def finish() -> None:
            statistics.analyse(segments, reference, result.cost, dtype="float32", self_referenced=False)
            run.write_segments(segments, measured.fingerprint, measured.moments_id)
            run.write_result(result)

        engine = Engine(measured)
        return interleave(timed(finish), timed(engine.run), effort.of(1, 5), warm=False).noted(f"engine {engine.route.name}")
