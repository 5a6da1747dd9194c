"""What a file in a user's own group may not hold or be: it is read strictly before Hydra reads it, and refused in one line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gsx.experiment import read_yaml
from gsx.records import ConfigurationError
from tests.trust.conftest import SECRET, Place
from tests.trust.hostile import CANARY, THINGS

ALIASES = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
MERGES = "a: &a0 {x: 1}\n" + "".join(f"b{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 9))

#: The content of a file, and what the answer says.
FILES: dict[str, tuple[bytes | str, str]] = {
    "a key twice": ("name: reinforce\nname: concrete\n", "theirs.yaml, line 2: the key name stands there twice"),
    "python objects": (f"name: !!python/object/apply:os.system ['touch {CANARY}']\n", "theirs.yaml, line 1: the tag "),
    "a tag that PyYAML stumbles over": ("name: !!timestamp x\n", "theirs.yaml, line 1: the tag "),
    "aliases that unfold": (ALIASES, "theirs.yaml: more than 10000 entries, aliases unfolded"),
    "merges that unfold": (MERGES, "theirs.yaml: more than 10000 entries, aliases unfolded"),
    "an alias of itself": ("name: &t [*t]\n", "theirs.yaml: more than 64 levels"),
    "deep": ("name: " + "[" * 3000 + "]" * 3000, "theirs.yaml: more than 64 levels"),
    "long": ("# " + "x" * 2_000_000, "theirs.yaml: more than 1048576 bytes"),
    "bytes": (b"\xff\xfe\x00", "theirs.yaml: 'utf-8' codec can't decode byte 0xff"),
    "a number for a key": ("name: reinforce\n1: 2\n", "theirs.yaml, line 2: a key must be text"),
    "no YAML": ("name: ]\n", "theirs.yaml, line 1: is no YAML: "),
}

#: And of `conf/estimator/theirs.yaml`.
GROUP_FILES: dict[str, tuple[bytes | str, str]] = {
    **{what: FILES[what] for what in ("a key twice", "python objects", "aliases that unfold", "bytes")},
    "no keys": ("root:x:0:0\n", "theirs.yaml: must hold keys and their values"),
    "defaults that lead back": (
        "defaults: [/model: gamma_toy, theirs]\nname: reinforce\n",
        "estimator/theirs.yaml: its defaults lead back to itself",
    ),
    "a package of two words": ("# @package a b\nname: reinforce\n", "theirs.yaml: Too many components"),
    "a package elsewhere": ("# @package a.b\nname: reinforce\n", "estimator=None: must be chosen"),
    "settings of Hydra's": (
        "# @package _global_\nhydra: 3\n",
        "In 'estimator/theirs': ValidationError raised while composing config: Merge error",
    ),
    "a reference to itself": ("name: ${estimator.name}\n", "estimator.name=${estimator.name}: Recursive interpolation detected"),
    "a reference to nothing": ("name: ${nope.x}\n", "estimator.name=${nope.x}: Interpolation key 'nope.x' not found"),
    "a reference to Hydra": ("name: ${hydra:job.name}\n", "estimator.name=${hydra:job.name}: ValueError raised"),
    "half a reference": ("name: ${seed\n", "name=${seed: no viable alternative"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_hostile_file(what: str, tmp_path: Path) -> None:
    content, answer = FILES[what]
    (tmp_path / "theirs.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    began = time.monotonic()
    with pytest.raises(ConfigurationError) as refused:
        read_yaml(tmp_path / "theirs.yaml", "theirs.yaml")
    assert str(refused.value).startswith(answer) and time.monotonic() - began < 10


def theirs(place: Place) -> Path:
    folder = place.here / "conf" / "estimator"
    folder.mkdir(parents=True)
    return folder / "theirs.yaml"


@pytest.mark.parametrize("what", GROUP_FILES)
def test_a_hostile_group_file(what: str, place: Place) -> None:
    content, answer = GROUP_FILES[what]
    theirs(place).write_bytes(content if isinstance(content, bytes) else content.encode())
    said = place.gsx("run", "--config-dir=conf", "estimator=theirs", "--dry-run")
    assert said.code == 2 and said.out == "" and SECRET not in said.line, said
    assert answer in said.line, said.line
    place.check()


@pytest.mark.parametrize("what", [what for what in THINGS if what != "a folder"])
def test_a_group_file_that_is_no_file(what: str, place: Place) -> None:
    THINGS[what](theirs(place))
    said = place.gsx("run", "--config-dir=conf", "estimator=theirs", "--dry-run")
    rule = "must hold keys" if "passwd" in what else "is no regular file"
    assert said.code == 2 and f"conf/estimator/theirs.yaml: {rule}" in said.line and "root:x:0" not in said.line, said
    place.check()


def test_a_folder_of_hydras_search_path_is_read_strictly_too(place: Place) -> None:
    theirs(place).write_text("name: reinforce\nname: concrete\n")
    said = place.gsx("run", f"hydra.searchpath=[file://{place.here}/conf]", "estimator=theirs", "--dry-run")
    assert said.code == 2 and "theirs.yaml, line 2: the key name stands there twice" in said.line, said


def test_a_file_of_ones_own_with_all_that_yaml_is_for(place: Place) -> None:
    """The control: an alias, a merge, a reference, a number in YAML 1.2's notation."""
    theirs(place).write_text("defaults: [concrete, _self_]\nx: &x {temperature: 25e-2}\n<<: *x\n")
    said = place.gsx("run", "--config-dir=conf", "estimator=theirs", "~estimator.x", "seed=${draws}", "num_replicates=64", "--dry-run")
    assert said.code == 0 and "temperature_0.25" in said.out, said.err


@pytest.mark.parametrize("key", ["estimator", "name"])
def test_what_a_folder_is_named_by_is_there(key: str, place: Place) -> None:
    said = place.gsx("run", f"~{key}", "--dry-run")
    assert said.code == 2 and said.line.startswith(f"gsx: {key}"), said
