"""Folders of results from strangers: resumed in, reported on, begun from. Refused in one line, or a row; never run, never followed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gsx.records import Interval
from gsx.store import PlannedCell, PlannedStep, RunDirectory, StoredExperiment, write_experiment
from tests.report import factory
from tests.store.factory import reseal
from tests.trust.conftest import RUN, Place
from tests.trust.hostile import ARRAYS, CANARY, TEXTS, THINGS, fifo, link, write

Plant = Callable[[Place, Path], object]


def unfinished(plant: Callable[[Path], object], file: str = "segments.npz") -> Plant:
    """In the place of a checkpoint, from which a run would go on."""

    def change(place: Place, folder: Path) -> None:
        (folder / "result.json").unlink()
        plant(folder / file)

    return change


def elsewhere(place: Place, folder: Path) -> None:
    """The folder itself is a link to one outside."""
    shutil.rmtree(folder)
    folder.symlink_to(place.outside)


def hydra_elsewhere(place: Place, folder: Path) -> None:
    shutil.rmtree(folder / ".hydra", ignore_errors=True)
    (folder / ".hydra").symlink_to(place.outside)


def linked(file: str) -> Plant:
    def change(place: Place, folder: Path) -> None:
        (folder / file).parent.mkdir(exist_ok=True)
        link(place.outside / "precious")(folder / file)

    return change


PLANTS: dict[str, Plant] = {
    **{f"segments.npz: {name}": unfinished(write(content)) for name, content in ARRAYS.items()},
    **{f"result.json: {name}": (lambda place, folder, text=text: write(text)(folder / "result.json")) for name, text in TEXTS.items()},
    **{f"result.json: {name}": (lambda place, folder, plant=plant: plant(folder / "result.json")) for name, plant in THINGS.items()},
    **{f"segments.npz: {name}": unfinished(plant) for name, plant in THINGS.items()},
    "coordinates.csv: a pipe": lambda place, folder: fifo(folder / "coordinates.csv"),
    "coordinates.csv: another's": lambda place, folder: write("parameter\n=1+1\n")(folder / "coordinates.csv"),
    "the folder is a link": elsewhere,
    ".hydra is a link": hydra_elsewhere,
    **{f"{file} is a link": linked(file) for file in (".lock", ".holder", "coordinates.csv", "error.txt", ".hydra/config.yaml")},
}


@pytest.mark.parametrize("what", PLANTS)
def test_a_run_in_a_hostile_folder(what: str, place: Place) -> None:
    PLANTS[what](place, place.folder())
    said = place.gsx(*RUN)
    assert (said.code, said.out) == (6, ""), said
    assert "outputs/stranger" in said.line
    place.check()


SHOWN = {"verify": 6, "status": 1, "merge": 6}
LOOKED = [f"{file}: {name}" for file in ("result.json", "segments.npz") for name in THINGS]
LOOKED += ["segments.npz: a pickle in an npz", "segments.npz: members that overlap", "result.json: deep lists", "result.json: escapes"]


@pytest.mark.parametrize("what", LOOKED)
def test_looked_through(what: str, place: Place) -> None:
    """`gsx verify`, `gsx status` and `gsx merge`, the latter over a shard; below a folder whose name a terminal would obey."""
    home = place.folder().parent.rename(place.here / "outputs" / "\x1b]0;evil\x07")
    (run,) = (path.parent for path in home.glob("*/segments.npz"))
    shutil.copytree(run, run / "shard-0-of-1")
    PLANTS[what](place, run)
    PLANTS[what](place, run / "shard-0-of-1")
    for command, code in SHOWN.items():
        said = place.gsx(command)
        lines = (said.out + said.err).splitlines()
        unfinished_shard = command == "merge" and "link" not in what and not (run / "shard-0-of-1" / "result.json").exists()
        assert said.code == (1 if unfinished_shard else code) and lines, (command, said)
        assert all(line.isprintable() and "root:x:0" not in line and len(line) < 2000 for line in lines), (command, lines)
    place.check()


def test_a_shard_is_no_link(place: Place) -> None:
    folder = place.folder()
    for name in ("result.json", "segments.npz"):
        (folder / name).rename(folder / f"was-{name}")
    (folder / "shard-0-of-1").symlink_to(place.outside)
    for command in SHOWN:
        place.gsx(command)
        place.check()


@pytest.mark.usefixtures("undrawn")
def test_what_a_stored_result_says_of_plugins_is_not_imported(place: Place) -> None:
    """And what it says for a terminal does not reach it. The control: the module does leave a canary when it is asked for."""
    (place.here / "evil_plugin.py").write_text(f"from pathlib import Path\nPath('{CANARY}').touch()\n")

    def forge(body: dict[str, object]) -> None:
        body["config"]["plugins"] = ["evil_plugin"]  # type: ignore[index]
        body["verdict"]["reason"] = "\x1b]0;evil\x07"  # type: ignore[index]

    reseal(place.folder() / "result.json", forge)
    said = place.gsx(*RUN)
    assert said.code == 0 and "?]0;evil?" in said.out and "\x1b" not in said.out + said.err
    assert place.gsx("report").code == 0
    place.check()
    assert place.gsx(*RUN, "plugins=[evil_plugin]", "force=true").code == 0
    with pytest.raises(AssertionError):
        place.check()


@pytest.mark.parametrize("what", [*ARRAYS, *THINGS])
def test_a_hostile_checkpoint(what: str, place: Place) -> None:
    """`model.checkpoint=`; a link is the user's own there."""
    path = place.here / "parameters.npz"
    write(ARRAYS[what])(path) if what in ARRAYS else THINGS[what](path)
    said = place.gsx("run", f"model.checkpoint={path}", "--dry-run")
    assert (
        (said.code in (2, 6) and said.out == "" and "parameters.npz" in said.line) or "/dev/zero" in said.line or "/etc/passwd" in said.line
    )
    assert "root:x:0" not in said.err
    place.check()


