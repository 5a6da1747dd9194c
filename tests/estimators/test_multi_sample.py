"""Objectives of several samples: that they are one draw of q^K to every estimator, and the estimators that treat the K samples apart.

Discrete laws are enumerated, Gaussian ones integrated by quadrature: their means are exact to rounding. What the engine measures is held to
5 standard errors of exact variances: about 40 numbers at a Student t of 63 degrees of freedom, so that another seed fails once in 5000.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.costs import Combine, Cost, Expect, LogMeanExp, MultiSample
from gsx.data import Dataset
from gsx.distributions import Bernoulli, Categorical, Dirichlet, Discrete, Distribution, Gamma, KSubset, Normal
from gsx.estimators.base import Estimator
from gsx.estimators.concrete import Concrete
from gsx.estimators.disarm import Disarm
from gsx.estimators.dreg import Dreg
from gsx.estimators.exact import Exact
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.estimators.rloo import RLOO
from gsx.estimators.stl import STL
from gsx.estimators.vimco import Vimco
from gsx.models.base import DirectTerm, Model, Params
from gsx.models.bernoulli_ising import BernoulliIsing
from gsx.models.gaussian_toy import GaussianToy
from gsx.models.iwae import IWAE
from gsx.noise import Block, Noise, replay
from gsx.process import one_thread_each
from gsx.program import Program
from gsx.records import ConfigurationError
from gsx.reference import exact_gradient as exact_gradient_of
from gsx.surrogate import average, inject
from tests.estimators.enumeration import Law, exact_gradient, gradient_at, law_of
from tests.estimators.test_exact_values import Exact as Moments
from tests.estimators.test_exact_values import disagreements
from tests.routes.factory import assert_right, refused

MEANS: list[Literal["geometric", "arithmetic"]] = ["geometric", "arithmetic"]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


def double(*values: Any) -> Tensor:
    return torch.tensor(values[0] if len(values) == 1 else values, dtype=torch.float64)


class Mean:
    """(1/K) sum_k f_k."""

    def __init__(self, k: int) -> None:
        self.k = k

    def __call__(self, f: Tensor) -> Tensor:
        return f.mean(0)


def log_weight(z: Tensor, q: Any) -> Tensor:
    """log q less something that does not separate: what an importance-weighted bound is made of."""
    flat = z.flatten(-q.event_ndim)
    return q.log_prob(z) + (flat @ torch.linspace(1.0, -0.7, flat.shape[-1], dtype=z.dtype) + 0.4) ** 3


def crooked(z: Tensor, q: Any) -> Tensor:
    """Depends on q in a way that no estimator knows."""
    return log_weight(z, q) - 0.3 * q.log_prob(z) ** 2


ONE, TWO = Bernoulli(double([-0.9])), Bernoulli(double([-0.9, 0.4]))
THREE_WAY = Categorical(double([[0.5, -0.3, 0.1]]))


# ------------------------------------------------------------------------------------------------------------------- several as one

KINDS: list[Distribution] = [
    Bernoulli(double([[-0.9, 0.3], [0.2, 1.1]])),
    Categorical(double([[[0.5, -0.3, 0.1], [-0.8, 0.4, 0.0]]])),
    Normal(double([0.4, -0.6, 0.1]), double([0.5, 0.9, 1.3])),
    Gamma(double([0.8, 2.5]), double([1.2, 0.4])),
    Dirichlet(double([[0.7, 1.5, 3.0], [2.0, 0.6, 1.1]])),
]


@pytest.mark.parametrize("q", KINDS, ids=lambda q: type(q).__name__)
def test_a_power_is_so_many_independent_draws(q: Distribution) -> None:
    leaf = q.map(lambda value: value.detach().requires_grad_())
    power = leaf.power(3)
    assert (power.copies, power.map(Tensor.detach).copies, power.split().copies, q.copies) == (3, 3, 1, 1)
    assert power.batch_shape == q.batch_shape and power.split().batch_shape == (3, *q.batch_shape)
    z = power.sample(Block(0, "power", 0, torch.float64, torch.device("cpu")).one().uniform((5,), power))
    parts, each = MultiSample(log_weight, LogMeanExp(3)).split(z, power)
    assert parts.shape == (5, 3, *q.batch_shape, *q.event_shape)
    torch.testing.assert_close(torch.cat(parts.unbind(1), -q.event_ndim), z)
    torch.testing.assert_close(each.log_prob(parts).sum(1), power.log_prob(z))
    torch.testing.assert_close(each.log_prob(parts)[:, 2], q.log_prob(parts[:, 2]))
    found = torch.autograd.grad(power.log_prob(z).sum(), tuple(leaf.parameters.values()))
    for slope, score in zip(found, q.score(parts.movedim(1, 0).flatten(0, 1)).values(), strict=True):
        torch.testing.assert_close(slope, score.sum(0))


def test_a_subset_has_no_power() -> None:
    """K subsets side by side are no subset: the coordinates of one are not independent of each other."""
    with pytest.raises(ConfigurationError, match="combine: "):
        KSubset(double([0.3, -0.2, 0.5]), k=2).power(2)


def test_each_sample_meets_its_own_part_of_q() -> None:
    """The engine hands a q^K whose copies are leaves of their own."""
    q = Bernoulli(double([0.3, -0.5, 1.2, 0.7, -1.1, 0.1]))
    q.copies = 3
    z = double([[1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 1, 1]])
    f = MultiSample(crooked, LogMeanExp(3)).each(z, q)
    for k in range(3):
        part = slice(2 * k, 2 * k + 2)
        torch.testing.assert_close(f[k], crooked(z[:, part], Bernoulli(q.logits[part])))
    combined = MultiSample(crooked, LogMeanExp(3))(z, q)
    torch.testing.assert_close(combined, -torch.log(torch.exp(-f).mean(0)))


def written_out(q: Discrete, k: int, h: float = 1e-5) -> np.ndarray:
    """grad E -log (1/K) sum_k exp(-crooked(z_k)) in numpy: all tuples of states, central differences."""
    logits = q.logits.numpy()

    def mean(theta: np.ndarray) -> float:
        if isinstance(q, Bernoulli):
            p, states = 1 / (1 + np.exp(-theta)), np.array(list(itertools.product([0.0, 1.0], repeat=len(theta))))
            mass = np.where(states == 1, p, 1 - p).prod(-1)
        else:
            (theta,) = theta
            mass, states = np.exp(theta) / np.exp(theta).sum(), np.eye(len(theta))
        f = np.log(mass) + (states @ np.linspace(1.0, -0.7, states.shape[-1]) + 0.4) ** 3 - 0.3 * np.log(mass) ** 2
        draws = (list(draw) for draw in itertools.product(range(len(mass)), repeat=k))
        return -sum(mass[draw].prod() * np.log(np.exp(-f[draw]).mean()) for draw in draws)

    unit = np.eye(logits.size).reshape(-1, *logits.shape)
    return np.array([(mean(logits + h * e) - mean(logits - h * e)) / (2 * h) for e in unit])


@pytest.mark.parametrize(("q", "k"), [(ONE, 2), (ONE, 3), (TWO, 2), (TWO, 3), (THREE_WAY, 2)])
def test_enumeration_of_the_power_is_the_objective(q: Discrete, k: int) -> None:
    found = exact_gradient(q.power(k), MultiSample(crooked, LogMeanExp(k))).reshape(k, -1).sum(0)
    np.testing.assert_allclose(found, written_out(q, k), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("estimator", [Reinforce(), RLOO()], ids=lambda estimator: estimator.name)
@pytest.mark.parametrize(("q", "k"), [(ONE, 2), (ONE, 3), (TWO, 2), (THREE_WAY, 2)])
def test_score_estimators_are_unbiased_on_several(estimator: Estimator, q: Discrete, k: int) -> None:
    power, cost = q.power(k), MultiSample(crooked, LogMeanExp(k))
    np.testing.assert_allclose(law_of(estimator, power, cost).mean, exact_gradient(power, cost), rtol=1e-10, atol=1e-12)


def law_of_pairs(estimator: Estimator, q: Bernoulli, cost: Cost) -> Law:
    """Of an antithetic estimator of one pair: it sees a uniform only through u > 1 - p and u < p, which three intervals tell apart."""
    p = torch.sigmoid(q.logits)
    edges = torch.stack((torch.zeros_like(p), torch.minimum(p, 1 - p), torch.maximum(p, 1 - p), torch.ones_like(p)))
    middles, widths, each = (edges[1:] + edges[:-1]) / 2, edges.diff(dim=0), torch.arange(len(p))
    gradients, weights = [], []
    for outcome in itertools.product(range(3), repeat=len(p)):
        chosen = torch.tensor(outcome)
        gradients.append(gradient_at(estimator, q, cost, {("z", 0): middles[chosen, each][None]}).numpy())
        weights.append(float(widths[chosen, each].prod()))
    mean = np.array(weights) @ np.array(gradients)
    return Law(mean, weights @ (np.array(gradients) - mean) ** 2, np.array(gradients), np.array(weights))


@pytest.mark.parametrize(("q", "k"), [(ONE, 2), (ONE, 3), (TWO, 2)])
def test_disarm_is_unbiased_on_several(q: Bernoulli, k: int) -> None:
    power, cost = q.power(k), MultiSample(crooked, LogMeanExp(k))
    np.testing.assert_allclose(law_of_pairs(Disarm(), power, cost).mean, exact_gradient(power, cost), rtol=1e-10, atol=1e-12)


def test_concrete_relaxes_every_sample() -> None:
    """On frozen noise, the gradient of a bound written by hand."""
    leaf = TWO.map(lambda value: value.detach().requires_grad_())
    u = Block(3, "several", 0, torch.float64, torch.device("cpu")).draw("z", 0, (2, 6))[0]
    value = Concrete(temperature=0.7, num_samples=2).expect(leaf.power(3), MultiSample(crooked, LogMeanExp(3)), replay({("z", 0): u}))
    relaxed = torch.sigmoid((leaf.logits + torch.logit(u.reshape(2, 3, 2))) / 0.7)
    expected = -torch.log(torch.exp(-crooked(relaxed, leaf)).mean(1)).mean()
    torch.testing.assert_close(torch.autograd.grad(value, leaf.logits), torch.autograd.grad(expected, leaf.logits))


# ------------------------------------------------------------------------------------------------------------------------------- VIMCO


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("cost", [log_weight, crooked], ids=["log_weight", "crooked"])
@pytest.mark.parametrize(("q", "k", "n"), [(ONE, 2, 1), (ONE, 3, 1), (ONE, 2, 2), (TWO, 2, 1), (TWO, 3, 1), (THREE_WAY, 3, 1)])
def test_vimco_is_unbiased(mean: Literal["geometric", "arithmetic"], cost: Cost, q: Discrete, k: int, n: int) -> None:
    power, several = q.power(k), MultiSample(cost, LogMeanExp(k))
    found = law_of(Vimco(mean=mean, num_samples=n), power, several)
    np.testing.assert_allclose(found.mean, exact_gradient(power, several), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mean", MEANS)
def test_vimco_is_the_formula_of_its_paper(mean: Literal["geometric", "arithmetic"]) -> None:
    """sum_k (L - L_-k - v_k) s_k, L = log (1/K) sum_k w_k maximised, v_k normalised weights: replayed in numpy for one set of four."""
    k, power = 4, TWO.power(4)
    u = Block(4, "vimco", 0, torch.float64, torch.device("cpu")).draw("z", 0, (1, 8))[0]
    found = gradient_at(Vimco(mean=mean), power, MultiSample(log_weight, LogMeanExp(k)), {("z", 0): u}).numpy().reshape(k, 2)
    z = power.sample(u).reshape(k, 2)
    w, score = np.exp(-log_weight(z, TWO).numpy()), (z - TWO.mean).numpy()
    expected = np.empty((k, 2))
    for i in range(k):
        others = np.delete(w, i)
        instead = np.exp(np.log(others).mean()) if mean == "geometric" else others.mean()
        signal = np.log(w.mean()) - np.log((others.sum() + instead) / k) - w[i] / w.sum()
        expected[i] = -signal * score[i]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("q", [TWO, THREE_WAY])
def test_vimco_of_a_plain_mean_is_rloo(mean: Literal["geometric", "arithmetic"], q: Discrete) -> None:
    """Sample by sample: one set of K is RLOO's K samples."""
    k, event = 5, q.event_shape
    for block in range(4):
        u = Block(5, "rloo", block, torch.float64, torch.device("cpu")).draw("z", 0, (k, *event))[0]
        together = u.reshape(1, k * event[0], *event[1:])
        several = gradient_at(Vimco(mean=mean), q.power(k), MultiSample(crooked, Mean(k)), {("z", 0): together})
        torch.testing.assert_close(several.reshape(k, -1).sum(0), gradient_at(RLOO(num_samples=k), q, crooked, {("z", 0): u}))


