"""The conclusion of a run: its moments, a reference, and what is known besides, become a result. Whoever has them can draw it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from gsx import statistics
from gsx.records import STATISTICS, Cost, Interval, Part, Reference, Result, Segments, Verdict


def unopened(part: Part) -> tuple[dict[str, Interval | None], Verdict]:
    """The statistics and the verdict of a part of a run: there are none, because one part is not looked at."""
    reason = f"shard {part.shard} of a run; gsx merge joins them"
    return dict.fromkeys(STATISTICS), Verdict("inconclusive", None, None, None, None, reason)


def conclude(known: Result, segments: Segments, reference: Reference, cost: Cost) -> Result:
    """The complete result, from one that has everything but statistics, and the moments of all segments."""
    part = known.part
    assert part is not None
    if not 0 < statistics.length(reference.gradient) < math.inf:
        segments = dataclasses.replace(segments, cosine_mean=None)  # there is no direction to compare with
    replicates = int(segments.count.sum())
    analysis = statistics.analyse(
        segments,
        reference,
        cost,
        dtype=known.config["dtype"],
        self_referenced=reference.kind == "long_run" and reference.estimator == known.estimator,
        biased_because=part.biased_because,
        deterministic_by_construction=known.engine == "exact",
        rarest_draws=None if part.rarest is None else part.rarest * replicates * known.num_samples,
    )
    return dataclasses.replace(
        known,
        status="complete",
        num_replicates=replicates,
        blocks=int(segments.blocks.sum()),
        summary=analysis.summary,
        parameters=analysis.parameters,
        verdict=analysis.verdict,
        cost=cost,
        nonfinite=analysis.nonfinite,
        moments_sha256=segments.digest(),
        part=None,
        coordinates=analysis.coordinates,
        segments=segments,
    )


def combined(costs: list[Cost]) -> Cost:
    """The cost of a run from those of its shards: counts are the same, seconds add up, the largest memory is the run's.

    Each shard has timed its own blocks beside its own plain steps; the ratio is their geometric mean, with the larger of the error that the
    shards claim and the one that they show: they may have run on unlike machines.
    """
    ratios = [(cost.time_ratio, cost.time_ratio_log_se) for cost in costs if cost.time_ratio is not None]
    logs = np.log([ratio for ratio, _ in ratios])
    claimed = float(np.sqrt(sum((log_se or 0.0) ** 2 for _, log_se in ratios))) / max(len(ratios), 1)
    shown = float(logs.std(ddof=1)) / len(ratios) ** 0.5 if len(ratios) > 1 else 0.0
    return dataclasses.replace(
        costs[0],
        seconds=sum(cost.seconds or 0.0 for cost in costs),
        time_ratio=float(np.exp(logs.mean())) if ratios else None,
        time_ratio_log_se=max(claimed, shown) if ratios else None,
        peak_bytes=max(cost.peak_bytes or 0 for cost in costs),
    )
