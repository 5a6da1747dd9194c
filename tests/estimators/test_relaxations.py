"""igr, hard_concrete, logit_normal, entmax, imle, aimle and simple: each sample against formulas written out in numpy, then exact means and
variances by quadrature and enumeration, and measurements held to them.

Statistical tests: 11 measurements, 42 numbers, each at 5 standard errors of a Student t of 63 degrees of freedom (5e-6): another
seed fails once in 4000. Beside them stand mutants that must be caught.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from scipy.special import expit
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.costs import Cost, Expect
from gsx.distributions import Bernoulli, Categorical, Distribution, KSubset
from gsx.estimators.aimle import AIMLE
from gsx.estimators.base import Estimator
from gsx.estimators.concrete import Concrete
from gsx.estimators.entmax import Entmax, entmax15, sparsemax
from gsx.estimators.hard_concrete import HardConcrete
from gsx.estimators.igr import IGR
from gsx.estimators.imle import IMLE
from gsx.estimators.logit_normal import SCALE, LogitNormal, probit
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.rloo import RLOO
from gsx.estimators.simple import SIMPLE
from gsx.estimators.straight_through import StraightThrough
from gsx.models.base import Model, Params
from gsx.noise import Noise, normal, replay, uniforms
from gsx.process import one_thread_each
from gsx.records import ConfigurationError
from gsx.surrogate import average, cost_gradient, inject, replace_gradient
from tests.estimators.enumeration import exact_gradient, law_of

Array = np.ndarray


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


def tensor(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def draw(name: str, *shape: int) -> Tensor:
    return uniforms((name,), 0, math.prod(shape), torch.float64, torch.device("cpu")).reshape(shape)


def cost(z: Tensor, q: Any) -> Tensor:
    """A cube of a sum, which does not separate, and log q squared, which depends on the parameters."""
    flat = z.flatten(-q.event_ndim)
    weights = torch.linspace(1.0, -0.7, flat.shape[-1], dtype=z.dtype)
    return (flat @ weights + 0.4) ** 3 - 0.3 * q.log_prob(z) ** 2


def slopes(q: Any, z: Tensor) -> tuple[Array, Array]:
    """The gradients of the cost in z, and in the logits with z held: ``[points, *event]`` each. q has no batch."""
    rows = q.map(lambda value: value.detach().expand(len(z), *value.shape).clone().requires_grad_())
    z = z.clone().requires_grad_()
    along, direct = torch.autograd.grad(cost(z, rows).sum(), (z, rows.logits))
    return along.numpy(), direct.numpy()


def gradients(estimator: Estimator, q: Any, u: Tensor, cost: Cost = cost) -> Array:
    """Of one estimate for each row of uniforms ``[rows, N, *event]``: ``[rows, *event]``. q has no batch."""
    rows = q.map(lambda value: value.detach().expand(len(u), *value.shape).clone().requires_grad_())
    value = estimator.expect(rows, cost, replay({("z", 0): u.movedim(1, 0)}))
    return torch.autograd.grad(value.sum(), rows.logits)[0].numpy()


class OfCost(Model):
    """The cost above under a distribution."""

    def __init__(self, q: Any) -> None:
        super().__init__()
        self.q = q
        self.register_buffer("start", q.logits.clone())

    def init(self, noise: Noise) -> Params:
        return {"logits": self.start.clone()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(self.q.replace({"logits": params["logits"]}), cost)


@dataclass
class Law:
    """Of the gradient of an estimate of N samples, flat."""

    mean: Array
    variance: Array


def summed(g: Array, weight: Array, n: int = 1) -> Law:
    """An average of n independent single-sample gradients ``g [outcomes, *event]``."""
    g = g.reshape(len(g), -1)
    assert abs(weight.sum() - 1) < 1e-9
    mean = weight @ g
    return Law(mean, weight @ (g - mean) ** 2 / n)


def disagreements(q: Any, estimator: Estimator, truth: Law) -> list[str]:
    """What a measurement finds more than 5 standard errors off."""
    result = gsx.measure(OfCost(q), estimator, num_replicates=2**16, block_size=2**10, seed=11, dtype="float64", workers=1)
    table = result.coordinates
    assert table is not None and table.variance_se is not None
    mean_se = np.sqrt(truth.variance / result.num_replicates)
    found = [f"mean[{j}]" for j in np.flatnonzero(np.abs(table.mean - truth.mean) > 5 * mean_se)]
    found += [f"variance[{j}]" for j in np.flatnonzero(np.abs(table.variance - truth.variance) > 5 * table.variance_se)]
    assert (table.variance_se < 0.03 * table.variance).all(), "a variance wrong by 20 % would pass"
    return found


# ------------------------------------------------------------------------------------------------------------------- maps of a latent


def logistic_slope(x: Array, tau: float) -> Array:
    return expit(x / tau) * expit(-x / tau) / tau


@dataclass
class Relaxation:
    """A Bernoulli's relaxed variable as a function of its latent x = location + noise: what estimators of this kind are made of."""

    estimator: Callable[[int], Estimator]
    y: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    kinks: tuple[float, ...] = ()
    gaussian: bool = False  # x = s (probit(p) + eps), of this s, and not theta + logistic noise
    scale: float = 1.0

    def location(self, theta: Array) -> Array:
        return self.scale * scipy.special.ndtri(expit(theta)) if self.gaussian else theta

    def location_slope(self, theta: Array) -> Array:
        if not self.gaussian:
            return np.ones_like(theta)
        return self.scale * expit(theta) * expit(-theta) / scipy.stats.norm.pdf(scipy.special.ndtri(expit(theta)))

    def noise(self) -> Any:
        return scipy.stats.norm(scale=self.scale) if self.gaussian else scipy.stats.logistic


