"""Measure-valued, implicit and generalized reparameterization: exact means and variances, the facts about them, and planted faults.

Every estimate is a function of its uniforms. A rule of quadrature in each of them, replayed through the estimator as a batch, gives its
mean to rounding or nearly, and its variance; nothing is sampled but where the engine's own moments are held against these.
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
from gsx.distributions import Bernoulli, Beta, Categorical, Dirichlet, Discrete, Distribution, Exponential, Gamma, Normal, Poisson, VonMises
from gsx.estimators import measure_valued
from gsx.estimators.base import Estimator
from gsx.estimators.exact import Exact
from gsx.estimators.generalized_reparameterization import GeneralizedReparameterization
from gsx.estimators.implicit_reparameterization import ImplicitReparameterization
from gsx.estimators.measure_valued import MeasureValued
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.models.base import Model, Params
from gsx.models.dirichlet_toy import DirichletToy
from gsx.models.discontinuous_toy import DiscontinuousToy
from gsx.models.gamma_toy import GammaToy
from gsx.models.gaussian_toy import GaussianToy
from gsx.noise import Block, Noise, replay
from gsx.process import one_thread_each
from gsx.program import Program, flatten
from gsx.records import ConfigurationError
from gsx.reference import ReferenceSettings, reference_gradient
from gsx.surrogate import average, zero
from tests.estimators.enumeration import exact_gradient as enumerated
from tests.estimators.enumeration import law_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


def parameter(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# ------------------------------------------------------------------------------------------------------------- rules for uniforms


def smooth(reach: float = 8.0, nodes: int = 41) -> tuple[Tensor, Tensor]:
    """u = Phi(x) at equidistant x: whatever is analytic in x is integrated to some 1e-9."""
    x = torch.linspace(-reach, reach, nodes, dtype=torch.float64)
    weight = torch.exp(-0.5 * x**2)
    return torch.special.ndtr(x).clamp(max=1 - 2.0**-53), weight / weight.sum()


def halves(reach: float = 8.0, nodes: int = 16) -> tuple[Tensor, Tensor]:
    """The same by Gauss-Legendre on either side of x = 0, where the sign of a Maxwell variable changes."""
    node, weight = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(nodes))
    x = reach * (node + 1) / 2
    weight = weight * torch.exp(-0.5 * x**2)
    return torch.special.ndtr(torch.cat((-x, x))).clamp(max=1 - 2.0**-53), torch.cat((weight, weight)) / (2 * weight.sum())


def pieces(*edges: float, nodes: int = 60) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre between edges, for what is smooth between them."""
    node, weight = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(nodes))
    of_each = [(low + (high - low) * (node + 1) / 2, (high - low) / 2 * weight) for low, high in itertools.pairwise((0.0, *edges, 1.0))]
    return torch.cat([u for u, _ in of_each]), torch.cat([w for _, w in of_each])


def states_of(rate: float) -> tuple[Tensor, Tensor]:
    """A uniform inside each state of a Poisson variable, and its probability."""
    weight = Poisson(parameter(rate)).coordinate_points(1)[1][:, 0]
    weight = weight[: int((weight.cumsum(0) < 1 - 1e-13).sum())]  # uniforms above cannot be told apart
    return weight.cumsum(0) - weight / 2, weight


# ------------------------------------------------------------------------------------------------------------------ exact moments


def moments_of(
    estimator: Estimator, q: Distribution, cost: Callable[..., Tensor], axes: list[tuple[Tensor, Tensor]], lay: Callable[..., list[Tensor]]
) -> tuple[Tensor, Tensor]:
    """Mean and variance ``[P]`` of an estimate: of all combinations of the rules in ``axes``, ``lay`` says which uniforms they are.

    ``lay(x_1, x_2, ...)`` gets each axis as ``[G]`` and gives the noise of each request, its batch axis G in its place.
    """
    grids = torch.meshgrid(*[u for u, _ in axes], indexing="ij")
    weights = torch.stack(torch.meshgrid(*[w for _, w in axes], indexing="ij")).prod(0).flatten()
    numbers = lay(*(grid.flatten() for grid in grids))
    many = q.map(lambda value: value.detach().expand(len(weights), *value.shape).clone().requires_grad_())
    value = estimator.expect(many, cost, replay({("z", i): x for i, x in enumerate(numbers)}))
    g = flatten(dict(zip(many.parameters, torch.autograd.grad(value.sum(), tuple(many.parameters.values())), strict=True)), 1)
    mean = (weights @ g) / weights.sum()
    return mean, weights @ (g - mean) ** 2 / weights.sum()


