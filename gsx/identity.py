"""What a result is addressed by: everything that its numbers depend on, and nothing else."""

from __future__ import annotations

import functools
import hashlib
import inspect
from types import ModuleType
from typing import Any

from gsx.noise import SCHEME
from gsx.records import digest


def source(thing: object) -> str:
    """sha256 of the modules that a class and its bases are written in, torch's aside: other code may give other numbers."""
    sha = hashlib.sha256()
    for kind in type(thing).__mro__:
        module = inspect.getmodule(kind)
        if module is not None and module.__name__.partition(".")[0] not in ("torch", "abc", "builtins"):
            sha.update(_text(module).encode())
    return sha.hexdigest()


@functools.cache
def _text(module: ModuleType) -> str:
    """The source of a module as it was when first asked for: a file edited during a sweep is not what runs."""
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):  # typed into a notebook: there is no file
        return module.__name__


def reference_id(config: dict[str, Any], model_source: str, data_digest: str | None) -> str:
    """Of a reference: the model, its parameters and data, `wrt`, the rounding, and the `reference` group; never an estimator measured.

    Its seed counts for a long run only, but is always part of it: one id for one answer, whatever kind it turns out to be.
    """
    facts = {key: config[key] for key in ("model", "data", "reference", "wrt", "dtype", "seed")}
    facts |= {"device": config["device"]["name"], "model_source": model_source, "data_digest": data_digest, "noise": SCHEME}
    return digest(facts)


def moments_id(config: dict[str, Any], estimator_source: str, reference: str) -> str:
    """Of a sequence of blocks, however many of them are drawn: what a larger run may start from."""
    facts = {key: value for key, value in config.items() if key not in ("num_replicates", "name", "plugins")}
    return digest(facts | {"estimator_source": estimator_source, "reference_id": reference, "noise": SCHEME})


def training_id(config: dict[str, Any], sources: list[str], data_digests: list[str]) -> str:
    """Of a training: all that its trajectories and its curves depend on."""
    facts = {key: value for key, value in config.items() if key not in ("name", "plugins")}
    return digest(facts | {"sources": sources, "data_digests": data_digests, "noise": SCHEME})
