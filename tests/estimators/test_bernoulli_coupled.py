"""AR, ARM, ARMS, local expectations, bitflip-1 and stochastic triples, by exact sums over everything they draw.

What is finite is enumerated. The uniforms of AR and ARM stay in the estimate, but as polynomials: two Gauss-Legendre nodes in each interval
on which the sample is constant give the exact mean and variance. A Dirichlet copula has finitely many patterns of who falls in the rarer
state, with probabilities by inclusion and exclusion. All of it is replayed through the estimator itself, as a batch of outcomes.

Statistical tests: 17 measurements, about 90 numbers at 5 standard errors of a Student t of 63 degrees of freedom: another seed fails once
in 2000.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.costs import Cost, Expect
from gsx.distributions import Bernoulli, Categorical, Discrete
from gsx.estimators import arms, stochastic_ad
from gsx.estimators.ar import AR
from gsx.estimators.arm import ARM
from gsx.estimators.arms import ARMS, debias
from gsx.estimators.base import Estimator
from gsx.estimators.bitflip import Bitflip
from gsx.estimators.disarm import Disarm
from gsx.estimators.local_expectation import LocalExpectation
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.stochastic_ad import StochasticAD
from gsx.models.base import Model, Params
from gsx.noise import Block, Noise, replay
from gsx.process import one_thread_each
from gsx.surrogate import inject, zero
from tests.estimators.enumeration import Law, exact_gradient, states

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


def numbers(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def cost(z: Tensor, q: Any) -> Tensor:
    """Neither symmetric nor separable, and log q squared leaves a direct term whose mean is not zero."""
    flat = z.flatten(-q.event_ndim)
    weights = torch.linspace(1.0, -0.7, flat.shape[-1], dtype=z.dtype) if flat.shape[-1] > 1 else z.new_tensor([1.3])
    return (flat @ weights + 0.4) ** 3 - 0.3 * q.log_prob(z) ** 2


# ---------------------------------------------------------------------------------------------------------------------------- outcomes


@dataclass
class Outcomes:
    """Everything that one estimate can draw: each request ``[n, outcomes, *event]``, and the weights ``[outcomes]``."""

    requests: list[Tensor]
    weights: Tensor

    def __post_init__(self) -> None:
        assert abs(float(self.weights.sum()) - 1) < 1e-12

    def copies(self, n: int) -> Outcomes:
        """Of n independent draws of this one."""
        choice = torch.tensor(list(itertools.product(range(len(self.weights)), repeat=n))).T
        return Outcomes([request[0][choice] for request in self.requests], self.weights[choice].prod(0))


Expectation = Callable[[Any, Cost, Noise], Tensor]


def estimates(expect: Expectation, q: Discrete, f: Cost, outcomes: Outcomes) -> tuple[Tensor, Tensor]:
    """The value ``[outcomes]`` and the gradient ``[outcomes, P]`` of an estimate on each outcome."""
    count = len(outcomes.weights)
    many = q.map(lambda value: value.expand(count, *value.shape).clone().requires_grad_())
    value = expect(many, f, replay({("z", i): request for i, request in enumerate(outcomes.requests)}))
    (found,) = torch.autograd.grad(value.sum(), many.parameters["logits"])
    return value.detach(), found.flatten(1)


def law(expect: Expectation, q: Discrete, f: Cost, outcomes: Outcomes) -> Law:
    gradients, weights = estimates(expect, q, f, outcomes)[1].numpy(), outcomes.weights.numpy()
    mean = weights @ gradients
    return Law(mean, weights @ (gradients - mean) ** 2, gradients, weights)


def grid(nodes: list[Tensor], weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The product over coordinates of what each may be: ``[points, D]`` and weights ``[points]``."""
    return torch.cartesian_prod(*nodes).reshape(-1, len(nodes)), torch.cartesian_prod(*weights).reshape(-1, len(nodes)).prod(-1)


