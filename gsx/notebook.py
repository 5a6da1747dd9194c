"""What a notebook calls, `gsx.measure`: a measurement of names, of settings, or of objects made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gsx.configuration import Configuration
from gsx.estimators.base import Estimator
from gsx.measurement import Measurement, Progress
from gsx.models.base import Model
from gsx.records import ConfigurationError, Result

#: The groups of a configuration, each with the key that chooses in it.
GROUPS = {"model": "name", "estimator": "name", "device": "name", "data": "name", "reference": "kind", "tune": "kind"}


def measure(
    model: str | Mapping[str, Any] | Model,
    estimator: str | Mapping[str, Any] | Estimator,
    *,
    directory: str | Path | None = None,
    progress: Progress | None = None,
    blocks_per_task: int | None = None,
    **settings: Any,
) -> Result:
    """Bias, variance, error and cost of an estimator's gradient on a model.

    ``model`` and ``estimator`` are names, mappings like ``{"name": "concrete", "temperature": 0.5}``, or objects. ``settings`` are the keys
    of `gsx run` (num_samples, num_replicates, block_size, seed, dtype, wrt, engine, workers, device, data, reference, tune, plugins,
    force, shard, target_se).
    With a ``directory`` the run lives there: it is resumed if unfinished, returned if complete; its reference is shared through the parent.
    ``blocks_per_task`` is scheduling, like ``workers``: it does not change a bit of the result. Objects are computed by threads alone: to a
    worker process a model and an estimator are told by name (``plugins`` has your own).

    Raises ConfigurationError before any work, MissingData, and with a directory Busy, IntegrityError and EnvironmentFault.
    """
    named = {"model": model, "estimator": estimator} | settings
    for group, key in GROUPS.items():
        if isinstance(named.get(group), str):
            named[group] = {key: named[group]}
    if directory is not None and (isinstance(model, Model) or isinstance(estimator, Estimator)):
        raise ConfigurationError(f"directory={directory}: an object made by hand has no identity to store it by; leave directory out")
    if isinstance(estimator, Estimator) and settings.get("num_samples") not in (None, estimator.num_samples):
        raise ConfigurationError(f"num_samples={settings['num_samples']}: the estimator that was given has {estimator.num_samples}")
    measurement = Measurement(
        Configuration.of(named),
        model=model if isinstance(model, Model) else None,
        estimator=estimator if isinstance(estimator, Estimator) else None,
    )
    return measurement.run(None if directory is None else Path(directory), progress, blocks_per_task)
