"""Training: optimise a model's parameters with one estimator, and measure any list of others at the same parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gsx.estimators.base import Estimator
from gsx.measurement import Progress
from gsx.models.base import Model
from gsx.records import ConfigurationError, Training
from gsx.training.configuration import TrainingConfiguration
from gsx.training.session import Session

__all__ = ["Session", "TrainingConfiguration", "train"]


def train(
    model: str | Mapping[str, Any] | Model,
    estimator: str | Mapping[str, Any] | Estimator,
    *,
    directory: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Training:
    """Optimise a model's parameters with an estimator; its curves, and the parameters of each seed at the end.

    ``model`` and ``estimator`` are names, mappings or objects, as for `gsx.measure`; a model given as an object is trained on the rows that
    it holds. ``settings`` are the keys of `gsx train` (steps, seeds, optimizer, probe, schedule, ...).
    With a ``directory`` the training lives there: it is resumed if unfinished, returned, without its parameters, if complete.

    Raises ConfigurationError before any work, MissingData, and with a directory Busy, IntegrityError and EnvironmentFault.
    """
    named = {"model": model, "estimator": estimator} | settings
    for group, key in {"model": "name", "estimator": "name", "device": "name", "data": "name", "reference": "kind", "tune": "kind"}.items():
        if isinstance(named.get(group), str):
            named[group] = {key: named[group]}
    if directory is not None and (isinstance(model, Model) or isinstance(estimator, Estimator)):
        raise ConfigurationError(f"directory={directory}: an object made by hand has no identity to store it by; leave directory out")
    session = Session(
        TrainingConfiguration.of(named),
        model=model if isinstance(model, Model) else None,
        estimator=estimator if isinstance(estimator, Estimator) else None,
    )
    return session.run(None if directory is None else Path(directory), progress)
