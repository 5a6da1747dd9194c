"""Exact moments against enumeration, closed forms and measurements; and None, never a wrong number, where they are out of reach."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gsx import yardstick
from gsx.configuration import Configuration
from gsx.data import load
from gsx.distributions import Bernoulli, Categorical
from gsx.exact_moments import ExactMoments, axes, exact_moments, gaps, integral, rows
from gsx.exact_moments.estimate import Estimate
from gsx.exact_moments.gaps import by_gaps
from gsx.measurement import Measurement
from gsx.models.binary_vae import BinaryVAE
from gsx.program import Program
from tests.estimators.enumeration import law_of

TOY = {"name": "bernoulli_toy", "logits": [0.3, -1.0], "target": 0.3}


def moments(model: Any, estimator: Any, num_samples: int | None = None) -> ExactMoments | None:
    groups = {key: {"name": value} if isinstance(value, str) else value for key, value in {"model": model, "estimator": estimator}.items()}
    chosen = Configuration.of(groups | {"num_samples": num_samples})
    return exact_moments(Program(chosen.build_model(None), dtype=torch.float64), chosen.build_estimator())


def found(model: Any, estimator: Any, num_samples: int | None = None) -> ExactMoments:
    answer = moments(model, estimator, num_samples)
    assert answer is not None
    return answer


# ------------------------------------------------------------------------------------------------------------------ exact comparisons


@pytest.mark.parametrize(
    ("estimator", "n"),
    [("reinforce", 2), ("rloo", 2), ("rloo", 3), ("double_cv", 2), ("straight_through", 1), ("reinmax", 1), ("muprop", 2)],
)
def test_equal_to_the_enumeration_of_all_outcomes(estimator: str, n: int) -> None:
    answer = found(TOY, estimator, n)
    chosen = Configuration.of({"model": TOY, "estimator": {"name": estimator}, "num_samples": n}).build_estimator()
    q = Bernoulli(torch.tensor(TOY["logits"], dtype=torch.float64))
    law = law_of(chosen, q, lambda b, q: ((b - 0.3) ** 2).mean(-1))
    np.testing.assert_allclose(answer.mean, law.mean, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(answer.variance, law.variance, rtol=1e-9, atol=1e-20)


@pytest.mark.parametrize(("estimator", "n"), [("reinforce", 2), ("rloo", 2), ("reinmax", 1)])
def test_equal_to_the_enumeration_of_a_categorical(estimator: str, n: int) -> None:
    model = Configuration.of({"model": {"name": "categorical_toy"}, "estimator": {"name": estimator}, "num_samples": n})
    q = Categorical(model.build_model(None).init(None)["logits"].unsqueeze(0))  # type: ignore[arg-type]
    target = model.build_model(None).target
    law = law_of(model.build_estimator(), q, lambda z, q: ((z - target) ** 2).sum((-2, -1)))
    answer = found("categorical_toy", estimator, n)
    np.testing.assert_allclose(answer.mean, law.mean, rtol=1e-9)
    np.testing.assert_allclose(answer.variance, law.variance, rtol=1e-9)


def test_one_bernoulli_by_hand() -> None:
    """f(1) - f(0) = 0.02 at p = 1/2: the numbers that Dimitriev & Zhou (2021), figure 1, draws."""
    half = {"name": "bernoulli_toy", "logits": [0.0], "target": 0.49}
    step = 0.02
    for estimator, n, variance in [
        ("rloo", 2, step**2 / 16),  # step / 2 with probability 1/2
        ("arm", 2, step**2 * (1 / 12 - 1 / 16)),  # step |u - 1/2|
        ("arm", 4, step**2 * (1 / 12 - 1 / 16) / 2),
        ("disarm", 2, 0.0),
        ("arms", 2, 0.0),
    ]:
        answer = found(half, estimator, n)
        assert answer.mean[0] == pytest.approx(step / 4, rel=1e-9)
        assert answer.total_variance == pytest.approx(variance, rel=1e-9, abs=1e-20)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_arms_from_the_number_of_samples_in_the_rare_state(n: int) -> None:
    """With one coordinate the gradient depends on k alone, how many b are 1: rho step k (n - k) / (n (n - 1))."""
    logit, step, x = -1.2, 0.02, None
    p = 1 / (1 + math.exp(-logit))
    x = 1 - p ** (1 / (n - 1))
    above = [max(1 - j * x, 0.0) ** (n - 1) for j in range(n + 1)]
    exactly = [math.comb(n, k) * math.fsum((-1) ** i * math.comb(n - k, i) * above[k + i] for i in range(n - k + 1)) for k in range(n + 1)]
    rho = p * (1 - p) / (p - above[2])
    value = np.array([rho * step * k * (n - k) / (n * (n - 1)) for k in range(n + 1)])
    answer = found({"name": "bernoulli_toy", "logits": [logit], "target": 0.49}, "arms", n)
    assert answer.mean[0] == pytest.approx(p * (1 - p) * step, rel=1e-9)
    assert answer.variance[0] == pytest.approx(float(np.array(exactly) @ (value - p * (1 - p) * step) ** 2), rel=1e-7)


def test_quadratic_costs_of_a_gaussian_by_hand() -> None:
    """f = (x - k)^2, a = loc - k: the gradients are polynomials of a standard normal."""
    k, loc, sigma = 0.5, 1.0, 1.3
    model = {"name": "gaussian_toy", "loc": [loc], "log_scale": [math.log(sigma)], "k": k}
    a = loc - k
    pathwise = [4 * sigma**2, 4 * a**2 * sigma**2 + 8 * sigma**4]  # 2 (a + s e) and 2 s e (a + s e)
    # e (a + s e)^2 / s has the second moment E e^2 (a + s e)^4 / s^2
    score_of_loc = (a**4 + 6 * a**2 * sigma**2 * 3 + sigma**4 * 15) / sigma**2 - 4 * a**2
    for n in (1, 7):
        path, score = found(model, "reparameterization", n), found(model, "reinforce", n)
        np.testing.assert_allclose(path.mean, [2 * a, 2 * sigma**2], rtol=1e-9)
        np.testing.assert_allclose(path.variance, np.array(pathwise) / n, rtol=1e-9)
        assert score.variance[0] == pytest.approx(score_of_loc / n, rel=1e-8)
    # c (f(loc + s w) - f(loc - s w)) = 4 a s w c, c = 1 / (s sqrt(2 pi)), and a Rayleigh w has E w^2 = 2
    weak = found(model, "measure_valued")
    assert weak.variance[0] == pytest.approx(16 * a**2 * 2 / (2 * math.pi) - 4 * a**2, rel=1e-6)


UNBIASED = [
    *[(TOY, name, None) for name in ("ar", "arm", "arms", "bitflip", "disarm", "double_cv", "rodeo", "rloo")],
    ({"name": "bernoulli_toy", "logits": [0.3], "target": 0.49}, "rebar", 1),
    *[("tied_bernoulli", name, 3) for name in ("sum_and_sample", "unordered_set")],
    *[("gaussian_toy", name, None) for name in ("reinforce", "rloo", "reparameterization", "measure_valued")],
]


@pytest.mark.parametrize(("model", "estimator", "n"), UNBIASED)
def test_unbiased_estimators_have_the_mean_of_the_formula(model: Any, estimator: str, n: int | None) -> None:
    groups = {"model": model if isinstance(model, dict) else {"name": model}, "estimator": {"name": estimator}}
    program = Program(Configuration.of(groups).build_model(None), dtype=torch.float64)
    formula = program.model.closed_form(program.params)
    assert formula is not None
    truth = np.concatenate([formula[name].reshape(-1).numpy() for name in program.leaves])
    answer = found(model, estimator, n)
    np.testing.assert_allclose(answer.mean, truth, atol=1e-6 * math.sqrt(float((answer.mean**2 + answer.variance).max())))


def test_independent_parts_are_found() -> None:
    of_one, of_ten = found(TOY, "reinforce", 1), found(TOY, "reinforce", 10)
    np.testing.assert_allclose(of_ten.variance, of_one.variance / 10, rtol=1e-12)
    assert (
        of_ten.how == f"average of 10 independent estimates, each a {of_one.how}" and of_one.how == "sum over 4 cells of 2 random numbers"
    )
    assert found({"name": "bernoulli_toy", "logits": [0.1 * i for i in range(20)]}, "straight_through").how.startswith("20 independent")


# ------------------------------------------------------------------------------------------------------- many samples, many numbers


@pytest.mark.parametrize(("estimator", "n"), [("disarm", 64), ("concrete", 16), ("reinmax", 256)])
def test_an_average_has_its_share_of_the_variance(estimator: str, n: int) -> None:
    of_least, of_many = found(TOY, estimator), found(TOY, estimator, n)
    least = 2 if estimator == "disarm" else 1
    np.testing.assert_array_equal(of_many.mean, of_least.mean)
    np.testing.assert_allclose(of_many.variance, of_least.variance * least / n, rtol=1e-12)
    assert of_many.how.startswith(f"average of {n // least} independent estimates, each a ")


def test_one_sample_is_integrated_once_for_all_numbers_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[int, ExactMoments | None] = {}
    chosen = [Configuration.of({"model": TOY, "estimator": {"name": "concrete"}, "num_samples": n}) for n in (4, 16)]
    four, sixteen = (Program(one.build_model(None), dtype=torch.float64) for one in chosen)
    first = exact_moments(four, chosen[0].build_estimator(), known=known)
    monkeypatch.delattr("gsx.exact_moments._integrated")
    second = exact_moments(sixteen, chosen[1].build_estimator(), known=known)
    assert first is not None and second is not None and set(known) == {1}
    np.testing.assert_allclose(first.variance, 4 * second.variance, rtol=1e-12)


@pytest.mark.parametrize(("logits", "n"), [([0.3, -1.0], 2), ([0.02 * i for i in range(60)], 2), ([0.5, -1.0, 0.2, 0.0, 2.0], 16)])
def test_leave_one_out_on_a_separable_cost_by_hand(logits: list[float], n: int) -> None:
    """Half the product of two differences, averaged over the pairs of samples: the variance of a U-statistic (Hoeffding 1948)."""
    answer = found({"name": "bernoulli_toy", "logits": logits, "target": 0.3}, "rloo", n)
    p = 1 / (1 + np.exp(-np.array(logits)))
    v, slope = p * (1 - p), (0.7**2 - 0.3**2) / len(p)
    both = slope**2 * ((v + 2 * v * (v.sum() - v)) / 2 - v**2)
    one = slope**2 * (v - 4 * v**2 + v * (v.sum() - v)) / 4
    np.testing.assert_allclose(answer.mean, slope * v, rtol=1e-9)
    np.testing.assert_allclose(answer.variance, (4 * (n - 2) * one + 2 * both) / (n * (n - 1)), rtol=1e-8)
    assert ("pairs" in answer.how) == (len(logits) > 2)


@pytest.mark.parametrize(
    ("model", "estimator"),
    [
        (TOY, "rloo"),
        (TOY | {"logits": [0.3, -1.0, 1.2]}, "reinforce"),
        (TOY | {"logits": [0.3, -1.0, 1.2]}, "arm"),
        ({"name": "gaussian_toy", "loc": [0.3, 1.0, -0.5], "log_scale": [0.1, 0.2, -0.3]}, "reinforce"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pairs_of_numbers_are_all_there_is(model: Any, estimator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same moments two by two as over all cells and nodes together; and nothing where a cut is missing."""
    whole = found(model, estimator)
    for rule in ("by_cells", "by_quadrature"):
        monkeypatch.setattr(f"gsx.exact_moments.{rule}", lambda *given: None)
    by_twos = found(model, estimator)
    assert "pairs" in by_twos.how and "pairs" not in whole.how
    size = math.sqrt(float((whole.mean**2 + whole.variance).max()))
    np.testing.assert_allclose(by_twos.mean, whole.mean, rtol=1e-9, atol=1e-7 * size)
    np.testing.assert_allclose(by_twos.variance, whole.variance, rtol=1e-6)