def test_the_two_means_differ_from_three_samples_on() -> None:
    laws = {(mean, k): law_of(Vimco(mean=mean), ONE.power(k), MultiSample(log_weight, LogMeanExp(k))) for mean in MEANS for k in (2, 3)}
    np.testing.assert_allclose(laws["geometric", 2].gradients, laws["arithmetic", 2].gradients, rtol=1e-12, atol=1e-15)
    assert not np.allclose(laws["geometric", 3].gradients, laws["arithmetic", 3].gradients)


class WrongSign(Vimco):
    def _without(self, f: Tensor, combine: Combine) -> Tensor:
        return 2 * combine(f) - super()._without(f, combine)


class SelfIncluded(Vimco):
    """The mean that stands in for sample k is over all K."""

    def _without(self, f: Tensor, combine: Combine) -> Tensor:
        keep = ~torch.eye(len(f), dtype=torch.bool)[:, :, None]
        return combine(torch.where(keep, f[:, None], f.mean(0)))


class OneOff(Vimco):
    """Gives each sample the baseline of its neighbour, which has seen it."""

    def _without(self, f: Tensor, combine: Combine) -> Tensor:
        return super()._without(f, combine).roll(1, 0)


class NoGradientOfTheBound(Vimco):
    """Drops grad L."""

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(cost, MultiSample)
        return super().expect(q, MultiSample(lambda z, q: cost.cost(z, q).detach(), cost.combine), noise)


