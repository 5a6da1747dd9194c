"""The optimizers, by name: torch's own, with their settings checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from gsx import registry
from gsx.naming import did_you_mean
from gsx.records import ConfigurationError


@dataclass(frozen=True)
class Adam:
    lr: float = 1e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True)
class RMSprop:
    lr: float = 1e-3
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True)
class SGD:
    lr: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0


KINDS: dict[str, type[Adam] | type[RMSprop] | type[SGD]] = {"adam": Adam, "rmsprop": RMSprop, "sgd": SGD}


def settings(given: Any) -> dict[str, Any]:
    """``{"name": ..., every setting ...}``. ConfigurationError names the key, the value and the rule."""
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ConfigurationError(f"optimizer={given}: must be one of {', '.join(KINDS)}")
    if given["name"] not in KINDS:
        raise ConfigurationError(f"optimizer={given['name']}: unknown{did_you_mean(given['name'], KINDS)}")
    kind = KINDS[given["name"]]
    fields = {
        name: parameter.replace(default=getattr(kind(), name)) for name, parameter in signature(kind, eval_str=True).parameters.items()
    }
    checked = registry.check("optimizer", {key: value for key, value in given.items() if key != "name"}, fields)
    for key, value in checked.items():
        if key == "lr" and not value > 0:
            raise ConfigurationError(f"optimizer.lr={value:g}: must be positive")
        if key in ("alpha", "eps", "momentum", "weight_decay") and value < 0:
            raise ConfigurationError(f"optimizer.{key}={value:g}: must not be negative")
        if key == "betas" and not (len(value) == 2 and all(0 <= beta < 1 for beta in value)):
            raise ConfigurationError(f"optimizer.betas={value}: must be two numbers, each at least 0 and below 1")
    try:
        _build(given["name"], checked, [torch.zeros(1, requires_grad=True)], maximize=False)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"optimizer={given['name']}: {error}") from None
    return {"name": given["name"]} | checked


def build(chosen: Mapping[str, Any], parameters: list[Tensor], *, maximize: bool = False) -> torch.optim.Optimizer:
    """The optimizer that checked `settings` describe."""
    return _build(chosen["name"], {key: value for key, value in chosen.items() if key != "name"}, parameters, maximize=maximize)


def _build(name: str, keys: dict[str, Any], parameters: list[Tensor], *, maximize: bool) -> torch.optim.Optimizer:
    keys = asdict(KINDS[name](**keys))
    if name == "adam":
        keys["betas"] = tuple(keys["betas"])
        return torch.optim.Adam(parameters, maximize=maximize, fused=True, **keys)
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, maximize=maximize, **keys)
    return torch.optim.SGD(parameters, maximize=maximize, fused=True, **keys)


def memory(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimizer remembers of each parameter, under ``<position>.<name>``."""
    (group,) = optimizer.param_groups
    return {
        f"{position}.{name}": value
        for position, parameter in enumerate(group["params"])
        for name, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def remember(optimizer: torch.optim.Optimizer, kept: Mapping[str, Tensor]) -> None:
    """Give an optimizer back what `memory` took."""
    (group,) = optimizer.param_groups
    for key, value in kept.items():
        position, name = key.split(".")
        optimizer.state[group["params"][int(position)]][name] = value
