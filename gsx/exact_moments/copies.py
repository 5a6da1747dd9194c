"""An estimate of many samples as an average of independent ones of few: found by trying, not declared."""

from __future__ import annotations

import numpy as np

from gsx.exact_moments.axes import anywhere
from gsx.exact_moments.estimate import Estimate
from gsx.exact_moments.integral import ROUNDING

#: Points at which both are compared.
TRIES = 32


def copies(whole: Estimate, part: Estimate) -> int:
    """Of how many independent copies of ``part`` the estimate ``whole`` is the average; 1 where it is of none."""
    count, left = divmod(whole.estimator.num_samples, part.estimator.num_samples)
    shapes = [(request.site, request.draw, request.shape) for request in whole.requests]
    wanted = [(request.site, request.draw, (count * (request.shape or (0,))[0], *request.shape[1:])) for request in part.requests]
    axes = part.axes()
    if left or count == 1 or shapes != wanted or axes is None:
        return 1
    rng = np.random.default_rng(2)
    at = anywhere(axes, TRIES * count, part.size, rng)
    # The samples of a copy follow each other, within each request.
    ends = np.cumsum([np.prod(request.shape, dtype=int) for request in part.requests])[:-1]
    together = np.concatenate([piece.reshape(TRIES, -1) for piece in np.split(at, ends, axis=1)], axis=1)
    found, average = whole(together), part(at).reshape(TRIES, count, -1).mean(1)
    return count if bool((np.abs(found - average) <= ROUNDING * np.abs(part(at)).max(0)).all()) else 1