def intervals(q: Discrete, *, mirrored: bool) -> Outcomes:
    """A uniform for each coordinate, at the Gauss-Legendre nodes of the intervals on which b (and its mirror image) is constant."""
    offset = numbers(-1, 1) / 3**0.5
    nodes, weights = [], []
    for p in q.mean.tolist():
        inner = sorted({1 - p, p} if mirrored else {1 - p})
        edges = numbers(0, *inner, 1)
        half = edges.diff() / 2
        nodes.append((edges[:-1, None] + half[:, None] * (1 + offset)).flatten())
        weights.append(half.repeat_interleave(2))
    points, weight = grid(nodes, weights)
    return Outcomes([points.unsqueeze(0)], weight)


def every_state(q: Discrete) -> Outcomes:
    u, weight = states(q)
    return Outcomes([u.unsqueeze(0)], weight)


def with_a_coordinate(q: Discrete, weigh: Callable[[Tensor], Tensor]) -> Outcomes:
    """A state, then a uniform for each coordinate that makes one of them win; ``weigh(b [states, D])`` are the odds of each."""
    u, weight = states(q)
    size = q.event_shape[0]
    odds = weigh(q.sample(u))
    total = odds.sum(-1, keepdim=True)
    chance = torch.where(total > 0, odds / total, 1 / size)
    winners = torch.where(torch.eye(size, dtype=torch.bool), 1 - 1e-15, numbers(1e-300))
    requests = [u.repeat_interleave(size, 0).unsqueeze(0), winners.repeat(len(u), 1).unsqueeze(0)]
    return Outcomes(requests, (weight.unsqueeze(-1) * chance).flatten())


def rates(q: Discrete, side: str) -> Callable[[Tensor], Tensor]:
    """At what rate each coordinate turns, of its logit."""
    p = q.mean
    return lambda b: {"right": (1 - b) * p, "left": b * (1 - p), "both": ((1 - b) * p + b * (1 - p)) / 2}[side]


def copula(q: Discrete, n: int) -> Outcomes:
    """The patterns of who of n falls in the rarer state, of probability r: those with a share d above c = 1 - r^(1/(n-1)). Any k of them do
    with probability max(1 - k c, 0)^(n-1)."""
    shares, weights = [], []
    for p in q.mean.tolist():
        c = 1 - min(p, 1 - p) ** (1 / (n - 1))
        for k, rare in ((sum(rare), rare) for rare in itertools.product((0, 1), repeat=n)):
            above = [(-1) ** (more - k) * len(list(itertools.combinations(range(n - k), more - k))) for more in range(k, n + 1)]
            chance = sum(sign * max(1 - more * c, 0) ** (n - 1) for more, sign in zip(range(k, n + 1), above, strict=True))
            if chance > 1e-14:
                small = 0.0 if k in (0, n) else min(1 - k * c, c) / 2
                d = [(1 - small) / k if i else (small / (n - k) if k else 1 / n) for i in rare]
                assert all((share > c) == bool(i) for share, i in zip(d, rare, strict=True)) and abs(sum(d) - 1) < 1e-12
                shares.append(d)
                weights.append(chance)
            else:
                shares.append([1 / n] * n)
                weights.append(0.0)
    size = q.event_shape[0]
    patterns = torch.cartesian_prod(*torch.arange(2**n * size).reshape(size, -1)).reshape(-1, size)
    d, weight = numbers(*shares)[patterns], numbers(*weights)[patterns].prod(-1)
    return Outcomes([torch.exp(-d).movedim(-1, 0)], weight)


