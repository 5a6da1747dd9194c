"""What figures are drawn with and from: looks, names at ends, styles, ticks, families, crossings; and the same bytes."""

import dataclasses
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from gsx.records import Interval, Layout, Parameters
from gsx.report import (
    alignment,
    axis,
    bias,
    build,
    by_samples,
    canvas,
    comparison,
    curve_caption,
    curves,
    frontier,
    integrands,
    legend,
    optimum,
    parameters,
    remarks,
    report,
    stages,
    styles,
    sweeps,
    training,
)
from gsx.report.collect import collect
from gsx.report.crossing import between
from gsx.report.families import families
from gsx.report.looks import FAMILY, LOOKS, Look, look
from gsx.report.spared import Spared
from gsx.report.trained import Ends
from gsx.report.trained import collect as trained
from gsx.report.trainings import collect as collect_trainings
from gsx.store import TrainingDirectory
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


def test_black_is_the_exact_gradients_own() -> None:
    assert [name for name, look in LOOKS.items() if look.colour == "#000000"] == ["exact"]


def test_estimators_drawn_together_differ_in_colour() -> None:
    """In every shipped experiment; of more estimators than there are colours, in colour and marker or colour and line."""
    folder = Path(__file__).parents[2] / "conf" / "experiment"
    together = {path.stem: path.read_text().partition("\nsteps:")[2].partition("\nfindings:")[0] for path in folder.glob("*.yaml")}
    found = {name: {one for one in LOOKS if re.search(rf"\b{one}\b", text)} for name, text in together.items()}
    assert len(found) >= 13 and {"exact", "reinmax", "straight_through"} <= found["polynomial"] and len(found["sample_size"]) > 20
    for name, estimators in found.items():
        colours = {LOOKS[estimator].colour for estimator in estimators}
        assert len(colours) == len(estimators) or len(estimators) > 12, name
        assert len({(LOOKS[e].colour, LOOKS[e].marker) for e in estimators}) == len(estimators), name


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


def test_a_plain_estimator_keeps_its_look_beside_its_variants(tmp_path: Path) -> None:
    """Whatever their names: `baseline=mean` comes before `baseline=none`, which is the default."""
    for samples, baseline in itertools.product((1, 2, 4), ("mean", "none", "constant")):
        factory.make(tmp_path, "reinforce", samples=samples, settings={"baseline": baseline, "constant": 0.0}, variance=0.1 / samples)
    (plot,) = sweeps.over_samples(groups_of(tmp_path)[0])
    ranks = plot.frame.set_index("series")["rank"].to_dict()
    assert ranks["reinforce baseline=none"] == 0 and sorted(ranks.values()) == [0, 1, 2]
    with styles.use("page"):
        figure = plot.draw(plot.frame)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    drawn = dict(zip(names, figure.legends[0].legend_handles, strict=True))
    plain, variant = drawn["reinforce baseline=none"], drawn["reinforce baseline=mean"]
    assert (plain.get_color(), plain.get_marker(), plain.get_fillstyle()) == (look("reinforce").colour, "s", "full")
    assert (variant.get_color(), variant.get_marker()) == (look("reinforce").colour, "s") and variant.get_fillstyle() != "full"
    assert variant.get_linestyle() != plain.get_linestyle()


# ------------------------------------------------------------------------------------------------------------- names and ticks


def test_words_stand_where_nothing_is_drawn() -> None:
    with styles.use("page"):
        figure, (axes,) = canvas.panels(1)
        (line,) = axes.plot((0.0, 1.0), (10.0, 10.0))
        axis.log_axis(axes, "y", 0.1, 10.0)
        remarks.above(axes, ["k* = −0.93 [−1.00, 0.00]", "k* = 2.93 [2.00, 3.00]"])
        figure.draw_without_rendering()
        assert axes.texts[0].get_window_extent().y0 > line.get_window_extent().y1
        assert axes.texts[0].get_window_extent().y1 < axes.get_window_extent().y1
        axes = canvas.panels(1)[1][0]
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.plot((0.0, 0.5, 1.0), (0.0, 0.5, 0.5))
        axes.hlines(0.42, 0.5, 1.0)
        remarks.beside(axes, (0.5, 0.5), "τ=5", "black")
        x, y = axes.texts[0].get_position()
        assert x > 0.5 and y > 0.5 and axes.texts[0].get_horizontalalignment() == "left"


