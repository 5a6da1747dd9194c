"""What gsx leaves behind, as plain data: the vocabulary shared by the engine, the store, the statistics and the report.

Nothing here computes a statistic or touches a disk, and nothing here imports torch: a report must be able to read ten thousand results
without paying two seconds for a tensor library. Not even numpy is imported before it is used: every command, and every TAB, meets this
room first.
"""

from gsx.records.canonical import canonical_json
from gsx.records.faults import (
    BrokenContract,
    Busy,
    ConfigurationError,
    EnvironmentFault,
    GsxError,
    IntegrityError,
    Killed,
    MissingCheckpoint,
    MissingData,
)
from gsx.records.identity import digest, result_id
from gsx.records.measurement import (
    NO_BIAS_FOUND,
    SCHEMA_VERSION,
    STATISTICS,
    VERDICTS,
    Analysis,
    Coordinates,
    Cost,
    Interval,
    Part,
    Result,
    Verdict,
)
from gsx.records.moments import Layout, Reference, Segments
from gsx.records.shard import Shard
from gsx.records.training import METRICS, Parameters, Point, Training

__all__ = [
    "METRICS",
    "NO_BIAS_FOUND",
    "SCHEMA_VERSION",
    "STATISTICS",
    "VERDICTS",
    "Analysis",
    "BrokenContract",
    "Busy",
    "ConfigurationError",
    "Coordinates",
    "Cost",
    "EnvironmentFault",
    "GsxError",
    "IntegrityError",
    "Interval",
    "Killed",
    "Layout",
    "MissingCheckpoint",
    "MissingData",
    "Parameters",
    "Part",
    "Point",
    "Reference",
    "Result",
    "Segments",
    "Shard",
    "Training",
    "Verdict",
    "canonical_json",
    "digest",
    "result_id",
]