def drawn(estimator: Estimator, q: Discrete) -> Outcomes:
    """Everything that this estimator can draw."""
    n = estimator.num_samples
    if isinstance(estimator, ARMS):
        return copula(q, n)
    if isinstance(estimator, ARM | Disarm):
        return intervals(q, mirrored=True).copies(n // 2)
    if isinstance(estimator, AR):
        return intervals(q, mirrored=False).copies(n)
    if isinstance(estimator, Bitflip):
        return with_a_coordinate(q, torch.ones_like).copies(n)
    if isinstance(estimator, StochasticAD):
        return with_a_coordinate(q, rates(q, estimator.side)).copies(n)
    return every_state(q).copies(n)


# -------------------------------------------------------------------------------------------------------------------------- unbiasedness

Side = Literal["left", "right", "both"]
SIDES: tuple[Side, ...] = ("left", "right", "both")
ESTIMATORS = [
    *(AR(num_samples=n) for n in (1, 2)),
    *(ARM(num_samples=n) for n in (2, 4)),
    *(ARMS(num_samples=n) for n in (2, 3, 4)),
    *(LocalExpectation(num_samples=n) for n in (1, 2)),
    *(Bitflip(num_samples=n) for n in (1, 2)),
    *(StochasticAD(side=side, num_samples=n) for side in SIDES for n in (1, 2)),
]
# Either side of 1/2, at it, and just below it, where of three coupled samples one at least is in the rarer state.
BERNOULLIS = [Bernoulli(numbers(*logits)) for logits in ([-0.9], [0.4], [0.0], [-0.9, 0.3], [-0.1, 1.4], [0.0, -2.1])]
CATEGORICAL = Categorical(numbers([0.5, -0.3, 0.1], [-0.8, 0.4, 0.0]))


def called(value: Any) -> str:
    if isinstance(value, Estimator):
        return f"{value.name}-{getattr(value, 'side', '')}N{value.num_samples}"
    return f"{value.logits.flatten().tolist()}" if isinstance(value, Discrete) else str(value)


def has_exact_means(expect: Expectation, q: Discrete, outcomes: Outcomes, f: Cost = cost) -> bool:
    """Whether value and gradient are right on average, to 1e-10 of the largest."""
    value, gradients = estimates(expect, q, f, outcomes)
    z, weight = q.points(0, q.num_points(0), 0)
    truth = torch.cat(((weight @ f(z, q)).reshape(1), torch.from_numpy(exact_gradient(q, f))))
    found = torch.cat(((outcomes.weights @ value).reshape(1), outcomes.weights @ gradients))
    return torch.allclose(found, truth, rtol=0, atol=1e-10 * float(truth.abs().max()))


@pytest.mark.parametrize("q", BERNOULLIS, ids=called)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=called)
def test_value_and_gradient_have_their_exact_means(estimator: Estimator, q: Discrete) -> None:
    assert has_exact_means(estimator.expect, q, drawn(estimator, q))


@pytest.mark.parametrize("n", [1, 2])
def test_local_expectations_of_categoricals_have_their_exact_means(n: int) -> None:
    estimator = LocalExpectation(num_samples=n)
    assert has_exact_means(estimator.expect, CATEGORICAL, drawn(estimator, CATEGORICAL))


# --------------------------------------------------------------------------------------- how uniforms become samples, where they turn


@pytest.mark.parametrize("n", [2, 3, 4, 7])
@pytest.mark.parametrize("logit", [-3.0, -0.4, 0.0, 0.8, 2.5])
def test_a_copula_turns_a_sample_where_its_share_passes_the_threshold(n: int, logit: float) -> None:
    """The patterns of `copula` are replayed from the middle of their cells: this is the edge of one."""
    seen: list[Tensor] = []
    r = min(1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(logit)))
    c = 1 - r ** (1 / (n - 1))
    for share in (c - 1e-9, c + 1e-9):
        others = torch.linspace(1, 2, n - 1, dtype=torch.float64)
        d = torch.cat((numbers(share), others / others.sum() * (1 - share)))
        ARMS(num_samples=n).expect(
            Bernoulli(numbers(logit)), lambda z, q: (seen.append(z), z.sum(-1))[1], replay({("z", 0): torch.exp(-d)[:, None]})
        )
    is_rare = [float(z[0]) != float(logit >= 0) for z in seen]
    assert is_rare == [False, True]


