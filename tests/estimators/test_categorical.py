"""ARS, ARSM, categorical DisARM, CARMS, unordered sets and sum-and-sample: their exact laws, and what must catch a fault in them.

All outcomes of an estimate are the rows of one batch, each with a replay of its own noise. What noise gives an outcome, and how probable
it is, is worked out here in numpy, apart from the estimators: cells of the unit interval (DisARM), of the simplex (ARS, ARSM, CARMS), who
is drawn first (unordered set, sum and sample). Means are then proven to 1e-10, and variances known.

The measured means and variances are held to 5 standard errors, of a Student t of 63 degrees of freedom for the variances: about 70 numbers,
another seed fails once in 5000.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.costs import Expect
from gsx.distributions import Bernoulli, Categorical, Discrete
from gsx.estimators.ars import ARS
from gsx.estimators.arsm import ARSM
from gsx.estimators.base import Estimator
from gsx.estimators.carms import CARMS, importance
from gsx.estimators.disarm import Disarm
from gsx.estimators.disarm_categorical import DisarmCategorical
from gsx.estimators.joint import MOST_STATES, log_probabilities, states
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.sum_and_sample import SumAndSample
from gsx.estimators.unordered_set import UnorderedSet, by_quadrature, by_subsets
from gsx.models.base import Model, Params
from gsx.noise import Block, Noise, replay
from gsx.process import one_thread_each
from gsx.records import ConfigurationError
from tests.estimators.enumeration import Law, exact_gradient, law_of
from tests.estimators.enumeration import states as uniforms_of_states


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


def f64(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def cost(z: Tensor, q: Any) -> Tensor:
    """Asymmetric, not separable, and with a direct term whose mean is not zero."""
    flat = z.flatten(-q.event_ndim)
    weights = torch.linspace(1.0, -0.7, flat.shape[-1], dtype=z.dtype)
    return (flat @ weights + 0.4) ** 3 - 0.3 * q.log_prob(z) ** 2


TWO = Categorical(f64([[0.7, -0.2]]))
TWO_TWICE = Categorical(f64([[0.7, -0.2], [-0.4, 0.5]]))
THREE = Categorical(f64([[0.5, -0.6, 0.1]]))
THREE_TWICE = Categorical(f64([[0.5, -0.3, 0.1], [-0.8, 0.4, 0.0]]))
FOUR = Categorical(f64([[0.4, -0.7, 0.9, 0.0]]))
FOUR_TWICE = Categorical(f64([[0.4, -0.7, 0.9, 0.0], [0.1, 0.6, -0.5, 0.3]]))
FIVE = Categorical(f64([[0.4, -0.7, 1.1, 0.0, -0.2]]))
TEN = Categorical(torch.linspace(-1.5, 1.8, 10, dtype=torch.float64).sin().unsqueeze(0))
COINS = Bernoulli(f64([-0.9, 0.3]))
THREE_COINS = Bernoulli(f64([-0.9, 0.3, 1.2]))

#: The uniforms of each request, ``[S, outcomes, *event]``, and the probability of each outcome.
Outcomes = tuple[list[np.ndarray], np.ndarray]
Of = Callable[[Any, Discrete], Outcomes]


def law(estimator: Estimator, q: Discrete, outcomes: Outcomes) -> Law:
    """The law of the gradient of one estimate of `cost` over these outcomes."""
    uniforms, weights = outcomes
    assert abs(weights.sum() - 1) < 1e-12 and (weights >= 0).all()
    many = q.map(lambda value: value.detach().expand(len(weights), *value.shape).clone().requires_grad_())
    numbers = replay({("z", request): f64(u) for request, u in enumerate(uniforms)})
    (found,) = torch.autograd.grad(estimator.expect(many, cost, numbers).sum(), (many.logits,))
    gradients = found.flatten(1).numpy()
    mean = weights @ gradients
    return Law(mean, weights @ (gradients - mean) ** 2, gradients, weights)


def product(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Independent parts, each with values ``[outcomes, ...]`` and weights, taken together: ``[all outcomes, parts, ...]``."""
    index = np.stack(np.meshgrid(*[np.arange(len(weight)) for _, weight in parts], indexing="ij"), -1).reshape(-1, len(parts))
    values = np.stack([value[index[:, i]] for i, (value, _) in enumerate(parts)], 1)
    return values, np.prod([weight[index[:, i]] for i, (_, weight) in enumerate(parts)], 0)


def probabilities(q: Discrete) -> np.ndarray:
    return np.asarray(q.mean.detach().numpy())


# ------------------------------------------------------------------------------------------------- ARS and ARSM: cells of a simplex


def halves(polygon: np.ndarray, line: np.ndarray) -> Iterator[np.ndarray]:
    """The two parts that a line cuts a convex polygon ``[corners, 3]`` into, or the one."""
    for side in (polygon @ line, -polygon @ line):
        kept = []
        for i in range(len(polygon)):
            j = (i + 1) % len(polygon)
            if side[i] >= 0:
                kept.append(polygon[i])
            if side[i] * side[j] < 0:
                kept.append(polygon[i] + side[i] / (side[i] - side[j]) * (polygon[j] - polygon[i]))
        if len(kept) > 2:
            yield np.array(kept)


