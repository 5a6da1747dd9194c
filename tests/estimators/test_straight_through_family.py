"""The relatives of straight-through against their formulas, written out here in numpy: outcome by outcome, in law, and to each other.

Estimators that are functions of their sample alone are enumerated. Gumbel-Rao and ReDGE have continuous noise left: its numbers are
replayed one by one against the formulas, and integrated by quadrature. Measured means and variances are held to 5 standard errors of the
exact ones, 22 measurements x about 8 numbers: another seed fails once in 1000. All else but one Kolmogorov-Smirnov test is exact.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.special import expit as sigmoid
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.costs import Expect
from gsx.distributions import Bernoulli, Categorical, Discrete
from gsx.estimators.base import Estimator
from gsx.estimators.darn import DARN
from gsx.estimators.decoupled_st import DecoupledST
from gsx.estimators.gapped_st import GappedST
from gsx.estimators.gumbel_rao import GumbelRao
from gsx.estimators.redge import Redge
from gsx.estimators.reinmax import Reinmax
from gsx.estimators.slope_annealed_st import SlopeAnnealedST
from gsx.estimators.st_gumbel import STGumbel
from gsx.estimators.straight_through import StraightThrough
from gsx.estimators.zgr import ZGR
from gsx.models.base import Model, Params
from gsx.noise import Noise, replay, uniforms
from gsx.process import one_thread_each
from gsx.records import ConfigurationError
from gsx.surrogate import average, replace_gradient
from tests.estimators.enumeration import exact_gradient, states
from tests.estimators.test_exact_values import Exact, away_from_zero, disagreements, panels, summed

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


# ------------------------------------------------------------------------------------------------------------------------- problems


def bernoulli(*logits: float) -> Discrete:
    return Bernoulli(torch.tensor(logits, dtype=torch.float64))


def categorical(*logits: list[float]) -> Discrete:
    return Categorical(torch.tensor(logits, dtype=torch.float64))


#: Unequal, and none at p = 1/2.
PROBLEMS: dict[str, Discrete] = {
    "bernoulli1": bernoulli(0.6),
    "bernoulli2": bernoulli(-1.3, 0.4),
    "categorical1": categorical([0.5, -0.7, 0.1]),
    "categorical2": categorical([0.5, -0.3, 0.1], [-0.8, 0.4, 0.0]),
}


@dataclass(frozen=True)
class Power:
    """(w . z + 0.4)^degree, which does not separate, less 0.3 (log q(z))^min(degree, 2): of that degree in z for any parameters, and its
    direct term moves the mean."""

    degree: int

    def __call__(self, z: Tensor, q: Any) -> Tensor:
        flat = z.flatten(-q.event_ndim)
        weights = torch.linspace(1.0, -0.7, flat.shape[-1], dtype=z.dtype)
        return (flat @ weights + 0.4) ** self.degree - 0.3 * q.log_prob(z) ** min(self.degree, 2)


@dataclass(frozen=True)
class AtStates:
    """What a formula needs to know at each of S states: ``z [S, *event]``, the slope of the cost in z, and its direct term."""

    theta: np.ndarray
    p: np.ndarray
    z: np.ndarray
    slope: np.ndarray
    direct: np.ndarray
    categories: bool

    def total(self, x: np.ndarray) -> np.ndarray:
        """Summed over the categories of a variable; a Bernoulli has just the one that counts."""
        return x.sum(-1, keepdims=True) if self.categories else x

    def softmax(self, latent: np.ndarray) -> np.ndarray:
        if not self.categories:
            return sigmoid(latent)
        weights = np.exp(latent - latent.max(-1, keepdims=True))
        return weights / weights.sum(-1, keepdims=True)

    def pulled(self, pi: np.ndarray) -> np.ndarray:
        """J(pi) slope."""
        return pi * (self.slope - self.total(pi * self.slope))


def at_states(q: Discrete, cost: Power, z: np.ndarray | None = None) -> AtStates:
    theta, p, event = q.logits.detach().numpy(), q.mean.detach().numpy(), q.event_shape
    categories = isinstance(q, Categorical)
    z = q.map(Tensor.detach).points(0, q.num_points(0), 0)[0].numpy() if z is None else z
    over = tuple(range(1, 1 + len(event)))
    w = np.linspace(1.0, -0.7, math.prod(event)).reshape(event)
    x = (z * w).sum(over, keepdims=True) + 0.4
    log_q_slope = np.log(p) if categories else theta
    log_q = (z * log_q_slope).sum(over, keepdims=True) - (0 if categories else np.log1p(np.exp(theta)).sum())
    k = min(cost.degree, 2)
    outer = -0.3 * k * log_q ** (k - 1)
    return AtStates(theta, p, z, cost.degree * x ** (cost.degree - 1) * w + outer * log_q_slope, outer * (z - p), categories)


# ------------------------------------------------------------------------------------- estimators that are functions of their sample


def of_straight_through(at: AtStates) -> np.ndarray:
    return at.pulled(at.p)


def of_darn(at: AtStates) -> np.ndarray:
    score = at.z - at.p
    return score * at.total(score * at.slope)


def of_zgr(at: AtStates) -> np.ndarray:
    if at.categories:
        return (of_straight_through(at) + of_darn(at)) / 2
    return np.where(at.z == 1, 1 - at.p, at.p) / 2 * at.slope


def of_reinmax(tau: float) -> Callable[[AtStates], np.ndarray]:
    return lambda at: 2 * at.pulled((at.softmax(at.theta / tau) + at.z) / 2) - at.pulled(at.p) / 2


def of_gapped(tau: float, gap: float) -> Callable[[AtStates], np.ndarray]:
    def formula(at: AtStates) -> np.ndarray:
        # Of a Bernoulli both logits, (theta, 0), and of its two categories the first.
        theta = at.theta if at.categories else np.stack((at.theta, 0 * at.theta), -1)
        z = at.z if at.categories else np.stack((at.z, 1 - at.z), -1)
        largest = theta.max(-1, keepdims=True)
        lifted = z * (largest - (z * theta).sum(-1, keepdims=True))
        lowered = (1 - z) * np.maximum(theta - largest + gap, 0)
        moved = np.exp((theta + lifted - lowered) / tau)
        y = moved / moved.sum(-1, keepdims=True)
        return at.pulled(y if at.categories else y[..., 0]) / tau

    return formula


def of_tempered(tau: float) -> Callable[[AtStates], np.ndarray]:
    return lambda at: at.pulled(at.softmax(at.theta / tau)) / tau


@dataclass(frozen=True)
class Case:
    make: Callable[[int], Estimator]
    formula: Callable[[AtStates], np.ndarray]
    forward_temperature: float = 1.0

    def law(self, q: Discrete) -> Discrete:
        """Where the sample is drawn from."""
        return q.map(lambda theta: theta.detach() / self.forward_temperature)


CASES = {
    "darn": Case(lambda n: DARN(num_samples=n), of_darn),
    "zgr": Case(lambda n: ZGR(num_samples=n), of_zgr),
    "reinmax": Case(lambda n: Reinmax(num_samples=n), of_reinmax(1.0)),
    "reinmax-1.4": Case(lambda n: Reinmax(temperature=1.4, num_samples=n), of_reinmax(1.4)),
    "gapped_st": Case(lambda n: GappedST(num_samples=n), of_gapped(0.5, 1.0)),
    "gapped_st-0.3": Case(lambda n: GappedST(temperature=0.8, gap=0.3, num_samples=n), of_gapped(0.8, 0.3)),
    "slope_annealed_st": Case(lambda n: SlopeAnnealedST(slope=2.5, num_samples=n), of_tempered(0.4)),
    "decoupled_st": Case(
        lambda n: DecoupledST(forward_temperature=1.7, backward_temperature=0.6, num_samples=n), of_tempered(0.6), forward_temperature=1.7
    ),
}


def replayed(estimator: Estimator, q: Discrete, cost: Any, *numbers: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Values ``[S]`` and flat gradients ``[S, P]`` of S estimates side by side, each request given as ``[*samples, S, *event]``."""
    many = q.map(lambda value: value.detach().expand(numbers[0].shape[1], *value.shape).clone().requires_grad_())
    value = estimator.expect(many, cost, replay({("z", i): u for i, u in enumerate(numbers)}))
    (gradient,) = torch.autograd.grad(value.sum(), many.logits)
    return value.detach().numpy(), gradient.flatten(1).numpy()