def entmax15_of_two(x: Array) -> Array:
    """(t + sqrt(8 - t^2))^2 / 16 between t = -2 and 2, from u^2 + (u - t / 2)^2 = 1."""
    t = x.clip(-2, 2)
    return (t + np.sqrt(8 - t**2)) ** 2 / 16


def entmax15_of_two_slope(x: Array) -> Array:
    t = x.clip(-2, 2)
    root = np.sqrt(8 - t**2)
    return (np.abs(x) < 2) * (t + root) * (1 - t / root) / 8


def stretched(gamma: float, zeta: float, tau: float) -> Relaxation:
    ends = [tau * scipy.special.logit((edge - gamma) / (zeta - gamma)) for edge in (0.0, 1.0)]
    return Relaxation(
        lambda n: HardConcrete(temperature=tau, gamma=gamma, zeta=zeta, num_samples=n),
        lambda x: np.clip(expit(x / tau) * (zeta - gamma) + gamma, 0, 1),
        lambda x: (zeta - gamma) * logistic_slope(x, tau) * ((x > ends[0]) & (x < ends[1])),
        tuple(ends),
    )


TAU = 0.6
S = 4 * float(scipy.stats.norm.pdf(0))  # the logistic density at 0 is 1/4
DELTA = math.log(1.7)
RELAXATIONS = {
    "logit_normal": Relaxation(
        lambda n: LogitNormal(temperature=TAU, num_samples=n), lambda x: expit(x / TAU), lambda x: logistic_slope(x, TAU), (), True, S
    ),
    "igr": Relaxation(
        lambda n: IGR(temperature=TAU, delta=1.7, num_samples=n),
        lambda x: np.exp(x / TAU) / (np.exp(x / TAU) + 1.7),
        lambda x: logistic_slope(x - TAU * DELTA, TAU),
        (),
        True,
    ),
    "hard_concrete": stretched(-0.1, 1.1, TAU),
    "hard_concrete-uneven": stretched(-0.3, 1.05, TAU),
    "entmax15": Relaxation(
        lambda n: Entmax(transform="entmax15", temperature=TAU, num_samples=n),
        lambda x: entmax15_of_two(x / TAU),
        lambda x: entmax15_of_two_slope(x / TAU) / TAU,
        (-2 * TAU, 2 * TAU),
    ),
    "sparsemax": Relaxation(
        lambda n: Entmax(transform="sparsemax", temperature=TAU, num_samples=n),
        lambda x: np.clip((x / TAU + 1) / 2, 0, 1),
        lambda x: (np.abs(x) < TAU) / (2 * TAU),
        (-TAU, TAU),
    ),
}
every_relaxation = pytest.mark.parametrize("name", RELAXATIONS)
ONE, TWO = Bernoulli(tensor(-0.7)), Bernoulli(tensor(-0.9, 0.3))


def by_formula(of: Relaxation, q: Bernoulli, u: Tensor) -> Array:
    """The gradients of single samples ``u [rows, D]``: grad f(y) y'(x) dx/dtheta + the direct term."""
    theta = q.logits.numpy()
    x = of.location(theta) + of.noise().ppf(u.numpy())
    along, direct = slopes(q, torch.from_numpy(of.y(x)))
    return along * of.slope(x) * of.location_slope(theta) + direct


def misses_formula(of: Relaxation, estimator: Estimator, q: Bernoulli) -> float:
    """The largest difference, over 64 estimates."""
    u = draw("formula", 64, estimator.num_samples, *q.event_shape)
    expected = np.mean([by_formula(of, q, u[:, n]) for n in range(estimator.num_samples)], 0)
    return float(np.abs(gradients(estimator, q, u) - expected).max())


@every_relaxation
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("q", [ONE, TWO], ids=["D1", "D2"])
def test_each_sample_is_the_formula(name: str, samples: int, q: Bernoulli) -> None:
    of = RELAXATIONS[name]
    assert misses_formula(of, of.estimator(samples), q) < 1e-10


class ThetaPlusGaussian(LogitNormal):
    """Of matched variance in place of matched probabilities."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        eps = normal(noise.uniform((self.num_samples,), q))
        return average(cost(torch.sigmoid((q.logits + math.pi / math.sqrt(3) * eps) / self.temperature), q))


class NotCutOff(HardConcrete):
    """Stretched, and left there."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        s = q.relax(q.latent(noise.uniform((self.num_samples,), q)), self.temperature)
        return average(cost(s * (self.zeta - self.gamma) + self.gamma, q))