def truth(q: Distribution, cost: Callable[..., Tensor], nodes: int = 200) -> Tensor:
    """grad E f, by the quadrature or enumeration of `exact`."""
    free = q.map(lambda value: value.detach().clone().requires_grad_())
    exact = Exact()
    exact.nodes = nodes
    value = exact.expect(free, cost, Block(0, "exact", 0, torch.float64, CPU).one())
    return flatten(dict(zip(free.parameters, torch.autograd.grad(value, tuple(free.parameters.values())), strict=True)))


def both_coordinates(x: Tensor, *others: Tensor) -> list[Tensor]:
    """The noise of `measure_valued` for D = 2: its base draw, and that of its parts.

    The gradient of a coordinate and each part of the direct term only meet the other coordinate's base draw and their own part: numbers
    shared between coordinates do not change the mean.
    """
    base = x[None, :, None].expand(1, -1, 2)
    parts = [u[None, :, None].expand(1, -1, 2) for u in others]
    return [base, parts[0] if len(parts) == 1 else torch.stack(parts)]


def each_coordinate(*xs: Tensor) -> list[Tensor]:
    """The noise of a pathwise estimate: a uniform for each coordinate."""
    return [torch.stack(xs, -1)[None]]


def product(z: Tensor, q: Any) -> Tensor:
    """Asymmetric, not separable, and log q squared: a direct term that does not vanish."""
    x, y = z.unbind(-1)
    return torch.sin(1.3 * x + 0.4) * (1 + 0.5 * torch.tanh(y)) + 0.4 * x - 0.05 * q.log_prob(z) ** 2


def alone(z: Tensor, q: Any) -> Tensor:
    x = z[..., 0]
    return torch.sin(1.3 * x + 0.4) + 0.3 * x - 0.1 * q.log_prob(z) ** 2


NORMAL = Normal(parameter(0.4, -0.7), parameter(0.8, 0.5))
GAMMA = Gamma(parameter(1.6, 3.5), parameter(1.2, 2.0))
EXPONENTIAL = Exponential(parameter(0.8, 1.7))
POISSON = Poisson(parameter(0.7, 1.9))
BETA = Beta(parameter(1.4, 2.5), parameter(3.0, 1.5))
VON_MISES = VonMises(parameter(0.6, -2.5), parameter(1.5, 0.7))


def coordinate(q: Any, d: int = 0) -> Any:
    return q.replace({name: value[d : d + 1] for name, value in q.parameters.items()})


