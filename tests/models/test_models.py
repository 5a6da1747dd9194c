"""The shipped models against the same expectations written out in numpy: every state summed over, every gradient a difference of sums.

Nothing of gsx is used for the expected values but the settings, and the names of parameters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.costs import Cost, Expect, LogMeanExp
from gsx.data import Dataset
from gsx.distributions import Bernoulli, Discrete, Distribution
from gsx.estimators.base import Estimator
from gsx.estimators.exact import Exact
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.rloo import RLOO
from gsx.models.base import Model, Params
from gsx.models.binary_vae import BinaryVAE
from gsx.models.black_box_toy import BlackBoxToy, longest_run
from gsx.models.categorical_distance import CategoricalDistance
from gsx.models.iwae import IWAE
from gsx.models.polynomial import Polynomial
from gsx.models.random_table import RandomTable
from gsx.models.tied_bernoulli import TiedBernoulli
from gsx.models.two_layer_vae import TwoLayerVAE
from gsx.noise import Block, Noise, replay
from gsx.probe import sites
from gsx.process import one_thread_each
from gsx.program import Program, gradient
from gsx.records import ConfigurationError
from gsx.reference import Kind, ReferenceSettings, reference_gradient
from gsx.routes import implement

Numbers = dict[str, np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


def program(model: Model, wrt: str = "all") -> Program:
    return Program(model, wrt=wrt, dtype=torch.float64)


def reference(model: Model, kind: Kind = "auto") -> np.ndarray:
    return reference_gradient(program(model), ReferenceSettings(kind=kind), seed=0).gradient


def slopes(loss: Callable[[Numbers], float], at: Numbers, h: float = 1e-5) -> np.ndarray:
    """Central differences of a loss in every parameter, flattened in their order."""
    found = []
    for name, value in at.items():
        for index in np.ndindex(value.shape):
            ends = []
            for step in (h, -h):
                moved = value.copy()
                moved[index] += step
                ends.append(loss(at | {name: moved}))
            found.append((ends[0] - ends[1]) / (2 * h))
    return np.array(found)


def numbers(model: Model) -> Numbers:
    return {name: value.numpy().copy() for name, value in program(model).params.items()}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def bits(size: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=size)))


def log_bernoulli(z: np.ndarray, logits: np.ndarray) -> np.ndarray:
    return (z * np.log(sigmoid(logits)) + (1 - z) * np.log(sigmoid(-logits))).sum(-1)


# ------------------------------------------------------------------------------------------------------------------------------ toys


def of_bernoullis(f: Callable[[np.ndarray], float]) -> Callable[[np.ndarray], float]:
    """E f under independent Bernoullis, as a function of their logits."""
    return lambda logits: sum(f(b) * float(np.exp(log_bernoulli(b, logits))) for b in bits(len(logits)))


@pytest.mark.parametrize("settings", [{}, {"eta": -4.0}, {"eta": 1.3, "targets": [0.2, 0.9]}], ids=str)
def test_tied_bernoulli(settings: dict[str, Any]) -> None:
    model = TiedBernoulli(**settings)
    targets = model.targets.numpy()
    mean = of_bernoullis(lambda b: float(((b - targets) ** 2).sum()))
    expected = slopes(lambda at: mean(np.full(len(targets), at["eta"])), numbers(model))
    for kind in ("closed_form", "enumeration"):
        np.testing.assert_allclose(reference(model, kind), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("eta", "published"), [(0.0, -0.0450), (-4.0, -0.0032)])
def test_tied_bernoulli_has_its_published_gradient(eta: float, published: float) -> None:
    assert round(float(reference(TiedBernoulli(eta=eta)).item()), 4) == published


@pytest.mark.parametrize(("dimensions", "categories"), [(1, 2), (4, 2), (1, 3), (3, 3), (2, 5)])
def test_random_table(dimensions: int, categories: int) -> None:
    model = RandomTable(dimensions=dimensions, categories=categories, seed=3)
    table = model.table.numpy()
    assert table.shape == (categories,) * dimensions and len(np.unique(table)) == categories**dimensions

    def mean(at: Numbers) -> float:
        logits = at["logits"]
        if categories == 2:
            logits = np.stack((np.zeros_like(logits), logits), -1)
        p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        return sum(table[s] * math.prod(p[d, c] for d, c in enumerate(s)) for s in np.ndindex(table.shape))

    np.testing.assert_allclose(reference(model), slopes(mean, numbers(model)), rtol=1e-7, atol=1e-9)


def test_a_random_table_is_linear_in_each_coordinate() -> None:
    model, generator = RandomTable(dimensions=3, categories=4), torch.Generator().manual_seed(0)
    a, b, c = torch.rand((3, 3, 4), generator=generator, dtype=torch.float64)
    for d in range(3):
        ends = [c.clone() for _ in range(3)]
        ends[0][d], ends[1][d], ends[2][d] = a[d], b[d], 0.3 * a[d] + 0.7 * b[d]
        first, second, between = map(model.look_up, ends)
        torch.testing.assert_close(between, 0.3 * first + 0.7 * second)


def test_a_random_table_follows_the_seed() -> None:
    same, other = RandomTable(seed=5), RandomTable(seed=6)
    assert torch.equal(RandomTable(seed=5).table, same.table) and not torch.equal(other.table, same.table)
    assert not torch.equal(program(other).params["logits"], program(same).params["logits"])


@pytest.mark.parametrize(("dimensions", "categories"), [(1, 2), (3, 4), (2, 7)])
def test_categorical_distance(dimensions: int, categories: int) -> None:
    model = CategoricalDistance(dimensions=dimensions, categories=categories, seed=3)
    target = model.target.numpy()
    assert target.shape == (dimensions,) and np.isin(target, np.arange(categories)).all()

    def mean(at: Numbers) -> float:
        p = np.exp(at["logits"]) / np.exp(at["logits"]).sum(-1, keepdims=True)
        outcomes = itertools.product(range(categories), repeat=dimensions)
        return sum(np.abs(x - target).sum() * math.prod(p[d, c] for d, c in enumerate(x)) for x in outcomes)

    expected = slopes(mean, numbers(model))
    for kind in ("closed_form", "enumeration"):
        np.testing.assert_allclose(reference(model, kind), expected, rtol=1e-7, atol=1e-9)


def test_the_target_of_a_categorical_distance_is_a_draw() -> None:
    """Over many problems: as often in each category as their own probabilities add up to. (Three standard errors; the seeds are fixed.)"""
    models = [CategoricalDistance(dimensions=200, categories=3, seed=seed) for seed in range(10)]
    p = torch.cat([torch.softmax(program(model).params["logits"], -1) for model in models])
    drawn = torch.nn.functional.one_hot(torch.cat([model.target for model in models]).long(), 3)
    excess = (drawn - p)[p.argmax(-1) == 2].sum(0)
    assert (excess.abs() < 3 * (p * (1 - p))[p.argmax(-1) == 2].sum(0).sqrt()).all()
    assert (drawn - 1 / 3)[p.argmax(-1) == 2].sum(0)[2] > 50  # a draw that ignores the logits would be caught


@pytest.mark.parametrize("power", [1.5, 2.0, 3.0])
def test_polynomial(power: float) -> None:
    model = Polynomial(dimensions=3, power=power)

    def mean(at: Numbers) -> float:
        p = sigmoid(at["logits"][:, 0] - at["logits"][:, 1])  # of the first category
        return sum(
            float((np.abs(z - 0.45) ** power).mean()) * float(np.where(z == 1, p, 1 - p).prod())
            for z in bits(3)  # z_0, the rest follows
        )

    expected = slopes(mean, numbers(model))
    for kind in ("closed_form", "enumeration"):
        np.testing.assert_allclose(reference(model, kind), expected, rtol=1e-7, atol=1e-10)


def test_polynomial_is_the_size_of_the_paper() -> None:
    model = Polynomial()
    logits = program(model).params["logits"]
    assert logits.shape == (128, 2) and logits.abs().max() < 0.01 and logits.std() > 0.005
    np.testing.assert_allclose(reference(model, "closed_form"), reference(model, "enumeration"), rtol=1e-10)


def test_black_box_toy() -> None:
    model = BlackBoxToy()

    def f(b: np.ndarray) -> float:
        return float(max((len(list(run)) for bit, run in itertools.groupby(b) if bit), default=0))

    states = bits(6)
    np.testing.assert_array_equal(longest_run(states), [f(b) for b in states])
    mean = of_bernoullis(f)
    np.testing.assert_allclose(reference(model), slopes(lambda at: mean(at["logits"]), numbers(model)), rtol=1e-8)
    with pytest.raises(ConfigurationError, match="needs the gradient of the cost, and black_box_toy's cost is a black box"):
        gsx.measure(model, "concrete", num_replicates=64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TiedBernoulli(targets=[]), "targets=[]: must hold at least one number"),
        (lambda: CategoricalDistance(dimensions=0), "dimensions=0: must be at least 1"),
        (lambda: CategoricalDistance(categories=1), "categories=1: must be at least 2"),
        (lambda: RandomTable(dimensions=0), "dimensions=0: must be at least 1"),
        (lambda: RandomTable(categories=1), "categories=1: must be at least 2"),
        (lambda: RandomTable(dimensions=21), "dimensions=21: 2^21 outcomes are more than 2^20"),
        (lambda: Polynomial(dimensions=0), "dimensions=0: must be at least 1"),
        (lambda: Polynomial(power=0.0), "power=0: must be positive"),
        (lambda: BlackBoxToy(logits=[]), "logits=[]: must hold at least one number"),
        (lambda: TwoLayerVAE(data=pixels(), latents=[4]), "latents=[4]: must be two numbers, each at least 1"),
        (lambda: TwoLayerVAE(data=pixels(), latents=[4, 0]), "latents=[4, 0]: must be two numbers, each at least 1"),
        (lambda: IWAE(data=pixels(), latents=0), "latents=0: must be at least 1"),
        (lambda: IWAE(data=pixels(), batch=2, k=0), "k=0: must be at least 1"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], Model], message: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        make()
    assert str(refusal.value) == message


# ---------------------------------------------------------------------------------------------------------------------- autoencoders


def pixels() -> Dataset:
    """Images of four pixels."""
    rows = (np.random.default_rng(5).random((9, 4)) < np.array([0.2, 0.5, 0.6, 0.8])).astype(np.float64)
    return Dataset("digits", "train", rows, np.zeros(9, dtype=np.int64), "none", None, "made up", "0" * 64)


def layer(at: Numbers, name: str, x: np.ndarray) -> np.ndarray:
    """The network of that name, one layer."""
    return x @ at[f"{name}.0.weight"].T + at[f"{name}.0.bias"]


def log_likelihood(at: Numbers, x: np.ndarray, z: np.ndarray) -> float:
    return float(log_bernoulli(x, layer(at, "decoder", z)))


def log_normal(z: np.ndarray, loc: Any = 0.0, scale: Any = 1.0) -> np.ndarray:
    return (-0.5 * ((z - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)).sum(-1)


def two_layers(model: TwoLayerVAE, lower: int, upper: int) -> Callable[[Numbers], float]:
    """The negative ELBO: log q - log p of every pair of states, weighed by q."""

    def loss(at: Numbers) -> float:
        total = 0.0
        for x in model.x.numpy():
            logits = layer(at, "encoder", 2 * x - 1)
            for z1 in bits(lower):
                log_q1, upper_logits = log_bernoulli(z1, logits), layer(at, "encoder_2", 2 * z1 - 1)
                for z2 in bits(upper):
                    log_q = log_q1 + log_bernoulli(z2, upper_logits)
                    log_p1 = log_bernoulli(z1, layer(at, "decoder_2", 2 * z2 - 1))
                    log_p = -upper * math.log(2) + log_p1 + log_likelihood(at, x, 2 * z1 - 1)
                    total += float(np.exp(log_q) * (log_q - log_p))
        return total / len(model.x)

    return loss


def test_two_layer_vae() -> None:
    model = TwoLayerVAE(data=pixels(), latents=[2, 3], batch=2)
    assert len(numbers(model)) == 8
    expected = slopes(two_layers(model, 2, 3), numbers(model))
    assert all(np.abs(expected[part]).max() > 1e-3 for _, _, part in program(model).layout.slices())  # of all layers
    np.testing.assert_allclose(reference(model, "enumeration"), expected, rtol=1e-6, atol=1e-9)


def test_the_upper_layer_knows_its_parent() -> None:
    lower, upper = sites(program(TwoLayerVAE(data=pixels(), latents=[2, 3], batch=2))).values()
    assert (lower.nested, upper.nested) == (False, True)
    assert lower.q.context is not None and lower.q.context.shape == (2, 4)
    assert upper.q.context is not None and upper.q.context.shape == (1, 2, 2) and upper.q.batch_shape == (1, 2)


def bernoulli_bound(model: IWAE, latents: int, k: int) -> Callable[[Numbers], float]:
    """-E log of the mean weight, over every k-tuple of states."""

    def loss(at: Numbers) -> float:
        total = 0.0
        for x in model.x.numpy():
            logits = layer(at, "encoder", 2 * x - 1)
            log_q = {tuple(z): float(log_bernoulli(z, logits)) for z in bits(latents)}
            weight = {z: math.exp(log_likelihood(at, x, 2 * np.array(z) - 1) - latents * math.log(2) - log_q[z]) for z in log_q}
            for draw in itertools.product(log_q, repeat=k):
                total -= math.exp(sum(log_q[z] for z in draw)) * math.log(sum(weight[z] for z in draw) / k)
        return total / len(model.x)

    return loss


@pytest.mark.parametrize(("latents", "k"), [(2, 1), (2, 2), (1, 3)])
def test_iwae_of_bernoullis(latents: int, k: int) -> None:
    model = IWAE(data=pixels(), latents=latents, k=k, batch=2)
    expected = slopes(bernoulli_bound(model, latents, k), numbers(model))
    np.testing.assert_allclose(reference(model, "enumeration"), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("k", [1, 2])
def test_iwae_of_gaussians(k: int) -> None:
    """By quadrature of 40 nodes a sample."""
    model = IWAE(data=pixels(), latent="gaussian", latents=1, k=k, batch=2)
    node, weight = np.polynomial.hermite_e.hermegauss(40)
    weight /= weight.sum()

    def loss(at: Numbers) -> float:
        total = 0.0
        for x in model.x.numpy():
            loc, scale = layer(at, "encoder", 2 * x - 1)
            scale = sigmoid(scale)
            z = (loc + scale * node)[:, None]
            log_w = log_bernoulli(x, layer(at, "decoder", z)) + log_normal(z) - log_normal(z, loc, scale)
            for draw in itertools.product(range(len(node)), repeat=k):
                total -= weight[list(draw)].prod() * np.log(np.exp(log_w[list(draw)]).mean())
        return total / len(model.x)

    np.testing.assert_allclose(reference(model, "quadrature"), slopes(loss, numbers(model)), rtol=1e-5, atol=1e-7)


def loss_of(model: Model) -> float:
    at = program(model)
    return float(at.mean_loss(at.params, implement(Exact(), Block(0, "exact", 0, torch.float64, at.device).one())))


def test_the_bound_of_one_sample_is_the_elbo_and_more_are_tighter() -> None:
    one, elbo = IWAE(data=pixels(), latents=2, k=1, batch=3), BinaryVAE(data=pixels(), latents=2, batch=3)
    np.testing.assert_allclose(reference(one), reference(elbo), rtol=1e-12)
    at, prior = numbers(elbo), 2 * math.log(2)
    evidence = np.mean([-np.log(sum(np.exp(log_likelihood(at, x, 2 * z - 1) - prior) for z in bits(2))) for x in elbo.x.numpy()])
    bounds = [loss_of(IWAE(data=pixels(), latents=2, k=k, batch=3)) for k in (1, 2, 3, 4)]
    assert bounds[0] == pytest.approx(loss_of(elbo)) and bounds == sorted(bounds, reverse=True) and bounds[-1] > evidence


# ----------------------------------------------------------------------------------------------------------- one expectation in another


def joint_law(model: Model, estimator: Estimator, *, split: bool = True) -> np.ndarray:
    """The mean gradient of an estimate that sees the two draws of a nested model through `q.sample`: all outcomes, replayed.

    Without ``split`` both draws see the same uniforms, which is wrong.
    """
    at, n = program(model), estimator.num_samples

    def outcomes(q: Distribution, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Uniforms ``[count, *batch, D]`` for every outcome of so many draws, and the outcome; D = 1, and no batch of more than one."""
        p = torch.sigmoid(q.parameters["logits"].detach())
        for drawn in itertools.product([0.0, 1.0], repeat=count * p.numel()):
            z = torch.tensor(drawn, dtype=p.dtype).reshape(count, *p.shape)
            yield torch.where(z > 0, 1 - p / 2, (1 - p) / 2), z

    total, mass = np.zeros(at.layout.size), 0.0
    outer = at.outermost(at.leaves)
    for u, z in outcomes(outer, n):
        inner: list[Distribution] = []

        def look(q: Distribution, cost: Cost, site: str, z: Tensor = z, inner: list[Distribution] = inner) -> Tensor:
            if site == "z2":
                inner.append(q)
                return torch.zeros(q.batch_shape, dtype=torch.float64)
            return cost(z, q).mean(0)

        at.mean_loss(at.params, look)
        for v, y in outcomes(inner[0], n):
            second = v if split else u.expand(v.shape)
            weight = float(outer.log_prob(z).sum().exp() * (inner[0].log_prob(y).sum().exp()))
            total += weight * gradient(at, implement(estimator, replay({("z", 0): u, ("z2", 0): second}))).numpy()
            mass += weight
    assert abs(mass - 1) < 1e-9
    return total


