"""Files that nobody's gsx wrote. Each of them leaves a canary behind where anything of it is run."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

CANARY = "canary"

Plant = Callable[[Path], object]


class Bomb:
    """Unpickled, it runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {CANARY}",)


def npz(members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def header(text: str) -> bytes:
    """An npy of version 1.0 with this header and nothing behind it."""
    line = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line


def floats(shape: str) -> bytes:
    return header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}")


def overlapping(size: int, entries: int) -> bytes:
    """Members that all are the same bytes of the file: small to keep, large to read."""
    content = header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},), }}") + bytes(size)
    data = npz({"a0.npy": content})
    start = data.index(b"PK\x01\x02")
    entry, end = data[start : data.index(b"PK\x05\x06")], data[data.index(b"PK\x05\x06") :]
    directory = b"".join(entry.replace(b"a0.npy", f"b{i:04}.npy".encode()[:6]) for i in range(entries))
    return data[:start] + directory + end[:8] + entries.to_bytes(2, "little") * 2 + len(directory).to_bytes(4, "little") + end[16:]


#: Of an npz.
ARRAYS: dict[str, bytes] = {
    "a pickle": pickle.dumps(Bomb()),
    "a pickle in an npz": npz({"mean.npy": npy(np.array([Bomb()], dtype=object))}),
    "members with paths": npz({"../../canary.npy": npy(np.zeros(3)), "/canary.npy": npy(np.zeros(3))}),
    "a bomb of zeros": npz({"mean.npy": floats("4000000,") + bytes(32_000_000)}, zipfile.ZIP_DEFLATED),
    "members that overlap": overlapping(1 << 20, 500),
    "an absurd shape": npz({"mean.npy": floats("9999999999, 9999999999")}),
    "a header of code": npz({"mean.npy": header("__import__('os').system('touch canary')")}),
    "a deep header": npz({"mean.npy": header("(" * 5000)}),
    "nothing": b"",
    "text": b"\x1b[31mnot an archive\n" * 10,
}

#: Of a JSON.
TEXTS: dict[str, str] = {
    "deep lists": "[" * 500_000,
    "deep objects": '{"a":' * 500_000,
    "not a number": '{"sha256": NaN}',
    "a key twice": '{"sha256": 1, "sha256": 2}',
    "a long number": '{"a": ' + "9" * 100_000 + "}",
    "code": json.dumps({"_target_": "os.system", "_args_": [f"touch {CANARY}"]}),
    "a class": json.dumps({"py/object": "os.system", "__class__": "os.system", "__reduce__": ["os.system", [f"touch {CANARY}"]]}),
    "an interpolation": json.dumps({"name": "${oc.env:GSX_SECRET}"}),
    "escapes": '{"\x1b]0;evil\x07',
}


def write(content: bytes | str) -> Plant:
    def plant(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return plant


def link(target: str | Path) -> Plant:
    def plant(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return plant


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


#: In the place of any file.
THINGS: dict[str, Plant] = {
    "a link to /etc/passwd": link("/etc/passwd"),
    "a link to a device": link("/dev/zero"),
    "a link to itself": lambda path: link(path)(path),
    "a pipe that nobody writes to": fifo,
    "a folder": folder,
}
