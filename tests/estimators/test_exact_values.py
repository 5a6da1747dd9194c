"""Means and variances of every estimator against their exact values, worked out here by enumeration and quadrature in numpy.

An average of N independent single-sample estimates has the mean of one and an N-th of its variance; that of one is a sum over states, or an
integral over the latent noise. Nothing of gsx is used for it but the settings. The measurement is then held to 5 standard errors, its error
of the variance to 0.6 % (so that a variance wrong by 5 % cannot pass, which each case checks of itself), and the error is thereby held too.

About 60 cases x 15 numbers at 5 standard errors of a Student t of 63 degrees of freedom: another seed fails once in 200.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.costs import Expect
from gsx.distributions import Bernoulli, Categorical, Discrete, Normal
from gsx.estimators.base import Estimator
from gsx.estimators.concrete import Concrete
from gsx.estimators.disarm import Disarm
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.estimators.rloo import RLOO
from gsx.estimators.st_gumbel import STGumbel
from gsx.estimators.straight_through import StraightThrough
from gsx.models.base import Model, Params
from gsx.models.bernoulli_toy import BernoulliToy
from gsx.models.categorical_toy import CategoricalToy
from gsx.models.gaussian_toy import GaussianToy
from gsx.noise import Noise
from gsx.process import one_thread_each
from gsx.surrogate import inject

LOG_Q = 0.35  # how much of log q(z) the second kind of model adds to its cost


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


# ------------------------------------------------------------------------------------------------------------- costs with log q inside


class BernoulliToyLogQ(BernoulliToy):
    """`bernoulli_toy` plus LOG_Q log q(b): a cost that depends on the parameters, as an ELBO does."""

    def loss(self, params: Params, expect: Expect) -> Tensor:
        def cost(b: Tensor, q: Bernoulli) -> Tensor:
            return ((b - self.target).abs() ** self.power / b.shape[-1]).sum(-1) + LOG_Q * q.log_prob(b)

        return expect(Bernoulli(params["logits"]), cost)

    def closed_form(self, params: Params) -> None:  # type: ignore[override]
        return None


class CategoricalToyLogQ(CategoricalToy):
    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = Categorical(params["logits"].unsqueeze(-2))
        return expect(q, lambda z, q: ((z - self.target) ** 2).sum((-2, -1)) + LOG_Q * q.log_prob(z))

    def closed_form(self, params: Params) -> None:  # type: ignore[override]
        return None


class GaussianToyLogQ(GaussianToy):
    def loss(self, params: Params, expect: Expect) -> Tensor:
        q = Normal(params["loc"], params["log_scale"].exp())
        return expect(q, lambda x, q: self._terms(x).sum(-1) + LOG_Q * q.log_prob(x))

    def closed_form(self, params: Params) -> None:  # type: ignore[override]
        return None


# -------------------------------------------------------------------------------------------------------------------------- exact values


@dataclass
class Exact:
    mean: np.ndarray  # [P]
    variance: np.ndarray  # [P], of one sample


def summed(g: np.ndarray, weight: np.ndarray) -> Exact:
    """Of single-sample gradients ``g [states, P]`` with probabilities ``weight [states]``."""
    assert abs(weight.sum() - 1) < 1e-9
    mean = weight @ g
    return Exact(mean, weight @ (g - mean) ** 2)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def panels(edges: list[float], nodes: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Composite Gauss-Legendre nodes and weights."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    halves = np.diff(edges)[:, None] / 2
    middles = (np.array(edges[:-1]) + np.array(edges[1:]))[:, None] / 2
    return (middles + halves * x).ravel(), (halves * w).ravel()


def away_from_zero(tau: float) -> list[float]:
    """Edges on a half line: fine on the scale of the temperature, where the relaxation moves, and out to where exp(-x) is nothing."""
    edges, edge = [0.0], tau / 2
    while edge < 50:
        edges.append(edge)
        edge += max(edge / 2, tau / 2) if edge < 2 else 2.0
    return [*edges, 60.0]


def bernoulli(model: BernoulliToy, estimator: Estimator, c: float) -> Exact:
    theta = model.start.numpy()
    target, power, a = model.target, model.power, LOG_Q * isinstance(model, BernoulliToyLogQ)
    size, p = len(theta), sigmoid(theta)

    def f(b: np.ndarray) -> np.ndarray:
        linear = b @ theta - np.log1p(np.exp(theta)).sum()
        return (np.abs(b - target) ** power).sum(-1) / size + a * linear

    def slope(y: np.ndarray, d: int) -> np.ndarray:
        return power * np.abs(y - target) ** (power - 1) * np.sign(y - target) / size + a * theta[d]

    if isinstance(estimator, Reinforce):  # the product of f and a score couples the coordinates: all states
        b = (np.arange(2**size)[:, None] >> np.arange(size)) & 1
        weight = np.where(b == 1, p, 1 - p).prod(-1)
        return summed((f(b)[:, None] - c + a) * (b - p), weight)
    of_each = []
    for d in range(size):  # the cost separates, and so does every pathwise gradient
        if isinstance(estimator, StraightThrough):
            z, weight = np.array([0.0, 1.0]), np.array([1 - p[d], p[d]])
            backward = p[d] * (1 - p[d]) if estimator.backward_through == "mean" else 1.0
            g = slope(z, d) * backward + a * (z - p[d])
        else:
            assert isinstance(estimator, Concrete | STGumbel)
            tau = estimator.temperature
            half, w = panels(away_from_zero(tau))
            latent, w = np.concatenate((-half, half)), np.concatenate((w, w))
            weight = w * sigmoid(latent - theta[d]) * sigmoid(theta[d] - latent)
            y = sigmoid(latent / tau)
            z = y if isinstance(estimator, Concrete) else (latent > 0).astype(float)
            g = slope(z, d) * y * (1 - y) / tau + a * (z - p[d])
        of_each.append(summed(g[:, None], weight))
    return Exact(np.concatenate([e.mean for e in of_each]), np.concatenate([e.variance for e in of_each]))


def categorical(model: CategoricalToy, estimator: Estimator, c: float) -> Exact:
    theta, target = model.start.numpy(), model.target.numpy()
    a, size = LOG_Q * isinstance(model, CategoricalToyLogQ), len(theta)
    p = np.exp(theta) / np.exp(theta).sum()
    states = np.eye(size)

    def f(z: np.ndarray) -> np.ndarray:
        return ((z - target) ** 2).sum(-1) + a * z @ np.log(p)

    def pulled(slope: np.ndarray, at: np.ndarray) -> np.ndarray:
        """(diag(at) - at at') slope, the derivative of a softmax."""
        return at * (slope - (at * slope).sum(-1, keepdims=True))

    def slope(z: np.ndarray) -> np.ndarray:
        return 2 * (z - target) + a * np.log(p)

    if isinstance(estimator, Reinforce):
        return summed((f(states)[:, None] - c + a) * (states - p), p)
    if isinstance(estimator, StraightThrough):
        path = pulled(slope(states), p) if estimator.backward_through == "mean" else slope(states)
        return summed(path + a * (states - p), p)
    assert isinstance(estimator, Concrete | STGumbel)
    tau = estimator.temperature
    half, w = panels(away_from_zero(tau), 12)
    gradients, weights = [], []
    for winner in range(size):
        # Latents relative to the winner's lie in a quadrant; E_i = exp(-latent_i) are exponentials of rate exp(theta_i), and their ratios
        # to E_winner have the density (C - 1)! prod_i rate_i / (sum_i rate_i ratio_i)^C.
        others = [i for i in range(size) if i != winner]
        grid = np.stack(np.meshgrid(*[-half] * len(others), indexing="ij"), -1).reshape(-1, len(others))
        volume = np.stack(np.meshgrid(*[w] * len(others), indexing="ij"), -1).reshape(-1, len(others)).prod(-1)
        latent = np.zeros((len(grid), size))
        latent[:, others] = grid
        log_density = -size * np.logaddexp.reduce(theta - latent, axis=1) + theta.sum() - grid.sum(-1) + math.lgamma(size)
        y = np.exp(latent / tau) / np.exp(latent / tau).sum(-1, keepdims=True)
        z = y if isinstance(estimator, Concrete) else np.broadcast_to(states[winner], y.shape)
        gradients.append(pulled(slope(z), y) / tau + a * (z - p))
        weights.append(volume * np.exp(log_density))
    return summed(np.concatenate(gradients), np.concatenate(weights))


def gaussian(model: GaussianToy, estimator: Estimator, c: float) -> Exact:
    loc, scale = model.start_loc.numpy(), np.exp(model.start_log_scale.numpy())
    a, k = LOG_Q * isinstance(model, GaussianToyLogQ), model.k
    node, weight = np.polynomial.hermite_e.hermegauss(120)
    weight = weight / weight.sum()
    eps = np.stack(np.meshgrid(*[node] * len(loc), indexing="ij"), -1).reshape(-1, len(loc))
    weight = np.stack(np.meshgrid(*[weight] * len(loc), indexing="ij"), -1).reshape(-1, len(loc)).prod(-1)
    x = loc + scale * eps
    log_q = (-0.5 * eps**2 - np.log(scale) - 0.5 * math.log(2 * math.pi)).sum(-1)
    score = np.concatenate((eps / scale, eps**2 - 1), 1)  # in loc and log scale
    value = {"quadratic": (x - k) ** 2, "exp": np.exp(-k * x**2), "cos": np.cos(k * x)}[model.cost]
    slope = {"quadratic": 2 * (x - k), "exp": -2 * k * x * np.exp(-k * x**2), "cos": -k * np.sin(k * x)}[model.cost]
    if isinstance(estimator, Reinforce):
        return summed((value.sum(-1) + a * log_q - c + a)[:, None] * score, weight)
    assert isinstance(estimator, Reparameterization)
    slope = slope - a * eps / scale
    return summed(np.concatenate((slope, slope * scale * eps), 1) + a * score, weight)


# -------------------------------------------------------------------------------------------------------------------------------- cases

BERNOULLI = [
    BernoulliToy(logits=[-1.3, 0.4, 2.0]),
    BernoulliToy(logits=[0.9, -0.7], target=0.3, power=3.0),
    BernoulliToyLogQ(logits=[-1.0, 0.6], target=0.2),
]
CATEGORICAL = [
    CategoricalToy(logits=[0.6, -0.4, 0.1], target=[0.5, 0.2, 0.3]),
    CategoricalToy(logits=[-0.8, 0.3], target=[0.9, -0.4]),
    CategoricalToyLogQ(logits=[0.2, 1.0, -0.5], target=[0.1, 0.6, 0.3]),
]
# Scales well below the distance to the target, because eps^4 (eps^2 - 1)^2 has a kurtosis of hundreds: 2^24 replicates for 0.5 %.
GAUSSIAN = [
    GaussianToy(loc=[1.5, -0.5], log_scale=[-0.7, -1.2], k=0.5),
    GaussianToy(loc=[0.4, -0.9], log_scale=[-0.3, 0.2], cost="exp", k=0.8),
    GaussianToy(loc=[0.8, 0.1], log_scale=[-0.5, 0.1], cost="cos", k=1.7),
    GaussianToyLogQ(loc=[1.1, -1.4], log_scale=[-0.9, -0.6], k=-0.3),
]

Make = Callable[[int], Estimator]
SCORE: dict[str, Make] = {
    "reinforce": lambda n: Reinforce(num_samples=n),
    "reinforce-constant": lambda n: Reinforce(baseline="constant", constant=0.4, num_samples=n),
    "reinforce-moving_average": lambda n: Reinforce(baseline="moving_average", warmup=64, decay=0.9, num_samples=n),
}
DISCRETE: dict[str, Make] = SCORE | {
    "straight_through": lambda n: StraightThrough(num_samples=n),
    "straight_through-identity": lambda n: StraightThrough(backward="identity", num_samples=n),
    "concrete-0.4": lambda n: Concrete(temperature=0.4, num_samples=n),
    "concrete-1.5": lambda n: Concrete(temperature=1.5, num_samples=n),
    "st_gumbel-0.4": lambda n: STGumbel(temperature=0.4, num_samples=n),
    "st_gumbel-1.5": lambda n: STGumbel(temperature=1.5, num_samples=n),
}
CONTINUOUS: dict[str, Make] = SCORE | {"reparameterization": lambda n: Reparameterization(num_samples=n)}
FAMILIES: list[tuple[Any, list[Any], dict[str, Make]]] = [
    (bernoulli, BERNOULLI, DISCRETE),
    (categorical, CATEGORICAL, DISCRETE),
    (gaussian, GAUSSIAN, CONTINUOUS),
]


def cases() -> Iterator[Any]:
    for exact, models, estimators in FAMILIES:
        for i, model in enumerate(models):
            for j, (name, make) in enumerate(estimators.items()):
                n = (1, 3)[(i + j) % 2]  # each estimator meets both, each model meets both
                yield pytest.param(exact, model, make(n), id=f"{model.name}{i}-{name}-N{n}")


def exact_of(exact: Callable[..., Exact], model: Model, estimator: Estimator, result: gsx.Result) -> Exact:
    """Of an estimate of N samples; a moving average counts as the constant it was frozen at."""
    c = 0.0
    if isinstance(estimator, Reinforce):
        frozen = result.tuning.get("values", {}).get("average.z")
        c = {"none": 0.0, "constant": estimator.constant, "moving_average": frozen}[estimator.baseline]
    one = exact(model, estimator, c)
    return Exact(one.mean, one.variance / estimator.num_samples)


def measured(model: Model, estimator: Estimator, replicates: int = 2**18) -> gsx.Result:
    return gsx.measure(model, estimator, num_replicates=replicates, block_size=replicates // 64, seed=17, workers=1)


def disagreements(result: gsx.Result, truth: Exact) -> list[str]:
    """What is more than 5 standard errors off: the total variance, each mean, each variance."""
    variance, table = result.summary["variance"], result.coordinates
    assert variance is not None and variance.se is not None and table is not None
    found = []
    if abs(variance.value - truth.variance.sum()) > 5 * variance.se:
        found.append(f"variance {variance.value} +- {variance.se}, exactly {truth.variance.sum()}")
    # The error of the mean is taken from the exact variance; float32 rounding of each gradient is far below it.
    mean_se = np.sqrt(truth.variance / result.num_replicates)
    for j in range(len(truth.mean)):
        if abs(table.mean[j] - truth.mean[j]) > 5 * mean_se[j] + 1e-7 * abs(truth.mean[j]):
            found.append(f"mean[{j}] {table.mean[j]} +- {mean_se[j]}, exactly {truth.mean[j]}")
        if abs(table.variance[j] - truth.variance[j]) > 5 * table.variance_se[j] + 1e-6 * truth.variance[j]:
            found.append(f"variance[{j}] {table.variance[j]} +- {table.variance_se[j]}, exactly {truth.variance[j]}")
    return found


@pytest.mark.statistical
@pytest.mark.parametrize(("exact", "model", "estimator"), list(cases()))
def test_means_and_variances_are_exact(exact: Callable[..., Exact], model: Model, estimator: Estimator) -> None:
    result = measured(model, estimator)
    truth = exact_of(exact, model, estimator, result)
    variance = result.summary["variance"]
    if variance is not None and variance.se is not None and variance.se > 0.006 * variance.value:  # heavy tails want more
        replicates = 2 ** math.ceil(math.log2(2**18 * (variance.se / variance.value / 0.005) ** 2))
        assert replicates <= 2**22, "no power"
        result = measured(model, estimator, replicates)
        variance = result.summary["variance"]
    assert not disagreements(result, truth)
    assert variance is not None and variance.se is not None
    assert variance.se <= 0.0065 * variance.value
    for wrong in (0.95, 1.05):
        assert disagreements(result, Exact(truth.mean, wrong * truth.variance)), "a variance wrong by 5 % passes"
    # The relative error of the mean's error is that of the variance, halved: no mean may be judged by a wrong yardstick.
    assert result.coordinates is not None
    np.testing.assert_allclose(result.coordinates.mean_se, np.sqrt(truth.variance / result.num_replicates), rtol=0.05)


@pytest.mark.statistical
@pytest.mark.parametrize(("exact", "models", "estimators"), FAMILIES, ids=["bernoulli", "categorical", "gaussian"])
def test_exact_means_of_unbiased_estimators_are_the_reference(exact: Any, models: list[Any], estimators: dict[str, Make]) -> None:
    """The formulas above, held against the enumerations and closed forms of gsx."""
    for model in models:
        for make in estimators.values():
            estimator = make(1)
            if estimator.unbiased:
                reference = gsx.measure(model, "exact", dtype="float64").coordinates
                assert reference is not None
                np.testing.assert_allclose(exact(model, estimator, 0.7).mean, reference.mean, rtol=1e-7, atol=1e-9)


# ------------------------------------------------------------------------------------------------------------------ coupled estimators
# Their N samples are no average of independent ones: all joint outcomes are summed.


def leave_one_out(f: np.ndarray, score: np.ndarray, p: np.ndarray, a: float, n: int) -> Exact:
    """RLOO of n samples of an enumerated variable: costs ``f [states]``, scores ``[states, P]``, a log q in the cost."""
    draws = np.stack(np.meshgrid(*[np.arange(len(f))] * n, indexing="ij"), -1).reshape(-1, n)
    centred = f[draws] - f[draws].mean(1, keepdims=True)
    g = (centred[..., None] * score[draws]).sum(1) / (n - 1) + a * score[draws].mean(1)
    return summed(g, p[draws].prod(1))


def bernoulli_states(model: BernoulliToy) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    theta, a = model.start.numpy(), LOG_Q * isinstance(model, BernoulliToyLogQ)
    p = sigmoid(theta)
    b = ((np.arange(2 ** len(p))[:, None] >> np.arange(len(p))) & 1).astype(float)
    f = (np.abs(b - model.target) ** model.power).mean(-1) + a * (b @ theta - np.log1p(np.exp(theta)).sum())
    return f, b - p, np.where(b == 1, p, 1 - p).prod(-1), b, a


def rloo_bernoulli(model: BernoulliToy, n: int) -> Exact:
    f, score, weight, _, a = bernoulli_states(model)
    return leave_one_out(f, score, weight, a, n)


def rloo_categorical(model: CategoricalToy, n: int) -> Exact:
    theta, states = model.start.numpy(), np.eye(len(model.start))
    p, a = np.exp(theta) / np.exp(theta).sum(), LOG_Q * isinstance(model, CategoricalToyLogQ)
    return leave_one_out(((states - model.target.numpy()) ** 2).sum(-1) + a * np.log(p), states - p, p, a, n)


def disarm_bernoulli(model: BernoulliToy, n: int) -> Exact:
    """A coordinate's pair (b, b') is (1, 0), (0, 1), or twice the more probable value; the mean over n / 2 independent pairs."""
    f, score, _, b, a = bernoulli_states(model)
    p = sigmoid(model.start.numpy())
    lesser = np.minimum(p, 1 - p)
    kinds = np.stack(np.meshgrid(*[np.arange(3)] * len(p), indexing="ij"), -1).reshape(-1, len(p))
    first = np.where(kinds == 2, p > 0.5, kinds == 0).astype(int)
    second = np.where(kinds == 2, p > 0.5, kinds == 1).astype(int)
    weight = np.where(kinds == 2, 1 - 2 * lesser, lesser).prod(-1)
    i, j = (side @ 2 ** np.arange(len(p)) for side in (first, second))
    g = 0.5 * (f[i] - f[j])[:, None] * (b[i] - b[j]) * np.maximum(p, 1 - p) + a * (score[i] + score[j]) / 2
    one = summed(g, weight)
    return Exact(one.mean, one.variance / (n / 2))


COUPLED = [
    pytest.param(exact, model, kind(num_samples=n), id=f"{model.name}{i}-{kind.__name__}-N{n}")
    for exact, models, kind, counts in (
        (rloo_bernoulli, BERNOULLI, RLOO, (2, 3)),
        (rloo_categorical, CATEGORICAL, RLOO, (2, 4)),
        (disarm_bernoulli, BERNOULLI, Disarm, (2, 6)),
    )
    for i, model in enumerate(models)
    for n in counts
]


@pytest.mark.statistical
@pytest.mark.parametrize(("exact", "model", "estimator"), COUPLED)
def test_coupled_estimators_have_their_exact_variance(exact: Any, model: Model, estimator: Estimator) -> None:
    result, truth = measured(model, estimator), exact(model, estimator.num_samples)
    reference = gsx.measure(model, "exact", dtype="float64").coordinates
    assert reference is not None
    np.testing.assert_allclose(truth.mean, reference.mean, rtol=1e-7, atol=1e-9)
    assert not disagreements(result, truth)
    for wrong in (0.95, 1.05):
        assert disagreements(result, Exact(truth.mean, wrong * truth.variance)), "a variance wrong by 5 % passes"


class SelfIncluded(RLOO):
    """The baseline of each sample is the mean of all N, itself included."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        log_prob = q.log_prob(z)
        return (f + (f - f.mean(0)).detach() * (log_prob - log_prob.detach())).mean(0)


class OneSided(Disarm):
    """The factor is sigmoid(eta), not sigmoid(|eta|)."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        u = noise.uniform((self.num_samples // 2,), q)
        b, antithetic = q.sample(u), q.sample(1 - u)
        f = torch.stack((cost(b, q), cost(antithetic, q)))
        gradient = ((f[0] - f[1]) / 2).unsqueeze(-1) * (b - antithetic) * torch.sigmoid(q.logits)
        return inject(f.mean((0, 1)), gradient.mean(0), q.logits)


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("exact", "estimator"),
    [(rloo_bernoulli, SelfIncluded(num_samples=2)), (disarm_bernoulli, OneSided(num_samples=2))],
    ids=["self-included", "one-sided"],
)
def test_coupled_mutants_are_caught(exact: Any, estimator: Estimator) -> None:
    assert disagreements(measured(BERNOULLI[0], estimator), exact(BERNOULLI[0], estimator.num_samples))


# ------------------------------------------------------------------------------------------------------------------------------- mutants


class WrongTemperature(Concrete):
    """Divides by a temperature 5 % too high."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        return cost(q.relax(q.latent(noise.uniform((self.num_samples,), q)), 1.05 * self.temperature), q).mean(0)


class Miscoupled(STGumbel):
    """Hardens one latent and relaxes another."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        hard = q.harden(q.latent(noise.uniform((self.num_samples,), q)))
        soft = q.relax(q.latent(noise.uniform((self.num_samples,), q)), self.temperature)
        return cost(hard.detach() + soft - soft.detach(), q).mean(0)


class HalfTheNoise(Concrete):
    """Takes the same noise for all its N samples: a right mean, N times the variance."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        y = q.relax(q.latent(noise.uniform((1,), q)), self.temperature)
        return cost(y.expand(self.num_samples, *y.shape[1:]), q).mean(0)


class NoDirectTerm(Reinforce):
    """Forgets that the cost depends on the parameters: under log q the mean stays right, the variance does not."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q).detach()
        return (f + f * (q.log_prob(z) - q.log_prob(z).detach())).mean(0)


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("exact", "model", "mutant"),
    [
        pytest.param(bernoulli, BERNOULLI[0], WrongTemperature(temperature=0.4), id="wrong-temperature-bernoulli"),
        pytest.param(categorical, CATEGORICAL[0], WrongTemperature(temperature=0.4), id="wrong-temperature-categorical"),
        pytest.param(bernoulli, BERNOULLI[0], Miscoupled(temperature=0.4), id="miscoupled-bernoulli"),
        pytest.param(categorical, CATEGORICAL[0], Miscoupled(temperature=0.4), id="miscoupled-categorical"),
        pytest.param(bernoulli, BERNOULLI[0], HalfTheNoise(num_samples=3), id="same-noise-for-all-samples"),
        pytest.param(bernoulli, BERNOULLI[2], NoDirectTerm(), id="no-direct-term-bernoulli"),
        pytest.param(gaussian, GAUSSIAN[3], NoDirectTerm(), id="no-direct-term-gaussian"),
    ],
)
def test_mutants_are_caught(exact: Callable[..., Exact], model: Model, mutant: Estimator) -> None:
    result = measured(model, mutant)
    assert disagreements(result, exact_of(exact, model, mutant, result))
    if isinstance(mutant, NoDirectTerm):  # only the variance can tell: a z-test against the truth is content
        assert result.verdict.status == "unbiased"


@pytest.mark.cuda
@pytest.mark.statistical
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU")
@pytest.mark.parametrize(("exact", "models", "estimators"), FAMILIES, ids=["bernoulli", "categorical", "gaussian"])
def test_exact_values_on_the_gpu(exact: Any, models: list[Any], estimators: dict[str, Make]) -> None:
    for make in estimators.values():
        estimator = make(2)
        result = gsx.measure(models[-1], estimator, num_replicates=2**18, block_size=2**12, seed=17, device="cuda")
        assert not disagreements(result, exact_of(exact, models[-1], estimator, result))