def test_sample_sizes_are_their_own_ticks() -> None:
    """Not 2.2 and 2.4, which nobody measured."""
    assert axis.measured_ticks([2, 4, 6, 8, 10]) == [2, 4, 6, 8, 10]
    assert axis.measured_ticks([0.5, 0.889, 1.58, 2.81, 5.0]) is None  # a reader wants 1, 2 and 5
    assert axis.measured_ticks([0.4, 0.5, 0.7, 1.0, 1.1, 1.2, 1.5, 3.0, 5.0]) is None  # every second one would be 0.4, 0.7, 1.1, 1.5, 5
    assert axis.measured_ticks([-2.0, -1.0, 0.0, 1.0, 2.0], log=False) == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert axis.measured_ticks([float(2**i) for i in range(9)]) == [1, 4, 16, 64, 256]
    assert axis.measured_ticks([float(i) for i in range(1, 9)]) == [1, 2, 4, 8]
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
    (plot,) = by_samples.plots(groups_of(toys))
    zero = plot.frame[(plot.frame["estimator"] == "disarm") & (plot.frame["x"] == 0.5)]
    assert list(zero["kind"]) == ["zero"] * 2 and "zero" in plot.caption
    with styles.use("page"):
        figure = plot.draw(plot.frame)
    panel = figure.axes[0]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["(a) N = 2", "(b) N = 4"]
    on_axis = [line for line in panel.get_lines() if list(line.get_ydata()) == [0] and line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in on_axis] == [[0.5]]
    curve = next(line for line in panel.get_lines() if line.get_color() == look("disarm").colour and len(line.get_xdata()) == 3)
    assert [math.isnan(y) for y in curve.get_ydata()] == [False, True, False]


def test_panels_for_each_n_share_a_scale_and_tell_what_is_far_above(tmp_path: Path) -> None:
    one = Layout(("logits",), ((1,),))
    for logit, samples, (estimator, scale) in itertools.product((-1.0, 0.0, 1.0), (2, 8), (("rloo", 1.0), ("reinforce", 400.0))):
        variance = 1e-5 * scale * (1 + abs(logit)) / samples
        factory.make(tmp_path, estimator, samples=samples, variance=variance, model_settings={"logits": [logit]}, layout=one)
    (plot,) = by_samples.plots(groups_of(tmp_path))
    assert by_samples.far(plot.frame) == ["reinforce"] and "top of each panel with what they span: reinforce." in plot.caption
    with styles.use("page"):
        panels = plot.draw(plot.frame).axes
    assert panels[0].get_ylim() == panels[1].get_ylim() and panels[0].get_ylim()[1] < 0.0005
    assert [panel.texts[0].get_text() for panel in panels] == ["↑ reinforce, 2×10⁻³ to 4×10⁻³", "↑ reinforce, 5×10⁻⁴ to 10⁻³"]
    near = plot.frame.assign(value=plot.frame["value"].where(plot.frame["x"] != 0.5, 1e-5))  # one point comes down to the others
    assert by_samples.far(near) == []


def draws(cost: Callable[[float], float], gradient: Callable[[float], float]) -> dict[str, np.ndarray]:
    """The columns of draws.csv."""
    x = np.array([0.1 * i for i in range(-20, 20)])
    return {"replicate": np.arange(40), "z[0]": x, "cost": np.array([*map(cost, x)]), "gradient.loc[0]": np.array([*map(gradient, x)])}