def test_a_report_of_hostile_folders_tells_every_one(place: Place) -> None:
    """Names with markup, formulas and escapes; files that are something else; each a row, the page still a page."""
    names = ["<script>alert(1)", "=HYPERLINK(1)", "\x1b]0;evil\x07", "a|b`c", "$x$\\input{y}", "@SUM(1)", "+1", "-1+1"]
    for i, name in enumerate(names):
        numbers = {"bias_sq": Interval(-0.25, 0.1, (-1.0, 1.0))}
        factory.make(place.here / "outputs", name, folder=name, seed=i, summary=numbers)
    for i, (name, plant) in enumerate(THINGS.items()):
        plant(factory.make(place.here / "outputs", "rloo", folder=f"thing{i} {name.replace('/', ' ')}", seed=100 + i) / "result.json")
    (place.here / "outputs" / "default" / "linked").symlink_to(place.outside)
    said = place.gsx("report", "--html")
    assert said.code == 0 and "\x1b" not in said.out + said.err
    report = place.here / "outputs" / "report"
    assert f"{len(THINGS) + 1} unreadable" in said.out  # a link is one, and nothing behind it is read
    for path in [*report.glob("*.*"), *report.glob("tables/*"), *report.glob("figures/*.svg"), *report.glob("figures/*.csv")]:
        text = path.read_text(encoding="utf-8")
        assert "\x1b" not in text and "root:x:0" not in text, path
        assert path.suffix not in (".html", ".md") or "<script>alert" not in text.rpartition("## Commands")[0], path
        assert path.suffix != ".tex" or "\\input{y}" not in text
    table = (report / "tables" / "summary.csv").read_text()
    assert "'=HYPERLINK" in table and "'@SUM" in table and "'-1+1" in table and "'+1" in table
    assert ",-0.25," in table, "a negative number is a number"
    assert all(path.resolve().is_relative_to(report) for path in report.rglob("*"))
    place.check()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["tables", "figures"])