class ThresholdDetached(Entmax):
    """A map whose t does not move with its argument: the derivative on the support is the identity's."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        x = q.latent(noise.uniform((self.num_samples,), q)) / self.temperature
        pair = torch.stack((x, torch.zeros_like(x)), -1)
        y = sparsemax(pair.detach())
        return average(cost(replace_gradient(y, (y > 0) * pair)[..., 0], q))


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        ("logit_normal", ThetaPlusGaussian(temperature=TAU)),
        ("igr", IGR(temperature=TAU, delta=1 / 1.7)),
        ("hard_concrete", NotCutOff(temperature=TAU)),
        ("sparsemax", ThresholdDetached(transform="sparsemax", temperature=TAU)),
        ("entmax15", Entmax(transform="sparsemax", temperature=TAU)),
        ("logit_normal", LogitNormal(temperature=1.01 * TAU)),
        ("hard_concrete", HardConcrete(temperature=TAU, gamma=-0.11)),
    ],
)
def test_mutants_are_not_the_formula(name: str, mutant: Estimator) -> None:
    assert misses_formula(RELAXATIONS[name], mutant, TWO) > 1e-3


def panels(of: Relaxation, theta: Array) -> tuple[Array, Array]:
    """Gauss-Legendre nodes of the one latent and their weights under its law, on panels that end at the kinks."""
    at = float(of.location(theta)[0])
    inner = {at + step for step in np.arange(-12, 12.5, 0.5)} | set(of.kinks)
    edges = np.array([at - 60, at - 30, at - 18, *sorted(inner), at + 18, at + 30, at + 60])
    node, weight = np.polynomial.legendre.leggauss(20)
    halves = np.diff(edges)[:, None] / 2
    x = ((edges[:-1] + edges[1:])[:, None] / 2 + halves * node).ravel()
    return x, (halves * weight).ravel() * of.noise().pdf(x - at)


def exact_law(of: Relaxation, n: int = 1) -> Law:
    x, weight = panels(of, ONE.logits.numpy())
    along, direct = slopes(ONE, torch.from_numpy(of.y(x))[:, None])
    return summed(along * of.slope(x)[:, None] * of.location_slope(ONE.logits.numpy()) + direct, weight, n)


def relaxed_objective(of: Relaxation, theta: float) -> float:
    q = Bernoulli(tensor(theta))
    x, weight = panels(of, q.logits.numpy())
    return float(weight @ cost(torch.from_numpy(of.y(x))[:, None], q).numpy())


@every_relaxation
def test_the_mean_is_the_gradient_of_the_relaxed_objective_and_so_is_the_bias(name: str) -> None:
    of, h = RELAXATIONS[name], 1e-4
    central = (relaxed_objective(of, -0.7 + h) - relaxed_objective(of, -0.7 - h)) / (2 * h)
    mean = exact_law(of).mean
    np.testing.assert_allclose(mean, central, rtol=1e-6)
    assert np.abs(mean - exact_gradient(ONE, cost)).max() > 0.01


def test_where_probabilities_match_the_bias_goes_with_the_temperature() -> None:
    """Of Gaussian relaxations too, because P(y > 1/2) is p exactly, with all its digits at saturated logits."""
    biases = []
    for tau in (0.3, 0.1, 0.03):
        of = Relaxation(
            lambda n: LogitNormal(),
            lambda x, tau=tau: expit(x / tau),
            lambda x, tau=tau: logistic_slope(x, tau),
            tuple(np.linspace(-30 * tau, 30 * tau, 61)),
            True,
            S,
        )
        biases.append(float(np.abs(exact_law(of).mean - exact_gradient(ONE, cost)).max()))
    assert biases[0] > biases[1] > biases[2] and biases[2] < 0.01
    theta = tensor(-40.0, -3.0, -0.2, 0.0, 0.7, 5.0, 40.0)
    torch.testing.assert_close(torch.special.log_ndtr(probit(theta)), torch.nn.functional.logsigmoid(theta), rtol=1e-10, atol=1e-15)


@pytest.mark.statistical
@every_relaxation
def test_relaxations_have_their_exact_mean_and_variance(name: str) -> None:
    of = RELAXATIONS[name]
    assert not disagreements(ONE, of.estimator(1), exact_law(of))


@pytest.mark.statistical
def test_n_samples_are_averaged() -> None:
    of = RELAXATIONS["sparsemax"]
    assert not disagreements(ONE, of.estimator(3), exact_law(of, 3))
    assert disagreements(ONE, of.estimator(3), exact_law(of, 2))
    assert disagreements(ONE, ThresholdDetached(transform="sparsemax", temperature=TAU), exact_law(of))


# -------------------------------------------------------------------------------------------------------------------- identities of maps


def same(a: Estimator, b: Estimator, q: Any) -> bool:
    u = draw("same", 50, a.num_samples, *q.event_shape)
    return np.allclose(gradients(a, q, u), gradients(b, q, u), rtol=1e-9)


def test_igr_without_an_offset_is_logit_normal_at_another_temperature() -> None:
    assert math.sqrt(8 / math.pi) == pytest.approx(S) == pytest.approx(SCALE)
    assert same(IGR(temperature=0.4, num_samples=2), LogitNormal(temperature=0.4 * S, num_samples=2), TWO)
    assert not same(IGR(temperature=0.4, num_samples=2), LogitNormal(temperature=0.4, num_samples=2), TWO)
    assert not same(IGR(temperature=0.4, delta=0.9, num_samples=2), LogitNormal(temperature=0.4 * S, num_samples=2), TWO)


def test_hard_concrete_without_a_stretch_is_concrete() -> None:
    assert same(HardConcrete(temperature=0.4, gamma=0.0, zeta=1.0), Concrete(temperature=0.4), TWO)
    assert not same(HardConcrete(temperature=0.4), Concrete(temperature=0.4), TWO)


def by_bisection(x: Array, alpha: float) -> Array:
    """max(0, (alpha - 1) x - t)^(1 / (alpha - 1)), with the t that makes it sum to 1."""
    scaled = (alpha - 1) * x
    low, high = scaled.max() - 1, scaled.max()
    for _ in range(100):
        t = (low + high) / 2
        low, high = (t, high) if (np.maximum(scaled - t, 0) ** (1 / (alpha - 1))).sum() > 1 else (low, t)
    return np.maximum(scaled - t, 0) ** (1 / (alpha - 1))


@pytest.mark.parametrize(("transform", "alpha"), [(sparsemax, 2.0), (entmax15, 1.5)])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_sparse_maps_are_what_defines_them(transform: Callable[[Tensor], Tensor], alpha: float, scale: float) -> None:
    """The value by bisection, the Jacobian diag(s) - s s' / sum s with s = y^(2 - alpha) on the support; ties and shifts too."""
    rows = scale * scipy.special.ndtri(draw("rows", 40, 5).numpy())
    rows[0], rows[1, :3], rows[2] = 0.0, 1.0, rows[2] + 1000
    for row in rows:
        x = torch.from_numpy(row)
        y = transform(x).numpy()
        np.testing.assert_allclose(y, by_bisection(row, alpha), atol=1e-11)
        assert y.sum() == pytest.approx(1, abs=1e-12) and (y >= 0).all()
        s = np.where(y > 0, np.where(y > 0, y, 1) ** (2 - alpha), 0)
        jacobian = torch.func.jacrev(transform)(x).numpy()
        np.testing.assert_allclose(jacobian, np.diag(s) - np.outer(s, s) / s.sum(), atol=1e-9)
    batch = torch.from_numpy(rows)
    torch.testing.assert_close(torch.func.vmap(transform)(batch), transform(batch))


