"""The report as a whole, on made-up results: nothing dropped, nothing changed on the way, the same bytes again."""

import csv
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gsx.records import ConfigurationError, Interval, Layout
from gsx.report import Report, bias, build, comparison, notes, report
from gsx.report.collect import collect
from gsx.store import RunDirectory, find_runs, write_sweep
from tests.report import factory

HOSTILE = "<script>_%&$#|`=cmd"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Report]:
    folder = tmp_path_factory.mktemp("study")
    factory.bench(folder / "outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "MOST_FIGURES", 5)  # of each kind but those that other tests draw
        return folder / "outputs", folder / "report", report([folder / "outputs"], folder / "report")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of tables only: drawing is what takes the time."""
    monkeypatch.setattr(build, "MOST_FIGURES", 0)


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_run_is_a_row_with_its_stored_numbers(study) -> None:
    root, out, made = study
    rows = {row["run"]: row for row in read(out / "tables/summary.csv")}
    directories = list(find_runs([root]))
    assert len(rows) == len(directories) == sum(made.counts.values())
    assert made.counts == {"complete": len(directories) - 3, "partial": 1, "failed": 1, "unreadable": 1, "missing": 0}
    for directory in directories:
        row = rows["/".join(directory.path.parts[-2:])]
        if row["state"] in ("failed", "unreadable"):
            continue
        result = directory.read_result()
        assert result is not None
        assert (row["model"].split()[0], row["estimator"], row["num_samples"]) == (result.model, result.estimator, str(result.num_samples))
        for name, interval in result.summary.items():
            stored = ["", "", "", ""]
            if interval is not None:
                assert interval.ci is not None
                stored = [repr(number) for number in (interval.value, interval.se, *interval.ci)]
            assert [row[name], row[f"{name}_se"], row[f"{name}_ci_low"], row[f"{name}_ci_high"]] == stored


def test_runs_that_went_wrong_are_named_with_the_reason(study) -> None:
    _, out, made = study
    page = (out / "report.md").read_text()
    for text in (made.table, page):
        assert re.search(r"default/relax-0+.*failed.*nonfinite temperature", text)
        assert re.search(r"default/rebar-broken.*unreadable", text)
        assert "partial" in text
    assert "Traceback" not in made.table
    caption = (out / "figures/variance-bernoulli_toy.txt").read_text()
    assert "nvil" in caption and "partial" in caption


def test_the_markdown_table_reads_back(study) -> None:
    made = study[2]
    lines = [line for line in made.table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heading = cells[0]
    assert {len(row) for row in cells} == {len(heading)}
    row = dict(zip(heading, next(row for row in cells if row[1] == "straight_through N=1"), strict=True))
    assert row["variance"] == "1.000(10)e-3" and row["verdict"] == "biased" and row["cosine"] == "–"
    assert "95 %" in made.table and "jackknife" in made.table and "trace of the covariance" in made.table


def test_the_latex_table_is_balanced(study) -> None:
    text = (study[1] / "tables/summary.tex").read_text()
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", line)) for line in body}) == 1
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert r"concrete $\tau$=0.5, N=1" in text and r"\num{8.00(8)e-3}" in text


def test_relative_variance(study) -> None:
    rows = {row["run"].split("-")[0] + row["label"]: row for row in read(study[1] / "tables/relative_variance.csv")}
    row = rows["default/concreteconcrete τ=0.5, N=1"]
    assert row["baseline"] == "reinforce N=1" and row["errors"] == "paired"
    assert float(row["relative_variance"]) == pytest.approx(0.008 / 0.2, rel=0.05)
    assert float(row["relative_variance_ci_low"]) < float(row["relative_variance"]) < float(row["relative_variance_ci_high"])
    assert rows["default/rloorloo N=16"]["baseline"] == "reinforce N=16"
    assert not any(row["label"].startswith("reinforce N=1") and row["baseline"] == row["label"] for row in rows.values())


def test_independent_where_the_seeds_differ(tmp_path: Path, undrawn: None) -> None:
    factory.make(tmp_path, "reinforce", seed=1)
    factory.make(tmp_path, "rloo")
    gone = factory.make(tmp_path, "arm", with_segments=False)
    report([tmp_path], tmp_path / "report")
    errors = {row["label"]: (row["errors"], row["notes"]) for row in read(tmp_path / "report/tables/relative_variance.csv")}
    assert errors["rloo"] == ("independent", "")
    assert errors["arm"] == ("", "no moments"), gone


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("name", ["result.json", "coordinates.csv", "segments.npz"])
@pytest.mark.parametrize("damage", [torn, emptied, Path.unlink])
def test_what_is_damaged_is_not_used(damage: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    path = factory.make(tmp_path, "arm") / name
    assert [len(group.complete) for group in collect([tmp_path])[0]] == [1]
    damage(path)
    groups, (cell,), _ = collect([tmp_path])
    assert groups == [] and cell.state == ("partial" if (damage, name) == (Path.unlink, "result.json") else "unreadable")
    assert cell.state == "partial" or (cell.reason is not None and cell.reason.startswith(f"{name}: ") and "anew" in cell.reason)


def test_the_csv_beside_a_figure_holds_what_was_stored(study) -> None:
    root, out, _ = study
    results = {"/".join(d.path.parts[-2:]): d.read_result() for d in find_runs([root]) if d.path.name != "rebar-broken"}
    for name in ("frontier-bernoulli_toy", "samples-bernoulli_toy", "sweep-k-gaussian_toy", "variance-bernoulli_toy"):
        rows = read(out / f"figures/{name}.csv")
        assert rows
        for row in rows:
            interval = results[row["run"]].summary[row["statistic"]]
            assert [row["value"], row["se"], row["ci_low"], row["ci_high"]] == [
                repr(x) for x in (interval.value, interval.se, *interval.ci)
            ]
            below = interval.value <= 0 or interval.ci[0] <= 0
            assert row["kind"] == ("zero" if interval.ci == (0, 0) else "upper limit" if below else "point")
    taus = {row["x"] for row in read(out / "figures/frontier-bernoulli_toy.csv") if row["series"] == "concrete N=1"}
    assert taus == {"0.1", "0.2", "0.5", "1.0", "2.0"}
    stars = (out / "figures/frontier-bernoulli_toy.txt").read_text()
    assert "concrete N=1 at τ = 1 (0.5 to 2);" in stars and "st_gumbel N=1 at τ = 2 (above 1)." in stars


def test_every_figure_has_its_files_and_its_caption(study) -> None:
    _, out, made = study
    names = {path.stem for path in (out / "figures").iterdir()}
    assert {path for path in out.rglob("*") if path.is_file()} == set(made.files)
    page = (out / "report.md").read_text()
    for name in names:
        assert re.fullmatch(r"[a-z0-9_-]+", name)
        assert f"figures/{name}.png" in page
        caption = (out / f"figures/{name}.txt").read_text()
        assert "95 %" in caption and "N = " in caption and "R = " in caption and "seed 0" in caption
    assert str(out.parent) not in "".join(path.read_text() for path in made.files if path.suffix in (".md", ".csv", ".txt", ".tex"))
    assert "gsx run estimator=concrete" in page and "/opt/venv" not in page


def test_same_results_same_bytes_wherever_they_lie(tmp_path: Path) -> None:
    def write(root: Path, order: int) -> Report:
        runs = [{"settings": {"temperature": tau}, "variance": 0.01 / tau, "bias": 0.03 * tau} for tau in (0.1, 1.0)]
        for run in runs[::order]:
            factory.make(root / "outputs", "concrete", **run)
        factory.make(root / "outputs", "reinforce")
        return report([root / "outputs"], root / "report")

    first, second = write(tmp_path / "a", 1), write(tmp_path / "elsewhere", -1)
    assert [path.relative_to(tmp_path / "a") for path in first.files] == [path.relative_to(tmp_path / "elsewhere") for path in second.files]
    for one, other in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    bias = read(first.files[0].parent / "bias-z-bernoulli_toy.csv")
    table = RunDirectory(tmp_path / "a/outputs" / bias[-1]["run"]).read_coordinates()
    assert table is not None
    assert [float(row["z"]) for row in bias if row["run"] == bias[-1]["run"]] == table.columns["z"]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    names = Layout((HOSTILE,), ((3,),))
    factory.make(tmp_path / "o", HOSTILE, settings={"note": HOSTILE}, model_settings={"note": HOSTILE}, layout=names, folder="x")
    factory.make(tmp_path / "o", HOSTILE, settings={"note": "$x^{$"}, model_settings={"note": HOSTILE}, layout=names, folder="y")
    factory.make(
        tmp_path / "o",
        "=cmd|'/C calc'!A0",
        model=HOSTILE,
        model_settings={"k": "_"},
        provenance={"command": "gsx run ```\n# x"},
        folder="z",
    )
    made = report([tmp_path / "o"], tmp_path / "r")
    page = (tmp_path / "r/report.md").read_text()
    assert "<script" not in made.table + page.partition("````")[0]  # in the code block at the end it is text as it stands
    assert not any(cell.startswith(("=", "+", "@")) for row in read(tmp_path / "r/tables/summary.csv") for cell in row.values())
    assert page.count("````") == 2
    tex = (tmp_path / "r/tables/summary.tex").read_text()
    assert not re.search(r"(?<!\\)[#_]", tex.replace(r"\usepackage", ""))


def test_numbers_that_are_none_make_a_run_unreadable_not_a_crash(tmp_path: Path, undrawn: None) -> None:
    factory.make(tmp_path, "arm", summary={"variance": None, "mse": None})
    factory.make(tmp_path, "disarm", provenance={"command": 7}, tuning={"steps": "many"})
    factory.make(tmp_path, "rloo", verdict="splendid")
    made = report([tmp_path], tmp_path / "report")
    assert made.counts == {"complete": 2, "partial": 0, "failed": 0, "unreadable": 1, "missing": 0}
    assert "splendid" in made.table


def test_one_run_has_a_figure_of_its_own(tmp_path: Path) -> None:
    path = factory.make(tmp_path / "o", "concrete", settings={"temperature": 0.5}, bias=0.004)
    made = report([path], tmp_path / "r")
    assert {file.stem for file in made.files if file.suffix == ".png"} == {
        "run-concrete-bernoulli_toy",
        "variance-bernoulli_toy",
        "bias-z-bernoulli_toy",
    }
    rows = read(tmp_path / "r/figures/run-concrete-bernoulli_toy.csv")
    table = RunDirectory(path).read_coordinates()
    assert table is not None and [float(row["mean"]) for row in rows] == table.columns["mean"]


def test_results_that_cannot_be_drawn_are_still_reported(tmp_path: Path) -> None:
    """No coordinates, null statistics, zero variance, a NaN: tables and figures come out, with the absence said."""
    factory.make(tmp_path / "o", "arm", with_coordinates=False, summary={"variance": None, "bias_sq": None, "mse": None})
    factory.make(tmp_path / "o", "rloo", summary={"bias_sq": Interval(1e-5, None, None), "variance": Interval(2.0, None, None)})
    zero = Interval(0.0, 0.0, (0.0, 0.0))
    factory.make(tmp_path / "o", "exact", variance=0.0, verdict="deterministic", summary={"variance": zero, "bias_sq": zero, "mse": zero})
    report([tmp_path / "o"], tmp_path / "r")
    assert "coordinates.csv missing or unreadable: arm" in (tmp_path / "r/figures/bias-z-bernoulli_toy.txt").read_text()
    kinds = {row["label"]: row["kind"] for row in read(tmp_path / "r/figures/variance-bernoulli_toy.csv")}
    assert kinds == {"arm": "absent", "rloo": "point", "exact": "zero"}


def test_the_same_result_found_twice_is_one_row(tmp_path: Path, undrawn: None) -> None:
    for name in ("first", "second"):
        path = factory.make(tmp_path / name, "reinforce", folder=name)
    made = report([tmp_path, tmp_path / "first", path], tmp_path / "report")
    assert made.counts["complete"] == 1
    assert "1 copy of results not counted again: default/second." in (tmp_path / "report/report.md").read_text()
    many = [f"n{i}" for i in range(9)]
    assert notes.counted_once(many) == "9 copies of results not counted again: n0, n1, n2 and 6 more."


def test_too_many_figures_are_said_to_be_left_out(tmp_path: Path, undrawn: None) -> None:
    factory.make(tmp_path, "reinforce")
    report([tmp_path], tmp_path / "report")
    assert "Not drawn" in (tmp_path / "report/report.md").read_text()
    assert "variance-bernoulli_toy" in (tmp_path / "report/report.md").read_text()


def test_what_is_declared_biased_is_never_called_unbiased(tmp_path: Path, undrawn: None) -> None:
    """Of a relaxation at a small temperature no bias is found, and that is all that is said; not so where nothing is declared."""
    facts = {"needs_cost_gradient": True, "unbiased": False, "distributions": ["Bernoulli"]}
    factory.make(tmp_path, "concrete", facts=facts)
    factory.make(tmp_path, "rloo", facts=facts | {"unbiased": True})
    factory.make(tmp_path, "arm")
    table = report([tmp_path], tmp_path / "report", html=True).table
    verdict = {row.split("|")[2].strip(): row.split("|")[5].strip() for row in table.splitlines() if row.startswith("| bernoulli")}
    assert verdict == {"concrete": "no bias found", "rloo": "unbiased", "arm": "unbiased"}
    assert "no bias found: declared biased, by less here" in table
    (group,) = collect([tmp_path])[0]
    for plot in (*comparison.plots(group), *bias.plots(group)):
        said = plot.frame.set_index("estimator")["verdict"].to_dict()
        assert said == {"concrete": "no bias found", "rloo": "unbiased", "arm": "unbiased"}
        assert "No bias found: declared biased, by less here" in plot.caption
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count('data-verdict="no bias found"') == 1 and page.count('data-verdict="unbiased"') == 2


def test_nothing_to_report_on(tmp_path: Path) -> None:
    for paths in ([tmp_path], [tmp_path / "absent"]):
        with pytest.raises(ConfigurationError, match="gsx run") as caught:
            report(paths, tmp_path / "report")
        assert str(paths[0]) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "report").exists()


def test_a_report_needs_no_torch() -> None:
    code = "import sys, gsx.report; assert 'torch' not in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_was_planned_and_is_gone_is_missing(tmp_path: Path, undrawn: None) -> None:
    """The cells of a sweep are rows of its report, whatever became of their folders."""
    folder = factory.make(tmp_path / "outputs", "rloo")
    identity = "ab" * 32
    write_sweep([(folder.parent / f"bernoulli_toy-disarm-{identity[:12]}", identity)], "gsx run -m")
    made = report([tmp_path / "outputs"], tmp_path / "report")
    assert (made.counts["complete"], made.counts["missing"]) == (1, 1) and f"bernoulli_toy-disarm-{identity[:12]}" in made.table
    assert "2 runs: 1 complete, 1 missing" in (tmp_path / "report" / "report.md").read_text()
    (folder.parent / f"bernoulli_toy-disarm-{identity[:12]}").mkdir()
    (folder.parent / f"bernoulli_toy-disarm-{identity[:12]}" / "error.txt").write_text("it broke")
    assert report([tmp_path / "outputs"], tmp_path / "report").counts == made.counts | {"missing": 0, "failed": 1}