@pytest.fixture(scope="module")
def gaussians(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parameters, with variances k^2 and 1 / k that cross at 1, and draws at every k."""
    root = tmp_path_factory.mktemp("gaussians")
    two = Layout(("loc", "log_scale"), ((1,), (1,)))
    for k, (estimator, power) in itertools.product((0.25, 0.8, 1.25, 4.0), (("reparameterization", 2.0), ("reinforce", -1.0))):
        settings = {"cost": "cos", "k": k}
        columns = draws(lambda x, k=k: math.cos(k * x), lambda x, k=k: -k * math.sin(k * x))
        factory.make(root, estimator, model="gaussian_toy", model_settings=settings, variance=k**power, layout=two, draws=columns)
    return root


def test_the_crossing_is_where_the_curves_cross(gaussians: Path) -> None:
    (plot,) = parameters.plots(groups_of(gaussians))
    crossed = plot.frame[plot.frame["kind"] == "crossing"]
    assert list(crossed["parameter"]) == ["loc", "log_scale"]
    assert list(crossed["x"]) == pytest.approx([1.0, 1.0]) and list(crossed["value"]) == pytest.approx([1.0, 1.0])
    assert set(crossed["series"]) == {"reparameterization / reinforce"} and "k = 1.00 [0.80, 1.25] (μ)" in plot.caption
    assert [*crossed["x_low"], *crossed["x_high"]] == [0.8, 0.8, 1.25, 1.25]  # how curves bend between two settings is not known


def test_curves_within_error_do_not_cross() -> None:
    def rows(name: str, values: list[float], relative: float) -> list[dict]:
        return [{"series": name, "x": float(i), "value": v, "ci_low": v / (1 + relative), "ci_high": v * (1 + relative), "kind": "point"}
                for i, v in enumerate(values)]  # fmt: skip

    for relative, expected in ((0.01, 2), (0.2, 0)):  # with small errors both changes are seen, with large ones they are noise
        frame = pd.DataFrame(rows("a", [1.0, 1.1, 1.0], relative) + rows("b", [1.1, 1.0, 1.1], relative))
        assert len(parameters.crossings(frame)) == expected


def test_a_crossing_is_known_no_better_than_its_settings_and_their_errors() -> None:
    """By chance the sign of the least settled setting may be wrong: the true crossing is at 1.25 here, and 1.3 is measured below it."""
    measured = {1.0: -0.15, 1.2: -0.03, 1.3: -0.002, 1.35: 0.02, 1.6: 0.15}
    rows = [{"series": name, "x": x, "value": v, "ci_low": v / 1.02, "ci_high": v * 1.02, "kind": "point"}
            for x, gap in measured.items() for name, v in (("a", math.exp(gap)), ("b", 1.0))]  # fmt: skip
    (found,) = parameters.crossings(pd.DataFrame(rows))
    assert 1.3 < found["x"] < 1.35 and found["x_low"] < 1.25 and found["x_high"] > 1.35
    # On a line from -u to v with the errors du and dv; a wide one reaches beyond, a narrow one does not.
    share, du, dv = 0.25, 0.1, 0.2
    half = math.hypot(3 * du, 1 * dv) / 16
    crossed = between(2.0, 3.0, (-1.0, du), (3.0, dv), log=False)
    assert (crossed.at, crossed.low, crossed.high) == (2 + share, 2.0, 3.0) and half < share
    wide = between(2.0, 3.0, (-1.0, 40 * du), (3.0, 40 * dv), log=False)
    assert (wide.low, wide.high) == pytest.approx((2 + share - 40 * half, 2 + share + 40 * half))


def test_a_crossing_is_marked_with_its_interval(gaussians: Path) -> None:
    (plot,) = parameters.plots(groups_of(gaussians))
    with styles.use("page"):
        panel = plot.draw(plot.frame).axes[0]
    assert panel.get_subplotspec().get_gridspec().ncols == 2  # the parameters of one family stand side by side
    assert [text.get_text() for text in panel.texts] == ["k* = 1.00 [0.80, 1.25]"]
    assert [list(line.get_xdata()) for line in panel.get_lines() if line.get_marker() == "|"] == [[pytest.approx(1.0)]]


def test_draws_are_drawn_as_they_were_kept(gaussians: Path) -> None:
    (plot,) = integrands.plots(groups_of(gaussians))
    clouds = plot.frame[plot.frame["part"] == "draw"]
    cloud = clouds[(clouds["column"] == "k = 4") & (clouds["estimator"] == "reinforce")]
    assert list(cloud["gradient"].astype(float)) == [-4 * math.sin(4 * x) for x in cloud["draw"]]
    assert list(dict.fromkeys(clouds["column"])) == ["k = 0.25", "k = 4"]  # the smoothest and the wildest
    assert "biased" not in plot.caption and "Hollow" not in plot.caption
    with styles.use("page"):
        figure = plot.draw(plot.frame)
    (curve,) = [line for line in figure.axes[0].get_lines() if line.get_color() == "black"]
    assert len(curve.get_xdata()) > 30 and all(math.isfinite(y) for y in curve.get_ydata())  # one line, without gaps
    assert [axes.get_ylabel() for axes in figure.axes[:2]] == ["cost f(x)", "gradient in μ"]
    shades = {tuple(patch.get_facecolor()) for patch in figure.legends[0].get_patches()}
    assert len(shades) == len(figure.legends[0].get_patches())  # where x falls is no interval


def test_the_cost_on_which_an_estimator_fails_stands_beside(gaussians: Path, tmp_path: Path) -> None:
    two = Layout(("loc", "log_scale"), ((1,), (1,)))
    for estimator, wrong in (("reparameterization", 1.0), ("reinforce", 0.0)):
        columns = draws(lambda x: float(x > 0.3), lambda x, wrong=wrong: wrong)
        factory.make(tmp_path, estimator, model="discontinuous_toy", bias=wrong, variance=1.0, layout=two, draws=columns)
    (plot,) = integrands.plots(collect([gaussians, tmp_path])[0])
    means = plot.frame[plot.frame["part"] == "mean"].set_index(["column", "estimator"])
    assert "On discontinuous_toy reparameterization is biased" in plot.caption
    failing, right = (means.loc[("a jump", name)] for name in ("reparameterization", "reinforce"))
    assert failing["ci_low"] > failing["reference"] and right["ci_low"] < right["reference"] < right["ci_high"]
    with styles.use("page"):
        figure = plot.draw(plot.frame)
    assert [text.get_text() for text in figure.axes[-1].texts] == ["biased"]
    assert "(e) cost, a jump" in [axes.get_title(loc="left") for axes in figure.axes]


def test_curves_that_lie_on_each_other_are_named_together() -> None:
    def rows(name: str, values: list[float]) -> list[dict]:
        return [{"series": name, "x": float(x), "value": v, "kind": "point" if v else "zero"} for x, v in enumerate(values)]

    same = pd.DataFrame(rows("arms", [1.0, 0.0, 2.0]) + rows("disarm", [1.005, 0.0, 2.0]) + rows("rloo", [1.0, 0.5, 2.0]))
    other = pd.DataFrame(rows("arms", [1.0, 1.0]) + rows("disarm", [1.1, 1.0]))
    assert curve_caption.coinciding([("N = 2", same), ("N = 4", other)]) == "One lies on the other, within 1 %: arms and disarm (N = 2). "
    assert curve_caption.coinciding([("", same)]) == "One lies on the other, within 1 %: arms and disarm. "
    assert curve_caption.coinciding([("N = 4", other)]) == ""


@pytest.mark.parametrize(("relative", "shown"), [(0.0005, False), (0.3, True)])
def test_an_interval_narrower_than_its_line_has_no_entry_in_the_legend(relative: float, shown: bool, tmp_path: Path) -> None:
    for estimator, samples in itertools.product(("rloo", "reinforce"), (2, 64)):
        exact = Interval(1 / samples, relative / samples, ((1 - relative) / samples, (1 + relative) / samples))
        factory.make(tmp_path, estimator, samples=samples, summary={"variance": exact, "bias_sq": Interval(0.0, 0.0, (0.0, 0.0))})
    (plot,) = sweeps.over_samples(groups_of(tmp_path)[0])
    with styles.use("page"):
        figure = plot.draw(plot.frame)
    assert ("95 % interval" in [text.get_text() for text in figure.legends[0].get_texts()]) is shown
    assert ("narrower than the line" in plot.caption) is not shown


def test_curves_that_are_all_named_at_their_ends_need_no_legend() -> None:
    figure = Figure()
    legend.below(figure, [])
    assert not figure.legends


def test_captions_tell_of_nothing_that_is_not_drawn(tmp_path: Path) -> None:
    for tau, samples in itertools.product((0.1, 0.5, 2.0), (1, 4, 16)):
        factory.make(tmp_path, "concrete", settings={"temperature": tau}, samples=samples, variance=0.01 / tau / samples, bias=0.3 * tau)
    (group,) = groups_of(tmp_path)
    told = [plot.caption for plot in (*frontier.plots(group), *sweeps.over_samples(group), *comparison.plots(group), *bias.plots(group))]
    assert len(told) == 5
    for words in ("Hollow", "Horizontal", "left edge", "2000", "ratios", "One lies on"):
        assert not any(words in caption for caption in told), words
    assert not any("MSE" in caption for caption in told[2:]) and "MSE" in told[0]
    factory.make(tmp_path, "rloo", samples=1, variance=0.004)  # without a temperature, and unbiased
    (group,) = groups_of(tmp_path)
    caption = next(frontier.plots(group)).caption
    assert "Horizontal lines" in caption and "Hollow markers with an arrow" in caption


def test_bias_is_drawn_of_what_is_biased(tmp_path: Path) -> None:
    for samples in (1, 4, 16):
        factory.make(tmp_path / "a", "reinforce", samples=samples, variance=0.2 / samples)
    for samples in (2, 4):  # declared biased, or not
        factory.make(tmp_path / "a", "rloo", samples=samples, facts={"unbiased": False})
    (plot,) = sweeps.over_samples(groups_of(tmp_path / "a")[0])
    assert "Bias is not drawn: none was found." in plot.caption and plot.caption.startswith("Variance of one")
    assert "Measured no further: rloo up to N = 4." in plot.caption
    with styles.use("page"):
        (panel,) = plot.draw(plot.frame).axes
    assert panel.get_ylabel() == "variance"
    for samples in (1, 4, 16):
        factory.make(tmp_path / "a", "concrete", samples=samples, variance=0.01 / samples, bias=0.3)
    (plot,) = sweeps.over_samples(groups_of(tmp_path / "a")[0])
    assert "Not in (b), because no bias was found: reinforce and rloo." in plot.caption
    assert set(plot.frame.loc[plot.frame["statistic"] == "bias_sq", "series"]) == {"concrete"}
    with styles.use("page"):
        assert [panel.get_title(loc="left") for panel in plot.draw(plot.frame).axes] == ["(a) variance", "(b) bias²"]


def test_what_rounding_leaves_of_zero_presses_nothing_into_a_corner(tmp_path: Path) -> None:
    for estimator, variance in (("local_expectation", 1e-15), ("double_cv", 1e-9), ("reinforce", 0.3)):
        factory.make(tmp_path, estimator, variance=variance)
    (plot,) = comparison.plots(groups_of(tmp_path)[0])
    kinds = plot.frame[plot.frame["statistic"] == "variance"].set_index("estimator")["kind"].to_dict()
    assert kinds == {"local_expectation": "rounding", "double_cv": "point", "reinforce": "point"}


def test_what_is_expected_of_many_coordinates_is_no_straight_line_on_a_log_axis(tmp_path: Path) -> None:
    many = Layout(("w",), ((bias.MOST_COORDINATES + 1,),))
    factory.make(tmp_path, "concrete", layout=many, variance=1.0, bias=3.0, with_segments=False)
    (plot,) = bias.plots(groups_of(tmp_path)[0])
    with styles.use("page"):
        figure = plot.draw(plot.frame)
    (panel,) = figure.axes
    (diagonal,) = [line for line in panel.get_lines() if line.get_linestyle() == "-"]
    assert panel.get_yscale() == "log" and len(diagonal.get_xdata()) > 50 and (diagonal.get_xdata() == diagonal.get_ydata()).all()
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "as expected of N(0, 1)"


def test_the_arrow_of_an_upper_limit_has_room() -> None:
    """It is as long on the page whatever the axis spans; a tenth of the panel is enough."""
    rows = [{"kind": kind, "value": value, "ci_low": value, "ci_high": value} for kind, value in (("point", 1e12), ("upper limit", 1.0))]
    low, high = curves.limits(pd.DataFrame(rows, dtype=object))
    assert -math.log(low) > 0.1 * math.log(high / low)


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
    assert f"N=1 at τ = {best[1]:g} (" in second.caption
    with styles.use("page"):
        panels = first.draw(first.frame).axes
    stars = [[tuple(line.get_xydata()[0]) for line in axes.get_lines() if line.get_marker() == "*"] for axes in panels]
    at_best = first.frame[first.frame["x"] == best[1]].set_index("statistic")["value"]
    assert stars == [[], [], [(best[1], at_best["mse"])], [(at_best["bias_sq"], at_best["variance"])]]


def test_an_optimum_is_known_to_a_step_of_its_grid(tmp_path: Path) -> None:
    """Wider where its neighbours are within its error, open where the grid ends; and N in the order of numbers."""
    mse = {1: (5.0, 3.0, 1.0, 2.0, 4.0), 4: (5.0, 3.0, 1.01, 1.0, 4.0), 16: (1.0, 2.0, 3.0, 4.0, 5.0)}
    for samples, values in mse.items():
        for tau, value in zip((0.1, 0.2, 0.5, 1.0, 2.0), values, strict=True):
            told = {"mse": Interval(value, 0.01, (value - 0.02, value + 0.02))}
            factory.make(tmp_path, "concrete", settings={"temperature": tau}, samples=samples, bias=0.1, summary=told)
    _, plot = frontier.plots(groups_of(tmp_path)[0])
    assert "concrete N=1 at τ = 0.5 (0.2 to 1); concrete N=4 at τ = 1 (0.2 to 2); concrete N=16 at τ = 0.1 (below 0.2)." in plot.caption
    with styles.use("page"):
        figure = plot.draw(plot.frame)
    stars = {
        tuple(line.get_xydata()[0]): line.get_markerfacecolor() == "white"
        for line in figure.axes[0].get_lines()
        if line.get_marker() == "*"
    }
    assert stars == {(0.5, 1.0): False, (1.0, 1.0): False, (0.1, 1.0): True}  # hollow at the end of the grid, and so in the legend
    assert [text.get_text() for text in figure.legends[0].get_texts()][-2:] == [
        "least mean squared error",
        "least, at the grid's end",
    ]
    curves_of = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 5]
    assert len({(line.get_marker(), line.get_linestyle()) for line in curves_of}) == 3  # told apart in grey too


# ---------------------------------------------------------------------------------------------------- before and after training

DIGEST = "a64034cadd3130df25fde4eebe1577c40b4d44689d2c21bb629088918854d3cd"


def test_before_and_after_training_are_one_figure(tmp_path: Path) -> None:
    for estimator, variances in {"reinforce": (9.0, 8.0), "rloo": (3.0, 1.0), "concrete": (1.0, 2.0)}.items():
        for variance, at in zip(variances, ({}, {"checkpoint": DIGEST}), strict=True):
            factory.make(
                tmp_path, estimator, model="binary_vae", model_settings=at, variance=variance, bias=2.0 * (estimator == "concrete")
            )
    factory.make(tmp_path, "arm", model="binary_vae", samples=2)  # measured before alone
    groups = groups_of(tmp_path)
    assert {group.label for group in groups} == {"binary_vae", "binary_vae checkpoint=a64034ca"}
    (plot,) = stages.plots(groups, Ends([]))
    with styles.use("page"):
        figure = plot.draw(plot.frame)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["(a) variance", "(b) mean squared error"]
    (panel, _) = figure.axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["initialisation", "at parameters a64034ca"]
    told = {text.get_text() for text in panel.texts}
    assert told == {"reinforce N=1: 3 → 3", "rloo N=1: 2 → 1", "concrete N=1, biased: 1 → 2"}
    (line,) = [line for line in panel.get_lines() if line.get_color() == look("rloo").colour and len(line.get_xdata()) == 2]
    assert list(line.get_ydata()) == [3.0, 1.0]
    names = {plot.name for plot in build._plots(Spared(), [], groups, Ends([]), alone=False)}
    assert "stages-binary_vae" in names and not any(name.startswith("variance-") for name in names)


def test_the_stage_is_named_after_its_training(tmp_path: Path) -> None:
    directory = TrainingDirectory(trainings.vae(tmp_path, "rloo", -105, {"rloo": 1.0}, seeds=(0,)))
    found = directory.read()
    assert found is not None
    directory.write(dataclasses.replace(found, parameters={0: Parameters({"logits": np.ones(2)})}))
    (digest,) = directory.digests().values()
    for at in ({}, {"checkpoint": digest}):
        factory.make(tmp_path, "rloo", model="binary_vae", model_settings=at)
    (plot,) = stages.plots(groups_of(tmp_path), Ends(trained([tmp_path])))
    assert f"initialisation and after 2\u202f000 steps (training {digest[:8]})." in plot.caption


def test_direction_is_one_minus_the_cosine(tmp_path: Path) -> None:
    for estimator, cosine in (("reinforce", 0.7), ("local_expectation", 1.0)):
        factory.make(tmp_path, estimator, summary={"cosine_single": Interval(cosine, 0.01, (cosine - 0.02, min(1.0, cosine + 0.02)))})
    (plot,) = alignment.plots(groups_of(tmp_path))
    values = plot.frame.set_index("estimator")
    assert values.loc["reinforce", ["value", "ci_low", "ci_high"]].tolist() == pytest.approx([0.3, 0.28, 0.32])
    assert values.loc["local_expectation", "value"] == 0
    with styles.use("page"):
        (panel,) = plot.draw(plot.frame).axes
    assert [text.get_text() for text in panel.texts] == ["0.30", "0"] and panel.get_title(loc="left") == "bernoulli_toy"
    later = plot.frame.assign(panel="bernoulli_toy checkpoint=a64034ca")
    with styles.use("page"):
        panels = plot.draw(pd.concat([plot.frame, later])).axes
    assert [panel.get_title(loc="left") for panel in panels] == ["initialisation", "checkpoint=a64034ca"]


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
    for plot in (*by_samples.plots(groups_of(toys)), *integrands.plots(groups_of(gaussians))):
        with styles.use(style):
            figure = plot.draw(plot.frame)
            figure.draw_without_rendering()
        assert figure.get_figwidth() == styles.STYLES[style].width and figure.get_figheight() <= styles.STYLES[style].height
        texts = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, *axes.get_xticklabels(), *axes.texts)]
        assert min(text.get_fontsize() for text in texts) >= 0.83 * letters
        box = figure.get_tightbbox()  # nothing is cut off
        assert box.x0 >= -room and box.x1 <= figure.get_figwidth() + room, plot.name
        assert box.y0 >= -room and box.y1 <= figure.get_figheight() + room, plot.name


def test_panels_take_the_room_that_there_is(tmp_path: Path) -> None:
    for tau, samples in itertools.product((0.1, 0.5, 2.0), (1, 64)):
        for name in ("concrete", "st_gumbel"):
            factory.make(tmp_path, name, settings={"temperature": tau}, samples=samples, variance=0.01 / tau / samples, bias=0.03 * tau)
    with styles.use("page"):
        for plot in (*frontier.plots(groups_of(tmp_path)[0]), *sweeps.over_samples(groups_of(tmp_path)[0])):
            figure = plot.draw(plot.frame)
            figure.draw_without_rendering()
            shown = [axes.get_position() for axes in figure.axes if axes.get_visible()]
            assert sum(box.width * box.height for box in shown) > 0.4, plot.name


def test_no_figure_is_higher_than_its_page(tmp_path: Path) -> None:
    for order, name in enumerate(sorted(LOOKS)[: comparison.MOST_ROWS]):
        factory.make(tmp_path, name, variance=0.01 * 1.3**order, with_segments=False, with_coordinates=False)
    (plot,) = comparison.plots(groups_of(tmp_path)[0])
    for style in ("column", "slides"):
        place = styles.STYLES[style]
        with styles.use(style):
            figure, panels = canvas.panels(12, least=1.7, most=3, height=1.75)
            assert figure.get_figheight() <= place.height and plot.draw(plot.frame).get_figheight() <= place.height
        rows = panels[0].get_subplotspec().get_gridspec().nrows
        assert (figure.get_figheight() / (place.font / 8) - 0.9) / rows > 1.1  # and each panel can be read


def test_a_report_on_trainings_alone(tmp_path: Path) -> None:
    trainings.polynomial(tmp_path / "o", "exact", 0.1)
    report([tmp_path / "o"], tmp_path / "r", style="column")
    assert "figures/training-polynomial.png" in (tmp_path / "r/report.md").read_text()


@pytest.mark.parametrize(("least", "most"), [(1e-200, 1e200), (1e-305, 1e307), (1e305, 1e306)])
def test_an_axis_of_whatever_there_is(least: float, most: float) -> None:
    """The ratio of two numbers may be none, as of an estimator that has diverged, or in somebody's forged file."""
    rows = [{"kind": "point", "value": value, "ci_low": value / 2, "ci_high": 1.5 * value} for value in (least, most)]
    bounds = curves.limits(pd.DataFrame(rows, dtype=object))
    assert bounds is not None and 0 < bounds[0] < least / 2 and 1.5 * most < bounds[1] < math.inf
    figure = Figure()
    axes = figure.subplots()
    axis.log_axis(axes, "y", *bounds)
    figure.canvas.draw()
    assert axes.get_ylim() == pytest.approx(bounds)