THREE = Categorical(tensor([0.5, -0.3, 0.1], [-0.8, 0.4, 0.0]))


@pytest.mark.parametrize(("transform", "alpha"), [("sparsemax", 2.0), ("entmax15", 1.5)])
def test_entmax_of_categoricals_is_the_formula(transform: Any, alpha: float) -> None:
    u = draw("categorical", 12, 2, 2, 3)
    latent = (THREE.logits.numpy() + scipy.stats.gumbel_r.ppf(u.numpy())) / TAU
    y = np.apply_along_axis(lambda row: by_bisection(row, alpha), -1, latent)
    along, direct = (x.reshape(y.shape) for x in slopes(THREE, torch.from_numpy(y).flatten(0, 1)))
    s = np.where(y > 0, np.where(y > 0, y, 1) ** (2 - alpha), 0)
    pulled = s * (along - (s * along).sum(-1, keepdims=True) / s.sum(-1, keepdims=True)) / TAU
    estimator = Entmax(transform=transform, temperature=TAU, num_samples=2)
    np.testing.assert_allclose(gradients(estimator, THREE, u), (pulled + direct).mean(1), atol=1e-8)
    wrong = Entmax(transform=transform, temperature=1.02 * TAU, num_samples=2)
    assert np.abs(gradients(wrong, THREE, u) - (pulled + direct).mean(1)).max() > 1e-2


# -------------------------------------------------------------------------------------------------------------------- perturb and MAP

FIVE = KSubset(tensor(-0.9, 0.3, 1.4, -0.2, 0.7), 2)
KINDS: list[Any] = [ONE, TWO, THREE, FIVE]
every_kind = pytest.mark.parametrize("q", KINDS, ids=["bernoulli-D1", "bernoulli-D2", "categorical", "k_subset"])


def most_probable(q: Any, logits: Array) -> Array:
    if isinstance(q, Bernoulli):
        return (logits > 0).astype(float)
    rank = np.argsort(np.argsort(-logits, -1), -1)
    return (rank < (q.k if isinstance(q, KSubset) else 1)).astype(float)


def perturbed(q: Any, u: Tensor) -> Array:
    noise = scipy.stats.logistic if isinstance(q, Bernoulli) else scipy.stats.gumbel_r
    return np.asarray(q.logits.numpy() + noise.ppf(u.numpy()))