@pytest.mark.parametrize("mutant", [WrongSign(), SelfIncluded(), OneOff(), NoGradientOfTheBound()], ids=lambda mutant: mutant.name)
def test_mutants_of_vimco_are_caught(mutant: Estimator) -> None:
    power, cost = TWO.power(2), MultiSample(crooked, LogMeanExp(2))
    assert np.abs(law_of(mutant, power, cost).mean - exact_gradient(power, cost)).max() > 1e-3


class Several(Model):
    """A bound of K log weights, as a program."""

    direct_term: DirectTerm = "log_weights"
    start: ClassVar[dict[str, list[float]]] = {"logits": [-0.9, 0.4]}

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def init(self, noise: Noise) -> Params:
        return {name: double(value) for name, value in self.start.items()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = Bernoulli(params["logits"]) if "logits" in params else Normal(params["loc"], params["log_scale"].exp())
        return expect(q, self.cost, combine=LogMeanExp(self.k))

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return log_weight(z, q)


def measured(model: Model, estimator: Estimator) -> gsx.Result:
    return gsx.measure(model, estimator, num_replicates=2**16, block_size=2**10, seed=7, workers=1)


def assert_measured(result: gsx.Result, mean: np.ndarray, variance: np.ndarray) -> None:
    assert not disagreements(result, Moments(mean, variance))
    for wrong in (0.9, 1.1):
        assert disagreements(result, Moments(mean, wrong * variance)), "a variance wrong by 10 % passes"


@pytest.mark.statistical
@pytest.mark.parametrize(("mean", "k", "n"), [("geometric", 2, 1), ("geometric", 3, 1), ("arithmetic", 3, 1), ("arithmetic", 2, 2)])
def test_vimco_has_its_exact_variance(mean: Literal["geometric", "arithmetic"], k: int, n: int) -> None:
    """That of the sum over the copies, because it is one q whose parameters are measured."""
    law = law_of(Vimco(mean=mean), TWO.power(k), MultiSample(log_weight, LogMeanExp(k)))
    gradients = law.gradients.reshape(-1, k, 2).sum(1)
    expected = law.weights @ gradients
    variance = law.weights @ (gradients - expected) ** 2 / n
    result = measured(Several(k), Vimco(mean=mean, num_samples=n))
    assert_measured(result, expected, variance)
    assert result.verdict.status == "unbiased"
    assert (result.cost.evaluations, result.cost.gradient_evaluations, result.cost.random_numbers) == (k * n, 0, 2 * k * n)


# ------------------------------------------------------------------------------------------------------------ STL and DReG, by quadrature

# Beyond 8 a uniform rounds to 1, and the weights to nothing.
NODE, WEIGHT = (x[np.abs(np.polynomial.hermite_e.hermegauss(40)[0]) < 8] for x in np.polynomial.hermite_e.hermegauss(40))
WEIGHT = WEIGHT / WEIGHT.sum()
GAUSSIAN = Normal(double([0.4]), double([0.7]))


def smooth(z: Tensor, q: Any) -> Tensor:
    x = z.squeeze(-1)
    return 0.4 * (x - 0.9) ** 2 + 0.3 * torch.sin(2 * x) + 0.1 * x


def gaussian_weight(z: Tensor, q: Any) -> Tensor:
    return q.log_prob(z) + smooth(z, q)


def gaussian_crooked(z: Tensor, q: Any) -> Tensor:
    return smooth(z, q) + 0.5 * z[..., 0] * q.scale[..., 0] + 0.4 * q.log_prob(z)


def integrated(estimator: Estimator, cost: Cost, k: int, combine: Combine | None = None) -> Law:
    """The law of the gradient in (loc, log scale) of one estimate under one Gaussian, over a grid of its K draws: a batch of all nodes."""
    grid = np.array(list(itertools.product(range(len(NODE)), repeat=k)))
    weight = WEIGHT[grid].prod(-1)
    loc = GAUSSIAN.loc.expand(len(grid), 1).clone().requires_grad_()
    log_scale = GAUSSIAN.scale.log().expand(len(grid), 1).clone().requires_grad_()
    q: Distribution = Normal(loc, log_scale.exp())
    if combine is not None:
        q, cost = q.power(k), MultiSample(cost, combine)
    u = torch.special.ndtr(torch.from_numpy(NODE[grid])).reshape(1, *q.batch_shape, *q.event_shape)
    found = torch.autograd.grad(estimator.expect(q, cost, replay({("z", 0): u})).sum(), (loc, log_scale))
    gradients = torch.cat(found, -1).numpy()
    mean = weight @ gradients
    return Law(mean, weight @ (gradients - mean) ** 2, gradients, weight)


def truth(cost: Cost, k: int) -> np.ndarray:
    """grad E in (loc, log scale), by central differences of a quadrature in numpy; ``k = 0`` for a cost that is not combined."""
    grid = np.array(list(itertools.product(range(len(NODE)), repeat=max(k, 1))))
    weight = WEIGHT[grid].prod(-1)

    def mean(loc: float, log_scale: float) -> float:
        q = Normal(double([loc]), double([math.exp(log_scale)]))
        f = cost(torch.from_numpy(loc + math.exp(log_scale) * NODE[grid])[..., None], q).numpy()
        return float(weight @ (-np.log(np.exp(-f).mean(-1)) if k else f[:, 0]))

    at, h = (float(GAUSSIAN.loc), float(GAUSSIAN.scale.log())), 1e-5
    return np.array(
        [(mean(at[0] + h, at[1]) - mean(at[0] - h, at[1])) / (2 * h), (mean(at[0], at[1] + h) - mean(at[0], at[1] - h)) / (2 * h)]
    )


@pytest.mark.parametrize("scale", [0.0, 1.0, -2.5])
def test_stl_is_unbiased_where_the_cost_has_a_log_q(scale: float) -> None:
    def cost(z: Tensor, q: Any) -> Tensor:
        return smooth(z, q) + scale * q.log_prob(z)

    np.testing.assert_allclose(integrated(STL(), cost, 1).mean, truth(cost, 0), rtol=1e-7, atol=1e-8)


def test_stl_is_biased_by_the_mean_of_what_it_drops() -> None:
    """Of 0.5 z scale + 0.4 log q, the derivative in scale of the first, 0.5 E z, times scale."""
    bias = integrated(STL(), gaussian_crooked, 1).mean - truth(gaussian_crooked, 0)
    np.testing.assert_allclose(bias, [0.0, -0.5 * float(GAUSSIAN.loc) * float(GAUSSIAN.scale)], atol=1e-7)


def test_stl_vanishes_at_the_exact_posterior() -> None:
    """Sample by sample, which the pathwise gradient does not."""

    def elbo(z: Tensor, q: Any) -> Tensor:
        return q.log_prob(z) - GAUSSIAN.log_prob(z)

    np.testing.assert_allclose(integrated(STL(), elbo, 1).gradients, 0, atol=1e-12)
    assert np.abs(integrated(Reparameterization(), elbo, 1).gradients).max() > 1


def test_stl_without_a_log_q_is_the_reparameterization() -> None:
    np.testing.assert_array_equal(integrated(STL(), smooth, 1).gradients, integrated(Reparameterization(), smooth, 1).gradients)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("estimator", [Dreg(), Reparameterization(), Vimco(), Reinforce()], ids=lambda estimator: estimator.name)
def test_the_bound_is_measured_without_bias(estimator: Estimator, k: int) -> None:
    if not (isinstance(estimator, Vimco) and k == 1):
        found = integrated(estimator, gaussian_weight, k, LogMeanExp(k))
        np.testing.assert_allclose(found.mean, truth(gaussian_weight, k), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("k", [2, 3])
def test_stl_is_biased_on_the_bound_by_the_weighed_scores(k: int) -> None:
    """What it drops is sum_k v_k grad log q(z_k), whose mean is that of the bias, reversed (Tucker et al. 2019)."""
    grid = np.array(list(itertools.product(range(len(NODE)), repeat=k)))
    loc, scale = float(GAUSSIAN.loc), float(GAUSSIAN.scale)
    eps = NODE[grid]
    w = np.exp(-gaussian_weight(torch.from_numpy(loc + scale * eps)[..., None], GAUSSIAN).numpy())
    v = w / w.sum(-1, keepdims=True)
    dropped = WEIGHT[grid].prod(-1) @ np.stack(((v * eps / scale).sum(-1), (v * (eps**2 - 1)).sum(-1)), -1)
    assert np.abs(dropped).max() > 0.01
    bias = integrated(STL(), gaussian_weight, k, LogMeanExp(k)).mean - truth(gaussian_weight, k)
    np.testing.assert_allclose(bias, -dropped, rtol=1e-5, atol=1e-7)


def test_dreg_of_one_sample_is_stl() -> None:
    found, expected = integrated(Dreg(), gaussian_weight, 1, LogMeanExp(1)), integrated(STL(), gaussian_weight, 1)
    np.testing.assert_allclose(found.gradients, expected.gradients, rtol=1e-12, atol=1e-14)


def test_dreg_leaves_other_parameters_their_plain_gradient() -> None:
    """Those of p have the weights, not their squares: the same gradient as that of any estimator that evaluates the same points."""
    theta = double(0.3).requires_grad_()
    u = Block(6, "dreg", 0, torch.float64, torch.device("cpu")).draw("z", 0, (2, 3))[0]
    cost = MultiSample(lambda z, q: gaussian_weight(z, q) + theta * z.squeeze(-1) ** 2, LogMeanExp(3))
    estimators = (Dreg(num_samples=2), Reparameterization(num_samples=2))
    slopes = [torch.autograd.grad(each.expect(GAUSSIAN.power(3), cost, replay({("z", 0): u})), theta) for each in estimators]
    torch.testing.assert_close(*slopes)


class Once(Dreg):
    """The weights, not their squares: STL."""

    power: ClassVar[int] = 1

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal) and isinstance(cost, MultiSample)
        z, fixed = q.reparameterize(noise.uniform((self.num_samples,), q)), q.map(Tensor.detach)
        f, pull_back = torch.func.vjp(lambda points: cost.each(points, fixed), z.detach())[:2]
        (slope,) = pull_back(torch.softmax(-f, 0).detach() ** self.power)
        return average(inject(cost.combine(f), slope.detach(), z))


class Twice(Once):
    """Right: the control of the mutants."""

    power: ClassVar[int] = 2


class Uphill(Dreg):
    """exp(f) for weights."""

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(cost, MultiSample)

        class Reversed(LogMeanExp):
            def __call__(self, f: Tensor) -> Tensor:
                return super().__call__(-f)

        return -super().expect(q, MultiSample(lambda z, q: -cost.cost(z, q), Reversed(cost.combine.k)), noise)


class NotFixed(Dreg):
    """Hands the cost a q that is not held fixed: the score comes back."""

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(cost, MultiSample)
        return super().expect(q, MultiSample(lambda z, fixed: cost.cost(z, q.split()), cost.combine), noise)


class HalfThePath(STL):
    """The sample moves half as far with the scale as it should."""

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal)
        return super().expect(Normal(q.loc, (q.scale + q.scale.detach()) / 2), cost, noise)