def test_a_report_is_written_into_its_folder(name: str, place: Place) -> None:
    factory.make(place.here / "outputs")
    (place.here / "outputs" / "report").mkdir()
    (place.here / "outputs" / "report" / name).symlink_to(place.outside)
    said = place.gsx("report", "--html")
    assert said.code == 6 and name in said.line
    place.check()


@pytest.mark.usefixtures("undrawn")
def test_links_in_the_place_of_a_reports_files_are_replaced(place: Place) -> None:
    factory.make(place.here / "outputs")
    report = place.here / "outputs" / "report"
    (report / "tables").mkdir(parents=True)
    for path in (report / "report.md", report / "report.html", report / "tables" / "summary.csv"):
        path.symlink_to(place.outside / "precious")
    assert place.gsx("report", "--html").code == 0
    place.check()
    assert not (report / "report.md").is_symlink()


@pytest.mark.usefixtures("undrawn")
def test_interpolations_in_a_result_stay_text(place: Place) -> None:
    factory.make(place.here / "outputs", "rloo", settings={"note": "${oc.env:GSX_SECRET}"}, facts={})
    factory.make(place.here / "outputs", "rloo", settings={"note": "other"})
    assert place.gsx("report", "--html").code == 0
    report = place.here / "outputs" / "report"
    assert "oc.env:GSX" in (report / "report.md").read_text()
    assert "hunter2" not in "".join(path.read_text(errors="replace") for path in report.rglob("*.*"))


@pytest.mark.usefixtures("undrawn")
def test_a_plan_cannot_point_out_of_its_folder(place: Place) -> None:
    folder = place.here / "outputs" / "toy"
    folder.mkdir(parents=True)
    for where in ("..", "", "../outside", "/etc", "a/b"):
        cells = [PlannedCell(where, "f" * 64, {})]
        write_experiment(folder, StoredExperiment("toy", "full", {"title": "t"}, {"one": PlannedStep(["gsx", "run"], cells)}))
        factory.make(place.here / "outputs")
        said = place.gsx("report")
        assert said.code == 0 and "no plain name" in said.out + (place.here / "outputs/report/report.md").read_text(), where


def test_result_files_are_what_they_were(place: Place) -> None:
    """The control of all of the above: untouched, the same folder is read, and nothing is measured again."""
    before = (place.folder() / "result.json").read_text()
    said = place.gsx(*RUN)
    assert said.code == 0 and "complete already" in said.err and (place.folder() / "result.json").read_text() == before
    assert json.loads(before)["status"] == "complete" and RunDirectory(place.folder()).read_result() is not None
    place.check()


def test_settings_of_matplotlib_that_lie_in_the_current_folder_are_not_read(place: Place) -> None:
    """It reads them as it is imported: a pipe there would be waited for, for ever. The current folder stays what it was."""
    fifo(place.here / "matplotlibrc")
    code = "import os; before = os.getcwd(); import gsx.report; assert os.getcwd() == before"
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)


@pytest.mark.usefixtures("undrawn")
def test_folders_without_end_hide_no_good_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """More levels than results have, and a path longer than the system takes: a line for each."""
    place.folder()
    for top, levels in (("o" * 200, 30), ("d", 40), ("train-d", 40)):
        monkeypatch.chdir(place.here / "outputs")
        for _ in range(levels):
            os.mkdir(top)
            os.chdir(top)
    monkeypatch.chdir(place.here)
    # A report cuts what is said of a run, and a long name fills it.
    report = (0, "1 complete, 2 unreadable; 1 training: 1 unreadable", 2)
    shown = {"status": (1, "1 done, 3 damaged", 3), "verify": (6, "3 damaged", 3), "merge": (6, "", 3), "report": report}
    for command, (code, counts, told) in shown.items():
        said = place.gsx(command)
        text = said.out + said.err
        assert said.code == code and counts in text and text.count("lies too deep") == told, (command, said)