def imle_by_hand(q: Any, u: Tensor, step_size: float) -> Array:
    latent = perturbed(q, u)
    z = most_probable(q, latent)
    g, direct = slopes(q, torch.from_numpy(z))
    return np.asarray((z - most_probable(q, latent - step_size * g)) / step_size + direct)


def aimle_by_hand(q: Any, u: Tensor, beta: float) -> Array:
    latent = perturbed(q, u)
    g, direct = slopes(q, torch.from_numpy(most_probable(q, latent)))
    event = tuple(range(1, g.ndim))
    step_size = beta * np.linalg.norm(q.logits.numpy()) / np.sqrt((g**2).sum(event, keepdims=True))
    up, down = most_probable(q, latent + step_size * g), most_probable(q, latent - step_size * g)
    return np.asarray((up - down) / (2 * step_size) + direct)


BY_HAND: dict[str, tuple[Callable[[float, int], Estimator], Callable[[Any, Tensor, float], Array]]] = {
    "imle": (lambda x, n: IMLE(step_size=x, num_samples=n), imle_by_hand),
    "aimle": (lambda x, n: AIMLE(beta=x, num_samples=n), aimle_by_hand),
}


def misses_hand(name: str, estimator: Estimator, q: Any, setting: float) -> float:
    u = draw("hand", 100, estimator.num_samples, *q.event_shape)
    expected = np.mean([BY_HAND[name][1](q, u[:, n], setting) for n in range(estimator.num_samples)], 0)
    return float(np.abs(gradients(estimator, q, u) - expected).max())


@every_kind
@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("setting", [0.3, 2.0])
def test_each_estimate_is_the_difference_of_maps(name: str, q: Any, setting: float) -> None:
    for samples in (1, 3):
        assert misses_hand(name, BY_HAND[name][0](setting, samples), q, setting) < 1e-11


class Perturbed(Estimator):
    """I-MLE with a fault, given by ``difference(q, latent, z, g) -> gradient`` of each sample."""

    unbiased, needs_cost_gradient, distributions, evaluations, citation = False, True, (Distribution,), "N", ""
    difference: Callable[..., Tensor]

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        latent = q.latent(noise.uniform((self.num_samples,), q)).detach()
        z = q.harden(latent)
        f, g = cost_gradient(cost, z, q)
        f = f.detach() if self.difference is no_direct_term else f
        return inject(average(f), average(self.difference(q, latent, z, g.detach())), q.logits)


def wrong_sign(q: Any, latent: Tensor, z: Tensor, g: Tensor) -> Tensor:
    return z - q.harden(latent + g)


def not_divided(q: Any, latent: Tensor, z: Tensor, g: Tensor) -> Tensor:
    return z - q.harden(latent - 2.0 * g)


def other_noise(q: Any, latent: Tensor, z: Tensor, g: Tensor) -> Tensor:
    return (z - q.harden((latent - q.logits.detach()).flip(1) + q.logits.detach() - 2.0 * g)) / 2.0


def no_direct_term(q: Any, latent: Tensor, z: Tensor, g: Tensor) -> Tensor:
    return (z - q.harden(latent - 2.0 * g)) / 2.0


def norms(q: Any, g: Tensor) -> tuple[Tensor, Tensor]:
    event = tuple(range(-q.event_ndim, 0))
    return torch.linalg.vector_norm(q.logits.detach(), dim=event, keepdim=True), torch.linalg.vector_norm(g, dim=event, keepdim=True)


def one_sided(q: Any, latent: Tensor, z: Tensor, g: Tensor) -> Tensor:
    theta, slope = norms(q, g)
    step_size = 2.0 * theta / slope
    return (z - q.harden(latent - step_size * g)) / step_size


def missing_half(q: Any, latent: Tensor, z: Tensor, g: Tensor) -> Tensor:
    theta, slope = norms(q, g)
    step_size = 2.0 * theta / slope
    return (q.harden(latent + step_size * g) - q.harden(latent - step_size * g)) / step_size


def norm_of_the_batch(q: Any, latent: Tensor, z: Tensor, g: Tensor) -> Tensor:
    step_size = 2.0 * torch.linalg.vector_norm(q.logits.detach()) / torch.linalg.vector_norm(g)
    return (q.harden(latent + step_size * g) - q.harden(latent - step_size * g)) / (2 * step_size)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("imle", fault) for fault in (wrong_sign, not_divided, other_noise, no_direct_term)),
        *(("aimle", fault) for fault in (one_sided, missing_half, norm_of_the_batch)),
    ],
)
def test_faulty_differences_are_caught(name: str, fault: Callable[..., Tensor]) -> None:
    mutant = Perturbed()
    mutant.difference = fault
    assert misses_hand(name, mutant, TWO, 2.0) > 1e-2