def picks(side: Side, q: Bernoulli, u: Tensor, v: Tensor) -> int:
    """The coordinate that is flipped."""
    seen: list[Tensor] = []
    requests = {("z", 0): u[None], ("z", 1): v[None]}
    StochasticAD(side=side).expect(q, lambda z, q: (seen.append(z), z.sum(-1))[1], replay(requests))
    return int((seen[0][1] - seen[0][0]).abs().argmax())


def picks_by_rate(side: Side, q: Bernoulli) -> bool:
    """Whether, for every b with two alternatives, the pick turns from one to the other where u_0^(1/w_0) = u_1^(1/w_1): the one then has
    the probability w_0 / (w_0 + w_1)."""
    u, _ = states(q)
    turns = []
    for one, w in zip(u, rates(q, side)(q.sample(u)), strict=True):
        if (w > 0).all():
            for other in (0.2, 0.7):
                edge = other ** float(w[0] / w[1])
                turns += [picks(side, q, one, numbers(edge + step, other)) for step in (-1e-9, 1e-9)]
    assert turns
    return turns == [1, 0] * (len(turns) // 2)


@pytest.mark.parametrize("side", SIDES)
def test_an_alternative_is_kept_in_proportion_to_its_rate(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    q = Bernoulli(numbers(-0.9, 0.3))
    assert picks_by_rate(side, q)
    gumbel = stochastic_ad.gumbel
    monkeypatch.setattr(stochastic_ad, "gumbel", lambda u: 1e9 * gumbel(u))  # the rates no longer count
    assert not picks_by_rate(side, q)


# ------------------------------------------------------------------------------------------------------------------------------ mutants


def plain(z: Tensor, q: Any) -> Tensor:
    return cost(z, Bernoulli(torch.zeros_like(z)))


def scaled(estimator: Estimator, factor: float) -> Expectation:
    """The planted gradient times a factor, where the cost itself has none."""

    def expect(q: Any, cost: Cost, noise: Noise) -> Tensor:
        value = estimator.expect(q, cost, noise)
        return value.detach() + factor * zero(value)

    return expect


@pytest.mark.parametrize(
    ("estimator", "factor"),
    [
        pytest.param(AR(), -1, id="ar: 1 - 2u for 2u - 1"),
        pytest.param(ARM(), 2, id="arm: 2u - 1 for u - 1/2"),
        pytest.param(ARMS(num_samples=3), 2 / 3, id="arms: 1/N for 1/(N - 1)"),
        pytest.param(LocalExpectation(), 1 / 2, id="local: the mean over coordinates"),
        pytest.param(LocalExpectation(), 3 / 2, id="local: the value's probabilities move as well"),
        pytest.param(Bitflip(), 1 / 2, id="bitflip: without D"),
        pytest.param(StochasticAD(), 2, id="stochastic: the sum of both sides"),
    ],
)
def test_wrong_factors_are_caught(estimator: Estimator, factor: float) -> None:
    q = BERNOULLIS[3]
    assert has_exact_means(scaled(estimator, 1), q, drawn(estimator, q), plain)
    assert not has_exact_means(scaled(estimator, factor), q, drawn(estimator, q), plain)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=called)
def test_a_lost_direct_term_is_caught(estimator: Estimator) -> None:
    q = BERNOULLIS[3]
    assert not has_exact_means(lambda q, f, noise: estimator.expect(q, lambda z, q: f(z, q).detach(), noise), q, drawn(estimator, q))


def independent_pair(q: Any, f: Cost, noise: Noise) -> Tensor:
    """ARM whose second sample has a uniform of its own: half the gradient."""
    u, other = noise.uniform((1,), q), noise.uniform((1,), q)
    costs = f(torch.cat((q.sample(u), q.sample(other))), q)
    return inject(costs.mean(0), (costs[0] - costs[1]).detach().unsqueeze(-1) * (u[0] - 0.5), q.logits)


def test_a_miscoupled_pair_is_caught() -> None:
    q = BERNOULLIS[3]
    pair = intervals(q, mirrored=False).copies(2)
    assert not has_exact_means(independent_pair, q, Outcomes(list(pair.requests[0].split(1)), pair.weights))


@pytest.mark.parametrize("q", BERNOULLIS[3:], ids=called)
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda logits, n: torch.ones_like(logits), id="none"),
        pytest.param(lambda logits, n: torch.sigmoid(-logits), id="1-p for 1-r"),
        pytest.param(lambda logits, n: debias(logits, 2), id="that of a pair"),
        pytest.param(lambda logits, n: debias(logits, n) + 1e-6, id="a small constant"),
    ],
)
def test_a_wrong_debias_factor_is_caught(q: Discrete, wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = ARMS(num_samples=4)
    monkeypatch.setattr(arms, "debias", wrong)
    assert not has_exact_means(estimator.expect, q, drawn(estimator, q))


def averages_both(q: Any, f: Cost, noise: Noise) -> Tensor:
    """Bitflip-1 whose value and direct term are taken at the flipped points as well: they are not drawn from q."""
    seen: list[Tensor] = []

    def watched(z: Tensor, q: Any) -> Tensor:
        seen.append(f(z, q))
        return seen[0]

    value = Bitflip().expect(q, watched, noise)
    return value - seen[0][0] + seen[0].mean(0)


def test_a_direct_term_at_flipped_points_is_caught() -> None:
    q = BERNOULLIS[3]
    assert not has_exact_means(averages_both, q, drawn(Bitflip(), q))


# --------------------------------------------------------------------------------------------------------------------- the debias factor


def exact_debias(logit: float, n: int) -> float:
    """p (1 - p) / (p - P11) by its definition, in 120 digits."""
    with localcontext() as context:
        context.prec = 120
        p = 1 / (1 + Decimal(-logit).exp())
        root = Decimal(1) / (n - 1)
        if p < Decimal("0.5"):
            p11 = max(2 * p**root - 1, Decimal(0)) ** (n - 1)
        else:
            p11 = 2 * p - 1 + max(2 * (1 - p) ** root - 1, Decimal(0)) ** (n - 1)
        return float(p * (1 - p) / (p - p11))


@pytest.mark.parametrize("n", [2, 3, 4, 10, 64])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 2e-6), (torch.float64, 5e-15)], ids=str)
def test_the_debias_factor_is_exact_at_all_logits(n: int, dtype: torch.dtype, rtol: float) -> None:
    logits = [0.0, *(sign * size for size in (1e-8, 1e-3, 0.1, 0.5, 1.0, 3.0, 10.0, 17.0, 40.0, 80.0) for sign in (-1, 1))]
    rounded = torch.tensor(logits, dtype=dtype)
    expected = [exact_debias(logit, n) for logit in rounded.tolist()]
    np.testing.assert_allclose(debias(rounded, n).numpy(), expected, rtol=rtol)
    assert torch.equal(debias(torch.tensor([-1e3, 1e3], dtype=dtype), n), torch.ones(2, dtype=dtype))


