"""The bias along fixed directions, where a bias spread thinly over many coordinates adds up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gsx.records import Layout
from gsx.statistics.pool import Pool

MANY_COORDINATES = 1000  # above this, projections are tested too
SIGN_VECTORS = 16  # per tensor
SIGN_KEY = 0x677378  # "gsx": tensor number i takes its signs from the raw bits of numpy's Philox under the key (SIGN_KEY, i)


@dataclass(frozen=True)
class Projections:
    """The bias along K fixed directions w, seen through the segment means only."""

    t: np.ndarray  # [K]: w . (mean - reference) / its standard error, Student's t
    t_least: np.ndarray  # [K]: the same, had all errors of the reference gone the same way
    bias: np.ndarray  # [K]
    largest: np.ndarray  # [K]: sum_j |w_j| max |g_j|, no less than any |w . g|; 0 where the route keeps no maxima
    degrees: int  # G - 1


def sign_vectors(tensor: int, size: int) -> np.ndarray:
    """[16, size] of +-1, the same for ever: bits of Philox under the key (SIGN_KEY, tensor number), lowest bit first."""
    raw = np.random.Philox(key=np.array([SIGN_KEY, tensor], dtype=np.uint64)).random_raw(-(-SIGN_VECTORS * size // 64))
    bits = np.unpackbits(raw.astype("<u8").view(np.uint8), count=SIGN_VECTORS * size, bitorder="little")
    return 2.0 * bits.reshape(SIGN_VECTORS, size) - 1.0


def projections(pool: Pool, layout: Layout, largest: np.ndarray | None) -> Projections:
    """Projections on reference / |reference| and on 16 random sign vectors per tensor; none up to 1000 coordinates or with one segment.

    A bias spread so thinly that no coordinate shows it adds up along a direction: by sqrt(P) along the right one. So does the error of a
    long-run reference: the coordinates of one replicate go together, and along the reference itself its error is no accident. Of it only
    the standard errors of coordinates are kept; `t_least` takes what they allow at most, sum_j |w_j| se_j.
    """
    if layout.size <= MANY_COORDINATES or len(pool.deviation) < 2:
        none = np.zeros(0)
        return Projections(none, none, none, none, 1)
    bias, error, most, bound = [], [], [], []

    def project(directions: np.ndarray, columns: slice) -> None:
        bias.append(directions @ (pool.mean[0] - pool.reference)[columns])
        spread = ((pool.deviation[:, columns] @ directions.T) ** 2).sum(0)
        error.append(np.sqrt(spread + directions**2 @ pool.reference_se[columns] ** 2))
        most.append(np.sqrt(spread + (np.abs(directions) @ pool.reference_se[columns]) ** 2))
        bound.append(np.abs(directions) @ (np.zeros(layout.size) if largest is None else largest)[columns])

    length = float(np.linalg.norm(pool.reference))
    if length > 0:
        project(pool.reference[None] / length, slice(None))
    for tensor, (_, _, columns) in enumerate(layout.slices()):
        project(sign_vectors(tensor, columns.stop - columns.start), columns)
    biases = np.concatenate(bias)
    # Where every coordinate is deterministic there is no error to divide by, and nothing that the coordinates do not say.
    t, t_least = (np.divide(biases, e, out=np.zeros_like(biases), where=e > 0) for e in map(np.concatenate, (error, most)))
    return Projections(t, t_least, biases, np.concatenate(bound), len(pool.deviation) - 1)
