"""The command that measures or trains again, from a stored configuration and the defaults in conf/."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

import gsx
from gsx.records import Result
from gsx.report import labels

#: What follows from `exact`, and can be no other.
_OF_EXACT = ("engine", "num_replicates", "block_size")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_WORDS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
#: Text that Hydra takes as it is: words, names with hyphens, paths.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")
#: What Hydra reads as something other than text.
_NOT_TEXT = {"true", "false", "null", "inf", "nan", "on", "off", "yes", "no"}
#: The settings of a training that a measurement at its parameters shares.
_SHARED = ("estimator", "model", "device", "data", "num_samples", "dtype", "wrt", "plugins")


class Inexpressible(ValueError):
    """A configuration that no safe command line says: it was not written by gsx, or not by this one."""


def command(config: Mapping[str, Any], checkpoint: str | None = None, program: str = "run") -> str:
    """`gsx run`, or `gsx train`, with every override in which the configuration differs from the defaults. Inexpressible, with the reason.

    A configuration knows parameters that were begun with by their digest; `checkpoint` is their file.
    """
    if begun_at(config) is not None:
        if checkpoint is None:
            raise Inexpressible("the parameters it began with are known by their digest only")
        config = {**config, "model": {key: value for key, value in config["model"].items() if key != "checkpoint"}}
    begun = [] if checkpoint is None else [f"model.checkpoint={_written(checkpoint)}"]
    return shlex.join(["gsx", program, *overrides(config, {"run": "config", "train": "train"}[program]), *begun])


def begun_at(config: Mapping[str, Any]) -> object:
    """The digest of the parameters that were begun with, or None where they were the model's own."""
    model = config.get("model")
    return model.get("checkpoint") if isinstance(model, Mapping) else None


def measured_at(config: Mapping[str, Any], checkpoint: str) -> str:
    """`gsx run` that measures the estimator of a training at parameters in a file."""
    return command({key: config[key] for key in _SHARED if key in config}, checkpoint)


def unusual(result: Result) -> int:
    """How many of the estimator's settings differ from the defaults; of somebody's own estimator none is known."""
    defaults = labels.flatten(_read(f"estimator/{result.estimator}")) if _WORD.match(result.estimator) else {}
    return sum(value != defaults[key] for key, value in labels.tunables(result).items() if key in defaults)


def overrides(config: Mapping[str, Any], root: str = "config") -> list[str]:
    """By the defaults of conf/`root`.yaml."""
    defaults = _read(root)
    options = {group: option for entry in defaults["defaults"] if isinstance(entry, dict) for group, option in entry.items()}
    told: list[str] = []
    exact = config.get("engine") == "exact"
    for key, value in config.items():
        if exact and key in _OF_EXACT:
            continue
        if key in ("estimator", "model", "data", "device", "optimizer") and key in options and isinstance(value, Mapping):
            told += _group(key, value, options[key])
        elif key in ("reference", "tune") and isinstance(value, Mapping):
            told += _differing(key, value, _read(f"{key}/{options[key]}") if key in options else defaults[key])
        elif key == "schedule" and key in defaults and isinstance(value, Mapping):
            told += [f"schedule={_written({name: _schedule(entry) for name, entry in value.items()})}"] if value else []
        elif key not in defaults or key in ("defaults", "hydra") or isinstance(value, Mapping):
            raise Inexpressible(f"{key!r} is no setting of this gsx")
        elif value != defaults[key]:
            told.append(f"{key}={_written(value)}")
    return told


def _schedule(stored: Any) -> dict[str, Any]:
    """As it is given: without what is left to default, and with the names of its ends."""
    if not isinstance(stored, Mapping):
        raise Inexpressible("a schedule is none")
    names = {"start": "from", "end": "to"}
    return {names.get(key, str(key)): value for key, value in stored.items() if value is not None}


def _group(group: str, settings: Mapping[str, Any], default: str) -> Iterator[str]:
    """The option named after the thing, and what is not as usual about it. One without a file here is a user's own, in a folder of his."""
    name = settings.get("name")
    if group == "data" and name == "none":
        return
    if not isinstance(name, str) or not _WORD.match(name):
        raise Inexpressible(f"the name of the {group} is no word")
    if group in ("estimator", "model") or name != default:
        yield f"{group}={name}"
    yield from _differing(group, settings, _read(f"{group}/{name}"))


def _differing(group: str, settings: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[str]:
    for key, value in settings.items():
        if not isinstance(key, str) or not _WORD.match(key):
            raise Inexpressible(f"a key of the {group} is no word")
        if key != "name" and (key not in usual or value != usual[key]):
            yield f"{'' if key in usual else '++'}{group}.{key}={_written(value)}"


def _written(value: Any) -> str:
    """As Hydra reads it back. Text in which it would look for quotes, escapes or interpolations is refused: results are strangers'."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and _WORDS.match(key) for key in value):
            raise Inexpressible("a key is no word")
        return "{" + ",".join(f"{key}:{_written(entry)}" for key, entry in value.items()) + "}"
    if not isinstance(value, str) or not value.isprintable() or any(c in value for c in "'\"\\$"):
        raise Inexpressible("a value is text that no override can hold")
    return value if _PLAIN.match(value) and value.lower() not in _NOT_TEXT else f"'{value}'"


@functools.cache
def _read(name: str) -> dict[str, Any]:
    """A file of conf/, which lies in the package for a wheel and beside it for a checkout; nothing where there is none."""
    package = Path(gsx.__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        path = folder / f"{name}.yaml"
        if path.is_file():
            read = OmegaConf.to_container(OmegaConf.load(path))
            assert isinstance(read, dict)
            return {str(key): value for key, value in read.items()}
    return {}