@pytest.mark.parametrize("n", [3, 4, 5])
@pytest.mark.parametrize("logit", [-2.0, -0.5, -0.1, 0.0, 0.2, 1.5])
def test_the_debias_factor_is_that_of_the_dirichlet(n: int, logit: float) -> None:
    """P11 by quadrature over the shares x and y of two samples, whose density is (n - 1)(n - 2)(1 - x - y)^(n - 3) where x + y < 1."""
    p = 1 / (1 + np.exp(-logit))
    c = 1 - min(p, 1 - p) ** (1 / (n - 1))
    node, weight = np.polynomial.legendre.leggauss(8)
    half = max(1 - 2 * c, 0) / 2
    x = c + half * (1 + node)
    inner = (1 - x - c) / 2
    y = c + inner[:, None] * (1 + node)
    density = (n - 1) * (n - 2) * (1 - x[:, None] - y) ** (n - 3)
    both_rare = (half * weight * inner) @ (density @ weight)
    p11 = both_rare if p < 0.5 else 2 * p - 1 + both_rare
    np.testing.assert_allclose(float(debias(numbers(logit), n)), p * (1 - p) / (p - p11), rtol=1e-12)


def test_the_debias_factor_of_many_samples_is_that_of_independent_ones() -> None:
    np.testing.assert_allclose(debias(numbers(-1.5, -0.2, 0.0, 0.7), 10**7).numpy(), 1, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------------------------- identities


def by_cell(q: Bernoulli) -> tuple[Outcomes, Tensor]:
    """The outcomes of one mirrored uniform, and which of the 3^D cells each is in."""
    outcomes = intervals(q, mirrored=True)
    u = outcomes.requests[0][0]
    cell = q.sample(u) + 2 * q.sample(1 - u)
    return outcomes, (cell * 4 ** torch.arange(cell.shape[-1])).sum(-1)


def means_by(cell: Tensor, weights: Tensor, gradients: Tensor) -> Tensor:
    """The mean of the gradients in each outcome's cell."""
    together = (cell[:, None] == cell).double() * weights
    return together @ gradients / together.sum(-1, keepdim=True)


@pytest.mark.parametrize("q", BERNOULLIS[3:5], ids=called)
def test_disarm_is_the_mean_of_arm_given_the_pair(q: Bernoulli) -> None:
    outcomes, cell = by_cell(q)
    arm, disarm = (estimates(estimator.expect, q, cost, outcomes)[1] for estimator in (ARM(), Disarm()))
    assert len(cell.unique()) == 9 and (arm - disarm).abs().max() > 0.01
    torch.testing.assert_close(means_by(cell, outcomes.weights, arm), disarm, rtol=1e-11, atol=1e-12)


def test_reinforce_is_the_mean_of_ar_given_the_sample() -> None:
    q = BERNOULLIS[3]
    outcomes = intervals(q, mirrored=False)
    b = q.sample(outcomes.requests[0][0])
    ar, reinforce = (estimates(estimator.expect, q, cost, outcomes)[1] for estimator in (AR(), Reinforce()))
    assert (ar - reinforce).abs().max() > 0.01
    torch.testing.assert_close(means_by((b * numbers(1, 2)).sum(-1), outcomes.weights, ar), reinforce, rtol=1e-11, atol=1e-12)


def test_arm_is_ar_at_a_uniform_and_its_mirror_image() -> None:
    q = BERNOULLIS[3]
    outcomes = intervals(q, mirrored=True)
    (u,) = outcomes.requests
    both = Outcomes([torch.cat((u, 1 - u))], outcomes.weights)
    for one, two in zip(estimates(ARM().expect, q, cost, outcomes), estimates(AR(num_samples=2).expect, q, cost, both), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("q", BERNOULLIS[3:], ids=called)
def test_two_samples_of_arms_have_the_law_of_disarm(q: Discrete) -> None:
    """The same gradients and values with the same probabilities."""
    found = []
    for estimator in (ARMS(num_samples=2), Disarm()):
        outcomes = drawn(estimator, q)
        value, gradients = estimates(estimator.expect, q, cost, outcomes)
        table: dict[tuple[float, ...], float] = {}
        for row, weight in zip(torch.cat((value[:, None], gradients), 1).tolist(), outcomes.weights.tolist(), strict=True):
            if weight > 0:
                key = tuple(round(number, 9) + 0.0 for number in row)
                table[key] = table.get(key, 0) + weight
        found.append(table)
    assert found[0] == pytest.approx(found[1], abs=1e-12) and len(found[0]) > 2


def one_by_one(q: Bernoulli, b: Tensor) -> Tensor:
    """p_d (1 - p_d) (f(b, b_d = 1) - f(b, b_d = 0)) for each coordinate d of the states b ``[S, D]``: measure-valued, the others fixed."""
    columns = []
    for d, p in enumerate(q.mean.tolist()):
        on, off = b.clone(), b.clone()
        on[:, d], off[:, d] = 1, 0
        columns.append(p * (1 - p) * (plain(on, q) - plain(off, q)))
    return torch.stack(columns, -1)


@pytest.mark.parametrize("q", [BERNOULLIS[3], Bernoulli(numbers(0.4, -0.2, 1.1))], ids=called)
def test_local_expectations_flips_and_triples_are_one_estimator_in_the_mean(q: Bernoulli) -> None:
    """A local expectation is measure-valued; it is the mean of bitflip-1 given b; and of the triples given all of b but the coordinate."""
    local = every_state(q)
    b = q.sample(local.requests[0][0])
    expected = one_by_one(q, b)
    torch.testing.assert_close(estimates(LocalExpectation().expect, q, plain, local)[1], expected, rtol=1e-11, atol=1e-12)
    code = 2 ** torch.arange(b.shape[-1])
    for estimator in (Bitflip(), *(StochasticAD(side=side) for side in SIDES)):
        outcomes = drawn(estimator, q)
        at = q.sample(outcomes.requests[0][0])
        gradients = estimates(estimator.expect, q, plain, outcomes)[1]
        expected = one_by_one(q, at)
        for d in range(b.shape[-1]):
            others = (at * code).sum(-1) if isinstance(estimator, Bitflip) else (at * code * (torch.arange(len(code)) != d)).sum(-1)
            mean = means_by(others, outcomes.weights, gradients[:, d : d + 1]).squeeze(-1)
            torch.testing.assert_close(mean, expected[:, d], rtol=1e-11, atol=1e-12)


def test_a_single_triple_is_the_stochastic_derivative_of_a_bernoulli() -> None:
    """Right: 1[b = 0] (f(1) - f(0)) / (1 - p) dp; left: 1[b = 1] (f(1) - f(0)) / p dp; both: their mean; dp = p (1 - p)."""
    q = BERNOULLIS[0]
    p = q.mean
    b = numbers(0, 1)
    rise = (plain(numbers([1.0]), q) - plain(numbers([0.0]), q)) * p * (1 - p)
    right, left = (b == 0) * rise / (1 - p), (b == 1) * rise / p
    for side in SIDES:
        estimator = StochasticAD(side=side)
        found = estimates(estimator.expect, q, plain, drawn(estimator, q))[1]
        torch.testing.assert_close(
            found.squeeze(-1), {"left": left, "right": right, "both": (left + right) / 2}[side], rtol=1e-12, atol=1e-13
        )


# ---------------------------------------------------------------------------------------------------------------------------- variance


class Coupled(Model):
    """The cost of this file under two Bernoullis or two categoricals."""

    def __init__(self, q: Discrete) -> None:
        super().__init__()
        self.q = q

    def init(self, noise: Noise) -> Params:
        return {"logits": self.q.logits.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(type(self.q)(params["logits"]), cost)


class Uncentred(ARM):
    """The factor u for u - 1/2: the mean stays, and the variance does not."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        u = noise.uniform((self.num_samples // 2,), q)
        f = torch.stack((cost(q.sample(u), q), cost(q.sample(1 - u), q)))
        return inject(f.mean((0, 1)), ((f[0] - f[1]).detach().unsqueeze(-1) * u).mean(0), q.logits)


def is_measured(estimator: Estimator, q: Discrete, truth: Law) -> bool:
    """Whether mean, variance and total variance of a measurement are within 5 standard errors of the exact ones."""
    result = gsx.measure(Coupled(q), estimator, num_replicates=2**16, block_size=2**10, seed=23, workers=1)
    table, total = result.coordinates, result.summary["variance"]
    assert table is not None and total is not None and total.se is not None
    assert total.se < 0.02 * total.value, "no power"
    mean = np.abs(table.mean - truth.mean) <= 5 * np.sqrt(truth.variance / result.num_replicates) + 1e-6
    variance = np.abs(table.variance - truth.variance) <= 5 * table.variance_se
    return bool(mean.all() and variance.all() and abs(total.value - truth.variance.sum()) <= 5 * total.se)


MEASURED: list[tuple[Estimator, Discrete]] = [
    *((estimator, BERNOULLIS[3]) for estimator in ESTIMATORS if estimator.name != "stochastic_ad" or estimator.num_samples == 1),
    (StochasticAD(num_samples=2), BERNOULLIS[3]),
    (ARMS(num_samples=4), BERNOULLIS[4]),
    (LocalExpectation(), CATEGORICAL),
]


@pytest.mark.statistical
@pytest.mark.parametrize(("estimator", "q"), MEASURED, ids=called)
def test_measured_means_and_variances_are_exact(estimator: Estimator, q: Discrete) -> None:
    truth = law(estimator.expect, q, cost, drawn(estimator, q))
    assert is_measured(estimator, q, truth)


@pytest.mark.statistical
def test_wrong_laws_are_caught_by_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    q = BERNOULLIS[3]
    right = law(ARM().expect, q, cost, drawn(ARM(), q))
    assert not is_measured(ARM(), q, Law(right.mean, 1.1 * right.variance, right.gradients, right.weights))
    assert has_exact_means(Uncentred().expect, q, drawn(ARM(), q))
    assert not is_measured(Uncentred(), q, right)
    gumbel = stochastic_ad.gumbel
    monkeypatch.setattr(stochastic_ad, "gumbel", lambda u: 1e9 * gumbel(u))  # picks uniformly, weighs as if it did not
    assert not is_measured(StochasticAD(), q, law(StochasticAD().expect, q, cost, drawn(StochasticAD(), q)))


# ---------------------------------------------------------------------------------------------------------------------------- extremes


@pytest.mark.parametrize("estimator", [*ESTIMATORS, ARMS(num_samples=11)], ids=called)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_saturated_logits_have_finite_gradients(estimator: Estimator, dtype: torch.dtype) -> None:
    logits = torch.tensor([-40.0, 40.0, 0.0, -200.0, 200.0], dtype=dtype).expand(500, 5).clone().requires_grad_()
    value = estimator.expect(
        Bernoulli(logits), lambda z, q: z @ torch.arange(1, 6).to(z) + q.log_prob(z), Block(0, "extreme", 0, dtype, CPU).one()
    )
    (found,) = torch.autograd.grad(value.sum(), logits)
    assert torch.isfinite(value).all() and torch.isfinite(found).all()
    assert found[:, [0, 1, 3, 4]].abs().max() < 1e3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_category_of_next_to_no_probability_has_a_finite_gradient(dtype: torch.dtype) -> None:
    """And the right one: an expectation over the category's states meets it every time."""
    logits = torch.log(torch.tensor([[0.3, 1e-12, 0.7]], dtype=dtype)).requires_grad_()
    value = LocalExpectation().expect(
        Categorical(logits), lambda z, q: z[..., 0, :] @ z.new_tensor([1.0, 5.0, 2.0]), Block(0, "rare", 0, dtype, CPU).one()
    )
    (found,) = torch.autograd.grad(value, logits)
    p = logits.detach().exp()
    np.testing.assert_allclose(found, p * (torch.tensor([1.0, 5.0, 2.0]) - 1.7), rtol=1e-5)


def test_a_large_constant_does_not_drown_a_small_gradient() -> None:
    """In float32 the probability 1 - 4e-8 is rounded, and its derivative with it: off by half, it would be multiplied by 1e4."""
    logits = torch.tensor([17.0, -17.0], requires_grad=True)
    value = LocalExpectation().expect(Bernoulli(logits), lambda z, q: 1e4 + z.sum(-1), Block(0, "large", 0, torch.float32, CPU).one())
    (found,) = torch.autograd.grad(value, logits)
    np.testing.assert_allclose(found, np.full(2, np.exp(-17)), rtol=0.01)
