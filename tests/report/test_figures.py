"""What figures are drawn with and from: looks, names at ends, styles, ticks, families, crossings; and the same bytes."""

import itertools
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from gsx.records import Interval, Layout
from gsx.report import alignment, axis, canvas, curves, frontier, integrands, optimum, parameters, report, styles, sweeps, training
from gsx.report.collect import collect
from gsx.report.families import families
from gsx.report.looks import FAMILY, LOOKS, Look, look
from gsx.report.trainings import collect as collect_trainings
from gsx.store import RunDirectory
from tests.report import factory, trainings

# ---------------------------------------------------------------------------------------------------------------------- looks


def alike(looks: dict[str, Look]) -> list[tuple[str, str]]:
    """Pairs that nobody could tell apart: in the whole table by marker and colour, in a family by colour alone."""
    pairs = itertools.combinations(looks, 2)
    return [
        (a, b)
        for a, b in pairs
        if looks[a].colour == looks[b].colour and (looks[a].marker == looks[b].marker or FAMILY.get(a) == FAMILY.get(b))
    ]


def test_looks_are_told_apart() -> None:
    assert alike(LOOKS) == []
    assert len({(look.colour, look.marker, look.line) for look in LOOKS.values()}) == len(LOOKS)
    assert alike(LOOKS | {"rloo": LOOKS["reinforce"]}) == [("reinforce", "rloo")]  # the check sees a planted pair


def test_every_estimator_has_a_look_in_its_family() -> None:
    declared = {}
    for path in (Path(__file__).parents[2] / "gsx" / "estimators").glob("*.py"):
        found = re.search(r'^    family = "(.+)"', path.read_text(), re.MULTILINE)
        if found:
            declared[path.stem] = found[1]
    assert declared == FAMILY


def test_looks_do_not_move() -> None:
    """A reader who knows them from one figure knows them in all; whoever changes one changes it here too."""
    assert (LOOKS["reinforce"], LOOKS["concrete"]) == (Look("#D55E00", "s", "--"), Look("#009E73", "^", "-"))
    assert (LOOKS["rloo"], LOOKS["arms"], LOOKS["reparameterization"]) == (
        Look("#56B4E9", "o", "-"),
        Look("#9A9400", "*", "-"),
        Look("#0072B2", "o", "-"),
    )
    own = look("somebody's own")
    assert own == look("somebody's own") and own.marker not in {one.marker for one in LOOKS.values()}
    assert len({look("concrete", rank) for rank in range(curves.MOST_OF_ONE)}) == curves.MOST_OF_ONE


# ------------------------------------------------------------------------------------------------------------- names and ticks


def test_sample_sizes_are_their_own_ticks() -> None:
    """Not 2.2 and 2.4, which nobody measured."""
    assert axis.measured_ticks([2, 4, 6, 8, 10]) == [2, 4, 6, 8, 10]
    assert axis.measured_ticks([0.5, 0.889, 1.58, 2.81, 5.0]) is None  # a reader wants 1, 2 and 5
    assert axis.measured_ticks([0.4, 0.5, 0.7, 1.0, 1.1, 1.2, 1.5, 3.0, 5.0]) is None  # every second one would be 0.4, 0.7, 1.1, 1.5, 5
    assert axis.measured_ticks([-2.0, -1.0, 0.0, 1.0, 2.0], log=False) == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert axis.measured_ticks([float(2**i) for i in range(9)]) == [1, 4, 16, 64, 256]
    assert axis.measured_ticks([1.0, 1.1]) is not None and axis.measured_ticks([1.0]) is None


# ------------------------------------------------------------------------------------------------------------------ the figures