@pytest.mark.parametrize(
    ("latents", "estimator"), [([2, 2], Reinforce()), ([1, 1], Reinforce(num_samples=2)), ([1, 1], RLOO())], ids=["one", "two", "rloo"]
)
def test_a_nested_estimate_is_unbiased(latents: list[int], estimator: Estimator) -> None:
    model = TwoLayerVAE(data=pixels(), latents=latents, batch=1)
    truth = reference(model, "enumeration")
    np.testing.assert_allclose(joint_law(model, estimator), truth, rtol=1e-9, atol=1e-11)


def test_one_draw_for_both_layers_is_caught() -> None:
    model = TwoLayerVAE(data=pixels(), latents=[1, 1], batch=1)
    assert np.abs(joint_law(model, Reinforce(), split=False) - reference(model)).max() > 0.01


def test_the_plain_step_draws_no_more_than_it_needs() -> None:
    """The yardstick's step on 8 replicates of 2 rows: one point of each layer for each."""
    at, points = program(TwoLayerVAE(data=pixels(), latents=[2, 3], batch=2)), []
    prior = at.model.log_prior
    at.model.log_prior = lambda params, z: points.append(z.shape) or prior(params, z)  # type: ignore[assignment, func-returns-value, operator]
    yardstick.plain_step(at, Reinforce(), Block(0, "yardstick", 0, torch.float64, at.device), 8)
    assert points == [torch.Size([1, 1, 8, 2, 3])]