def pairs(theta: Array, shift: Array) -> Array:
    """P(argmax(theta + G) = i and argmax(theta + shift + G) = j), ``[C, C]``, G the same Gumbels.

    In exponential races (arrivals E_c of rates exp(theta_c)) j overtakes i where E_j = r E_i with r below exp(shift_j - shift_i), and all
    others arrive after max(E_i, r E_i exp(shift_c - shift_j)). Integrated over E_i, what remains is one integral over r, with kinks.
    """
    w, size = np.exp(theta), len(theta)
    p = np.zeros((size, size))
    x, weight = np.polynomial.legendre.leggauss(40)
    for i, j in itertools.permutations(range(size), 2):
        top = math.exp(min(shift[j] - shift[i], 700))
        if top <= 1:
            continue
        others = [c for c in range(size) if c not in (i, j)]
        edges = sorted({0.0, math.log(top), *(k for c in others if 0 < (k := shift[j] - shift[c]) < math.log(top))})
        for a, b in itertools.pairwise(edges):
            r = np.exp((a + b) / 2 + (b - a) / 2 * x)
            rate = w[i] + w[j] * r + sum(w[c] * np.maximum(1, r * math.exp(shift[c] - shift[j])) for c in others)
            p[i, j] += ((b - a) / 2 * weight * r) @ (w[i] * w[j] / rate**2)
    p[np.diag_indices(size)] = w / w.sum() - p.sum(1)
    return p


def states(q: Any) -> tuple[Tensor, Array]:
    z, weight = q.points(0, q.num_points(0), 0)
    return z, weight.numpy()


def as_categorical(q: Any) -> tuple[Array, Callable[[Array], Array]]:
    """Logits ``[D, C]``, and how a gradient in z is one in the outcomes: a Bernoulli is a race of theta against 0."""
    if isinstance(q, Categorical):
        return q.logits.numpy(), lambda g: g
    return np.stack((q.logits.numpy(), np.zeros(len(q.logits))), -1), lambda g: np.stack((g, np.zeros_like(g)), -1)


def imle_law(q: Any, step_size: float) -> Law:
    """Given z, and with it the slope, coordinates are independent: all joint outcomes of both MAPs."""
    theta, lift = as_categorical(q)
    z, _ = states(q)
    along, direct = slopes(q, z)
    found, weights = [], []
    for s, point in enumerate(z.numpy()):
        shift, now = -step_size * lift(along[s]), lift(point).argmax(-1) if isinstance(q, Categorical) else (point == 0).astype(int)
        moves = [pairs(theta[d], shift[d])[now[d]] for d in range(len(theta))]
        for then in itertools.product(range(theta.shape[1]), repeat=len(theta)):
            after = np.eye(theta.shape[1])[list(then)]
            after = after if isinstance(q, Categorical) else after[:, 0]
            found.append((point - after) / step_size + direct[s])
            weights.append(math.prod(moves[d][then[d]] for d in range(len(theta))))
    return summed(np.array(found), np.array(weights))


def aimle_law(q: Bernoulli, beta: float) -> Law:
    """Of Bernoullis: a coordinate is 1 at z where its latent is above 0, at the shifted logits where it is above -+ lambda g."""
    theta = q.logits.numpy()
    z, _ = states(q)
    along, direct = slopes(q, z)
    found, weights = [], []
    for s, point in enumerate(z.numpy()):
        step_size = beta * np.linalg.norm(theta) / np.linalg.norm(along[s])
        outcomes = []
        for d in range(len(theta)):
            shift, law = step_size * along[s, d], scipy.stats.logistic(theta[d])
            edges = [-math.inf, *sorted({0.0, -shift, shift}), math.inf]
            middles = [(max(a, -99) + min(b, 99)) / 2 for a, b in itertools.pairwise(edges)]
            here = [(m, law.cdf(b) - law.cdf(a)) for m, (a, b) in zip(middles, itertools.pairwise(edges), strict=True)]
            outcomes.append([(float(m > -shift) - float(m > shift), p) for m, p in here if (m > 0) == bool(point[d])])
        for joint in itertools.product(*outcomes):
            found.append(np.array([difference for difference, _ in joint]) / (2 * step_size) + direct[s])
            weights.append(math.prod(p for _, p in joint))
    return summed(np.array(found), np.array(weights))


def test_the_law_of_two_maps_has_the_right_margins() -> None:
    theta, shift = np.array([0.4, -0.7, 0.1, 1.0]), np.array([0.3, 1.2, -0.8, -0.1])
    p = pairs(theta, shift)
    np.testing.assert_allclose(p.sum(1), scipy.special.softmax(theta), rtol=1e-12)
    np.testing.assert_allclose(p.sum(0), scipy.special.softmax(theta + shift), rtol=1e-9)
    # Two outcomes are a logistic variable against two thresholds.
    cdf = scipy.stats.logistic.cdf
    np.testing.assert_allclose(pairs(np.array([0.3, 0.0]), np.array([-0.9, 0.0]))[0, 1], cdf(0.6) - cdf(-0.3), rtol=1e-10)