@pytest.mark.parametrize("q", [NORMAL, GAMMA, EXPONENTIAL], ids=lambda q: type(q).__name__)
def test_measure_valued_is_unbiased_by_quadrature(q: Distribution) -> None:
    wanted = truth(q, product)
    axis = smooth(nodes=31)
    mean, _ = moments_of(MeasureValued(), q, product, [axis, halves() if q is NORMAL else axis, axis], both_coordinates)
    torch.testing.assert_close(mean, wanted, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("q", [coordinate(NORMAL), coordinate(GAMMA), coordinate(EXPONENTIAL)], ids=lambda q: type(q).__name__)
def test_measure_valued_of_one_coordinate(q: Distribution) -> None:
    """Sharper than in two; and the base draw is not looked at."""

    def lay(x: Tensor, y: Tensor) -> list[Tensor]:
        return [torch.full((1, len(x), 1), 0.3, dtype=torch.float64), torch.stack((x, y))[:, None, :, None]]

    axis = smooth(nodes=101)
    mean, _ = moments_of(MeasureValued(), q, alone, [halves(nodes=40) if isinstance(q, Normal) else axis, axis], lay)
    torch.testing.assert_close(mean, truth(q, alone), rtol=1e-8, atol=1e-8)


def test_measure_valued_of_a_poisson_by_enumeration() -> None:
    def bounded(z: Tensor, q: Any) -> Tensor:
        x, y = z.unbind(-1)
        return torch.cos(x - 0.4 * y) + 0.3 * x * y - 0.1 * q.log_prob(z) ** 2

    for d in (0, 1):  # a coordinate's parts, and the base draw of the other
        axes = [states_of(float(POISSON.rate[1 - d])), states_of(float(POISSON.rate[d]))]
        mean, _ = moments_of(MeasureValued(), POISSON, lambda z, q: bounded(z, q.map(Tensor.detach)), axes, both_coordinates)
        wanted = truth(POISSON, lambda z, q: bounded(z, q.map(Tensor.detach)))
        torch.testing.assert_close(mean[d], wanted[d], rtol=1e-9, atol=1e-9)
    one = coordinate(POISSON)
    mean, _ = moments_of(MeasureValued(), one, alone, [states_of(0.7)], lambda y: [y[None, :, None] * 0 + 0.5, y[None, :, None]])
    torch.testing.assert_close(mean, truth(one, alone), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(
    "q",
    [
        Bernoulli(parameter(-0.8)),
        Bernoulli(parameter(-0.8, 1.3)),
        Categorical(parameter(0.4, -1.0, 0.3)[None]),
        Categorical(torch.stack((parameter(0.4, -1.0, 0.3), parameter(-0.2, 0.9, 0.0)))),
    ],
    ids=["bernoulli1", "bernoulli2", "categorical1", "categorical2"],
)
def test_measure_valued_of_discrete_variables_by_enumeration(q: Discrete, n: int) -> None:
    def cost(z: Tensor, q: Any) -> Tensor:
        weights = torch.linspace(-1, 1.6, math.prod(q.event_shape), dtype=z.dtype).reshape(q.event_shape)
        return ((z * weights).flatten(-q.event_ndim).sum(-1) + 0.4) ** 3 - 0.3 * q.log_prob(z) ** 2

    law = law_of(MeasureValued(num_samples=n), q, cost)
    np.testing.assert_allclose(law.mean, enumerated(q, cost), rtol=1e-10, atol=1e-12)
    if q.event_shape[0] == 1:  # all states of the only variable are summed: nothing is left to vary
        assert law.variance.max() < 1e-24


def test_measure_valued_is_the_local_expectation_gradient_of_bernoullis() -> None:
    """sum_d p_d (1 - p_d) (f(b_-d, 1) - f(b_-d, 0)), on the same draw."""
    q = Bernoulli(parameter(-0.8, 1.3, 0.2).requires_grad_())
    u = parameter(0.3, 0.7, 0.9)[None]

    def cost(z: Tensor, q: Any) -> Tensor:
        return (z @ parameter(1.0, -1.6, 0.8) + 0.4) ** 3

    (found,) = torch.autograd.grad(MeasureValued().expect(q, cost, replay({("z", 0): u})), (q.logits,))
    p, b = q.mean.detach(), q.sample(u)[0]
    for d in range(3):
        ends = [torch.where(torch.arange(3) == d, torch.tensor(float(bit)).double(), b) for bit in (0, 1)]
        wanted = p[d] * (1 - p[d]) * (cost(ends[1], q) - cost(ends[0], q))
        torch.testing.assert_close(found[d], wanted, rtol=1e-12, atol=0)


PATHS: list[tuple[Estimator, Distribution, list[tuple[Tensor, Tensor]]]] = [
    (ImplicitReparameterization(), GAMMA, [smooth(nodes=81)] * 2),
    (ImplicitReparameterization(), EXPONENTIAL, [smooth(nodes=81)] * 2),
    (ImplicitReparameterization(), BETA, [smooth(nodes=81)] * 2),
    (ImplicitReparameterization(), NORMAL, [smooth(nodes=81)] * 2),
    (GeneralizedReparameterization(), GAMMA, [smooth(nodes=81)] * 2),
    (GeneralizedReparameterization(), BETA, [smooth(nodes=81)] * 2),
]


@pytest.mark.parametrize(("estimator", "q", "axes"), PATHS, ids=[f"{e.name}-{type(q).__name__}" for e, q, _ in PATHS])
def test_paths_are_unbiased_by_quadrature(estimator: Estimator, q: Distribution, axes: list[tuple[Tensor, Tensor]]) -> None:
    mean, _ = moments_of(estimator, q, product, axes, each_coordinate)
    torch.testing.assert_close(mean, truth(q, product), rtol=1e-7, atol=1e-7)
    # Two samples, one coordinate: the mean of the two.
    one = coordinate(q)
    twice = type(estimator)(num_samples=2)
    pairs = moments_of(twice, one, alone, axes, lambda x, y: [torch.stack((x, y))[..., None]])
    single = moments_of(estimator, one, alone, axes[:1], each_coordinate)
    torch.testing.assert_close(pairs[0], truth(one, alone), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(pairs[1], single[1] / 2, rtol=1e-7, atol=1e-9)


def test_the_implicit_path_of_an_angle_that_is_not_periodic() -> None:
    """F is counted from -pi, so that the jump of the cost from pi to -pi does not count. The quantile jumps in u: there are pieces."""
    q = coordinate(VON_MISES)
    beyond = VonMises(parameter(0.0), q.concentration)
    angles = torch.linspace(-math.pi, float(-math.pi - q.loc) + 2 * math.pi, 4001, dtype=torch.float64)
    cut = float(torch.trapezoid(beyond._log_density(angles[:, None]).exp()[:, 0], angles))
    mean, _ = moments_of(ImplicitReparameterization(), q, alone, [pieces(cut)], each_coordinate)
    torch.testing.assert_close(mean, truth(q, alone), rtol=1e-5, atol=1e-5)


def test_the_implicit_path_of_a_dirichlet() -> None:
    def cost(z: Tensor, q: Any) -> Tensor:
        x, y = z[..., 0, 0], z[..., 0, 1]
        return torch.sin(2 * x) + x * y**2 - 0.05 * q.log_prob(z) ** 2

    q = Dirichlet(parameter(1.4, 2.5, 0.9)[None])
    axes = [smooth(nodes=31)] * 3
    mean, _ = moments_of(ImplicitReparameterization(), q, cost, axes, lambda *xs: [torch.stack(xs, -1)[None, :, None]])
    torch.testing.assert_close(mean, truth(q, cost), rtol=1e-6, atol=1e-6)


def test_implicit_is_explicit_for_a_gaussian() -> None:
    u = parameter(0.3, 0.8)[None]
    found = []
    for estimator in (ImplicitReparameterization(), Reparameterization()):
        free = NORMAL.map(lambda value: value.clone().requires_grad_())
        found.append(
            flatten(
                dict(
                    enumerate(torch.autograd.grad(estimator.expect(free, product, replay({("z", 0): u})), tuple(free.parameters.values())))
                )
            )
        )  # type: ignore[arg-type]
    torch.testing.assert_close(*found, rtol=1e-12, atol=0)


def test_generalized_reparameterization_becomes_a_path_where_concentrations_are_large() -> None:
    """The correction falls away: at a = 1000 the variances are nearly the same, at a = 1/2 they are not."""
    ratios = []
    for a in (0.5, 1e3):
        q = Gamma(parameter(a), parameter(a))
        variances = [
            moments_of(estimator, q, lambda z, q: torch.sin(2 * z[..., 0]) + 1, [smooth(nodes=161)], each_coordinate)[1][0]
            for estimator in (GeneralizedReparameterization(), ImplicitReparameterization())
        ]
        ratios.append(float(variances[0] / variances[1]))
    assert abs(ratios[0] - 1) > 0.1 and abs(ratios[1] - 1) < 0.01


# ---------------------------------------------------------------------------------------------------------------------------- facts


class Centred(GaussianToy):
    """(x - loc)^2, the quadratic centred at the mean."""

    def loss(self, params: Params, expect: Any) -> Tensor:
        return expect(Normal(params["loc"], params["log_scale"].exp()), lambda x, q: ((x - q.loc.detach()) ** 2).sum(-1))

    def closed_form(self, params: Params) -> Params:
        return {"loc": torch.zeros_like(params["loc"]), "log_scale": 2 * (2 * params["log_scale"]).exp()}


def test_a_centred_quadratic_has_no_variance_in_the_mean() -> None:
    model = Centred(loc=[0.7], log_scale=[-0.3])
    found = gsx.measure(model, MeasureValued(), num_replicates=2**12, dtype="float64", workers=1).coordinates
    assert found is not None
    assert abs(found.mean[0]) < 1e-14 and found.variance[0] < 1e-28
    other = gsx.measure(model, Reinforce(), num_replicates=2**12, dtype="float64", workers=1).coordinates
    assert other is not None and other.variance[0] > 1


@pytest.mark.statistical
def test_on_a_jump_the_path_is_wrong_and_says_so() -> None:
    """Verdicts at a family-wise rate of 1e-3 each."""
    model = DiscontinuousToy()
    for estimator in (MeasureValued(), Reinforce(baseline="constant", constant=1.5)):
        result = gsx.measure(model, estimator, num_replicates=2**16, workers=1)
        assert result.verdict.status == "unbiased" and result.reference["kind"] == "closed_form"
    for path in (Reparameterization(), ImplicitReparameterization()):
        result = gsx.measure(model, path, num_replicates=2**14, workers=1)
        assert result.verdict.status == "biased" and "discontinuous" in (result.verdict.reason or "")
    # What it is short of is the jump: it measures the slope's gradient.
    params = model.init(Block(0, "init", 0, torch.float64, CPU).one())
    slope = flatten({"loc": params["loc"], "log_scale": (2 * params["log_scale"]).exp()}).numpy()
    table = result.coordinates
    assert table is not None
    assert (np.abs(table.mean - slope) < 5 * table.mean_se).all()


def test_the_closed_form_of_the_jump_is_the_derivative_of_its_mean() -> None:
    model = DiscontinuousToy(loc=[0.3, -0.2, 0.8], log_scale=[-0.4, 0.2, -0.1], w=[0.5, 1.1, -0.6], threshold=-0.2, height=3.0)
    params = {name: value.requires_grad_() for name, value in model.init(Block(0, "init", 0, torch.float64, CPU).one()).items()}
    variance = (2 * params["log_scale"]).exp()
    t = (model.direction @ params["loc"] + 0.2) / (model.direction**2 @ variance).sqrt()
    mean = 3.0 * torch.special.ndtr(t) + (params["loc"] ** 2 + variance).sum() / 2
    wanted = torch.autograd.grad(mean, tuple(params.values()))
    for found, gradient in zip(model.closed_form({name: value.detach() for name, value in params.items()}).values(), wanted, strict=True):
        torch.testing.assert_close(found, gradient)


@pytest.mark.parametrize(
    "model",
    [
        GammaToy(),
        GammaToy(concentration=[0.4], rate=[2.0], powers=[2.0]),
        DirichletToy(),
        DirichletToy(concentration=[0.3, 4.0], weights=[1.0, -2.0]),
    ],
)
def test_closed_forms_are_quadratures(model: Model) -> None:
    found = [
        reference_gradient(Program(model, dtype=torch.float64), ReferenceSettings(kind=kind), seed=0)
        for kind in ("closed_form", "quadrature")
    ]
    assert [reference.kind for reference in found] == ["closed_form", "quadrature"]
    np.testing.assert_allclose(found[0].gradient, found[1].gradient, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (lambda: GammaToy(rate=[1.0]), r"rate=\[1.0\]: must hold as many numbers as concentration, 2"),
        (lambda: GammaToy(concentration=[0.0, 1.0]), "concentration=.*: must hold positive numbers"),
        (lambda: GammaToy(powers=[-1.0, 1.0]), "powers=.*: must be above"),
        (lambda: GammaToy(concentration=[]), "concentration=.*: must hold at least one number"),
        (lambda: DirichletToy(concentration=[1.0]), "concentration=.*: must hold at least two numbers"),
        (lambda: DirichletToy(concentration=[1.0, -1.0, 1.0]), "concentration=.*: must hold positive numbers"),
        (lambda: DirichletToy(weights=[1.0]), "weights=.*: must hold as many numbers as concentration, 3"),
        (lambda: DiscontinuousToy(w=[0.0, 0.0]), "w=.*: must hold a number that is not zero"),
        (lambda: DiscontinuousToy(w=[1.0]), "w=.*: must hold as many numbers as loc, 2"),
        (lambda: DiscontinuousToy(loc=[]), "loc=.*: must hold at least one number"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], Model], refusal: str) -> None:
    with pytest.raises(ConfigurationError, match=refusal):
        make()


def test_a_distribution_without_parts_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"measure_valued: needs a .* distribution, and dirichlet_toy's is Dirichlet"):
        gsx.measure(DirichletToy(), MeasureValued(), num_replicates=64)


# ------------------------------------------------------------------------------------------------------------------ measured variances


class One(Model):
    """One coordinate of a distribution, with the cost `alone`; parameters are the distribution's own."""

    def __init__(self, q: Distribution) -> None:
        super().__init__()
        self.q = q

    def init(self, noise: Noise) -> Params:
        return {name: value.clone() for name, value in self.q.parameters.items()}

    def loss(self, params: Params, expect: Any) -> Tensor:
        return expect(self.q.replace(dict(params)), alone)


VARIANCES: list[tuple[Estimator, Distribution]] = [
    (MeasureValued(), coordinate(NORMAL)),
    (MeasureValued(), coordinate(GAMMA)),
    (MeasureValued(), coordinate(EXPONENTIAL)),
    (ImplicitReparameterization(), coordinate(GAMMA)),
    (ImplicitReparameterization(), coordinate(BETA)),
    (GeneralizedReparameterization(), coordinate(GAMMA)),
    (GeneralizedReparameterization(), coordinate(BETA)),
]


@pytest.mark.statistical
@pytest.mark.parametrize(("estimator", "q"), VARIANCES, ids=[f"{e.name}-{type(q).__name__}" for e, q in VARIANCES])
def test_measured_variances_are_exact(estimator: Estimator, q: Distribution) -> None:
    """13 numbers at 5 standard errors of a Student t of 63 degrees of freedom: another seed fails once in 10 000."""
    if isinstance(estimator, MeasureValued):

        def lay(x: Tensor, y: Tensor) -> list[Tensor]:
            return [torch.full((1, len(x), 1), 0.3, dtype=torch.float64), torch.stack((x, y))[:, None, :, None]]

        axis = smooth(nodes=101)
        mean, variance = moments_of(estimator, q, alone, [halves(nodes=40) if isinstance(q, Normal) else axis, axis], lay)
    else:
        mean, variance = moments_of(estimator, q, alone, [smooth(nodes=401)], each_coordinate)
    result = gsx.measure(One(q), estimator, num_replicates=2**14, block_size=2**8, dtype="float64", seed=5, workers=1)
    table = result.coordinates
    assert table is not None
    assert (np.abs(table.variance - variance.numpy()) < 5 * table.variance_se).all()
    assert (np.abs(table.mean - mean.numpy()) < 5 * np.sqrt(variance.numpy() / result.num_replicates)).all()
    assert (table.variance_se < 0.1 * table.variance).all()


# -------------------------------------------------------------------------------------------------------------------------- extremes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "estimator", [MeasureValued(), ImplicitReparameterization(), GeneralizedReparameterization(), Reinforce()], ids=lambda e: e.name
)
def test_extreme_parameters_give_finite_gradients(estimator: Estimator, dtype: torch.dtype) -> None:
    """Where draws stay off the edges; those that do not are infinite, and counted: see the tests of the distributions."""

    def cost(z: Tensor, q: Any) -> Tensor:
        return torch.tanh(z).flatten(-q.event_ndim).sum(-1)

    def of(*values: float) -> Tensor:
        return torch.tensor(values, dtype=dtype)

    small = 0.1 if dtype == torch.float64 else 0.5
    logits = of(40.0, -40.0, 0.0)
    for q in (
        Normal(of(0.0, 1e3), of(1e-3, 1e3)),
        Gamma(of(small, 1e3, 1.0), of(1.0, 1e3, 1e-3)),
        Exponential(of(1e-3, 1e3)),
        Poisson(of(1e-3, 1e3)),
        Beta(of(0.5, 1e3), of(2.0, 1e3)),
        Dirichlet(of(small, 1e3, 1.0)[None]),
        VonMises(of(3.0, 0.0), of(1e-3, 1e3)),
        Bernoulli(logits),
        Categorical(torch.stack((logits, of(0.0, math.log(1e-12), 1.0)))),
    ):
        if not isinstance(q, estimator.distributions):
            continue
        many = q.map(lambda value: value.expand(500, *value.shape).clone().requires_grad_())
        value = estimator.expect(many, cost, Block(0, "extreme", 0, dtype, CPU).tile(0, 500))
        for name, g in zip(many.parameters, torch.autograd.grad(value.sum(), tuple(many.parameters.values())), strict=True):
            assert torch.isfinite(g).all(), f"{type(q).__name__} {name}"