def groups_of(root: Path):
    return collect([root])[0]


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Variance against p at two N, with an exact zero."""
    root = tmp_path_factory.mktemp("toys")
    zero = Interval(0.0, 0.0, (0.0, 0.0))
    one = Layout(("logits",), ((1,),))
    for logit, samples, estimator in itertools.product((-1.0, 0.0, 1.0), (2, 4), ("rloo", "disarm")):
        still = {"variance": zero, "mse": zero} if (estimator, logit) == ("disarm", 0.0) else {}
        variance = 1e-5 * (1 + abs(logit)) / samples
        settings = {"logits": [logit]}
        factory.make(root, estimator, samples=samples, variance=variance, model_settings=settings, layout=one, summary=still)
    return root


def test_a_list_of_one_logit_is_a_probability(toys: Path) -> None:
    (family,) = families(groups_of(toys))
    assert family.axis == "p"
    assert sorted({x for x, _ in family.cells}) == pytest.approx([1 / (1 + math.e), 0.5, math.e / (1 + math.e)])


def test_zero_variance_stands_on_the_axis_and_the_curve_has_a_gap(toys: Path) -> None:
    (plot,) = sweeps.over_settings(groups_of(toys))
    zero = plot.frame[(plot.frame["estimator"] == "disarm") & (plot.frame["x"] == 0.5)]
    assert list(zero["kind"]) == ["zero"] * 2 and "zero" in plot.caption
    with styles.use("page"):
        figure = plot.draw(plot.frame)
    panel = figure.axes[0]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["N = 2", "N = 4"]
    on_axis = [line for line in panel.get_lines() if list(line.get_ydata()) == [0] and line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in on_axis] == [[0.5]]
    curve = next(line for line in panel.get_lines() if line.get_color() == look("disarm").colour and len(line.get_xdata()) == 3)
    assert [math.isnan(y) for y in curve.get_ydata()] == [False, True, False]


@pytest.fixture(scope="module")
def gaussians(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parameters, with variances k^2 and 1 / k that cross at 1, and draws at every k."""
    root = tmp_path_factory.mktemp("gaussians")
    two = Layout(("loc", "log_scale"), ((1,), (1,)))
    for k, (estimator, power) in itertools.product((0.25, 0.5, 2.0, 4.0), (("reparameterization", 2.0), ("reinforce", -1.0))):
        path = factory.make(root, estimator, model="gaussian_toy", model_settings={"cost": "cos", "k": k}, variance=k**power, layout=two)
        x = [0.1 * i for i in range(-20, 20)]
        columns = {
            "replicate": range(40),
            "z[0]": x,
            "cost": [math.cos(k * v) for v in x],
            "gradient.loc[0]": [-k * math.sin(k * v) for v in x],
        }
        run = RunDirectory(path)
        result = run.read_result()
        assert result is not None
        run.write_result(result, {name: pd.Series(values).to_numpy() for name, values in columns.items()})
    return root


def test_the_crossing_is_where_the_curves_cross(gaussians: Path) -> None:
    (plot,) = parameters.plots(groups_of(gaussians))
    crossed = plot.frame[plot.frame["kind"] == "crossing"]
    assert list(crossed["parameter"]) == ["loc", "log_scale"]
    assert list(crossed["x"]) == pytest.approx([1.0, 1.0]) and list(crossed["value"]) == pytest.approx([1.0, 1.0])
    assert set(crossed["series"]) == {"reparameterization / reinforce"} and "k = 1.000 ± 0.007, between 0.5 and 2 (μ)" in plot.caption
    # The variances are k^2 and 1 / k, whose log ratio 3 log k is -3 log 2 and 3 log 2 around it; each has the interval exp(+-.02).
    each = math.hypot(0.02, 0.02)
    half = math.hypot(0.5 * each, 0.5 * each) / 3
    assert list(crossed["x_high"].astype(float)) == pytest.approx([math.exp(half)] * 2)
    assert list(crossed["x_low"].astype(float)) == pytest.approx([math.exp(-half)] * 2)


def test_curves_within_error_do_not_cross() -> None:
    def rows(name: str, values: list[float], relative: float) -> list[dict]:
        return [{"series": name, "x": float(i), "value": v, "ci_low": v / (1 + relative), "ci_high": v * (1 + relative), "kind": "point"}
                for i, v in enumerate(values)]  # fmt: skip

    for relative, expected in ((0.01, 2), (0.2, 0)):  # with small errors both changes are seen, with large ones they are noise
        frame = pd.DataFrame(rows("a", [1.0, 1.1, 1.0], relative) + rows("b", [1.1, 1.0, 1.1], relative))
        assert len(parameters.crossings(frame)) == expected


def test_draws_are_drawn_as_they_were_kept(gaussians: Path) -> None:
    (plot,) = integrands.plots(groups_of(gaussians))
    cloud = plot.frame[(plot.frame["part"] == "draw") & (plot.frame["setting"] == 4.0) & (plot.frame["estimator"] == "reinforce")]
    assert list(cloud["gradient"].astype(float)) == [-4 * math.sin(4 * x) for x in cloud["draw"]]
    assert sorted(set(plot.frame["setting"].dropna())) == [0.25, 4.0]  # the smoothest and the wildest