def test_a_small_step_sees_the_slope_on_the_side_it_goes_to() -> None:
    """In the limit of small steps the mean of I-MLE is p (1 - p) (max(f'(1), 0) + min(f'(0), 0)) + the direct term: where both slopes have
    one sign, one of them is left out. That of AIMLE is the trapezoidal rule's, p (1 - p) (f'(0) + f'(1)) / 2."""
    z, weight = states(ONE)
    along, direct = slopes(ONE, z)
    p = expit(-0.7)
    limit = p * (1 - p) * (max(along[1, 0], 0) + min(along[0, 0], 0)) + weight @ direct[:, 0]
    np.testing.assert_allclose(imle_law(ONE, 1e-5).mean, limit, rtol=1e-4)
    trapezoid = p * (1 - p) * along[:, 0].mean() + weight @ direct[:, 0]
    np.testing.assert_allclose(aimle_law(ONE, 1e-5).mean, trapezoid, rtol=1e-4)


PERTURBED = {
    "imle-bernoulli": (TWO, lambda: IMLE(step_size=0.5), lambda: imle_law(TWO, 0.5)),
    "imle-categorical": (THREE, lambda: IMLE(step_size=0.5), lambda: imle_law(THREE, 0.5)),
    "aimle-bernoulli": (TWO, lambda: AIMLE(beta=0.8), lambda: aimle_law(TWO, 0.8)),
}


@pytest.mark.statistical
@pytest.mark.parametrize("name", PERTURBED)
def test_differences_of_maps_have_their_exact_bias_and_variance(name: str) -> None:
    q, make, law = PERTURBED[name]
    truth = law()
    assert np.abs(truth.mean - exact_gradient(q, cost)).max() > 0.02
    assert not disagreements(q, make(), truth)
    mutant = Perturbed()
    mutant.difference = wrong_sign if name.startswith("imle") else one_sided
    assert disagreements(q, mutant, truth)


def test_one_of_k_subsets_is_categorical() -> None:
    one = KSubset(tensor(0.5, -0.3, 0.1, 0.9), 1)
    categorical, u = Categorical(one.logits.unsqueeze(0)), draw("one", 50, 2, 4)

    def without_log_q(z: Tensor, q: Any) -> Tensor:  # whose extension to relaxed z is another for one-hots
        return (linear(z, q) + 0.4) ** 3

    for estimator in (IMLE(step_size=0.7, num_samples=2), AIMLE(beta=0.7, num_samples=2)):
        found = gradients(estimator, categorical, u.unsqueeze(-2), without_log_q).squeeze(-2)
        np.testing.assert_allclose(gradients(estimator, one, u, without_log_q), found, atol=1e-12)
        assert np.abs(found).max() > 0.1


def linear(z: Tensor, q: Any) -> Tensor:
    return z.flatten(-q.event_ndim) @ torch.linspace(1.0, -0.7, math.prod(q.event_shape), dtype=z.dtype)


@every_kind
def test_aimle_is_imle_on_both_sides(q: Any) -> None:
    """On a linear cost its step size is a constant: half of I-MLE's gradient at that step, less half of that of the negative cost."""
    slope = np.linalg.norm(np.linspace(1.0, -0.7, math.prod(q.event_shape)))
    step_size = float(0.8 * np.linalg.norm(q.logits.numpy()) / slope)
    u = draw("sides", 200, 1, *q.event_shape)
    down = gradients(IMLE(step_size=step_size), q, u, linear)
    up = gradients(IMLE(step_size=step_size), q, u, lambda z, q: -linear(z, q))
    assert np.abs(down - up).max() > 0
    np.testing.assert_allclose(gradients(AIMLE(beta=0.8), q, u, linear), (down - up) / 2, atol=1e-12)


@every_kind
def test_no_slope_and_no_logits_are_no_gradient(q: Any) -> None:
    u = draw("nothing", 20, 1, *q.event_shape)
    assert (gradients(AIMLE(), q, u, lambda z, q: 0 * linear(z, q) + 1.3) == 0).all()
    assert (gradients(AIMLE(), q.map(torch.zeros_like), u, linear) == 0).all()


# --------------------------------------------------------------------------------------------------------------------------- k-subsets


def uniforms_of_states(q: KSubset) -> tuple[Tensor, Tensor, Array]:
    """Every subset, a uniform in the middle of the box that gives it, and its probability."""
    z, p = states(q)
    u = torch.empty_like(z)
    for s, d in itertools.product(*map(range, z.shape)):
        so_far = (z[:, :d] == z[s, :d]).all(-1).numpy()
        taken = p[so_far & (z[:, d] == 1).numpy()].sum() / p[so_far].sum()
        u[s, d] = taken / 2 if z[s, d] else (1 + taken) / 2
    assert torch.equal(q.sample(u), z)
    return z, u, p


def subset_law(estimator: Estimator, q: KSubset, cost: Cost = cost) -> Law:
    """Of N samples, every joint outcome replayed."""
    _, u, p = uniforms_of_states(q)
    outcomes = np.array(list(itertools.product(range(len(u)), repeat=estimator.num_samples)))
    return summed(gradients(estimator, q, u[outcomes], cost), p[outcomes].prod(1))


def simple_law(q: KSubset) -> Law:
    """Written out: grad f(z) times the covariance of z, which is the derivative of the marginals, and the direct term."""
    z, p = states(q)
    along, direct = slopes(q, z)
    centred = z.numpy() - p @ z.numpy()
    return summed(along @ np.einsum("s,si,sj->ij", p, centred, centred) + direct, p)


