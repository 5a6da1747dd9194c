"""The parameters at the end of a training: named arrays of finite floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gsx.records import Parameters
from gsx.store.arrays import FORMAT_VERSION, MAX_ARRAYS, Arrays, check_version, parse_arrays, plain, write_arrays
from gsx.store.files import ADVICE, read

_PARAMETER = "param."


def write_parameters(path: Path, parameters: Parameters) -> None:
    arrays = {_PARAMETER + name: plain(name, array) for name, array in parameters.arrays.items()}
    write_arrays(path, {"format_version": np.array(FORMAT_VERSION, dtype="<i8"), **arrays})


def read_parameters(path: Path, advice: str = ADVICE) -> Parameters | None:
    """Named arrays of finite floats, or None where there is no such file. IntegrityError, which ends with advice; EnvironmentFault."""
    return read(path, 2 * MAX_ARRAYS, lambda stream: parse_parameters(parse_arrays(stream)), advice)


def parse_parameters(arrays: Arrays) -> Parameters:
    check_version(arrays)
    found = {name.removeprefix(_PARAMETER): array for name, array in arrays.items() if name.startswith(_PARAMETER)}
    if len(found) != len(arrays) - 1 or not found:
        raise ValueError("holds other things than parameters")
    for name, array in found.items():
        if array.dtype not in (np.dtype("<f4"), np.dtype("<f8")) or not np.isfinite(array).all():
            raise ValueError(f"parameter {name!r} is no array of finite floats")
    return Parameters(found)