def test_pages_hold_every_series_once_and_relatives_together(tmp_path: Path) -> None:
    names = ["reinforce", "zgr", "rloo", "concrete", "darn", "arm", "disarm", "rebar", "relax", "arms", "igr", "reinmax", "st_gumbel"]
    for name, samples in itertools.product(names, (2, 4)):
        factory.make(tmp_path, name, samples=samples, with_segments=False, with_coordinates=False)
    plots = list(sweeps.over_samples(groups_of(tmp_path)[0]))
    drawn = [list(dict.fromkeys(plot.frame["estimator"])) for plot in plots]
    assert sorted(itertools.chain(*drawn)) == sorted(names) and [len(page) for page in drawn] == [7, 6]
    assert {"zgr", "darn", "reinmax", "st_gumbel"} <= set(drawn[1])
    assert "(2 of 2)" in plots[1].caption and plots[0].name != plots[1].name


def test_a_tuned_run_carries_a_dagger(tmp_path: Path) -> None:
    for samples in (1, 2):
        factory.make(tmp_path, "rebar", samples=samples, tuning={"steps": 10})
        factory.make(tmp_path, "reinforce", samples=samples)
    (plot,) = sweeps.over_samples(groups_of(tmp_path)[0])
    with styles.use("page"):
        figure = plot.draw(plot.frame)
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told[:2] == ["reinforce", "rebar †"] and "95 % interval" in told and told[-1] == "† tuned first"


def test_the_best_temperature_of_each_sample_size(tmp_path: Path) -> None:
    for tau, samples in itertools.product((0.1, 0.5, 2.0), (1, 64)):
        factory.make(tmp_path, "concrete", settings={"temperature": tau}, samples=samples, variance=0.01 / tau / samples, bias=0.03 * tau)
    first, second = frontier.plots(groups_of(tmp_path)[0])
    assert set(first.frame["num_samples"]) == {1}  # the frontier is that of one N
    best = optimum.least(second.frame).set_index("num_samples")["x"]
    assert best[1] > best[64]
    assert f"N=1 at τ = {best[1]:g}" in second.caption


def test_direction_is_one_minus_the_cosine(tmp_path: Path) -> None:
    for estimator, cosine in (("reinforce", 0.7), ("local_expectation", 1.0)):
        factory.make(tmp_path, estimator, summary={"cosine_single": Interval(cosine, 0.01, (cosine - 0.02, min(1.0, cosine + 0.02)))})
    (plot,) = alignment.plots(groups_of(tmp_path))
    values = plot.frame.set_index("estimator")
    assert values.loc["reinforce", ["value", "ci_low", "ci_high"]].tolist() == pytest.approx([0.3, 0.28, 0.32])
    assert values.loc["local_expectation", "value"] == 0


# ------------------------------------------------------------------------------------------------------------ styles and bytes


def test_same_data_same_bytes_in_every_format(gaussians: Path, tmp_path: Path) -> None:
    """Of the kinds that the test of a whole report does not draw."""
    written = []
    for name in ("a", "b"):
        trainings.vae(tmp_path / name, "arms", -102, {"rloo": 3.0, "arms": 1.0})
        courses = collect_trainings([tmp_path / name])[0]
        plots = [*integrands.plots(groups_of(gaussians)), list(training.plots(courses[0]))[1]]
        written.append([path for plot in plots for path in canvas.save(plot, tmp_path / name)])
    assert len(written[0]) == 2 * 5
    for one, other in zip(*written, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.parametrize("style", sorted(styles.STYLES))
def test_a_style_has_its_width_and_legible_letters(style: str, toys: Path, gaussians: Path) -> None:
    letters, room = styles.STYLES[style].font, 0.02 * styles.STYLES[style].font / 8
    for plot in (*sweeps.over_settings(groups_of(toys)), *integrands.plots(groups_of(gaussians))):
        with styles.use(style):
            figure = plot.draw(plot.frame)
            figure.draw_without_rendering()
        assert figure.get_figwidth() == styles.STYLES[style].width
        texts = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, *axes.get_xticklabels(), *axes.texts)]
        assert min(text.get_fontsize() for text in texts) >= 0.83 * letters
        box = figure.get_tightbbox()  # nothing is cut off
        assert box.x0 >= -room and box.x1 <= figure.get_figwidth() + room, plot.name
        assert box.y0 >= -room and box.y1 <= figure.get_figheight() + room, plot.name


def test_a_report_on_trainings_alone(tmp_path: Path) -> None:
    trainings.polynomial(tmp_path / "o", "exact", 0.1)
    report([tmp_path / "o"], tmp_path / "r", style="column")
    assert "figures/training-polynomial.png" in (tmp_path / "r/report.md").read_text()
