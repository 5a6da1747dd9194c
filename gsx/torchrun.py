"""The place of this process among those that torchrun started; read from what it puts into the environment, and no group is formed."""

from __future__ import annotations

import os

import torch

from gsx.records import ConfigurationError, Shard


def shard() -> Shard:
    """Rank k of n computes shard k/n. ConfigurationError outside torchrun."""
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not rank or not size:
        raise ConfigurationError("shard=auto: RANK and WORLD_SIZE are not set; torchrun sets them, else name the shard, like shard=0/8")
    try:
        return Shard.parse(f"{rank}/{size}")
    except ConfigurationError:
        raise ConfigurationError(f"shard=auto: RANK={rank[:20]!r} and WORLD_SIZE={size[:20]!r} name no shard") from None


def gpu() -> str:
    """The GPU of this rank; where a rank sees only its own, or there are more ranks than GPUs, they are dealt out in turn."""
    return f"cuda:{_number('LOCAL_RANK', 0) % max(torch.cuda.device_count(), 1)}"


def ranks_here(chosen: str | None) -> int:
    """How many ranks share the cores of this machine; one, where the shard was not chosen by rank."""
    return _number("LOCAL_WORLD_SIZE", 1) if chosen == "auto" else 1


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return max(int(text), default) if text.isascii() and text.isdigit() and len(text) < 6 else default