def simplex(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points pi ``[points, C]`` and weights that integrate every function of Dirichlet(1, ..., 1) exactly that is a quadratic wherever no
    exchange of entries moves an outcome: C = 2 (an interval, cut into pieces) and C = 3 (a triangle, cut into polygons)."""
    rate = np.exp(-theta)
    if len(theta) == 2:
        p = rate[1] / rate.sum()
        edges = np.array([0.0, min(p, 1 - p), max(p, 1 - p), 1.0])
        node, weight = np.polynomial.legendre.leggauss(2)
        v = (edges[:-1, None] + np.diff(edges)[:, None] * (1 + node) / 2).ravel()
        return np.stack((v, 1 - v), 1), (np.diff(edges)[:, None] * weight / 2).ravel()
    pieces = [np.eye(3)]
    for order in itertools.permutations(range(3)):
        for a, b in itertools.combinations(range(3), 2):  # pi_order[a] / e^theta_a against pi_order[b] / e^theta_b
            line = np.zeros(3)
            line[order[a]], line[order[b]] = rate[a], -rate[b]
            pieces = [half for piece in pieces for half in halves(piece, line)]
    points, weights = [], []
    for piece in pieces:
        for i in range(1, len(piece) - 1):
            corners = piece[[0, i, i + 1]]
            points.append(corners / 2 + corners.mean(0) / 2)  # three points inside: exact for quadratics
            weights.append(np.full(3, abs(np.linalg.det(corners)) / 3))
    return np.concatenate(points), np.concatenate(weights)


def of_simplex(estimator: Any, q: Discrete) -> Outcomes:
    """N draws of D points of simplices; of exponentials -log u that are pi already, and need no normalisation."""
    parts = [simplex(theta) for _ in range(estimator.num_samples) for theta in q.logits.detach().numpy()]
    pi, weights = product(parts)
    return [np.exp(-pi).reshape(len(weights), estimator.num_samples, *q.event_shape).swapaxes(0, 1)], weights


# ------------------------------------------------------------------------------------------- categorical DisARM: cells of intervals

STICKS = {c: [([i], range(i + 1, c)) for i in range(c - 1)] for c in (2, 3, 4, 5)}
TREES = {2: [([0], [1])], 4: [([0, 1], [2, 3]), ([0], [1]), ([2], [3])], 5: [([0, 1], [2, 3, 4]), ([0], [1]), ([2], [3, 4]), ([3], [4])]}


def of_pairs(estimator: Any, q: Discrete) -> Outcomes:
    """Of each decision's u: below min(p, 1 - p), between, above max(p, 1 - p)."""
    parts = []
    decisions = (STICKS if estimator.structure == "stick_breaking" else TREES)[q.event_shape[-1]]
    for _ in range(estimator.num_samples // 2):
        for row in probabilities(q):
            for left, right in decisions:
                p = row[list(left)].sum() / (row[list(left)].sum() + row[list(right)].sum())
                edges = np.array([0.0, min(p, 1 - p), max(p, 1 - p), 1.0])
                parts.append(((edges[1:] + edges[:-1]) / 2, np.diff(edges)))
    u, weights = product(parts)
    return [u.reshape(len(weights), estimator.num_samples // 2, len(q.logits), len(decisions)).swapaxes(0, 1)], weights


# -------------------------------------------------------------------------------------------------------- CARMS: who is below a stick


def below(stick: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of the simplex with u_i = (1 - d_i)^(n - 1) < stick for just the samples i of a set, one for each set that can be, and its
    probability: all i of a set have d_i > t with the probability (1 - size t)_+^(n - 1), and the rest is inclusion and exclusion."""
    t = 1 - stick ** (1 / (n - 1))
    points, weights = [], []
    for size in range(n + 1):
        terms = [(-1) ** k * math.comb(n - size, k) * max(0.0, 1 - (size + k) * t) ** (n - 1) for k in range(n - size + 1)]
        if math.fsum(terms) < 1e-14:
            continue
        low, high = max(t, (1 - (n - size) * t) / max(size, 1)), 1 / max(size, 1)
        for chosen in itertools.combinations(range(n), size):
            d = np.full(n, 1 / n)
            if 0 < size < n:
                d[:] = (1 - size * (low + high) / 2) / (n - size)
                d[list(chosen)] = (low + high) / 2
            assert ((d > t) == np.isin(np.arange(n), chosen)).all()
            points.append(d)
            weights.append(math.fsum(terms))
    return np.array(points), np.array(weights)


def of_sticks(estimator: Any, q: Discrete) -> Outcomes:
    n, (dimensions, categories) = estimator.num_samples, q.event_shape
    parts = []
    for row in np.sort(probabilities(q), 1):
        for c in range(categories - 1):
            parts.append(below(row[c] / row[c:].sum(), n))
    d, weights = product(parts)  # [outcomes, sticks, N]
    u = np.full((n, len(weights), dimensions, categories), 0.5)  # the last category needs no stick
    u[..., :-1] = np.exp(-d).reshape(len(weights), dimensions, categories - 1, n).transpose(3, 0, 1, 2)
    return [u], weights


# ----------------------------------------------------------------------------------------------------- joint states: which are drawn


def joint(q: Discrete) -> np.ndarray:
    return np.asarray(q.map(Tensor.detach).points(0, q.num_points(0), 0)[1].numpy())


def far_apart(count: int, chosen: Any) -> np.ndarray:
    """Uniforms whose Gumbels are far above the others for the chosen states."""
    return np.where(np.isin(np.arange(count), chosen), 1 - 1e-15, 1e-300)[None]


def drawn_first(p: np.ndarray, chosen: tuple[int, ...]) -> float:
    """The probability that a set is drawn before the others."""
    exact = [Fraction(x) for x in p]
    return before(exact, chosen, sum((x for s, x in enumerate(exact) if s not in chosen), Fraction(0)))


def before(p: list[Fraction], chosen: tuple[int, ...], rest: Fraction) -> float:
    """The same of exponential clocks with these rates, by inclusion and exclusion of who is late; in rational numbers, since it cancels."""
    late = (late for size in range(len(chosen) + 1) for late in itertools.combinations(chosen, size))
    return float(sum((-1) ** len(a) * rest / (rest + sum(p[s] for s in a)) for a in late)) if rest else 1.0


def of_sets(estimator: Any, q: Discrete) -> Outcomes:
    p = joint(q)
    sets = list(itertools.combinations(range(len(p)), estimator.num_samples))
    return [np.stack([far_apart(len(p), chosen) for chosen in sets])[None]], np.array([drawn_first(p, chosen) for chosen in sets])


def of_rest(estimator: Any, q: Discrete) -> Outcomes:
    """Which of the less probable states is drawn, and all states of the baselines' draws."""
    p = joint(q)
    rest = np.argsort(-p, kind="stable")[estimator.num_samples - 1 :]
    u, weights = np.stack([far_apart(len(p), s) for s in rest])[None], p[rest] / p[rest].sum()
    if not estimator.baseline_samples:
        return [u], weights
    of_one = tuple(x.numpy() for x in uniforms_of_states(q))
    others, of_others = product([of_one] * (estimator.num_samples * estimator.baseline_samples))
    others = np.tile(others, (len(rest), *(1,) * (others.ndim - 1))).swapaxes(0, 1)
    return [np.repeat(u, len(of_others), 1), others], np.outer(weights, of_others).ravel()


# --------------------------------------------------------------------------------------------------------------------- unbiasedness

#: REINFORCE+ of Liu et al., with one state summed.
PLUS = SumAndSample(baseline_samples=1, num_samples=2)

CASES: list[tuple[Of, Any, list[tuple[str, Discrete]]]] = [
    (of_simplex, ARS(), [("2", TWO), ("2,2", TWO_TWICE), ("3", THREE)]),
    (of_simplex, ARS(num_samples=2), [("2", TWO)]),
    (of_simplex, ARSM(), [("2", TWO), ("2,2", TWO_TWICE), ("3", THREE)]),
    (of_simplex, ARSM(num_samples=2), [("2", TWO)]),
    (of_pairs, DisarmCategorical(), [("2", TWO), ("3", THREE), ("3,3", THREE_TWICE), ("5", FIVE)]),
    (of_pairs, DisarmCategorical(num_samples=4), [("3", THREE), ("2,2", TWO_TWICE)]),
    (of_pairs, DisarmCategorical(structure="tree"), [("4", FOUR), ("4,4", FOUR_TWICE), ("5", FIVE)]),
    (of_sticks, CARMS(), [("2", TWO), ("3", THREE), ("3,3", THREE_TWICE), ("5", FIVE)]),
    (of_sticks, CARMS(num_samples=3), [("2", TWO), ("3", THREE), ("2,2", TWO_TWICE), ("3,3", THREE_TWICE), ("4", FOUR)]),
    (of_sticks, CARMS(num_samples=5), [("2", TWO), ("3", THREE)]),
    (of_sets, UnorderedSet(), [("4", FOUR), ("3,3", THREE_TWICE), ("coins", COINS)]),
    (of_sets, UnorderedSet(num_samples=3), [("4", FOUR), ("3,3", THREE_TWICE), ("three coins", THREE_COINS)]),
    (of_sets, UnorderedSet(num_samples=5), [("3,3", THREE_TWICE)]),
    (of_sets, UnorderedSet(num_samples=8), [("3,3", THREE_TWICE)]),
    (of_sets, UnorderedSet(num_samples=9), [("10", TEN)]),
    (of_sets, UnorderedSet(baseline="none"), [("4", FOUR), ("coins", COINS)]),
    (of_sets, UnorderedSet(baseline="none", num_samples=3), [("3,3", THREE_TWICE)]),
    (of_rest, SumAndSample(num_samples=2), [("4", FOUR), ("3,3", THREE_TWICE), ("coins", COINS)]),
    (of_rest, SumAndSample(num_samples=4), [("3,3", THREE_TWICE), ("three coins", THREE_COINS)]),
    (of_rest, SumAndSample(baseline_samples=1), [("4", FOUR)]),
    (of_rest, PLUS, [("4", FOUR), ("coins", COINS)]),
    (of_rest, SumAndSample(baseline_samples=2, num_samples=2), [("coins", COINS)]),
    (of_rest, SumAndSample(baseline_samples=1, num_samples=3), [("coins", COINS)]),
]


def label(estimator: Any) -> str:
    settings = [str(getattr(estimator, key)) for key in ("structure", "baseline", "baseline_samples") if getattr(estimator, key, None)]
    return "-".join([estimator.name, *settings, f"N{estimator.num_samples}"])


EXACT = [pytest.param(of, e, q, id=f"{label(e)}-{name}") for of, e, problems in CASES for name, q in problems]


@pytest.mark.parametrize(("of", "estimator", "q"), EXACT)
def test_the_mean_is_the_gradient(of: Of, estimator: Estimator, q: Discrete) -> None:
    found = law(estimator, q, of(estimator, q))
    np.testing.assert_allclose(found.mean, exact_gradient(q, cost), rtol=1e-10, atol=1e-11)
    assert found.variance.sum() > 1e-4


# ------------------------------------------------------------------------------------------------------------------- measured values


class Table(Model):
    """The expectation of `cost` under a distribution whose logits are the parameters."""

    def __init__(self, q: Discrete) -> None:
        super().__init__()
        self.q = q

    def init(self, noise: Noise) -> Params:
        return {"logits": self.q.logits.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(self.q.replace(params), cost)


def measured(model: Model, estimator: Estimator) -> gsx.Result:
    return gsx.measure(model, estimator, num_replicates=2**16, block_size=2**10, seed=3, workers=1)


def disagreements(result: gsx.Result, mean: np.ndarray, variance: np.ndarray) -> list[str]:
    table = result.coordinates
    assert table is not None and table.variance_se is not None
    of_mean = (table.mean - mean) / (np.sqrt(variance / result.num_replicates) + 1e-7)
    of_variance = (table.variance - variance) / (table.variance_se + 1e-7 * variance)
    return [f"{name}: {z} standard errors" for name, z in (("mean", of_mean), ("variance", of_variance)) if np.abs(z).max() > 5]


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("of", "estimator", "q"),
    [
        pytest.param(of, estimator, q, id=label(estimator))
        for of, estimator, q in [
            (of_simplex, ARS(), THREE),
            (of_simplex, ARSM(num_samples=2), TWO),
            (of_pairs, DisarmCategorical(num_samples=4), THREE),
            (of_pairs, DisarmCategorical(structure="tree"), FOUR),
            (of_sticks, CARMS(), THREE),
            (of_sticks, CARMS(num_samples=5), THREE),
            (of_sets, UnorderedSet(num_samples=3), FOUR),
            (of_sets, UnorderedSet(baseline="none"), COINS),
            (of_rest, SumAndSample(num_samples=2), FOUR),
            (of_rest, PLUS, COINS),
        ]
    ],
)
def test_means_and_variances_are_as_measured(of: Of, estimator: Estimator, q: Discrete) -> None:
    truth, result = law(estimator, q, of(estimator, q)), measured(Table(q), estimator)
    assert not disagreements(result, truth.mean, truth.variance)
    for wrong in (0.85, 1.15):
        assert disagreements(result, truth.mean, wrong * truth.variance), "no power"


# ---------------------------------------------------------------------------------------------------------------------- planted bugs


def mutant(estimator: Estimator, changes: list[tuple[str, str]]) -> Any:
    """The estimator from its own source with something changed in it, each place found exactly once."""
    path = Path(str(sys.modules[type(estimator).__module__].__file__))
    source = path.read_text()
    for old, new in changes:
        assert source.count(old) == 1, f"{path.name} has {source.count(old)} of {old}"
        source = source.replace(old, new)
    namespace: dict[str, Any] = {"__name__": f"mutant_of_{path.stem}"}
    exec(compile(source, path.name, "exec"), namespace)
    changed = namespace[type(estimator).__name__](num_samples=estimator.num_samples)
    vars(changed).update({key: value for key, value in vars(estimator).items() if isinstance(value, str | int)})
    return changed


BUGS: list[tuple[Of, Estimator, Discrete, str, str, str]] = [
    (of_simplex, ARS(), THREE, "sign", "(f - f.mean(0))", "(f.mean(0) - f)"),
    (of_simplex, ARS(), THREE, "own entry for the reference", "pi[..., :1]", "pi"),
    (
        of_simplex,
        ARS(),
        THREE,
        "uniforms for exponentials",
        "exponential / exponential.sum(-1, keepdim=True)",
        "u / u.sum(-1, keepdim=True)",
    ),
    (of_simplex, ARS(), THREE, "no direct term", "f.mean((0, 1))", "f.detach().mean((0, 1))"),
    (of_simplex, ARSM(), THREE, "a C too many", "(1 / categories - pi)", "(1 - categories * pi)"),
    (of_simplex, ARSM(), THREE, "exchanges in one direction", "row_of[m, j] = row_of[j, m] = row", "row_of[m, j] = row"),
    (of_simplex, ARSM(), THREE, "no direct term", "f.mean((0, 1))", "f.detach().mean((0, 1))"),
    (of_pairs, DisarmCategorical(), THREE, "one-sided factor", "torch.sigmoid(phi.detach().abs())", "torch.sigmoid(phi.detach())"),
    (of_pairs, DisarmCategorical(), THREE, "a lone path ignored", " + (passes - both) * (b - p)", ""),
    (of_pairs, DisarmCategorical(), THREE, "missing half", "[..., None, None] / 2", "[..., None, None]"),
    (of_pairs, DisarmCategorical(), THREE, "sign of the other path", "- (passes2 - both) * (b2 - p)", "+ (passes2 - both) * (b2 - p)"),
    (of_pairs, DisarmCategorical(), THREE, "coupled beyond the parting", "coupled = both * (b", "coupled = passes * (b"),
    (of_pairs, DisarmCategorical(), THREE, "no direct term", "inject(f.mean(0)", "inject(f.detach().mean(0)"),
    (of_sticks, CARMS(), THREE, "no importance", "importance(sticks, n)[None, None]", "torch.ones_like(sticks)[None, None]"),
    (of_sticks, CARMS(num_samples=5), THREE, "none below both", "(1 - 2 * sticks + sticks * both)", "(1 - 2 * sticks)"),
    (of_sticks, CARMS(), FOUR, "only the last stick passed", "passed.cumprod(-1)", "passed"),
    (of_sticks, CARMS(), THREE, "N for N - 1", "(n * (n - 1))", "(n * n)"),
    (of_sticks, CARMS(num_samples=3), THREE, "the copula of a pair", "importance(sticks, n)[None", "importance(sticks, 2)[None"),
    (of_sticks, CARMS(), THREE, "clipped", "place.unsqueeze(1)).clamp(max=last - 1)", "place.unsqueeze(1)).clamp(max=0)"),
    (of_sticks, CARMS(), THREE, "no direct term", "inject(f.mean(0)", "inject(f.detach().mean(0)"),
    (of_sets, UnorderedSet(num_samples=3), FOUR, "ratio 1", "log_p + without_one", "log_p"),
    (of_sets, UnorderedSet(num_samples=3), FOUR, "self-included", ".masked_fill(itself, -torch.inf)", ""),
    (of_sets, UnorderedSet(num_samples=3), FOUR, "own cost left out", "-torch.expm1(log_p) * (signal", "(signal"),
    (
        of_sets,
        UnorderedSet(num_samples=3),
        FOUR,
        "first order for second",
        "(log_p + without_two)",
        "(log_p + 0 * without_two + without_one)",
    ),
    (of_sets, UnorderedSet(num_samples=3), FOUR, "no direct term", "inject((weight * f)", "inject((weight * f.detach())"),
    (of_rest, SumAndSample(num_samples=2), FOUR, "weight 1", "log_rest.logsumexp(0, keepdim=True)", "torch.zeros_like(log_rest[:1])"),
    (of_rest, SumAndSample(num_samples=2), FOUR, "the sum in the draw", "log_p.scatter(0, summed, -torch.inf)", "log_p"),
    (
        of_rest,
        SumAndSample(baseline_samples=1, num_samples=2),
        COINS,
        "own cost for a baseline",
        "f[:n], f[n:].detach()",
        "f[:n], f[:n].detach()",
    ),
    (of_rest, SumAndSample(num_samples=2), FOUR, "sign", "(weight * signal)", "(-weight * signal)"),
    (of_rest, SumAndSample(num_samples=2), FOUR, "no direct term", "inject((weight * f)", "inject((weight * f.detach())"),
]


@pytest.mark.parametrize(
    ("of", "estimator", "q", "old", "new"),
    [pytest.param(of, e, q, old, new, id=f"{e.name}-{name}".replace(" ", "_")) for of, e, q, name, old, new in BUGS],
)
def test_a_planted_bug_is_caught(of: Of, estimator: Estimator, q: Discrete, old: str, new: str) -> None:
    outcomes, truth = of(estimator, q), exact_gradient(q, cost)
    np.testing.assert_allclose(law(mutant(estimator, []), q, outcomes).mean, truth, rtol=1e-10)
    assert np.abs(law(mutant(estimator, [(old, new)]), q, outcomes).mean - truth).max() > 1e-3


# ------------------------------------------------------------------------------------------------------------------------ identities


def uniforms(*shape: int, block: int = 0) -> Tensor:
    return Block(7, "identities", block, torch.float64, torch.device("cpu")).draw("z", 0, shape)[0]


def gradient(estimator: Estimator, q: Discrete, u: Tensor, of: Callable[[Tensor, Any], Tensor] = cost) -> Tensor:
    """Of each row of a batch ``[rows, *event]`` of equal distributions, with these uniforms ``[S, rows, *]``."""
    many = q.map(lambda value: value.detach().expand(u.shape[1], *value.shape).clone().requires_grad_())
    (found,) = torch.autograd.grad(estimator.expect(many, of, replay({("z", 0): u})).sum(), (many.logits,))
    return found


def test_with_two_categories_ars_and_arsm_are_arm() -> None:
    """The Bernoulli of logit theta_0 - theta_1, u = pi_1: (f(1[u > 1 - p]) - f(1[u < p])) (u - 1/2)."""
    u = uniforms(1, 50, 1, 2)

    def f(z: Tensor, q: Any) -> Tensor:  # no direct term
        return 1.3 * z[..., 0, 0] - 0.4

    pi = torch.log(u[0, :, 0]) / torch.log(u[0, :, 0]).sum(-1, keepdim=True)
    p, v = torch.sigmoid(TWO.logits[0, 0] - TWO.logits[0, 1]), pi[:, 1]
    arm = 1.3 * ((v > 1 - p).double() - (v < p).double()) * (v - 0.5)
    expected = torch.stack((arm, -arm), -1).unsqueeze(1)
    torch.testing.assert_close(gradient(ARSM(), TWO, u, f), expected)
    torch.testing.assert_close(gradient(ARS(), TWO, u, f), expected)
    assert arm.abs().max() > 0.1


def test_arsm_is_the_mean_of_ars_over_all_references() -> None:
    """The reference is the first category: the others are, where they exchange names with it. (The direct terms differ: an outcome that no
    exchange moves is seen once for each reference.)"""
    u, of_each = uniforms(2, 40, 2, 3), []
    for reference in range(3):
        order = list(range(3))
        order[0], order[reference] = reference, 0
        renamed = Categorical(THREE_TWICE.logits[:, order])
        found = gradient(ARS(num_samples=2), renamed, u[..., order], lambda z, q, order=order: cost(z[..., order], THREE_TWICE))
        of_each.append(found[..., order])
    arsm = gradient(ARSM(num_samples=2), THREE_TWICE, u, lambda z, q: cost(z, THREE_TWICE))
    torch.testing.assert_close(torch.stack(of_each).mean(0), arsm)
    assert (of_each[0] - arsm).abs().max() > 0.1


@pytest.mark.parametrize("structure", ["stick_breaking", "tree"])
def test_with_two_categories_it_is_disarm(structure: Any) -> None:
    """The Bernoulli of logit theta_0 - theta_1, sample by sample."""
    u = uniforms(2, 50, 2, 1)
    coins = Bernoulli(TWO_TWICE.logits[:, 0] - TWO_TWICE.logits[:, 1])

    def f(b: Tensor, q: Any) -> Tensor:
        return (1.3 * b[..., 0] - 0.4 * b[..., 1] + 0.2) ** 3

    binary = gradient(Disarm(num_samples=4), coins, u.squeeze(-1), f)
    found = gradient(DisarmCategorical(structure=structure, num_samples=4), TWO_TWICE, u, lambda z, q: f(z[..., 0], q))
    torch.testing.assert_close(found, torch.stack((binary, -binary), -1))
    pairs = CARMS()  # has the same law, but for which of a pair is the first
    of_disarm = law(DisarmCategorical(structure=structure), TWO_TWICE, of_pairs(DisarmCategorical(structure=structure), TWO_TWICE))
    of_carms = law(pairs, TWO_TWICE, of_sticks(pairs, TWO_TWICE))
    np.testing.assert_allclose(of_carms.variance, of_disarm.variance, rtol=1e-10)


def test_carms_of_a_pair_is_disarm_with_importance_weights() -> None:
    """(1/2) (f - f') (z - z') times prod (1 - p)^2 / (1 - 2 p) of the sticks before they part, and sigmoid(|phi|) where they do."""
    u, p = uniforms(2, 60, 1, 4), probabilities(FOUR)[0]
    points: list[np.ndarray] = []

    def f(z: Tensor, q: Any) -> Tensor:
        points.append(z.detach().numpy())
        return z[..., 0, :] @ z.new_tensor([1.0, -0.4, 0.7, 2.1])

    found = gradient(CARMS(), FOUR, u, f).numpy()
    order = np.argsort(p)
    sticks = p[order] / p[order][::-1].cumsum()[::-1]
    first, second = points[0][:, :, 0]
    expected = np.zeros((60, 4))
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        place = min(np.flatnonzero(order == a.argmax())[0], np.flatnonzero(order == b.argmax())[0])
        if a.argmax() != b.argmax():
            w = np.prod((1 - sticks[:place]) ** 2 / (1 - 2 * sticks[:place])) * max(sticks[place], 1 - sticks[place])
            expected[i] = 0.5 * (a - b) @ [1.0, -0.4, 0.7, 2.1] * (a - b) * w
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-10, atol=1e-12)
    assert len(set(first.argmax(-1))) == 4 and np.abs(expected).max() > 0.1


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_joint_of_a_pair_is_exact(n: int) -> None:
    """p_i p_j / r is how often two samples are i and j, summed over all outcomes; and each sample is i with probability p_i."""
    (u,), weights = of_sticks(CARMS(num_samples=n), FOUR)
    points: list[np.ndarray] = []

    def look(z: Tensor, q: Any) -> Tensor:
        points.append(z.detach().numpy()[:, :, 0])
        return z.sum((-1, -2))

    gradient(CARMS(num_samples=n), FOUR, f64(u), look)
    z, p = points[0], probabilities(FOUR)[0]
    np.testing.assert_allclose(np.einsum("w,nwi->ni", weights, z), np.tile(p, (n, 1)), rtol=1e-12)
    order = np.argsort(p)
    place = np.argsort(order)
    sticks = (p[order] / p[order][::-1].cumsum()[::-1])[:-1]
    r = importance(f64(sticks), n).numpy()
    for a, b in itertools.combinations(range(n), 2):
        pair = np.einsum("w,wi,wj->ij", weights, z[a], z[b])
        for i, j in itertools.permutations(range(4), 2):
            assert pair[i, j] == pytest.approx(p[i] * p[j] / r[min(place[i], place[j])], rel=1e-10)


def test_importance_is_bounded_and_fades_with_many_samples() -> None:
    for exponents in uniforms(200, 6) * 30:
        p = torch.softmax(exponents, 0).sort().values
        sticks = (p / p.flip(0).cumsum(0).flip(0))[:-1]
        for n in (2, 3, 8, 64):
            r = importance(sticks, n)
            assert (r > 0).all() and (r < 2).all()
        torch.testing.assert_close(importance(sticks, 10**7), torch.ones_like(sticks), rtol=1e-6, atol=0)


@pytest.mark.parametrize("q", [FOUR, COINS, THREE_TWICE], ids=["four", "coins", "3,3"])
@pytest.mark.parametrize("make", [UnorderedSet, SumAndSample, lambda num_samples: UnorderedSet(baseline="none", num_samples=num_samples)])
def test_all_states_together_are_exact(q: Discrete, make: Any) -> None:
    """Sample by sample, whatever the noise; with nine states by quadrature."""
    n = q.num_points(0)
    for row in gradient(make(num_samples=n), q, uniforms(1, 20, 1, n)):
        np.testing.assert_allclose(row.flatten(), exact_gradient(q, cost), rtol=1e-9, atol=1e-11)


def test_a_constant_cost_has_no_gradient_where_a_baseline_knows_it() -> None:
    """Of an unordered set's weights, those of the baseline sum to 1 for each state, sample by sample."""

    def constant(z: Tensor, q: Any) -> Tensor:
        return 2.7 + 0 * z.flatten(-q.event_ndim).sum(-1)

    for n in (2, 5, 9):
        u = uniforms(1, 50, 1, 10)
        assert gradient(UnorderedSet(num_samples=n), TEN, u, constant).abs().max() < 1e-12
        assert gradient(UnorderedSet(baseline="none", num_samples=n), TEN, u, constant).abs().max() > 1e-3


@pytest.mark.parametrize("q", [FOUR, COINS, THREE_TWICE], ids=["four", "coins", "3,3"])
def test_conditional_expectations_vary_less(q: Discrete) -> None:
    """Of REINFORCE: given the set whose first draw it is, and given whether it is one of the states that are summed."""
    reinforce = law_of(Reinforce(), q, cost)
    before = reinforce.variance
    np.testing.assert_allclose(law(SumAndSample(), q, of_rest(SumAndSample(), q)).variance, before, rtol=1e-9)
    for n in (2, 3, 4):
        sets, rest = UnorderedSet(baseline="none", num_samples=n), SumAndSample(num_samples=n)
        after = law(sets, q, of_sets(sets, q)).variance
        assert (after < before + 1e-12).all() and after.sum() < before.sum() + 1e-12
        assert (law(rest, q, of_rest(rest, q)).variance < reinforce.variance + 1e-12).all()
        before = after
    assert after.sum() < 0.6 * reinforce.variance.sum()


# ------------------------------------------------------------------------------------------------------- sets: two ways to their law


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_subsets_and_quadrature_agree_with_rational_numbers(n: int) -> None:
    """With probabilities down to 1e-12, both in the set and of all others together."""
    for row, tiny in ((0, 1.0), (1, 1e-12), (2, 1e-6)):
        p = (uniforms(3, n + 1)[row] * 10).exp()
        p[row] *= tiny
        p[-1] *= tiny if row == 1 else 1.0
        p = p / p.sum()
        rational = [Fraction(float(x)) for x in p]
        for way in (by_subsets, by_quadrature):
            one, two = (x.exp().numpy() for x in way(p[:-1].log(), p[-1].log()))
            for i in range(n):
                assert one[i] == pytest.approx(before(rational, tuple(t for t in range(n) if t != i), rational[-1]), rel=1e-9)
                for j in range(i):
                    expected = before(rational, tuple(t for t in range(n) if t not in (i, j)), rational[-1])
                    assert two[i, j] == pytest.approx(expected, rel=1e-9) and two[i, j] == pytest.approx(two[j, i], rel=1e-12)


@pytest.mark.parametrize("n", [9, 16, 40])
def test_quadrature_keeps_its_accuracy_with_many_samples(n: int) -> None:
    """Of equal states: P(T) is that of none among |T| + rest, prod_i i / (i + rest) with the rest in units of one of them."""
    for ratio in (0.01, 1.0, 30.0):
        one, two = by_quadrature(torch.zeros(n, dtype=torch.float64), torch.tensor(math.log(ratio), dtype=torch.float64))
        for found, size in ((one, n - 1), (two, n - 2)):
            expected = math.fsum(math.log(i / (i + ratio)) for i in range(1, size + 1))
            torch.testing.assert_close(found, torch.full_like(found, expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("q", [COINS, THREE_COINS, THREE_TWICE, FOUR], ids=["coins", "three coins", "3,3", "four"])
def test_joint_states_are_those_of_the_distribution(q: Discrete) -> None:
    many = q.map(lambda value: torch.stack((value, -value, 2 * value)))
    points, weight = many.points(0, many.num_points(0), 0)
    torch.testing.assert_close(log_probabilities(many), weight.log())
    index = torch.arange(len(weight)).unsqueeze(1).expand(-1, 3)
    assert torch.equal(states(many, index), points)


def test_what_cannot_be_listed_is_refused_with_the_reason() -> None:
    class Named:
        name, cost_is = "some_model", "differentiable"

    for make in (UnorderedSet, SumAndSample):
        assert make().supports(Bernoulli(torch.zeros(12)), Named()) is None
        assert f"at most {MOST_STATES} joint states" in (make().supports(Bernoulli(torch.zeros(13)), Named()) or "")
        assert "some_model has more" in (make().supports(Categorical(torch.zeros(200, 10)), Named()) or "")
        assert make(num_samples=4).supports(COINS, Named()) is None
        assert "some_model has only 4" in (make(num_samples=5).supports(COINS, Named()) or "")
    with pytest.raises(ConfigurationError, match="baseline_samples=-1: must not be negative"):
        SumAndSample(baseline_samples=-1)


def test_equal_states_are_summed_in_the_order_of_points() -> None:
    """Ties are frequent (states of tied coins), and their order moves the variance."""
    coins = Bernoulli(torch.full((2, 3), -4.0, dtype=torch.float64))
    seen: list[Tensor] = []

    def look(z: Tensor, q: Any) -> Tensor:
        seen.append(z.detach())
        return z.sum(-1)

    SumAndSample(num_samples=4).expect(coins, look, replay({("z", 0): uniforms(1, 2, 1, 8)}))
    assert seen[0][:3, 0].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert torch.equal(seen[0][:3, 0], seen[0][:3, 1])


# -------------------------------------------------------------------------------------------------------------- a published experiment


class TiedBernoulli(Model):
    """E sum_i (b_i - t_i)^2 under three Bernoullis of one logit (Liu et al. 2019, section 6.1; Kool et al. 2020)."""

    def __init__(self, eta: float) -> None:
        super().__init__()
        self.eta = eta

    def init(self, noise: Noise) -> Params:
        return {"eta": f64([self.eta])}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(Bernoulli(params["eta"].expand(3)), lambda b, q: ((b - b.new_tensor([0.6, 0.51, 0.48])) ** 2).sum(-1))


def reinforce_plus(eta: float, k: int) -> float:
    """The exact variance in eta where the k most probable states are summed and one of the others is drawn, each with the cost of another
    independent draw for a baseline."""
    b = np.stack(np.meshgrid(*[[0.0, 1.0]] * 3, indexing="ij"), -1).reshape(-1, 3)[:, ::-1]  # in the order of `points`
    p = 1 / (1 + math.exp(-eta))
    weight, f, score = np.where(b == 1, p, 1 - p).prod(1), ((b - [0.6, 0.51, 0.48]) ** 2).sum(1), (b - p).sum(1)
    order = np.argsort(-np.round(np.log(weight), 9), kind="stable")
    summed, rest = order[:k], order[k:]
    mean = weight @ f
    noise = weight @ (f - mean) ** 2
    total, conditional = weight[rest].sum(), weight[rest] / weight[rest].sum()
    drawn = (f - mean)[rest] * score[rest]
    of_draw = total**2 * (conditional @ drawn**2 - (conditional @ drawn) ** 2 + noise * (conditional @ score[rest] ** 2))
    return float(noise * ((weight * score)[summed] ** 2).sum() + of_draw)


#: (eta, states summed): the variance of 10 000 draws printed in the authors' notebook, where the order of equally probable states does not
#: matter.
PRINTED = {(0.0, 0): 1.2746e-2, (-4.0, 1): 3.2849e-5, (-4.0, 4): 2.6875e-6, (-4.0, 7): 2.5851e-6, (0.0, 7): 9.9891e-4}


@pytest.mark.statistical
@pytest.mark.parametrize(("eta", "k"), PRINTED)
def test_the_published_variances_of_sum_and_sample(eta: float, k: int) -> None:
    """With one baseline sample, fresh for each state: with a baseline shared by all, the last state of k = 7 would leave no variance."""
    exact = reinforce_plus(eta, k)
    assert exact == pytest.approx(PRINTED[eta, k], rel=0.06)  # their own error: about 4 %
    result = measured(TiedBernoulli(eta), SumAndSample(baseline_samples=1, num_samples=k + 1))
    variance = result.summary["variance"]
    assert variance is not None and variance.se is not None
    assert variance.value == pytest.approx(exact, abs=5 * variance.se) and variance.se < 0.03 * exact


def test_the_published_variances_of_the_unordered_set() -> None:
    """Kool et al. (2020), figure 2 at eta = 0, read off to two digits: k = 2, ..., 6 with the built-in baseline."""

    def f(b: Tensor, q: Any) -> Tensor:
        return ((b - b.new_tensor([0.6, 0.51, 0.48])) ** 2).sum(-1)

    coins = Bernoulli(torch.zeros(3, dtype=torch.float64))
    for k, published in ((2, 6e-3), (3, 2.3e-3), (4, 1.1e-3), (5, 6e-4), (6, 3.1e-4)):
        estimator = UnorderedSet(num_samples=k)
        uniform, weights = of_sets(estimator, coins)
        of_eta = gradient(estimator, coins, f64(uniform[0]), f).sum(-1).numpy()
        assert weights @ of_eta == pytest.approx(-0.045, abs=1e-9)
        assert weights @ (of_eta + 0.045) ** 2 == pytest.approx(published, rel=0.03)


# ------------------------------------------------------------------------------------------------------------------------- extremes

SATURATED = f64([[40.0, -40.0, 0.0, 1.0], [-40.0, 40.0, -40.0, 40.0]])
RARE = f64([[0.0, math.log(1e-12), -1.0, 0.3], [math.log(1e-12), 0.0, math.log(1e-12), 0.5]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("logits", [SATURATED, RARE], ids=["saturated", "rare"])
@pytest.mark.parametrize(
    "estimator",
    [
        ARS(),
        ARSM(),
        DisarmCategorical(),
        DisarmCategorical(structure="tree", num_samples=4),
        CARMS(),
        CARMS(num_samples=7),
        UnorderedSet(),
        UnorderedSet(num_samples=5),
        UnorderedSet(num_samples=12),
        UnorderedSet(num_samples=16),
        UnorderedSet(baseline="none", num_samples=3),
        SumAndSample(),
        SumAndSample(num_samples=16, baseline_samples=1),
    ],
    ids=label,
)
def test_extreme_logits_have_finite_gradients(estimator: Estimator, logits: Tensor, dtype: torch.dtype) -> None:
    kinds = [kind for kind in (Bernoulli, Categorical) if issubclass(kind, estimator.distributions)]
    for kind in kinds:
        value = logits.flatten() if kind is Bernoulli else logits
        if kind is Bernoulli:
            value = value[torch.tensor([0, 1, 2, 3])]
        q = kind(value.to(dtype).expand(500, *value.shape).clone().requires_grad_())
        noise = Block(5, "extremes", 0, dtype, torch.device("cpu")).one()
        estimate = estimator.expect(q, cost, noise)
        (found,) = torch.autograd.grad(estimate.sum(), (q.logits,))
        assert torch.isfinite(estimate).all() and torch.isfinite(found).all()


@pytest.mark.parametrize(
    "of_and_estimator", [(of_pairs, DisarmCategorical()), (of_sticks, CARMS(num_samples=3)), (of_rest, SumAndSample())]
)
def test_rare_categories_stay_unbiased(of_and_estimator: tuple[Of, Estimator]) -> None:
    of, estimator = of_and_estimator
    q = Categorical(f64([[0.0, math.log(1e-12), 0.4]]))
    np.testing.assert_allclose(law(estimator, q, of(estimator, q)).mean, exact_gradient(q, cost), rtol=1e-9, atol=1e-14)