@pytest.mark.parametrize(("mutant", "right"), [(Once(), False), (Uphill(), False), (NotFixed(), False), (Twice(), True)])
def test_mutants_of_dreg_are_caught(mutant: Estimator, right: bool) -> None:
    off = np.abs(integrated(mutant, gaussian_weight, 2, LogMeanExp(2)).mean - truth(gaussian_weight, 2)).max()
    assert off < 1e-6 if right else off > 1e-3


def test_a_mutant_of_stl_is_caught() -> None:
    assert np.abs(integrated(HalfThePath(), gaussian_weight, 1).mean - truth(gaussian_weight, 0)).max() > 1e-3


class SeveralGaussians(Several):
    start: ClassVar[dict[str, list[float]]] = {"loc": [float(GAUSSIAN.loc)], "log_scale": [float(GAUSSIAN.scale.log())]}

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return gaussian_weight(z, q)


class OneGaussian(SeveralGaussians):
    direct_term: DirectTerm = "log_q"

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return super().loss(params, lambda q, cost, site="z", combine=None: expect(q, cost))


@pytest.mark.statistical
@pytest.mark.parametrize(("estimator", "k", "n"), [(Dreg, 2, 1), (Dreg, 3, 2), (STL, 0, 1), (STL, 0, 3), (STL, 2, 1)])
def test_stl_and_dreg_have_their_exact_variances(estimator: Callable[..., Estimator], k: int, n: int) -> None:
    one = integrated(estimator(), gaussian_weight, max(k, 1), LogMeanExp(k) if k else None)
    model = SeveralGaussians(k) if k else OneGaussian(1)
    result = measured(model, estimator(num_samples=n))
    assert_measured(result, one.mean, one.variance / n)
    biased = estimator is STL and k > 1
    assert result.verdict.status == ("biased" if biased else "unbiased")
    assert ("biased here" in (result.verdict.reason or "")) == biased
    assert (result.cost.evaluations, result.cost.gradient_evaluations) == (n * max(k, 1), n * max(k, 1))