# --------------------------------------------------------------------------------------------------------------------------- mutants


class RateForgotten(ImplicitReparameterization):
    """Only the shape has a path."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        s = q.quantile(noise.uniform((self.num_samples,), q))
        name, slope = next(iter(q.slopes(s).items()))
        return average(cost(q.decode(s + slope * zero(q.parameters[name])), q))


class PathAlone(GeneralizedReparameterization):
    """Without the correction."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        mean, deviation = q.standardisation()
        eps = (q.quantile(noise.uniform((self.num_samples,), q)) - mean.detach()) / deviation.detach()
        return average(cost(q.decode(mean + deviation * eps), q))


class NoJacobian(GeneralizedReparameterization):
    """The density of eps without the derivative of its scale."""

    def expect(self, q: Any, cost: Any, noise: Noise) -> Tensor:
        mean, deviation = q.standardisation()
        eps = (q.quantile(noise.uniform((self.num_samples,), q)) - mean.detach()) / deviation.detach()
        f = cost(q.decode(mean + deviation * eps), q)
        return average(f + f.detach() * zero(q.log_density(mean + deviation * eps).sum(-1)))


@pytest.mark.parametrize("mutant", [RateForgotten(), PathAlone(), NoJacobian()], ids=lambda mutant: mutant.name)
def test_mutants_of_paths_are_caught(mutant: Estimator) -> None:
    mean, _ = moments_of(mutant, GAMMA, product, [smooth(nodes=81)] * 2, each_coordinate)
    assert (mean - truth(GAMMA, product)).abs().max() > 1e-3


