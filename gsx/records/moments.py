"""Parameters laid out as coordinates, and moments and reference gradients over them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Layout:
    """The names and shapes of the measured parameters; coordinates are their elements, flattened and concatenated in this order."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        return sum(self.sizes)

    def slices(self) -> Iterator[tuple[str, tuple[int, ...], slice]]:
        """``(name, shape, slice of the coordinates)`` for each parameter."""
        start = 0
        for name, shape, size in zip(self.names, self.shapes, self.sizes, strict=True):
            yield name, shape, slice(start, start + size)
            start += size

    def as_json(self) -> list[list[Any]]:
        return [[name, list(shape)] for name, shape in zip(self.names, self.shapes, strict=True)]

    @classmethod
    def from_json(cls, data: list[list[Any]]) -> Layout:
        return cls(tuple(str(name) for name, _ in data), tuple(tuple(int(n) for n in shape) for _, shape in data))


@dataclass
class Segments:
    """Centred float64 moments of the replicates, per segment (axis 0, G of them) and coordinate (axis 1, P of them).

    ``third`` is None where the route never materialises a replicate, and ``largest`` a bound; ``cosine_mean`` (the mean over a segment's
    replicates of cos(g, reference)) is None there too, and where there is no reference to compare with.
    A segment's moments at a coordinate are not finite exactly where one of its replicates was not.
    """

    layout: Layout
    blocks: np.ndarray  # [G] int64: blocks finished in this segment
    count: np.ndarray  # [G] int64: replicates in them
    mean: np.ndarray  # [G, P]
    second: np.ndarray  # [G, P] sum over replicates of (g - mean)^2
    third: np.ndarray | None  # [G, P] sum over replicates of (g - mean)^3
    largest: np.ndarray | None  # [G, P] max |g|, or no less
    cosine_mean: np.ndarray | None  # [G]
    nonfinite_replicates: np.ndarray  # [G] int64
    nonfinite_first_block: np.ndarray  # [G] int64, -1 where there is none

    ARRAYS = ("blocks", "count", "mean", "second", "third", "largest", "cosine_mean", "nonfinite_replicates", "nonfinite_first_block")

    def digest(self) -> str:
        """sha256 of the moments: equal for equal bits, whatever the schedule that produced them."""
        import numpy as np

        sha = hashlib.sha256(json.dumps(self.layout.as_json()).encode())
        for name in self.ARRAYS:
            array = getattr(self, name)
            sha.update(name.encode())
            if array is not None:
                sha.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).data)
        return sha.hexdigest()


@dataclass(frozen=True)
class Reference:
    """The true gradient, with its own standard error if it has one, and how it was obtained."""

    id: str
    kind: str  # closed_form | enumeration | quadrature | long_run
    estimator: str | None  # of a long run
    gradient: np.ndarray  # [P]
    se: np.ndarray  # [P]; zero where the reference is exact

    @property
    def error(self) -> dict[str, float]:
        return {"max": float(self.se.max(initial=0.0)), "norm": math.sqrt(self.se @ self.se)}