def outcomes(estimator: Estimator, law: Discrete, q: Discrete, cost: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of an estimator that sees its uniforms through one draw: values, gradients and probabilities of all joint draws of N samples."""
    u, weight = states(law)
    draws = torch.tensor(list(itertools.product(range(len(u)), repeat=estimator.num_samples))).T
    return *replayed(estimator, q, cost, u[draws]), weight[draws].prod(0).numpy()


def gradients_of(case: Case, q: Discrete, cost: Power) -> np.ndarray:
    """The formula's, with the direct term, at each state: ``[S, P]``."""
    at = at_states(q, cost)
    return (case.formula(at) + at.direct).reshape(len(at.z), -1)


every_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
every_problem = pytest.mark.parametrize("q", PROBLEMS.values(), ids=list(PROBLEMS))


@every_case
@every_problem
@pytest.mark.parametrize("n", [1, 2])
def test_each_outcome_is_the_formula(case: Case, q: Discrete, n: int) -> None:
    """And so the mean, the bias and the variance are the formula's, for any cost: here a cube that depends on the parameters too."""
    cost, law = Power(3), case.law(q)
    value, gradient, weight = outcomes(case.make(n), law, q, cost)
    single, f = gradients_of(case, q, cost), cost(law.points(0, law.num_points(0), 0)[0], q.map(Tensor.detach)).numpy()
    draws = np.array(list(itertools.product(range(len(single)), repeat=n)))
    np.testing.assert_allclose(gradient, single[draws].mean(1), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(value, f[draws].mean(1), rtol=1e-12)
    one = summed(single, law.log_prob(law.points(0, law.num_points(0), 0)[0]).exp().numpy())
    found = summed(gradient, weight)
    np.testing.assert_allclose(found.mean, one.mean, atol=1e-12)
    np.testing.assert_allclose(found.variance, one.variance / n, atol=1e-12)
    assert np.abs(found.mean - exact_gradient(q, cost)).max() > 0.01, "not biased on a cube"


def bias(estimator: Estimator, q: Discrete, cost: Any, law: Discrete | None = None) -> float:
    _, gradient, weight = outcomes(estimator, q.map(Tensor.detach) if law is None else law, q, cost)
    return float(np.abs(weight @ gradient - exact_gradient(q, cost)).max())


@every_problem
def test_reinmax_and_zgr_are_unbiased_for_quadratic_costs(q: Discrete) -> None:
    """Over all variables jointly; straight-through and DARN for linear ones only, and the others not even for those."""
    for estimator in (Reinmax(), ZGR(), ZGR(num_samples=2), StraightThrough(), DARN()):
        assert bias(estimator, q, Power(1)) < 1e-10
    for estimator in (Reinmax(), Reinmax(num_samples=2), ZGR(), ZGR(num_samples=2)):
        assert bias(estimator, q, Power(2)) < 1e-10
        assert bias(estimator, q, Power(3)) > 0.01
    for estimator in (Reinmax(temperature=1.2), StraightThrough(), DARN()):
        assert bias(estimator, q, Power(2)) > 1e-3
    for name in ("reinmax-1.4", "gapped_st", "slope_annealed_st", "decoupled_st"):
        assert bias(CASES[name].make(1), q, Power(1), CASES[name].law(q)) > 1e-3


# ---------------------------------------------------------------------------------------------------------------------- identities


def draw(name: str, *shape: int) -> Tensor:
    return uniforms((name,), 0, math.prod(shape), torch.float64, CPU).reshape(shape)


def both(first: Estimator, second: Estimator, q: Discrete, first_noise: tuple[Tensor, ...], second_noise: tuple[Tensor, ...]) -> None:
    """The same values and gradients on a cube."""
    for found, expected in zip(replayed(first, q, Power(3), *first_noise), replayed(second, q, Power(3), *second_noise), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@every_problem
def test_reinmax_is_zgr_is_half_of_straight_through_and_darn(q: Discrete) -> None:
    u = draw("reinmax", 2, 200, *q.event_shape)
    both(Reinmax(num_samples=2), ZGR(num_samples=2), q, (u,), (u,))
    st, darn, zgr = (replayed(kind(num_samples=2), q, Power(3), u)[1] for kind in (StraightThrough, DARN, ZGR))
    np.testing.assert_allclose(zgr, (st + darn) / 2, rtol=1e-11, atol=1e-12)
    assert np.abs(replayed(Reinmax(temperature=1.01, num_samples=2), q, Power(3), u)[1] - zgr).max() > 1e-4


def test_zgr_on_a_bernoulli_is_the_expansion_to_one_half() -> None:
    """The score times f'(b) (b - 1/2): what DARN is in the binary form of Gregor et al."""
    q, cost = PROBLEMS["bernoulli2"], Power(3)
    at = at_states(q, cost)
    _, gradient, _ = outcomes(ZGR(), q.map(Tensor.detach), q, cost)
    np.testing.assert_allclose(gradient, (at.z - at.p) * at.slope * (at.z - 0.5) + at.direct, rtol=1e-11)


@every_problem
def test_slope_annealed_and_decoupled_begin_at_straight_through(q: Discrete) -> None:
    u = draw("slope", 2, 200, *q.event_shape)
    both(SlopeAnnealedST(slope=1.0, num_samples=2), StraightThrough(num_samples=2), q, (u,), (u,))
    both(DecoupledST(backward_temperature=1.0, num_samples=2), StraightThrough(num_samples=2), q, (u,), (u,))
    both(SlopeAnnealedST(slope=2.5, num_samples=2), DecoupledST(backward_temperature=0.4, num_samples=2), q, (u,), (u,))


@every_problem
def test_a_wide_gap_is_a_sure_winner(q: Discrete) -> None:
    """A gap above the spread of the logits leaves each loser exp(-gap / tau) of the winner's share, whatever the logits."""
    at = at_states(q, Power(3))
    losers = (q.event_shape[-1] if at.categories else 2) - 1
    winner = 1 / (1 + losers * math.exp(-9 / 2))
    y = np.where(at.z == 1, winner, (1 - winner) / losers)
    _, gradient, _ = outcomes(GappedST(temperature=2.0, gap=9.0), q.map(Tensor.detach), q, Power(3))
    np.testing.assert_allclose(gradient, (at.pulled(y) / 2 + at.direct).reshape(gradient.shape), rtol=1e-11, atol=1e-13)


#: Costs of b, and of its two categories (b, 1 - b).
def of_bits(b: Tensor, q: Any) -> Tensor:
    return (b @ torch.tensor([1.0, -1.6], dtype=b.dtype) + 0.4) ** 3 - 0.3 * q.log_prob(b) ** 2


def of_pairs(z: Tensor, q: Any) -> Tensor:
    bits = (z[..., 0] + 1 - z[..., 1]) / 2  # read from both, so that both slopes count
    return (bits @ torch.tensor([1.0, -1.6], dtype=z.dtype) + 0.4) ** 3 - 0.3 * q.log_prob(z) ** 2


def test_a_bernoulli_is_two_categories() -> None:
    """With logits (theta, 0), sample by sample on coupled noise: the constant factors."""
    q = bernoulli(-0.9, 0.3)
    theta = q.logits
    pair = Categorical(torch.stack((theta, torch.zeros_like(theta)), -1))
    g = draw("pairs", 3, 4, 500, 2, 2)
    gumbels = -torch.log(-torch.log(g))

    def agree(estimator: Estimator, of_bit: tuple[Tensor, ...], of_pair: tuple[Tensor, ...]) -> None:
        value, gradient = replayed(estimator, q, of_bits, *of_bit)
        pair_value, pair_gradient = replayed(estimator, pair, of_pairs, *of_pair)
        np.testing.assert_allclose(pair_value, value, rtol=1e-12)
        np.testing.assert_allclose(pair_gradient.reshape(-1, 2, 2)[..., 0], gradient, rtol=1e-7, atol=1e-9)

    for case in CASES.values():
        # The difference of two Gumbels is logistic.
        agree(case.make(4), (torch.sigmoid(gumbels[0, ..., 0] - gumbels[0, ..., 1]),), (g[0],))

    u = torch.sigmoid(gumbels[0, ..., 0] - gumbels[0, ..., 1])
    z = q.sample(u)
    latent = pair.conditional_latent(torch.stack((z, 1 - z), -1), g[1:])
    v = conditional_uniform(q, z, latent[..., 0] - latent[..., 1])
    agree(GumbelRao(conditional_samples=2, num_samples=4), (u, v), (g[0], g[1:]))

    normals = torch.special.ndtri(g[1])
    difference = torch.special.ndtr((normals[..., 0] - normals[..., 1]) / math.sqrt(2))
    agree(Redge(num_samples=4), (difference, u), (g[1], g[0]))


def conditional_uniform(q: Discrete, z: Tensor, latent: Tensor) -> Tensor:
    """The v that `conditional_latent` makes a given latent of."""
    if isinstance(q, Bernoulli):
        u, p = torch.sigmoid(latent - q.logits), q.mean
        return torch.where(z == 1, (u - (1 - p)) / p, u / (1 - p))
    winning = (z * torch.exp(-latent)).sum(-1, keepdim=True)
    rates = torch.exp(q.logits)
    return torch.exp(-torch.where(z == 1, rates.sum(-1, keepdim=True) * winning, rates * (torch.exp(-latent) - winning)))


# ---------------------------------------------------------------------------------------------------------------------- Gumbel-Rao


def conditional_latents(at: AtStates, v: np.ndarray) -> np.ndarray:
    """theta + G given that it hardens to z, by the formulas for races (of a Bernoulli: for the truncated logistic)."""
    if not at.categories:
        u = np.where(at.z == 1, 1 - at.p + v * at.p, v * (1 - at.p))
        return at.theta + np.log(u) - np.log1p(-u)
    e, rates = -np.log(v), np.exp(at.theta)
    winning = (at.z * e).sum(-1, keepdims=True) / rates.sum(-1, keepdims=True)
    return np.where(at.z == 1, -np.log(winning), -np.log(e / rates + winning))


def miscoupled(estimator: Estimator, q: Discrete) -> bool:
    """Whether, on frozen noise, the gradient is not that of latents which harden to the sample that the cost has seen."""
    assert isinstance(estimator, GumbelRao)
    u, v = draw("rao", 1, 300, *q.event_shape), draw("given", 7, 1, 300, *q.event_shape)
    seen: list[Tensor] = []

    def cost(z: Tensor, q: Any) -> Tensor:
        seen.append(z.detach())
        return Power(3)(z, q)

    _, gradient = replayed(estimator, q, cost, u, v)
    at = at_states(q, Power(3), seen[0][0].numpy())
    assert torch.equal(seen[0], q.sample(u))
    latent = conditional_latents(at, v[:, 0].numpy())
    hardened = latent > 0 if not at.categories else latent == latent.max(-1, keepdims=True)
    assert (hardened == at.z).all()
    y = at.softmax(latent / estimator.temperature)
    expected = at.pulled(y).mean(0) / estimator.temperature + at.direct
    return not np.allclose(gradient, expected.reshape(gradient.shape), rtol=1e-8, atol=1e-10)


class Unconditional(GumbelRao):
    """Averages over latents that need not harden to the sample."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        latent = q.latent(noise.uniform((self.conditional_samples, self.num_samples), q))
        return average(cost(replace_gradient(z, average(q.relax(latent, self.temperature))), q))


class NotDetached(GumbelRao):
    """Differentiates how the conditional latent was made from the logits."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        latent = q.conditional_latent(z, noise.uniform((self.conditional_samples, self.num_samples), q))
        return average(cost(replace_gradient(z, average(q.relax(latent, self.temperature))), q))


@every_problem
@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_gumbel_rao_is_coupled(q: Discrete, temperature: float) -> None:
    assert not miscoupled(GumbelRao(temperature=temperature, conditional_samples=7), q)
    assert miscoupled(Unconditional(temperature=temperature, conditional_samples=7), q)
    assert miscoupled(NotDetached(temperature=temperature, conditional_samples=7), q)


@every_problem
def test_gumbel_rao_with_one_conditional_sample_is_st_gumbel(q: Discrete) -> None:
    """A uniform u is the sample it gives and the uniform v of its latent among those of that sample: a change of variables under which the
    two are the same, sample by sample."""
    u = draw("one", 2, 500, *q.event_shape)
    latent = q.latent(u)
    v = conditional_uniform(q, q.harden(latent), latent)
    both(GumbelRao(temperature=0.4, conditional_samples=1, num_samples=2), STGumbel(temperature=0.4, num_samples=2), q, (u, v[None]), (u,))


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["bernoulli1", "categorical1"])
def test_the_change_of_variables_keeps_the_law(name: str) -> None:
    """That v is uniform whatever was drawn: Kolmogorov-Smirnov tests at 1e-6, at most nine of them."""
    q = PROBLEMS[name]
    latent = q.latent(draw("law", 20_000, *q.event_shape))
    z = q.harden(latent)
    v = conditional_uniform(q, z, latent).flatten(1).numpy()
    for state in q.points(0, q.num_points(0), 0)[0]:
        given = v[(z == state).flatten(1).all(-1).numpy()]
        assert len(given) > 1000
        assert all(scipy.stats.kstest(column, "uniform").pvalue > 1e-6 for column in given.T)


def jacobians_given(q: Discrete, tau: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each state of one variable: Gauss-Legendre weights ``[n]`` over the latents that harden to it, relative to the winner's, and
    J(y) / tau ``[n, P, P]`` there."""
    theta, size = q.logits.detach().numpy().flatten(), q.event_shape[-1]
    half, w = panels(away_from_zero(tau), 12 if size > 1 else 24)
    if size == 1:
        for latent in (-half, half):
            weight = w * sigmoid(latent - theta) * sigmoid(theta - latent)
            yield weight / weight.sum(), (sigmoid(latent / tau) * sigmoid(-latent / tau) / tau)[:, None, None]
        return
    for winner in range(size):  # the density of the latents' differences is that of `test_exact_values.categorical`
        others = [i for i in range(size) if i != winner]
        grid = np.stack(np.meshgrid(*[-half] * len(others), indexing="ij"), -1).reshape(-1, len(others))
        volume = np.stack(np.meshgrid(*[w] * len(others), indexing="ij"), -1).reshape(-1, len(others)).prod(-1)
        latent = np.zeros((len(grid), size))
        latent[:, others] = grid
        weight = volume * np.exp(-size * np.logaddexp.reduce(theta - latent, axis=1) + theta.sum() - grid.sum(-1))
        y = np.exp(latent / tau) / np.exp(latent / tau).sum(-1, keepdims=True)
        yield weight / weight.sum(), (np.eye(size) * y[:, None] - y[:, :, None] * y[:, None]) / tau


def gumbel_rao(q: Discrete, cost: Power, tau: float, conditional_samples: float) -> Exact:
    """Of one sample: the variance between the states' means, and an M-th of that within them."""
    at = at_states(q, cost)
    slope, direct = at.slope.reshape(len(at.z), -1), at.direct.reshape(len(at.z), -1)
    each = [summed(j @ g, weight) for g, (weight, j) in zip(slope, jacobians_given(q, tau), strict=True)]
    probability = states(q)[1].numpy()
    between = summed(np.stack([one.mean for one in each]) + direct, probability)
    within = probability @ np.stack([one.variance for one in each])
    return Exact(between.mean, between.variance + within / conditional_samples)


ONE = pytest.mark.parametrize("name", ["bernoulli1", "categorical1"])


@ONE
def test_gumbel_rao_has_the_mean_of_st_gumbel_and_less_variance(name: str) -> None:
    """By quadrature of both, with their bias on a cube. That the formulas are theirs is shown above, and in `test_exact_values`."""
    q, cost = PROBLEMS[name], Power(3)
    one, ten, all_of_them = (gumbel_rao(q, cost, 0.5, m) for m in (1, 10, math.inf))
    np.testing.assert_allclose(ten.mean, one.mean, atol=1e-12)
    assert (ten.variance < 0.8 * one.variance).all() and (all_of_them.variance < ten.variance).all()
    assert np.abs(ten.mean - exact_gradient(q, cost)).max() > 0.01
    if name == "bernoulli1":  # the estimators themselves, on nodes in the logit of their uniforms, with an edge where the sample flips
        theta = float(q.logits)
        half = [edge for edge in away_from_zero(0.5) if edge < 32]  # beyond, u rounds to 1
        x, w = panels([-theta - edge for edge in reversed(half)] + [edge - theta for edge in half[1:]])
        u = torch.sigmoid(torch.from_numpy(x)).reshape(1, -1, 1)
        density = w * sigmoid(x) * sigmoid(-x)
        st_gumbel = summed(replayed(STGumbel(temperature=0.5), q, cost, u)[1], density)
        np.testing.assert_allclose(st_gumbel.mean, one.mean, atol=1e-10)
        np.testing.assert_allclose(st_gumbel.variance, one.variance, atol=1e-10)
        given = [replayed(GumbelRao(conditional_samples=1), q, cost, z.expand(1, len(x), 1), u[None])[1] for z in states(q)[0]]
        weight = np.array([1 - sigmoid(theta), sigmoid(theta)])
        smooth = summed(np.concatenate(given), np.concatenate([share * density for share in weight]))
        np.testing.assert_allclose(smooth.mean, st_gumbel.mean, atol=1e-7)
        np.testing.assert_allclose(smooth.variance, st_gumbel.variance, atol=1e-6)


@ONE
def test_zgr_is_the_zero_temperature_limit_of_gumbel_rao(name: str) -> None:
    """State by state: the distance falls as the temperature does."""
    q = PROBLEMS[name]
    at = at_states(q, Power(3))
    slope, limit = (x.reshape(len(at.z), -1) for x in (at.slope, of_zgr(at)))

    def distance(tau: float) -> float:
        means = [weight @ (j @ g) for g, (weight, j) in zip(slope, jacobians_given(q, tau), strict=True)]
        return float(np.abs(np.stack(means) - limit).max())

    distances = [distance(tau) for tau in (1e-1, 1e-2, 1e-3)]
    assert distances[2] < 2e-3 * np.abs(limit).max()
    assert distances[1] < distances[0] / 5 and distances[2] < distances[1] / 5


# --------------------------------------------------------------------------------------------------------------------------- ReDGE


def diffused(q: Discrete, x: np.ndarray, steps: int, t1: float) -> tuple[np.ndarray, np.ndarray]:
    """The last mean ``[S, *event]`` and its derivative in the logits of its own variable, ``[S, D, C, C]`` (C = 1 for a Bernoulli), which
    is carried forward beside x."""
    theta, binary = q.logits.detach().numpy(), isinstance(q, Bernoulli)
    alpha = np.concatenate(([1.0], np.linspace(1 - t1, 1e-4, steps - 1)))
    sigma = 1 - alpha
    size = 1 if binary else q.event_shape[-1]
    own = np.ones((1, 1)) if binary else np.eye(size)
    x, dx = x.reshape(*x.shape[: x.ndim - (not binary)], size), np.zeros((*x.shape[: x.ndim - (not binary)], size, size))
    theta = theta.reshape(-1, size)
    for t in range(steps - 1, 0, -1):
        pull = alpha[t] / sigma[t] ** 2
        latent, moved = theta + pull * x, own + pull * dx
        if binary:
            m = sigmoid(latent)
            dm = (m * (1 - m))[..., None] * moved
            c, dc = 2 * m - 1, 2 * dm
        else:
            m = np.exp(latent) / np.exp(latent).sum(-1, keepdims=True)
            dm = m[..., None] * (moved - (m[..., None] * moved).sum(-2, keepdims=True))
            c, dc = m, dm
        ratio = sigma[t - 1] / sigma[t]
        x, dx = alpha[t - 1] * c + ratio * (x - alpha[t] * c), alpha[t - 1] * dc + ratio * (dx - alpha[t] * dc)
    return m.reshape(len(x), *q.event_shape), dm


def redge(q: Discrete, cost: Power, steps: int, t1: float, nodes: int) -> Exact:
    """Of one sample of one variable, by Gauss-Hermite and a sum over the states of the last step."""
    node, weight = np.polynomial.hermite_e.hermegauss(nodes)
    weight = weight / weight.sum()
    size = q.event_shape[-1]
    x = np.stack(np.meshgrid(*[node] * size, indexing="ij"), -1).reshape(-1, size)
    weight = np.stack(np.meshgrid(*[weight] * size, indexing="ij"), -1).reshape(-1, size).prod(-1)
    m, dm = diffused(q, math.sqrt(2) * x[:, :, None] if size == 1 else x[:, None], steps, t1)
    m, dm = m.reshape(len(x), size), dm.reshape(len(x), size, size)
    at = at_states(q, cost)
    states_of, slope, direct = (a.reshape(len(at.z), -1) for a in (at.z, at.slope, at.direct))
    probability = m @ states_of.T if size > 1 else np.where(states_of[:, 0] == 1, m, 1 - m)
    g = np.einsum("nij,si->nsj", dm, slope) + direct
    return summed(g.reshape(-1, size), (weight[:, None] * probability).ravel())


def misdiffused(estimator: Redge, q: Discrete) -> bool:
    """Whether, on frozen noise, the gradient is not the formula's: the noise, its way down with its derivative, the sample of the last
    step, number by number."""
    cost, binary = Power(3), isinstance(q, Bernoulli)
    first, last = draw("noise", 2, 200, *q.event_shape), draw("last", 2, 200, *q.event_shape)
    seen: list[Tensor] = []

    def watched(z: Tensor, q: Any) -> Tensor:
        seen.append(z.detach())
        return cost(z, q)

    _, gradient = replayed(estimator, q, watched, first, last)
    x = torch.special.ndtri(first).numpy() * (math.sqrt(2) if binary else 1)
    expected, right = [], True
    for sample, noise, z in zip(x, last.numpy(), seen[0].numpy(), strict=True):
        m, dm = diffused(q, sample, estimator.steps, estimator.t1)
        race = -np.log(noise) / m
        right &= bool((z == (noise > 1 - m if binary else race == race.min(-1, keepdims=True))).all())
        at = at_states(q, cost, z)
        path = np.einsum("sdij,sdi->sdj", dm, at.slope.reshape(dm.shape[:-1]))
        expected.append((path.reshape(at.direct.shape) + at.direct).reshape(len(z), -1))
    return not (right and np.allclose(gradient, np.mean(expected, 0), rtol=1e-9, atol=1e-11))


class LastStepOnly(Redge):
    """Differentiates the last denoising alone."""

    def _carried(self, q: Discrete, x: Tensor) -> Tensor:
        return super()._carried(q, x).detach()


class TooQuiet(Redge):
    """Begins with noise of variance 1/2: for a Bernoulli that of one category and not of the difference of two."""

    def _carried(self, q: Discrete, x: Tensor) -> Tensor:
        return super()._carried(q, x / math.sqrt(2))


@every_problem
@pytest.mark.parametrize(("steps", "t1"), [(2, 0.5), (3, 0.8), (5, 0.5), (7, 0.3)])
def test_redge_is_the_formula(q: Discrete, steps: int, t1: float) -> None:
    assert not misdiffused(Redge(steps=steps, t1=t1, num_samples=2), q)
    assert misdiffused(LastStepOnly(steps=steps, t1=t1, num_samples=2), q) == (steps > 2)
    assert misdiffused(TooQuiet(steps=steps, t1=t1, num_samples=2), q)


@every_problem
def test_redge_of_one_step_from_pure_noise_is_straight_through(q: Discrete) -> None:
    u, other = draw("pure", 2, 300, *q.event_shape), draw("unused", 2, 300, *q.event_shape)
    both(Redge(steps=2, t1=1.0, num_samples=2), StraightThrough(num_samples=2), q, (other, u), (u,))


@ONE
def test_redge_is_biased_by_what_the_quadrature_says(name: str) -> None:
    """Even on a linear cost: its sample is not quite from q."""
    q = PROBLEMS[name]
    nodes = 200 if name == "bernoulli1" else 40
    for degree in (1, 3):
        exact = redge(q, Power(degree), 5, 0.5, nodes)
        np.testing.assert_allclose(redge(q, Power(degree), 5, 0.5, nodes - 8).mean, exact.mean, atol=1e-6)
        assert np.abs(exact.mean - exact_gradient(q, Power(degree))).max() > 1e-3


# ------------------------------------------------------------------------------------------------------------------------- measured


class Powers(Model):
    """E of a `Power` cost under one of the problems."""

    def __init__(self, q: Discrete, cost: Power) -> None:
        super().__init__()
        self.q, self.cost = q, cost

    def init(self, noise: Noise) -> Params:
        return {"logits": self.q.logits.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(self.q.replace(params), self.cost)


def measured(q: Discrete, estimator: Estimator) -> gsx.Result:
    return gsx.measure(Powers(q, Power(3)), estimator, num_replicates=2**16, block_size=2**10, seed=23, workers=1, dtype="float64")


def wrong_variances_are_seen(result: gsx.Result, truth: Exact) -> None:
    for wrong in (0.85, 1.15):
        assert disagreements(result, Exact(truth.mean, wrong * truth.variance)), "a variance wrong by 15 % passes"


@pytest.mark.statistical
@every_case
@pytest.mark.parametrize(("name", "n"), [("bernoulli2", 2), ("categorical2", 1)])
def test_measured_mean_and_variance_are_exact(case: Case, name: str, n: int) -> None:
    q = PROBLEMS[name]
    law = case.law(q)
    one = summed(gradients_of(case, q, Power(3)), states(law)[1].numpy())
    truth = Exact(one.mean, one.variance / n)
    result = measured(q, case.make(n))
    assert not disagreements(result, truth)
    wrong_variances_are_seen(result, truth)
    assert result.verdict.status == "biased"


@pytest.mark.statistical
@ONE
@pytest.mark.parametrize(("temperature", "conditional_samples", "n"), [(0.5, 4, 1), (1.2, 1, 2)])
def test_gumbel_rao_as_measured(name: str, temperature: float, conditional_samples: int, n: int) -> None:
    q = PROBLEMS[name]
    one = gumbel_rao(q, Power(3), temperature, conditional_samples)
    truth = Exact(one.mean, one.variance / n)
    result = measured(q, GumbelRao(temperature=temperature, conditional_samples=conditional_samples, num_samples=n))
    assert not disagreements(result, truth)
    wrong_variances_are_seen(result, truth)
    mutant = measured(q, Unconditional(temperature=temperature, conditional_samples=conditional_samples, num_samples=n))
    assert disagreements(mutant, truth)


@pytest.mark.statistical
@ONE
def test_redge_as_measured(name: str) -> None:
    q = PROBLEMS[name]
    one = redge(q, Power(3), 5, 0.5, 200 if name == "bernoulli1" else 40)
    truth = Exact(one.mean, one.variance / 2)
    result = measured(q, Redge(num_samples=2))
    assert not disagreements(result, truth)
    wrong_variances_are_seen(result, truth)


# -------------------------------------------------------------------------------------------------------------------------- mutants


class Path(Estimator):
    """A mutant: one sample, and a path that is not the estimator's."""

    unbiased = False
    needs_cost_gradient = True
    distributions = (Bernoulli, Categorical)
    evaluations = gradient_evaluations = "N"
    citation = "none"

    def __init__(self, path: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.path = path

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((1,), q))
        return average(cost(replace_gradient(z, self.path(q, z)), q))


def total(q: Any, x: Tensor) -> Tensor:
    return x.sum(-1, keepdim=True) if isinstance(q, Categorical) else x


def rank_one(q: Any, direction: Tensor, other: Tensor) -> Tensor:
    return direction * total(q, other * q.logits)


def heun(q: Any, pi: Tensor) -> Tensor:
    return pi * (q.logits - total(q, pi * q.logits))


def unlifted(q: Any, z: Tensor) -> Tensor:
    """The gap without the lift of the sample: m_1 forgotten."""
    logits = torch.stack((q.logits, torch.zeros_like(q.logits)), -1) if isinstance(q, Bernoulli) else q.logits
    z = torch.stack((z, 1 - z), -1) if isinstance(q, Bernoulli) else z
    m2 = (1 - z) * (logits - logits.amax(-1, keepdim=True) + 1).clamp(min=0).detach()
    y = torch.softmax((logits - m2) / 0.5, -1)
    return y[..., 0] if isinstance(q, Bernoulli) else y


MUTANTS = {
    "darn-wrong-sign": ("darn", Path(lambda q, z: -rank_one(q, z - q.mean.detach(), z - q.mean.detach()))),
    "darn-uncentred": ("darn", Path(lambda q, z: rank_one(q, z - q.mean.detach(), z))),
    "zgr-not-halved": ("zgr", Path(lambda q, z: q.mean + rank_one(q, z - q.mean.detach(), z - q.mean.detach()))),
    "reinmax-no-correction": ("reinmax", Path(lambda q, z: 2 * heun(q, (q.mean.detach() + z) / 2))),
    "reinmax-half-correction": ("reinmax", Path(lambda q, z: 2 * heun(q, (q.mean.detach() + z) / 2) - q.mean / 4)),
    "reinmax-all-at-tau": (
        "reinmax-1.4",
        Path(lambda q, z: 2 * heun(q, (q.relax(q.logits, 1.4).detach() + z) / 2) - q.relax(q.logits, 1.4) / 2),
    ),
    "gapped-not-lifted": ("gapped_st", Path(unlifted)),
    "slope-divided-out": ("slope_annealed_st", Path(lambda q, z: (q.relax(q.logits, 0.4) / 2.5).unsqueeze(0))),
    "decoupled-swapped": ("decoupled_st", DecoupledST(forward_temperature=0.6, backward_temperature=1.7)),
    "decoupled-sample-from-q": ("decoupled_st", DecoupledST(forward_temperature=1.0, backward_temperature=0.6)),
}


@pytest.mark.parametrize(("name", "mutant"), MUTANTS.values(), ids=list(MUTANTS))
@every_problem
def test_mutants_are_caught(name: str, mutant: Estimator, q: Discrete) -> None:
    """By the law: with the noise of all outcomes of q, weighed as the mutant draws them, its mean or variance is another."""
    forward = getattr(mutant, "forward_temperature", 1.0)
    law = q.map(lambda theta: theta.detach() / forward)
    _, gradient, weight = outcomes(mutant, law, q, Power(3))
    found, case = summed(gradient, weight), CASES[name]
    truth = summed(gradients_of(case, q, Power(3)), states(case.law(q))[1].numpy())
    assert np.abs(found.mean - truth.mean).max() > 1e-3 or np.abs(found.variance - truth.variance).max() > 1e-3


# ------------------------------------------------------------------------------------------------------------------------ extremes

COLD = {
    "darn": DARN(num_samples=3),
    "zgr": ZGR(num_samples=3),
    "reinmax": Reinmax(temperature=1e-3, num_samples=3),
    "gapped_st": GappedST(temperature=1e-3, gap=1e-3, num_samples=3),
    "slope_annealed_st": SlopeAnnealedST(slope=1e3, num_samples=3),
    "decoupled_st": DecoupledST(forward_temperature=1e-3, backward_temperature=1e-3, num_samples=3),
    "gumbel_rao": GumbelRao(temperature=1e-3, conditional_samples=4, num_samples=3),
    "redge": Redge(steps=4, t1=1e-3, num_samples=3),
}
TINY = math.log(1e-12)


@pytest.mark.parametrize("estimator", COLD.values(), ids=list(COLD))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_saturated_logits_and_cold_temperatures_are_finite(estimator: Estimator, dtype: torch.dtype) -> None:
    for q in (bernoulli(40, -40, TINY, 0.2), categorical([40.0, -40.0, 0.0], [TINY, 0.0, 0.3], [0.5, -0.2, 0.1])):
        q = q.map(lambda value: value.to(dtype))
        u = draw("extremes", 3, 400, *q.event_shape).to(dtype).clamp(2.0**-24, 1 - 2.0**-24)
        given = draw("given", 4, 3, 400, *q.event_shape).to(dtype).clamp(2.0**-24, 1 - 2.0**-24)
        second = given if isinstance(estimator, GumbelRao) else given[0]
        value, gradient = replayed(estimator, q, Power(1), u, second)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()


@pytest.mark.parametrize("estimator", COLD.values(), ids=list(COLD))
def test_an_improbable_sample_has_a_finite_gradient(estimator: Estimator) -> None:
    """The category of probability 1e-12, drawn."""
    for q, u in (
        (bernoulli(TINY), [1 - 1e-13]),
        (categorical([TINY, 0.0, 0.3]), [[1 - 1e-15, 1e-300, 1e-300]]),
    ):
        rare = torch.tensor(u, dtype=torch.float64).expand(3, 400, *q.event_shape)
        assert (q.sample(rare).flatten(2)[..., 0] == 1).all()
        first = draw("extremes", 3, 400, *q.event_shape) if isinstance(estimator, Redge) else rare
        second = rare if isinstance(estimator, Redge) else draw("given", 4, 3, 400, *q.event_shape)
        value, gradient = replayed(estimator, q, Power(1), first, second)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("estimator", "key"),
    [(lambda: GumbelRao(conditional_samples=0), "conditional_samples"), (lambda: Redge(steps=1), "steps"), (lambda: Redge(t1=1.5), "t1")],
)
def test_settings_out_of_range_are_refused(estimator: Callable[[], Estimator], key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{key}="):
        estimator()