# ---------------------------------------------------------------------------------------------------------------------------- extremes


@pytest.mark.parametrize("mean", MEANS)
def test_vimco_survives_extremes(mean: Literal["geometric", "arithmetic"]) -> None:
    """Saturated logits, an outcome of probability 1e-12, and weights whose ratio is beyond floats."""
    for q in (Bernoulli(double([40.0, -40.0, 0.3])), Categorical(double([[0.0, 0.0, math.log(1e-12)]]))):
        for size in (1.0, 1e3, 1e6):
            cost = MultiSample(lambda z, q, size=size: size * log_weight(z, q), LogMeanExp(4))
            noise = Block(0, "extremes", 0, torch.float64, torch.device("cpu")).one()
            leaf = q.map(lambda value: value.detach().requires_grad_())
            (found,) = torch.autograd.grad(Vimco(mean=mean, num_samples=3).expect(leaf.power(4), cost, noise), (leaf.logits,))
            assert torch.isfinite(found).all()


@pytest.mark.parametrize("estimator", [STL(num_samples=3), Dreg(num_samples=3)], ids=lambda estimator: estimator.name)
def test_stl_and_dreg_survive_extremes(estimator: Estimator) -> None:
    for scale in (1e-6, 1.0, 1e4):
        leaf = Normal(double([0.3]).requires_grad_(), double([scale]).requires_grad_())
        noise = Block(0, "extremes", 0, torch.float64, torch.device("cpu")).one()
        value = estimator.expect(leaf.power(4), MultiSample(gaussian_weight, LogMeanExp(4)), noise)
        assert all(torch.isfinite(slope).all() for slope in torch.autograd.grad(value, (leaf.loc, leaf.scale)))


