"""Named arrays in one npz, sealed by a sha256 over all of them; without pickle, and with no size believed before it is checked."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from gsx.records import ConfigurationError
from gsx.store.files import one_line, replace

FORMAT_VERSION = 1  #: of segments.npz and of a reference folder
MAX_ARRAYS = 4 << 30  #: bytes of all the arrays of one npz
_PIECE = 1 << 20  #: bytes that are read at a time: an array is in memory once

Arrays = dict[str, np.ndarray]
#: The most bytes that an array of this name can have, by those that stand before it in its file. ValueError where they do not tell.
Most = Callable[[str, Arrays], int]


def seal(arrays: Arrays) -> str:
    """sha256 of names, types, shapes and bits: the CRC of a zip guards each member, but not which members there are."""
    sha = hashlib.sha256()
    for name, array in arrays.items():
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def plain(name: str, array: np.ndarray) -> np.ndarray:
    """Little-endian and in C order, so that equal values are equal bytes. ValueError for what cannot be read without pickle."""
    array = np.asarray(array, order="C")
    if array.dtype.kind not in "biufU":
        raise ValueError(f"array {name!r} has dtype {array.dtype}; only numbers and text are stored")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def check_version(arrays: Arrays) -> None:
    """ValueError where they are of another format."""
    version = int(array_of(arrays, "format_version", "<i8", ()))
    if version != FORMAT_VERSION:
        raise ValueError(f"format version {version}, this gsx reads {FORMAT_VERSION}")


def write_arrays(path: Path, arrays: Arrays) -> None:
    """An npz as `numpy.savez` writes it, straight to disk. ConfigurationError where it would be too large to be read again."""
    if (size := sum(array.nbytes for array in arrays.values())) > MAX_ARRAYS:
        raise ConfigurationError(f"{path}: {size} bytes of arrays, and {MAX_ARRAYS} can be stored; measure fewer coordinates (wrt=...)")
    members = {**arrays, "sha256": np.array(seal(arrays))}

    def write(stream: BinaryIO) -> None:
        archive = zipfile.ZipFile(stream, "w")
        try:
            for name, array in members.items():
                # A bare ZipInfo is dated 1980: the same arrays are the same bytes on any day.
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
            archive.close()
        except BaseException:
            archive.fp = None  # it goes with its file; to close it could raise in the place of Ctrl-C
            raise

    replace(path, write)


def parse_arrays(stream: BinaryIO, most: Most = lambda name, before: MAX_ARRAYS) -> Arrays:
    """The arrays that `write_arrays` was given, none of them larger than it can be. Raises anything where the file is anything else."""
    arrays: Arrays = {}
    with _archive(stream) as archive:
        members = archive.infolist()
        if (size := sum(member.file_size for member in members)) > MAX_ARRAYS:
            raise ValueError(f"declares {size} bytes of arrays, more than the {MAX_ARRAYS} that are read")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                raise ValueError(f"array {one_line(member.filename.removesuffix('.npy'))!r} is compressed; gsx stores arrays plain")
        if size > stream.seek(0, io.SEEK_END):  # members that share their bytes: a small file that fills the memory
            raise ValueError(f"declares {size} bytes of arrays, more than it has")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"array {one_line(name)!r} is there twice")
            arrays[name] = _array(archive, member, functools.partial(most, name, arrays))
    if "sha256" not in arrays or text_of(arrays, "sha256") != seal({name: array for name, array in arrays.items() if name != "sha256"}):
        raise ValueError("the arrays do not match their sha256")
    del arrays["sha256"]
    return arrays


def parse_array(stream: BinaryIO, name: str, most: int) -> np.ndarray:
    """One array alone, of at most so many bytes: what there is to see before all is read. It is not checked against the sha256 of all."""
    with _archive(stream) as archive:
        member = next((member for member in archive.infolist() if member.filename == f"{name}.npy"), None)
        if member is None or member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"array {name!r} is missing or compressed")
        return _array(archive, member, lambda: most)


def check_index(stream: BinaryIO) -> bool:
    """True of an npz that is not torn, whatever it holds. ValueError."""
    with _archive(stream) as archive:
        return bool(archive.namelist())


def _archive(stream: BinaryIO) -> zipfile.ZipFile:
    """ValueError where the file is no zip: its index stands at the end, so that a torn one has none."""
    try:
        return zipfile.ZipFile(stream)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        empty = stream.seek(0, io.SEEK_END) == 0
        raise ValueError("an empty file" if empty else "not an npz file: torn, or something else") from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: Callable[[], int]) -> np.ndarray:
    """ValueError unless the array is plain, exactly as large as its member, and not larger than it can be: nothing is allocated before."""
    with _member(archive, member) as content:
        try:
            if np.lib.format.read_magic(content) != (1, 0):
                raise ValueError("format")
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(content)
        except OSError:
            raise
        except Exception as error:  # MemoryError too: a nested header exhausts Python's parser, not the machine
            raise ValueError(f"array {one_line(member.filename)!r} has an unreadable header") from error
        if fortran_order or dtype.kind not in "biufU" or dtype.itemsize == 0:
            raise ValueError(f"array {one_line(member.filename)!r} has dtype {dtype}; only plain numbers and text are read")
        size = math.prod(shape) * dtype.itemsize
        if content.tell() + size != member.file_size:
            raise ValueError(f"array {one_line(member.filename)!r} declares a size that is not its own")
        if size > (limit := most()):
            raise ValueError(f"array {one_line(member.filename)!r} has {size} bytes, and by what stands before it {limit} at the most")
        array = np.empty(shape, dtype)
        bits = array.reshape(-1).view(np.uint8).data
        for start in range(0, size, _PIECE):
            piece = content.read(_PIECE)
            bits[start : start + len(piece)] = piece
        return array


@contextlib.contextmanager
def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """Its content. ValueError where it is not what the index of the zip says, such as that its checksum is another."""
    try:
        with archive.open(member) as content:
            yield content
    except (OSError, MemoryError, ValueError):
        raise
    except Exception as error:
        raise ValueError(f"array {one_line(member.filename)!r} is not what was written: its bytes or its place have changed") from error


def array_of(arrays: Arrays, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"array {name!r} is missing")
    array = arrays[name]
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ValueError(f"array {name!r} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}")
    return array


def text_of(arrays: Arrays, name: str) -> str:
    if name not in arrays:
        raise ValueError(f"array {name!r} is missing")
    if arrays[name].dtype.kind != "U" or arrays[name].shape != ():
        raise ValueError(f"array {name!r} is no text")
    return str(arrays[name])
