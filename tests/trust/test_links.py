"""Links below `outputs`: nothing is written through one, whatever the command; `outputs` itself may be one."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
from hydra._internal.core_plugins import basic_sweeper
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from gsx.records import IntegrityError
from gsx.store import RunDirectory
from tests.report import factory
from tests.store.factory import reseal
from tests.trust.conftest import RUN, Place

SWEEP = (*RUN, "-m", "seed=1,2")
TRAIN = ("train", "steps=2", "name=stranger", "-q")
REPRODUCE = ("reproduce", "arms_toy", "--quick", "-q")

#: The link, and a command that would write through it.
LINKED = {
    "multirun.yaml": [SWEEP, (*SWEEP, "--dry-run")],
    "stranger": [RUN, SWEEP, TRAIN, (*RUN, "hydra.run.dir=outputs/stranger/mine/deeper")],
    "report": [("report",), ("report", "--out", "outputs/report/mine"), ("report", "--out", "outputs/./report")],
    "arms_toy-quick": [REPRODUCE, (*REPRODUCE, "--dry-run")],
}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("name", "words"), [(name, words) for name in LINKED for words in LINKED[name]])
def test_nothing_is_written_through_a_link_below_outputs(name: str, words: tuple[str, ...], place: Place) -> None:
    factory.make(place.here / "outputs", folder="another")  # for the report
    (place.here / "outputs" / name).symlink_to(place.outside / "precious" if name == "multirun.yaml" else place.outside)
    said = place.gsx(*words)
    assert (said.code, said.out) == (6, "") and f"outputs/{name}: is a symbolic link" in said.line and "remove it" in said.line
    place.check()


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch) -> str:
    """A sweeper that is not Hydra's own, and so may choose its cells as it goes."""
    target = f"{basic_sweeper.__name__}.Mine"
    mine = type("Mine", (basic_sweeper.BasicSweeper,), {"__module__": basic_sweeper.__name__})
    monkeypatch.setattr(basic_sweeper, "Mine", mine, raising=False)
    monkeypatch.setitem(Plugins.instance().class_name_to_class, target, mine)
    node = {"_target_": target, "max_batch_size": None, "params": None}
    monkeypatch.setattr(ConfigStore.instance(), "repo", copy.deepcopy(ConfigStore.instance().repo))
    ConfigStore.instance().store(group="hydra/sweeper", name="mine", node=node)
    return "hydra/sweeper=mine"


def test_a_sweeper_that_searches_writes_through_no_link(searching: str, place: Place) -> None:
    """Nor does Hydra, whose files come first."""
    (place.here / "outputs").mkdir()
    assert place.gsx(*RUN, "-m", searching, "name=plain").code == 0
    (place.here / "outputs" / "stranger").symlink_to(place.outside)
    said = place.gsx(*SWEEP, searching)
    assert said.code == 6 and "outputs/stranger: is a symbolic link" in said.line
    for moved in (
        "hydra.sweep.subdir=stranger",
        "hydra.sweep.subdir=stranger/${hydra.job.num}",
        "++hydra.sweep={dir: outputs, subdir: stranger}",
    ):
        said = place.gsx(*SWEEP, searching, moved)
        assert said.code == 2 and said.line.startswith(f"gsx: {moved}: with a sweeper that searches folders are named by what is in them")
    place.check()


def test_in_a_folder_that_is_typed_no_file_is_a_link(place: Place) -> None:
    """The folder may be one."""
    (place.here / "true" / "stranger").mkdir(parents=True)
    (place.here / "typed").symlink_to(place.here / "true")
    (place.here / "true" / "stranger" / "multirun.yaml").symlink_to(place.outside / "precious")
    said = place.gsx(*SWEEP, "hydra.sweep.dir=typed/${name}")
    assert said.code == 6 and "typed/stranger/multirun.yaml: is a symbolic link" in said.line
    place.check()


def test_nothing_is_merged_through_a_link_below_outputs(place: Place) -> None:
    """A path that is typed is read through a link, and not written through it."""
    run = place.folder()
    shard = run / "shard-0-of-1"
    shard.mkdir()
    for file in ("result.json", "segments.npz"):
        (run / file).rename(shard / file)
    part = {"shard": "0/1", "biased_because": None, "rarest": None, "time_ratio_log_se": None}
    reseal(shard / "result.json", lambda body: body.update(part=part))
    away = (place.here / "outputs" / "stranger").rename(place.here / "away")
    (place.here / "outputs" / "stranger").symlink_to(away)
    before = sorted(os.listdir(away / run.name))
    said = place.gsx("merge", "outputs/stranger")
    assert said.code == 6 and "outputs/stranger: is a symbolic link" in said.line
    assert sorted(os.listdir(away / run.name)) == before


def test_why_a_run_failed_is_not_written_through_a_link(place: Place) -> None:
    """Which a sweeper that searches would do: its cells are not known before they run."""
    (place.here / "outputs").mkdir()
    (place.here / "outputs" / "another").symlink_to(place.outside)
    with pytest.raises(IntegrityError, match="outputs/another: is a symbolic link"):
        RunDirectory(Path("outputs", "another", "run")).write_error("a reason")
    place.check()


@pytest.mark.usefixtures("undrawn")
def test_outputs_itself_may_be_a_link(place: Place) -> None:
    """And a folder outside it that is typed, too."""
    scratch = place.here / "scratch"
    place.folder()
    (place.here / "outputs").rename(scratch)
    (place.here / "outputs").symlink_to(scratch)
    (place.here / "elsewhere").symlink_to(scratch)
    assert "complete already" in place.gsx(*RUN).err
    assert place.gsx("status").code == place.gsx("report").code == place.gsx("report", "--out", "elsewhere/mine").code == 0
    assert Path(scratch, "report", "report.md").exists() and Path(scratch, "mine", "report.md").exists()