def test_three_numbers_that_act_together_are_no_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen at once; and, were it not, by the sum that is not the function."""
    for rule in ("by_cells", "by_quadrature"):
        monkeypatch.setattr(f"gsx.exact_moments.{rule}", lambda *given: None)
    for seen in (True, False):
        assert moments({"name": "bernoulli_ising", "logits": [0.3, -1.0, 1.2]}, "rloo") is None, seen
        monkeypatch.setattr("gsx.exact_moments.pairs._three_act_together", lambda *given: False)


@pytest.mark.parametrize(
    ("logits", "estimator", "rule"),
    [
        ([0.6, -0.4, -1.0], {"name": "reinforce"}, "by_cells"),
        ([0.6, -0.4], {"name": "concrete"}, "by_quadrature"),
    ],
    ids=["by cells", "by quadrature"],
)
def test_gaps_to_the_winner_are_all_there_is(logits: list[float], estimator: Any, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same moments over winner and gaps as over the cells, or the cube."""
    model = {"name": "categorical_toy", "logits": logits, "target": [0.5, 0.2, 0.3][: len(logits)]}
    for other in {"by_cells", "by_gaps", "by_quadrature"} - {rule}:
        monkeypatch.setattr(f"gsx.exact_moments.{other}", lambda *given: None)
    whole = found(model, estimator, 1)
    monkeypatch.setattr(f"gsx.exact_moments.{rule}", lambda *given: None)
    monkeypatch.setattr("gsx.exact_moments.by_gaps", by_gaps)
    answer = found(model, estimator, 1)
    assert "gaps" in answer.how and "gaps" not in whole.how
    size = math.sqrt(float((whole.mean**2 + whole.variance).max()))
    np.testing.assert_allclose(answer.mean, whole.mean, atol=1e-7 * size)
    np.testing.assert_allclose(answer.variance, whole.variance, rtol=3e-7)