# -------------------------------------------------------------------------------------------------------- what the engine makes of it


def small(latent: Literal["bernoulli", "gaussian"] = "bernoulli", k: int = 2) -> IWAE:
    rows = (np.random.default_rng(5).random((9, 4)) < np.array([0.2, 0.5, 0.6, 0.8])).astype(np.float64)
    data = Dataset("digits", "train", rows, np.zeros(9, dtype=np.int64), "none", None, "made up", "0" * 64)
    return IWAE(data=data, latent=latent, latents=2 if latent == "bernoulli" else 1, k=k, batch=3)


def test_the_distribution_is_the_models_own() -> None:
    """One q, not K: its gradient in each row is that of the layer's bias, which adds them up."""
    of_q, of_all = Program(small(), wrt="distribution", dtype=torch.float64), Program(small(), dtype=torch.float64)
    assert of_q.layout.shapes == ((3, 2),)
    bias = next(part for name, _, part in of_all.layout.slices() if name == "encoder.0.bias")
    np.testing.assert_allclose(exact_gradient_of(of_q)[0].reshape(3, 2).sum(0), exact_gradient_of(of_all)[0][bias], rtol=1e-11)


@pytest.mark.parametrize(
    ("estimator", "latent"),
    [
        (Reinforce(), "bernoulli"),
        (Reinforce(num_samples=2), "bernoulli"),
        (RLOO(), "bernoulli"),
        (Disarm(), "bernoulli"),
        (Concrete(), "bernoulli"),
        (Vimco(), "bernoulli"),
        (Vimco(num_samples=2), "gaussian"),
        (Reparameterization(), "gaussian"),
        (STL(num_samples=2), "gaussian"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.name}-{value.num_samples}",
)
def test_the_structured_route_is_right(estimator: Estimator, latent: Literal["bernoulli", "gaussian"]) -> None:
    """Mean and variance of every weight against the gradients of all rows, one at a time. (The other routes: test_contract.py.)"""
    assert_right(Program(small(latent), dtype=torch.float64), estimator)


def test_the_structured_route_refuses_what_it_cannot_see() -> None:
    assert refused(Program(small(k=5)), Reinforce())  # five terms to a weight
    assert refused(Program(small("gaussian")), Dreg())  # a transform of torch.func between the layers and us
    assert not refused(Program(small(k=4)), Reinforce())


def test_evaluations_count_every_sample() -> None:
    for k in (2, 3):
        exact = gsx.measure(small(k=k), "exact")
        assert exact.cost.evaluations == 4**k * k
        rloo = gsx.measure(small(k=k), RLOO(num_samples=4), num_replicates=64, workers=1)
        assert (rloo.cost.evaluations, rloo.cost.random_numbers) == (4 * k, 4 * 3 * 2 * k)


@pytest.mark.parametrize(
    ("model", "estimator", "reason"),
    [
        (BernoulliIsing(), Vimco(), "vimco: needs a cost that combines several samples, and bernoulli_ising's is of one"),
        (GaussianToy(), Dreg(), "dreg: needs a cost that combines several samples, and gaussian_toy's is of one"),
        (small(k=1), Vimco(), "vimco: needs a cost that combines several samples, and iwae's is of one"),
        (small(), Dreg(), "dreg: needs a Normal distribution, and iwae's is Bernoulli"),
        (small(), STL(), "stl: needs a Normal distribution, and iwae's is Bernoulli"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_is_not_supported_is_refused(model: Model, estimator: Estimator, reason: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        gsx.measure(model, estimator, num_replicates=64)
    assert str(refusal.value) == f"estimator={reason}"


def test_where_they_are_unbiased_is_declared() -> None:
    for model, stl, dreg in ((small("gaussian"), False, True), (small("gaussian", 1), True, False), (GaussianToy(), True, False)):
        assert (STL().biased_because(model) is None, Dreg().biased_because(model) is None) == (stl, dreg)
    assert "iwae's direct term is log_weights" in (STL().biased_because(small("gaussian")) or "")
    with pytest.raises(ConfigurationError, match=r"reference.estimator=stl: must be unbiased on iwae; it is biased here"):
        gsx.measure(small("gaussian"), "dreg", num_replicates=64, reference={"kind": "long_run", "estimator": "stl"})


def test_exact_takes_the_bound_like_any_cost() -> None:
    """The estimator `exact` on q^K, directly."""
    leaf = TWO.map(lambda value: value.detach().requires_grad_())
    noise = Block(0, "exact", 0, torch.float64, torch.device("cpu")).one()
    value = Exact().expect(leaf.power(2), MultiSample(crooked, LogMeanExp(2)), noise)
    (found,) = torch.autograd.grad(value, (leaf.logits,))
    np.testing.assert_allclose(found.numpy(), written_out(TWO, 2), rtol=1e-7, atol=1e-9)
