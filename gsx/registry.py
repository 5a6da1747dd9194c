"""Estimators and models by name. The package is the registry: a class is known by its snake-case name, which is also its file's.

A user's own come from entry points (groups `gsx.estimators` and `gsx.models`) or from the modules named in `plugins`. The typed signature
of a class is its schema.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

from gsx.data import Dataset
from gsx.estimators.base import Estimator
from gsx.models.base import Model
from gsx.naming import did_you_mean, snake_case
from gsx.records import ConfigurationError

Room = Literal["estimators", "models"]
_BASES: dict[str, type] = {"estimators": Estimator, "models": Model}


def names(room: Room, plugins: Iterable[str] = ()) -> list[str]:
    """Every name known in a room, sorted."""
    return sorted(_own(room) | _entry_points(room).keys() | _from_plugins(room, plugins).keys())


def find(room: Room, name: str, plugins: Iterable[str] = ()) -> type:
    """The class of that name. ConfigurationError, with the nearest name, where there is none."""
    if name in _own(room):
        return _defined_in(importlib.import_module(f"gsx.{room}.{name}"), _BASES[room])[name]
    theirs = _from_plugins(room, plugins)
    if name in theirs:
        return theirs[name]
    points = _entry_points(room)
    if name in points:
        return cast(type, points[name].load())
    raise ConfigurationError(
        f"{room.removesuffix('s')}={name}: unknown{did_you_mean(name, names(room, plugins), listed=f'gsx list {room}')}"
    )


def _own(room: str) -> set[str]:
    """The modules of the room that define a class of their own name; the others (bases, shared parts) are not for choosing."""
    package = importlib.import_module(f"gsx.{room}")
    modules = (module.name for module in pkgutil.iter_modules(package.__path__))
    return {name for name in modules if name in _defined_in(importlib.import_module(f"gsx.{room}.{name}"), _BASES[room])}


def _entry_points(room: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=f"gsx.{room}")}


def _from_plugins(room: str, plugins: Iterable[str]) -> dict[str, type]:
    found: dict[str, type] = {}
    for plugin in plugins:
        found |= _defined_in(_import_plugin(plugin), _BASES[room])
    return found


def import_plugins(plugins: Iterable[str]) -> None:
    """Import the modules a user names, or raise ConfigurationError."""
    for plugin in plugins:
        _import_plugin(plugin)


def _import_plugin(name: str) -> ModuleType:
    if "" in name.split("."):
        raise ConfigurationError(f"plugins={name!r}: must be the name of a module, like my_estimators or my_package.models")
    # A console script does not search the current folder, and that is where a plug-in under development lies.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(f"plugins={name}: cannot be imported: {error}") from error


def _defined_in(module: ModuleType, base: type) -> dict[str, type]:
    return {
        snake_case(name): value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, base) and not inspect.isabstract(value) and value.__module__ == module.__name__
    }


# ------------------------------------------------------------------------------------------------------------------ construction


def schema(kind: type) -> dict[str, inspect.Parameter]:
    """The settings of a class: its keyword arguments, but for those that the engine supplies."""
    signature = inspect.signature(kind, eval_str=True)
    return {name: parameter for name, parameter in signature.parameters.items() if name not in ("num_samples", "data")}


def settings(room: Room, given: Mapping[str, Any], plugins: Iterable[str] = ()) -> dict[str, Any]:
    """``{"name": ..., every setting of the class ...}``, checked and converted, defaults filled in.

    ConfigurationError names the key, the value and the rule.
    """
    group = room.removesuffix("s")
    if not isinstance(given.get("name"), str):
        raise ConfigurationError(f"{group}.name={given.get('name')}: must be a name")
    parameters = schema(find(room, given["name"], plugins))
    return {"name": given["name"]} | check(group, {key: value for key, value in given.items() if key != "name"}, parameters)


def check(group: str, given: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The given values, converted to the types of the parameters; their defaults for the others."""
    for key, value in given.items():
        if key not in parameters:
            raise ConfigurationError(f"{group}.{key}={value}: unknown key{did_you_mean(key, parameters)}")
    checked = {}
    for key, parameter in parameters.items():
        if key not in given and parameter.default is inspect.Parameter.empty:
            raise ConfigurationError(f"{group}.{key}: must be given")
        checked[key] = convert(f"{group}.{key}", given.get(key, parameter.default), parameter.annotation)
    return checked


def convert(key: str, value: Any, annotation: Any) -> Any:
    """``value`` as the annotated type: numbers, text, flags, choices, lists of them, or null where the type allows it.

    What is annotated `Any` is left to whoever takes it.
    """
    if annotation is Any:
        return value
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return convert(key, value, next(argument for argument in arguments if argument is not type(None)))
    if origin is Literal:
        if value not in arguments:
            raise ConfigurationError(f"{key}={value}: must be one of {', '.join(map(str, arguments))}")
        return value
    if origin is list:
        if not isinstance(value, (list, tuple)):
            one = f"[{value}]" if isinstance(value, (int, float, str)) and value != "" else "[1,2]"
            raise ConfigurationError(f"{key}={'null' if value is None else value}: must be a list, like {one}")
        return [convert(f"{key}[{i}]", item, arguments[0]) for i, item in enumerate(value)]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation is float and number:
        if not math.isfinite(value):
            raise ConfigurationError(f"{key}={value}: must be finite")
        return float(value)
    if annotation is int and number and math.isfinite(value) and value == int(value):
        return int(value)
    if annotation in (bool, str) and isinstance(value, annotation):
        return value
    wanted = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}[annotation]
    raise ConfigurationError(f"{key}={'null' if value is None else value}: must be {wanted}")


def estimator(given: Mapping[str, Any], num_samples: int | None = None, plugins: Iterable[str] = ()) -> Estimator:
    """The estimator that checked `settings` describe."""
    return cast(Estimator, _construct("estimators", given, plugins, {"num_samples": num_samples}))


def model(given: Mapping[str, Any], data: Dataset | None = None, plugins: Iterable[str] = ()) -> Model:
    """The model that checked `settings` describe."""
    return cast(Model, _construct("models", given, plugins, {} if data is None else {"data": data}))


def _construct(room: Room, given: Mapping[str, Any], plugins: Iterable[str], extra: dict[str, Any]) -> Any:
    keys = {key: value for key, value in given.items() if key != "name"}
    try:
        return find(room, given["name"], plugins)(**keys, **extra)
    except ConfigurationError as error:
        # A class names its own key; here it gets the name by which the user set it.
        key = str(error).partition("=")[0]
        raise ConfigurationError(f"{room.removesuffix('s')}.{error}" if key in keys else str(error)) from None