def test_gaps_are_not_taken_for_what_they_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of what a shift of all latents changes, nor where the winner changes elsewhere, nor by another law: random points tell."""
    log_p, base = np.log([0.2, 0.5, 0.3]), np.full(3, 0.5)
    ranking, other = (axes.Ranking(np.arange(3), each) for each in (log_p, np.log([0.2, 0.47, 0.33])))

    def latents(u: np.ndarray) -> np.ndarray:
        return np.asarray(log_p - np.log(-np.log(u)))

    def hard(u: np.ndarray) -> np.ndarray:
        return (latents(u) == latents(u).max(1, keepdims=True)).astype(float)

    answer = by_gaps(hard, [ranking], base)
    assert answer is not None
    np.testing.assert_allclose(answer.mean, [0.2, 0.5, 0.3], rtol=1e-7)
    np.testing.assert_allclose(answer.variance, [0.16, 0.25, 0.21], rtol=1e-7)
    assert by_gaps(lambda u: hard(u) + 1e-3 * latents(u), [ranking], base) is None
    assert by_gaps(hard, [other], base) is None
    monkeypatch.setattr(gaps, "_nodes", lambda p, nodes, right=gaps._nodes: (right(p, nodes)[0], right(p, nodes)[1] ** 1.1))
    assert by_gaps(hard, [ranking], base) is None


# ---------------------------------------------------------------------------------------------------------------------- rows of data


def of_rows(estimator: str, num_samples: int = 2, **how: Any) -> ExactMoments | None:
    program = Program(BinaryVAE(data=load("digits"), latents=2, batch=4), dtype=torch.float64, **({"wrt": "encoder"} | how))
    chosen = Configuration.of({"model": TOY, "estimator": {"name": estimator}, "num_samples": num_samples})
    return exact_moments(program, chosen.build_estimator())


@pytest.mark.parametrize(
    ("estimator", "over"),
    [
        ("reinforce", "4 states"),
        ("rloo", "16 states"),
        ("rloo", "4 x 4 states of two samples"),
        ("disarm", "9 states"),
        ("arms", "9 states"),
    ],
)
def test_rows_side_by_side(estimator: str, over: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the general way, which finds the rows by trying, as the parts of a sum over coordinates of the encoder."""
    parts = of_rows(estimator)
    monkeypatch.setattr("gsx.exact_moments.MOST_AXES", 1)
    if "two samples" in over:
        monkeypatch.setattr(rows, "_over_all", lambda *_: None)
    answer = of_rows(estimator)
    assert parts is not None and "4 independent parts" in parts.how
    assert answer is not None and f"4 independent rows, each a sum over {over}" in answer.how
    np.testing.assert_allclose(answer.mean, parts.mean, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(answer.variance, parts.variance, rtol=1e-8, atol=1e-14)


def test_none_where_rows_are_not_what_they_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gsx.exact_moments.MOST_AXES", 1)
    monkeypatch.setattr("gsx.exact_moments.by_pairs", lambda *_: None)
    assert of_rows("concrete") is None  # no states in which it is constant
    assert of_rows("rloo", wrt="all") is None  # the decoder's gradient passes by the distribution
    assert of_rows("rloo") is not None
    monkeypatch.setattr(rows, "_over_all", lambda *_: None)
    assert of_rows("rloo") is not None
    assert of_rows("rloo", 3) is None  # no pair of samples

    def rolled(estimate: Estimate) -> tuple[np.ndarray, np.ndarray]:
        by_row, by_sample = row_and_sample(estimate)
        return (by_row + 1) % 4, by_sample

    row_and_sample = rows._row_and_sample
    for name, planted in (("PIVOTS", 2), ("_row_and_sample", rolled), ("MOST_NUMBERS", 1000), ("_constant_in", lambda *_: False)):
        with monkeypatch.context() as patch:
            patch.setattr(rows, name, planted)
            assert of_rows("rloo") is None, name


def test_what_happens_in_a_small_cell_is_seen() -> None:
    """At p = .5003 a pair of disarm agrees with probability 6e-4, which is all the variance there is."""
    logit = 0.0012
    answer = found({"name": "bernoulli_toy", "logits": [logit], "target": 0.49}, "disarm")
    p = 1 / (1 + math.exp(-logit))
    assert answer.total_variance == pytest.approx((0.02 * p / 2) ** 2 * 2 * (1 - p) * (2 * p - 1), rel=1e-6)
    assert answer.mean[0] == pytest.approx(0.02 * p * (1 - p), rel=1e-9)


# ------------------------------------------------------------------------------------------------------------------------ measurements


@pytest.mark.parametrize(
    ("model", "estimator", "n"),
    [
        ({"name": "bernoulli_toy", "logits": [0.3], "target": 0.49}, {"name": "rebar"}, 1),
        (TOY, {"name": "st_gumbel"}, 2),
        ({"name": "bernoulli_ising", "logits": [0.3, -1.0, 1.2]}, {"name": "concrete"}, 1),
        ({"name": "categorical_toy", "logits": [0.6, -0.4, -1.0], "target": [0.5, 0.2, 0.3]}, {"name": "st_gumbel", "temperature": 0.1}, 2),
        (TOY, {"name": "arms"}, 4),
        ({"name": "tied_bernoulli", "eta": -1.0}, {"name": "unordered_set"}, 3),
        ({"name": "gaussian_toy", "loc": [1.0], "log_scale": [0.2], "cost": "cos", "k": 2.0}, {"name": "measure_valued"}, 1),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else None,
)
def test_measurements_agree(model: dict[str, Any], estimator: dict[str, Any], n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 5 standard errors, of at most 4 numbers each: another seed fails once in 50 000. A variance off by 12 % would be seen."""
    monkeypatch.setattr(yardstick, "SECONDS", 0.0)
    groups = {"model": model, "estimator": estimator, "num_samples": n, "num_replicates": 16384, "dtype": "float64", "workers": 1}
    measurement = Measurement(Configuration.of(groups))
    result = measurement.run()
    answer = exact_moments(measurement.program, measurement.estimator, measurement.seen)
    assert answer is not None and result.coordinates is not None and result.summary["variance"] is not None
    table = result.coordinates
    assert np.all(np.abs(answer.mean - table.mean) < 5 * table.mean_se)
    assert np.all(np.abs(answer.variance - table.variance) < 5 * table.variance_se)
    assert result.summary["variance"].se < 0.025 * answer.total_variance


def test_what_was_tuned_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardstick, "SECONDS", 0.0)
    groups = {"model": TOY, "estimator": {"name": "reinforce", "baseline": "moving_average"}, "num_replicates": 4096, "workers": 1}
    measurement = Measurement(Configuration.of(groups))
    before = exact_moments(measurement.program, measurement.estimator, measurement.seen)
    measurement.run()
    after = exact_moments(measurement.program, measurement.estimator, measurement.seen)
    assert before is not None and after is not None
    assert after.total_variance < 0.7 * before.total_variance


# ------------------------------------------------------------------------------------------------------- out of reach, and planted bugs


@pytest.mark.parametrize(
    ("model", "estimator"),
    [
        ({"name": "bernoulli_ising", "logits": [0.1] * 20}, "rloo"),  # forty numbers, of which three act together
        ({"name": "bernoulli_toy", "logits": [0.1] * 40}, "rebar"),  # eighty numbers, of which many act together
        (TOY, "importance_weighted"),  # draws from another Bernoulli than its noise was asked for
        ("categorical_toy", "importance_weighted"),  # draws from another categorical than its noise was asked for
        ({"name": "categorical_toy", "logits": [0.1] * 6, "target": [0.1] * 6}, "st_gumbel"),  # five gaps that act together
        ("discontinuous_toy", "reinforce"),  # the cost itself jumps
    ],
)
def test_none_where_out_of_reach(model: Any, estimator: str) -> None:
    assert moments(model, estimator) is None


def test_none_where_the_states_of_coupled_samples_are_too_many() -> None:
    assert moments(TOY, "arms", 64) is None


def test_a_missing_jump_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = axes.Interval.__init__
    monkeypatch.setattr(axes.Interval, "__init__", lambda self, position, jumps: whole(self, position, []))
    for logits in ([0.3, -1.0], [2.5, 3.5]):
        for estimator in ("straight_through", "arm", "rloo", "st_gumbel"):
            assert moments(TOY | {"logits": logits}, estimator) is None, (logits, estimator)


def test_wrong_weights_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison with the formula would fail."""
    monkeypatch.setattr(axes.Ranking, "cells", lambda self, depth: np.full(self.count(depth), 1 / self.count(depth)))
    with pytest.raises(AssertionError):
        test_unbiased_estimators_have_the_mean_of_the_formula({"name": "tied_bernoulli", "eta": -1.0}, "unordered_set", 2)


def test_parts_that_act_together_must_not_be_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gsx.exact_moments._parts", lambda together: ((a,) for a in range(len(together))))
    with pytest.raises(AssertionError):
        test_unbiased_estimators_have_the_mean_of_the_formula(TOY, "rloo", 2)


def test_rankings_and_copulas_have_the_probabilities_of_their_cells() -> None:
    """Against random numbers: 200 000 draws, every cell within 5 standard errors; inside() gives points of the cell asked for."""
    rng = np.random.default_rng(0)
    u = rng.uniform(size=(200_000, 3))
    ranking = axes.Ranking(np.arange(3), np.log([0.2, 0.5, 0.3]))
    order = np.argsort(-(ranking.log_p - np.log(-np.log(u))), axis=1)
    copula = axes.DirichletCopula(np.arange(3), -0.4)
    e = -np.log(u)
    rare = e / e.sum(1, keepdims=True) > copula.threshold
    for axis, hits in (
        (ranking, [(order == cell).all(1).mean() for cell in ranking._orders(3)]),
        (copula, [(rare == np.isin(np.arange(3), chosen)).all(1).mean() for chosen, _ in copula.sets]),
    ):
        cells = axis.cells(3)
        assert cells.sum() == pytest.approx(1, abs=1e-12)
        assert np.all(np.abs(hits - cells) < 5 * np.sqrt(cells / 200_000))
    at = ranking.inside(3, np.arange(6), rng)
    assert (np.argsort(-(ranking.log_p - np.log(-np.log(at))), axis=1) == ranking._orders(3)).all()
    shares = -np.log(copula.inside(1, np.arange(len(copula.sets)), rng))
    above = shares / shares.sum(1, keepdims=True) > copula.threshold
    assert [tuple(np.flatnonzero(row)) for row in above] == [chosen for chosen, _ in copula.sets]


def test_rules_in_one_dimension() -> None:
    """Each integrates what it is for: a polynomial between jumps, the moments of a normal, those of a logistic latent."""
    edges = np.array([0.0, 0.3, 1.0])
    u, w = integral._polynomial(2)(edges)
    assert w @ np.where(u > 0.3, u**3, -1.0) == pytest.approx((1 - 0.3**4) / 4 - 0.3, abs=1e-14)
    u, w = integral._gaussian(8)(np.array([0.0, 1.0]))
    assert w @ torch.special.ndtri(torch.from_numpy(u)).numpy() ** 6 == pytest.approx(15, rel=1e-10)
    u, w = integral._logistic(0.5, 1)(edges)
    latent = np.log(u) - np.log1p(-u)
    assert w @ latent**2 == pytest.approx(math.pi**2 / 3, rel=1e-10)
    assert w @ np.where(u > 0.3, latent, 0.0) == pytest.approx(-(0.3 * math.log(0.3) + 0.7 * math.log(0.7)), rel=1e-10)


def test_the_program_may_be_in_float32() -> None:
    """The numbers as they are rounded, the arithmetic in float64."""
    chosen = Configuration.of({"model": TOY, "estimator": {"name": "rloo"}})
    single = exact_moments(Program(chosen.build_model(None)), chosen.build_estimator())
    assert single is not None and single.variance.dtype == np.float64
    np.testing.assert_allclose(single.variance, found(TOY, "rloo").variance, rtol=1e-6)
