"""The curves as TensorBoard events, by the library that others use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gsx.records import ConfigurationError, Point


def check() -> None:
    """ConfigurationError where the library is not there."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise ConfigurationError("tensorboard=true: the package tensorboard is missing; pip install gsx[tensorboard]") from None


def watcher(folder: Path, step: int) -> Callable[[Point], None]:
    """Writes every point that it is told of; what a killed process has written after ``step`` is not shown any more."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None, flush_secs=10)

    def watch(point: Point) -> None:
        writer.add_scalar("/".join(part for part in (point.metric, point.split, point.estimator) if part), point.value, point.step)
        writer.flush()

    return watch
