"""What a process hands to one that it starts: words in JSON and tensors by name, in memory that nobody else has."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gsx.process import shareable


def pack(words: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> int | None:
    """The descriptor of a line of JSON and, behind it, the numbers as they lie in memory. None where the system shares no memory."""
    described = [(name, str(tensor.dtype).removeprefix("torch."), tensor.shape) for name, tensor in tensors.items()]
    line = json.dumps({"words": words, "tensors": described}).encode() + b"\n"
    packed = b"".join([line, *(_bytes_of(tensor.contiguous()) for tensor in tensors.values())])
    descriptor = shareable(len(packed))
    if descriptor is not None:
        with mmap.mmap(descriptor, len(packed)) as memory:
            memory.write(packed)
    return descriptor


def unpack(descriptor: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The words and the tensors that `pack` was given, on the CPU."""
    with mmap.mmap(descriptor, 0) as memory:
        line = json.loads(memory.readline())
        tensors: dict[str, Tensor] = {}
        for name, dtype, shape in line["tensors"]:
            tensors[name] = torch.empty(shape, dtype=getattr(torch, dtype))
            _bytes_of(tensors[name])[:] = memory.read(tensors[name].nbytes)
    return line["words"], tensors


def _bytes_of(tensor: Tensor) -> memoryview:
    """Where its numbers lie, of whatever type they are."""
    return tensor.view(-1).view(torch.uint8).numpy().data
