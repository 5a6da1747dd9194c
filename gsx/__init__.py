"""gsx: how biased, how noisy and how expensive is a stochastic gradient estimator, with error bars that hold.

The names below are loaded on first use, because importing torch takes two seconds and reading results does not need it.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

TYPE_CHECKING = False  # that of `typing`, which takes as long to load as Python to start: until then Ctrl-C is not answered
if TYPE_CHECKING:
    from typing import Any

    from gsx.costs import LogMeanExp, Separable
    from gsx.data import load as load_data
    from gsx.distributions import (
        Bernoulli,
        Beta,
        Categorical,
        Dirichlet,
        Distribution,
        Exponential,
        Gamma,
        KSubset,
        Normal,
        Poisson,
        VonMises,
    )
    from gsx.estimators.base import Estimator
    from gsx.models.base import Model
    from gsx.notebook import measure
    from gsx.records import Result, Training
    from gsx.training import train

_HOMES = {
    "Bernoulli": "gsx.distributions",
    "Beta": "gsx.distributions",
    "Categorical": "gsx.distributions",
    "Dirichlet": "gsx.distributions",
    "Distribution": "gsx.distributions",
    "Exponential": "gsx.distributions",
    "Gamma": "gsx.distributions",
    "KSubset": "gsx.distributions",
    "Normal": "gsx.distributions",
    "Poisson": "gsx.distributions",
    "VonMises": "gsx.distributions",
    "Estimator": "gsx.estimators.base",
    "LogMeanExp": "gsx.costs",
    "Model": "gsx.models.base",
    "Result": "gsx.records",
    "Separable": "gsx.costs",
    "Training": "gsx.records",
    "measure": "gsx.notebook",
    "train": "gsx.training",
}

__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "Dirichlet",
    "Distribution",
    "Estimator",
    "Exponential",
    "Gamma",
    "KSubset",
    "LogMeanExp",
    "Model",
    "Normal",
    "Poisson",
    "Result",
    "Separable",
    "Training",
    "VonMises",
    "__version__",
    "load_data",
    "measure",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "load_data":
        return importlib.import_module("gsx.data").load
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gsx' has no attribute {name!r}")
