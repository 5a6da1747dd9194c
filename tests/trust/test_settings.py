"""What a configuration, an experiment's file or a folder of data may not do: name code, read the environment, fill the memory, hang."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gsx.data import idx
from tests.trust.conftest import SECRET, Place
from tests.trust.hostile import CANARY, THINGS, link

TOUCH = "{_target_:subprocess.getoutput,cmd:'touch canary'}"

OVERRIDES = [
    "estimator._target_=os.system",
    "+estimator._target_=os.system",
    "++estimator.__class__=os.system",
    "+model._partial_=true",
    "+_target_=os.system",
    "+_args_=[x]",
    f"estimator={TOUCH}",
    f"+model.data={TOUCH}",
    f"model.checkpoint={TOUCH}",
    "reference._target_=os.system",
    "+data._convert_=all",
    "hydra.launcher._target_=os.system",
    "hydra.sweeper._target_=os.system",
    "hydra.launcher._target_=hydra.utils.instantiate",
    "++hydra.launcher.x={_target_:hydra.utils.get_method,path:evil.f}",
    f"+hydra.callbacks.x={TOUCH}",
    "hydra.callbacks=${model}",
    "+hydra.callbacks.x={_target_:hydra.experimental.callbacks.PickleJobInfoCallback}",
    "hydra.job_logging.handlers.stderr.class=subprocess.getoutput",
    "hydra.job_logging.handlers.stderr.stream=ext://evil.f",
    "++hydra.hydra_logging.handlers.stderr.stream=cfg://root",
    "hydra.job_logging.handlers.stderr.class=${name}",
    "name=${oc.env:GSX_SECRET}",
    "seed=${oc.env:GSX_SECRET,1}",
    "model.target=${oc.decode:${oc.env:GSX_SECRET}}",
    "model.logits=[${oc.env:GSX_SECRET}]",
    "plugins=['${oc.env:GSX_SECRET}']",
    "+data.root=${oc.${name}:GSX_SECRET}",
    "name=../outside",
    "name=/tmp/x",
    "plugins=[evil_module_that_is_not_there]",
]


@pytest.mark.parametrize("line", [*OVERRIDES, *(f"-m seed=0,1 {one}" for one in OVERRIDES if "_target_=" in one and "hydra" in one)])
def test_an_override_names_no_code_and_reads_no_environment(line: str, place: Place) -> None:
    said = place.gsx("run", *line.split(" ", 2 * line.startswith("-m")), "num_replicates=64", "block_size=1")
    assert said.code == 2 and said.out == "", said
    assert SECRET not in said.line
    place.check()
    assert list(place.here.iterdir()) == []


def test_what_hydra_itself_makes_is_made(place: Place) -> None:
    """The control: its own launcher, a handler of logging, and the environment where it is Hydra's."""
    words = ["hydra.launcher._target_=hydra._internal.core_plugins.basic_launcher.BasicLauncher"]
    words += ["++hydra.job_logging.handlers.none={class:logging.NullHandler}", "+hydra.job.env_set.X=${oc.env:GSX_SECRET}"]
    said = place.gsx("run", *words, "num_replicates=64", "block_size=1")
    assert said.code == 0, said.err


STEP = "steps: [{name: a, overrides: [%s]}]\n"
EXPERIMENTS = {
    "python objects": f"title: !!python/object/apply:os.system ['touch {CANARY}']\n",
    "a python name": "title: !!python/name:os.system\n" + STEP % "",
    "aliases that unfold": "a: &a [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1 if i else ''}, *a{i - 1 if i else ''}]\n" for i in range(40)),
    "an alias of itself": "title: &t [*t]\n",
    "deep": "[" * 2000,
    "a key twice": "title: a\ntitle: b\n" + STEP % "",
    "long": "# " + "x" * 2_000_000,
    "no date": "title: 2001-02-31\n",
    "a long number": f"title: {'9' * 10000}\n",
    "escapes": 'title: "\\e]0;evil\\a"\n' + STEP % "",
    "hydra's keys": "title: t\n" + STEP % f'"+hydra.callbacks.x={TOUCH}"',
    "hydra's groups": "title: t\n" + STEP % "hydra/launcher=joblib",
    "hydra in the grid": "title: t\nsteps: [{name: a, sweep: {hydra.run.dir: [/tmp/x, /tmp/y]}}]\n",
    "plug-ins": "title: t\n" + STEP % '"plugins=[evil]"',
    "plug-ins added": "title: t\n" + STEP % '"++plugins=[evil]"',
    "another command": f"title: t\nsteps: [{{name: a, command: 'touch {CANARY}'}}]\n",
    "the environment": "title: t\n" + STEP % '"model.target=${oc.env:GSX_SECRET}"',
    "code": "title: t\n" + STEP % '"estimator._target_=os.system"',
    "bytes": "\x00\x01",
}


@pytest.mark.parametrize("what", EXPERIMENTS)
def test_a_hostile_experiment(what: str, place: Place) -> None:
    folder = place.here / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "theirs.yaml").write_text(EXPERIMENTS[what])
    (place.here / "evil.py").write_text(f"from pathlib import Path\nPath('{CANARY}').touch()\n")
    said = place.gsx("reproduce", "theirs", "--config-dir=conf", "--dry-run")
    assert said.code == 2 and said.out == "" and SECRET not in said.line, said
    place.check()


@pytest.mark.parametrize("what", THINGS)
def test_an_experiment_that_is_no_file(what: str, place: Place) -> None:
    folder = place.here / "conf" / "experiment"
    folder.mkdir(parents=True)
    THINGS[what](folder / "theirs.yaml")
    said = place.gsx("reproduce", "theirs", "--config-dir=conf", "--dry-run")
    assert said.code == 2 and "root:x:0" not in said.line
    place.check()


def filled(plant: Callable[[Path], object]) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        for file in idx.SOURCES["mnist"].sha256:
            plant(folder / file)

    return fill


def zipped(folder: Path) -> None:
    bomb = gzip.compress(bytes(idx.LONGEST + 100), 9)
    for file in idx.SOURCES["mnist"].sha256:
        (folder / f"{file}.gz").write_bytes(bomb)


def absurd(path: Path) -> None:
    path.write_bytes(bytes((0, 0, 8, 3 if "idx3" in path.name else 1)) + b"\xff" * 12)


DATA: dict[str, Callable[[Path], None]] = {
    **{what: filled(plant) for what, plant in THINGS.items()},
    "absurd shapes": filled(absurd),
    "gzip bombs": zipped,
    "links outside": filled(link("../outside/precious")),
    "nothing": lambda folder: None,
}


@pytest.mark.parametrize("what", DATA)
def test_hostile_data(what: str, place: Place) -> None:
    folder = place.here / "theirs"
    folder.mkdir()
    DATA[what](folder)
    said = place.gsx("data", "fetch", "mnist", "--from", "theirs")
    assert said.code in (3, 6) and said.out == "", said
    assert said.err.splitlines()[-1].startswith("gsx: ") and "root:x:0" not in said.err
    assert sorted(os.listdir(place.here)) == ["theirs"]
    place.check()
