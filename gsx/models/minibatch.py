"""The one minibatch a measurement is conditional on."""

from __future__ import annotations

import torch
from torch import Tensor

from gsx.data import Dataset
from gsx.noise import uniforms
from gsx.records import ConfigurationError


def draw_rows(data: Dataset, batch: int | None, seed: int) -> Tensor:
    """The indices ``[batch]`` of rows drawn once, without replacement, from (seed, stream `data`); all rows in order for None."""
    rows = len(data.inputs)
    if batch is None:
        return torch.arange(rows)
    if not 1 <= batch <= rows:
        raise ConfigurationError(f"batch={batch}: must be between 1 and {rows}, the rows of {data.name}")
    return uniforms((seed, "data", "rows"), 0, rows, torch.float64, torch.device("cpu")).argsort()[:batch]