FOUR = KSubset(tensor(-0.9, 0.3, 1.1, -0.2), 2)


class Unconditional(SIMPLE):
    """Backward through the marginals of independent Bernoullis, as if nothing were known of their sum."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        return average(cost(replace_gradient(z, torch.sigmoid(q.logits).unsqueeze(0)), q))


@pytest.mark.parametrize("samples", [1, 2])
def test_simple_has_its_exact_bias(samples: int) -> None:
    truth, found = simple_law(FOUR), subset_law(SIMPLE(num_samples=samples), FOUR)
    np.testing.assert_allclose(found.mean, truth.mean, atol=1e-10)
    np.testing.assert_allclose(found.variance, truth.variance / samples, atol=1e-10)
    assert np.abs(truth.mean - exact_gradient(FOUR, cost)).max() > 0.02  # type: ignore[arg-type]
    assert np.abs(subset_law(Unconditional(num_samples=samples), FOUR).mean - truth.mean).max() > 0.02


def test_simple_is_unbiased_for_linear_costs() -> None:
    np.testing.assert_allclose(subset_law(SIMPLE(), FOUR, linear).mean, exact_gradient(FOUR, linear), atol=1e-12)  # type: ignore[arg-type]


def test_simple_of_one_element_is_straight_through() -> None:
    flat = KSubset(tensor(0.5, -0.3, 0.1, 0.9), 1)
    simple, straight_through = subset_law(SIMPLE(), flat), law_of(StraightThrough(), Categorical(flat.logits.unsqueeze(0)), cost)
    np.testing.assert_allclose(simple.mean, straight_through.mean, atol=1e-11)
    np.testing.assert_allclose(simple.variance, straight_through.variance, atol=1e-11)


@pytest.mark.statistical
def test_simple_has_its_exact_variance() -> None:
    assert not disagreements(FOUR, SIMPLE(), simple_law(FOUR))
    assert disagreements(FOUR, Unconditional(), simple_law(FOUR))


def test_score_functions_are_unbiased_on_subsets() -> None:
    truth = exact_gradient(FOUR, cost)  # type: ignore[arg-type]
    z, _ = states(FOUR)
    free = FOUR.map(lambda value: value.clone().requires_grad_())
    by_sum = torch.autograd.grad((free.log_prob(z).exp() * cost(z, free)).sum(), free.logits)[0]
    np.testing.assert_allclose(truth, by_sum.numpy(), rtol=1e-11)
    for estimator in (Reinforce(), Reinforce(num_samples=2), RLOO()):
        np.testing.assert_allclose(subset_law(estimator, FOUR).mean, truth, atol=1e-10)
    assert np.abs(subset_law(SIMPLE(), FOUR).mean - truth).max() > 0.02


# ---------------------------------------------------------------------------------------------------------------------------- extremes

TINY = math.log(1e-12)
EXTREME: list[Any] = [
    Bernoulli(tensor(40.0, -40.0, TINY, 0.0)),
    Categorical(tensor([40.0, -40.0, 0.0, 1.0], [0.0, TINY, 0.3, -0.2])),
    KSubset(tensor(40.0, -40.0, TINY, 0.3, -0.4), 2),
]
COLD: list[Estimator] = [
    IGR(temperature=1e-3, num_samples=50),
    LogitNormal(temperature=1e-3, num_samples=50),
    HardConcrete(temperature=1e-3, num_samples=50),
    Entmax(transform="sparsemax", temperature=1e-3, num_samples=50),
    Entmax(transform="entmax15", temperature=1e-3, num_samples=50),
    IMLE(step_size=1e-3, num_samples=50),
    AIMLE(beta=1e-3, num_samples=50),
    SIMPLE(num_samples=50),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("estimator", COLD, ids=lambda value: value.name)
def test_extremes_are_finite(estimator: Estimator, dtype: torch.dtype) -> None:
    tried = 0
    for extreme in EXTREME:
        if not isinstance(extreme, estimator.distributions):
            continue
        q = extreme.map(lambda value: value.to(dtype, copy=True).requires_grad_())
        u = draw("extreme", 50, *q.event_shape).to(dtype)
        u[0], u[1] = torch.finfo(dtype).eps / 2, 1 - torch.finfo(dtype).eps / 2
        value = estimator.expect(q, cost, replay({("z", 0): u}))
        (slope,) = torch.autograd.grad(value, q.logits)
        assert torch.isfinite(value) and torch.isfinite(slope).all() and slope.dtype == dtype
        tried += 1
    assert tried


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: HardConcrete(gamma=0.1), "gamma=0.1: must be at most 0"),
        (lambda: HardConcrete(zeta=0.9), "zeta=0.9: must be at least 1"),
        (lambda: IGR(delta=0.0), "delta=0: must be positive"),
        (lambda: IMLE(step_size=-1.0), "step_size=-1: must be positive"),
        (lambda: AIMLE(beta=0.0), "beta=0: must be positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], Estimator], rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        make()
