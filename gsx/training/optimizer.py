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


def settings(given: Any, key: str = "optimizer") -> dict[str, Any]:
    """``{"name": ..., every setting ...}``. ConfigurationError names the key, of which this is the first part, the value and the rule."""
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ConfigurationError(f"{key}={given}: must be one of {', '.join(KINDS)}")
    if given["name"] not in KINDS:
        raise ConfigurationError(f"{key}={given['name']}: unknown{did_you_mean(given['name'], KINDS)}")
    kind = KINDS[given["name"]]
    fields = {
        name: parameter.replace(default=getattr(kind(), name)) for name, parameter in signature(kind, eval_str=True).parameters.items()
    }
    checked = registry.check(key, {name: value for name, value in given.items() if name != "name"}, fields)
    for name, value in checked.items():
        if name == "lr" and not value > 0:
            raise ConfigurationError(f"{key}.lr={value:g}: must be positive")
        if name in ("alpha", "eps", "momentum", "weight_decay") and value < 0:
            raise ConfigurationError(f"{key}.{name}={value:g}: must not be negative")
        if name == "betas" and not (len(value) == 2 and all(0 <= beta < 1 for beta in value)):
            raise ConfigurationError(f"{key}.betas={value}: must be two numbers, each at least 0 and below 1")
    chosen = {"name": given["name"]} | checked
    try:
        build(chosen, [torch.zeros(1, requires_grad=True)])
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{key}={given['name']}: {error}") from None
    return chosen


def build(
    chosen: Mapping[str, Any], parameters: list[Tensor], *, maximize: bool = False, fused: bool | None = True
) -> torch.optim.Optimizer:
    """The optimizer that checked `settings` describe; ``fused``, where there is such a form, or None as torch has it by default."""
    name, keys = chosen["name"], asdict(KINDS[chosen["name"]](**{key: value for key, value in chosen.items() if key != "name"}))
    if name == "adam":
        keys["betas"] = tuple(keys["betas"])
        return torch.optim.Adam(parameters, maximize=maximize, fused=fused, **keys)
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, maximize=maximize, **keys)
    return torch.optim.SGD(parameters, maximize=maximize, fused=fused, **keys)


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
