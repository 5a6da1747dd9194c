"""Replicates cut into segments by brute force, two passes over the data, and what the tests ask of their analysis."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gsx import statistics
from gsx.records import Analysis, Cost, Interval, Layout, Reference, Segments
from gsx.statistics import Pool

COST = Cost(evaluations=3, gradient_evaluations=0, random_numbers=1, time_ratio=2.0, time_ratio_log_se=0.1)


def segments_of(replicates: np.ndarray, segments: int | list[int] = 64, reference: np.ndarray | None = None) -> Segments:
    """Two-pass moments of ``replicates`` [R, P], cut into equal segments or into those of the given sizes (0 leaves one empty)."""
    size = replicates.shape[1]
    if isinstance(segments, int):
        pieces = list(replicates.reshape(segments, -1, size)[None])  # one array of all of them: 64 times faster
    else:
        pieces = [piece[None] for piece in np.split(replicates, np.cumsum(segments)[:-1])]

    def each(moment: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return np.concatenate([moment(piece) if piece.size else np.zeros((1, size)) for piece in pieces])

    def mean(piece: np.ndarray) -> np.ndarray:
        return piece[:, 0] + (piece - piece[:, :1]).mean(1)  # shifted: a plain sum would lose digits where the mean is large

    def power(piece: np.ndarray, k: int) -> np.ndarray:
        centred = piece - mean(piece)[:, None]
        return functools.reduce(np.multiply, [centred] * k).sum(1)  # numpy's own ** 3 takes ten times as long

    def cosine(piece: np.ndarray) -> np.ndarray:
        return (piece @ reference / np.linalg.norm(piece, axis=-1) / np.linalg.norm(reference)).mean(1, keepdims=True)

    count = np.concatenate([[piece.shape[1]] * len(piece) for piece in pieces])
    broken = each(lambda piece: (~np.isfinite(piece)).any(-1).sum(1, keepdims=True) * np.ones(size))[:, 0].astype(np.int64)
    with np.errstate(invalid="ignore"):
        return Segments(
            layout=Layout(("w",), ((size,),)),
            blocks=count,
            count=count,
            mean=each(mean),
            second=each(lambda piece: power(piece, 2)),
            third=each(lambda piece: power(piece, 3)),
            largest=each(lambda piece: np.abs(piece).max(1)),
            cosine_mean=None if reference is None else each(lambda piece: cosine(piece) * np.ones(size))[:, 0],
            nonfinite_replicates=broken,
            nonfinite_first_block=np.where(broken > 0, np.arange(len(count)), -1),
        )


def pools(repetitions: Sequence[tuple[Segments, np.ndarray]], se: np.ndarray) -> Iterator[Pool]:
    """The pool of each repetition with its reference: merging takes coordinates one by one, so all repetitions merge at once."""
    segments, size = repetitions[0][0], len(se)
    together = dataclasses.replace(
        segments,
        layout=Layout(("w",), ((len(repetitions) * size,),)),
        mean=np.hstack([one.mean for one, _ in repetitions]),
        second=np.hstack([one.second for one, _ in repetitions]),
        third=None,
        largest=None,
    )
    pool = Pool.of(together, np.concatenate([reference for _, reference in repetitions]), np.tile(se, len(repetitions)))
    return (pool.restricted(slice(i * size, (i + 1) * size)) for i in range(len(repetitions)))


def truth(gradient: np.ndarray, se: np.ndarray | float = 0.0) -> Reference:
    return Reference(
        "r", "enumeration", None, np.asarray(gradient, float), np.broadcast_to(np.asarray(se, float), np.shape(gradient)).copy()
    )


def analyse(
    replicates: np.ndarray, gradient: np.ndarray, segments: int | list[int] = 64, dtype: str = "float64", **options: object
) -> Analysis:
    return statistics.analyse(
        segments_of(replicates, segments), truth(gradient), COST, **{"dtype": dtype, "self_referenced": False, **options}
    )


def holds(interval: Interval | None, value: float) -> bool:
    assert interval is not None and interval.ci is not None
    return interval.ci[0] <= value <= interval.ci[1]
