"""One file: written whole or not at all, and read with suspicion."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from gsx.records import EnvironmentFault, GsxError, IntegrityError

MAX_TEXT = 64 << 20  #: bytes of a CSV or text file
MAX_JSON = 16 << 20  #: bytes of a JSON file, which as Python's objects may take thirty times as many

#: The way out that an IntegrityError names, where a file has no other: of what is damaged, and of nothing that is whole.
ADVICE = "remove it, and the same command makes it anew"

#: What helps where a disk refuses.
_WAYS_OUT = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EROFS: "work where it may be written",
    errno.EACCES: "work where it may be written",
}

#: A FIFO in a file's place must not hang the report, and a link must not make it read a file from elsewhere.
_CAREFULLY = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)

#: What is said of results where the disk refuses, around what helps.
_GOES_ON = "what is stored is whole: {}, and the same command goes on"

T = TypeVar("T")


def atomic_write(path: Path, data: bytes, advice: str = _GOES_ON) -> None:
    """Replace `path` by `data`, durably and all at once. EnvironmentFault where the disk refuses; the old content then stays."""
    replace(path, lambda stream: stream.write(data), advice)


def replace(path: Path, write: Callable[[BinaryIO], object], advice: str = _GOES_ON) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:  # Ctrl-C leaves no litter either
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise environment_fault(path, "cannot be written", error, advice) from error
        raise


def _sync_folder(folder: Path) -> None:
    """A rename is durable once its folder is."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder, and need not
            raise
    finally:
        os.close(descriptor)


def create_folder(path: Path, advice: str = _GOES_ON) -> None:
    """The folder and those above it, if they are not there. EnvironmentFault."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise environment_fault(path, "cannot be created", error, advice) from error


def remove(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise environment_fault(path, "cannot be removed", error) from error


def environment_fault(path: Path, what: str, error: OSError, advice: str = _GOES_ON) -> GsxError:
    """What the disk has refused, and what helps. A folder in the place of a file is no fault of the disk, but an IntegrityError."""
    if isinstance(error, IsADirectoryError):
        return IntegrityError(f"{path}: a folder where a file belongs; remove it")
    if error.errno == errno.ENOTDIR:
        file = next((above for above in path.parents if above.exists()), path)
        return EnvironmentFault(f"{file}: is a file where a folder should be; move it away, or work elsewhere")
    way_out = "" if what == "cannot be read" else _WAYS_OUT.get(error.errno or 0, "")
    return EnvironmentFault(f"{path}: {what}: {error.strerror or error}" + (f"; {advice.format(way_out)}" if way_out else ""))


def refused_link(path: Path) -> IntegrityError:
    """What is behind a link is somebody's whom the folder that it lies in does not speak for."""
    return IntegrityError(f"{path}: is a symbolic link, and none is followed; put what it points to in its place, or remove it")


def read(path: Path, limit: int, parse: Callable[[BinaryIO], T], advice: str = ADVICE) -> T | None:
    """What `parse` makes of the file, or None where there is none; whatever it raises becomes an IntegrityError, with advice."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _CAREFULLY)) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("not a regular file")
            if status.st_size > limit:
                raise ValueError(f"{status.st_size} bytes, more than the {limit} that are read")
            return parse(stream)
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise IntegrityError(f"{path}: not a regular file; {advice}") from error
    except MemoryError as error:
        raise EnvironmentFault(f"{path}: does not fit into memory") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise refused_link(path) from error
        if error.errno == errno.EINVAL:  # a seek to where a corrupted offset points
            raise IntegrityError(f"{path}: torn, or changed: it points to what it does not hold; {advice}") from error
        raise environment_fault(path, "cannot be read", error) from error
    except Exception as error:  # a parser fed hostile bytes raises anything: struct.error, tokenize.TokenError, RecursionError, ...
        raise IntegrityError(f"{path}: {one_line(_said(error))}; {advice}") from error


def declared_bytes(stream: BinaryIO, declared: Mapping[str, Any]) -> bytes:
    """ValueError unless they are those that another file declares; where it is from before it declared any, they are believed."""
    data = stream.read()
    if declared and hashlib.sha256(data).hexdigest() != declared["sha256"]:
        raise ValueError("does not match the sha256 that is declared of it" if data else "an empty file")
    return data


def _said(error: Exception) -> str:
    """What is wrong with a file. A parser of our own says it; Python's say what happened to them."""
    match error:
        case json.JSONDecodeError():
            return f"no JSON from line {error.lineno}, column {error.colno} on" if error.doc else "an empty file"
        case UnicodeDecodeError():
            return f"no text: byte {error.start} is not UTF-8"
        case RecursionError():
            return "nested too deeply"
        case KeyError():
            return f"key {error} is missing"
        case ValueError() | TypeError() if str(error):
            return str(error)
        case _:
            return "not of the form that gsx writes"


def one_line(text: str) -> str:
    """Foreign text, fit for a terminal: no line breaks, no escape sequences, no novel."""
    return "".join(c if c.isprintable() else " " for c in text[:200])