def scaled(parts: Callable[..., Any], name: str, factor: float) -> Callable[..., Any]:
    def wrong(q: Any, n: int, noise: Noise) -> Any:
        found = parts(q, n, noise)
        return measure_valued._Parts(found.points, found.probability, found.weights | {name: factor * found.weights[name]})

    return wrong


def one_sided(q: Any, n: int, noise: Noise) -> Any:
    """A Maxwell variable of one sign: the scale's positive part is lopsided."""
    found = measure_valued._normal(q, n, noise)
    points = found.points.clone()
    points[2] = q.loc + (points[2] - q.loc).abs()
    return measure_valued._Parts(points, found.probability, found.weights)


def averaged_over_a_part(q: Any, n: int, noise: Noise) -> Any:
    """The direct term at points that are no draws from q."""
    found = measure_valued._normal(q, n, noise)
    return measure_valued._Parts(found.points, found.probability.roll(1, 0), found.weights)


@pytest.mark.parametrize(
    ("q", "wrong"),
    [
        (NORMAL, scaled(measure_valued._normal, "loc", math.sqrt(2))),
        (NORMAL, scaled(measure_valued._normal, "scale", -1.0)),
        (NORMAL, one_sided),
        (NORMAL, averaged_over_a_part),
        (GAMMA, scaled(measure_valued._gamma, "concentration", 0.0)),
        (GAMMA, scaled(measure_valued._gamma, "rate", 1.1)),
        (EXPONENTIAL, scaled(measure_valued._exponential, "rate", 0.9)),
    ],
    ids=["constant", "sign", "one-sided", "direct-term", "silently-zero", "gamma-rate", "exponential"],
)
def test_mutants_of_parts_are_caught(q: Distribution, wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    axis, wanted = smooth(nodes=21), truth(q, product)
    axes = [axis, halves() if q is NORMAL else axis, axis]
    assert (moments_of(MeasureValued(), q, product, axes, both_coordinates)[0] - wanted).abs().max() < 1e-3
    monkeypatch.setitem(measure_valued._PARTS, type(q), wrong)
    assert (moments_of(MeasureValued(), q, product, axes, both_coordinates)[0] - wanted).abs().max() > 1e-2
