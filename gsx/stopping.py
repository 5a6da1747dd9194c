"""When a run has drawn enough: looks at the error of the variance, at counts of replicates that nobody's clock has a say in."""

from __future__ import annotations

import numpy as np

from gsx.records import Reference, Segments
from gsx.statistics import Pool, variance

#: Blocks and replicates that are drawn before the first look, at least, and how many times more before every other. Where a few large
#: gradients make the variance, too early a look finds neither them nor the error.
BLOCKS, REPLICATES, GROWTH = 64, 1024, 2


def looks(blocks: int, block_size: int, target_se: float | None) -> list[int]:
    """The counts of blocks at which a run of at most so many blocks is looked at; without a target there is but the end."""
    found, look = [], BLOCKS
    while target_se is not None and look < blocks:
        if look * block_size >= REPLICATES:
            found.append(look)
        look *= GROWTH
    return [*found, blocks]


def relative_error(segments: Segments, reference: Reference) -> float | None:
    """Standard error of the total variance over the variance, as the result will say them; None where there is no variance, or no error.

    Without variance, and so without error, it is 0: more replicates tell nothing more.
    """
    with np.errstate(all="ignore"):
        found = variance(Pool.of(segments, reference.gradient, reference.se))
    if found is None or found.se is None:
        return None
    return 0.0 if found.value == 0 else found.se / found.value
