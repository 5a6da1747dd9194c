"""How a class is called in configurations, files and tables."""

from __future__ import annotations

import re


def snake_case(name: str) -> str:
    """`StraightThrough` -> `straight_through`, `STGumbel` -> `st_gumbel`, `BinaryVAE` -> `binary_vae`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