class Combined(Model):
    """Takes an expectation inside a cost that is combined."""

    def init(self, noise: Noise) -> Params:
        return {"logits": torch.zeros(1, dtype=torch.float64)}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        def cost(z: Tensor, q: Any) -> Tensor:
            return expect(Bernoulli(z + params["logits"]), lambda y, q: y.sum(-1), site="inner")

        return expect(Bernoulli(params["logits"]), cost, combine=LogMeanExp(2))


def test_an_expectation_inside_a_combination_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="model=combined: a cost that is combined cannot take an expectation itself"):
        gsx.measure(Combined(), "reinforce", num_replicates=64)


# ----------------------------------------------------------------------------------------------------------------------- end to end


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("model", "estimator"),
    [
        ("tied_bernoulli", "disarm"),
        ("random_table", "rloo"),
        ({"name": "random_table", "dimensions": 2, "categories": 4}, "rloo"),
        ("polynomial", "rloo"),
        ("black_box_toy", "disarm"),
        ("two_layer_vae", "disarm"),
        ("iwae", "vimco"),
        ({"name": "iwae", "latent": "gaussian", "latents": 1, "batch": 2, "seed": 1}, "dreg"),
    ],
    ids=str,
)
def test_models_are_measured(model: Any, estimator: str) -> None:
    """Against exact references; each fails at one seed in a thousand."""
    result = gsx.measure(model, estimator, num_replicates=2**12, workers=1)
    assert result.reference["kind"] in ("closed_form", "enumeration", "quadrature")
    assert result.verdict.status in ("unbiased", "inconclusive") and result.nonfinite["replicates"] == 0
    variance = result.summary["variance"]
    assert variance is not None and variance.value > 0


def test_discrete_latents_are_discrete() -> None:
    for model in (TiedBernoulli(), RandomTable(), RandomTable(categories=3), Polynomial(), BlackBoxToy()):
        assert isinstance(program(model).outermost(program(model).leaves), Discrete)
