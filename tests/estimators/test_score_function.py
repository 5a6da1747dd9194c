"""The score-function family against exact laws: every outcome of the noise, or every quadrature node, in one batched call of `expect`.

Means are proven to rounding, identities hold number by number on the same noise, and each of the planted bugs must be caught by the very
comparison that the right estimator passes. The statistical test at the end measures 16 laws, some 130 numbers, at 5 standard errors of a
Student t of 63 degrees of freedom: another seed fails once in 1500.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.costs import Cost, Expect
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution, Normal
from gsx.estimators.antithetic import Antithetic
from gsx.estimators.base import Estimator
from gsx.estimators.delta_method import DeltaMethod, expand
from gsx.estimators.dice import Dice
from gsx.estimators.double_cv import DoubleCV
from gsx.estimators.exact import Exact
from gsx.estimators.importance_weighted import ImportanceWeighted
from gsx.estimators.muprop import Muprop
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.estimators.rloo import RLOO, others
from gsx.models.base import Model, Params
from gsx.noise import Block, Noise, replay
from gsx.process import one_thread_each
from gsx.program import Program
from gsx.surrogate import average, cost_gradient, follow_score, inject, zero
from gsx.tune import warm_up
from tests.estimators import test_exact_values as measured
from tests.estimators.enumeration import Law, states

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


# ------------------------------------------------------------------------------------------------------------------------- problems


def real(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


BERNOULLI = [Bernoulli(real(-0.9)), Bernoulli(real(-0.9, 0.3))]
CATEGORICAL = [Categorical(real([0.5, -0.3, 0.9])), Categorical(real([0.5, -0.3, 0.1], [-0.8, 0.4, 0.0]))]
NORMAL = [Normal(real(0.4), real(0.7)), Normal(real(0.4, -0.6), real(0.7, 0.5))]


def affine(z: Tensor, q: Any) -> Tensor:
    flat = z.flatten(-q.event_ndim)
    return flat @ torch.linspace(1.0, -0.7, flat.shape[-1], dtype=z.dtype) + 0.4


def quadratic(z: Tensor, q: Any) -> Tensor:
    return affine(z, q) ** 2 - 1.3 * z.flatten(-q.event_ndim)[..., 0]


def cost(z: Tensor, q: Any) -> Tensor:
    """Neither symmetric, nor separable, nor free of the parameters, at the mean of q included (where the score is zero)."""
    parameter = next(iter(q.parameters.values())).flatten(-q.event_ndim)[..., 0]
    return affine(z, q) ** 3 - 0.3 * q.log_prob(z) ** 2 + 0.5 * parameter**2 * z.flatten(-q.event_ndim)[..., -1]


def name_of(value: Any) -> str:
    if isinstance(value, Distribution):
        return f"{type(value).__name__.lower()}{value.event_shape[0]}"
    if isinstance(value, Estimator):
        settings = [str(vars(value)[key]) for key in ("coefficient", "proposal_temperature", "baseline") if key in vars(value)]
        return "-".join([value.name, *settings, f"N{value.num_samples}"])
    return value.__name__ if callable(value) else str(value)


def each(estimators: list[Any], *problems: list[Any]) -> Any:
    pairs = [(estimator, q) for estimator in estimators for q in itertools.chain(*problems)]
    return pytest.mark.parametrize(("estimator", "q"), pairs, ids=name_of)


# ------------------------------------------------------------------------------------------------------------------------ exact laws


def points(q: Distribution) -> tuple[Tensor, Tensor]:
    """Uniforms ``[S, *event]`` and weights ``[S]`` of one draw: one of each state, or Gauss-Hermite nodes.

    14 nodes are exact for polynomials of degree 27: for the cost above, times a score, squared.
    """
    if isinstance(q, Discrete):
        return states(q)
    node, weight = np.polynomial.hermite_e.hermegauss(14)
    index = np.stack(np.meshgrid(*[np.arange(14)] * q.event_shape[0], indexing="ij"), -1).reshape(-1, q.event_shape[0])
    return torch.special.ndtr(torch.as_tensor(node[index])), torch.as_tensor((weight / weight.sum())[index].prod(-1))


def draws(q: Distribution, n: int) -> tuple[Tensor, np.ndarray]:
    """All outcomes of n draws: uniforms ``[n, outcomes, *event]`` and weights ``[outcomes]``."""
    u, weight = points(q)
    index = torch.cartesian_prod(*[torch.arange(len(u))] * n).reshape(-1, n).t()
    return u[index], weight[index].prod(0).numpy()


def gradients(estimator: Estimator, q: Distribution, f: Cost, u: Tensor) -> Tensor:
    """``[outcomes, P]`` of one estimate for each outcome of the noise ``[n, outcomes, *event]``."""
    many = q.map(lambda value: value.detach().expand(u.shape[1], *value.shape).clone().requires_grad_())
    value = estimator.expect(many, f, replay({("z", 0): u}))
    return torch.cat([g.flatten(1) for g in torch.autograd.grad(value.sum(), tuple(many.parameters.values()))], 1)


def law(estimator: Estimator, q: Distribution, f: Cost = cost) -> Law:
    """Of the gradient in all parameters of q. An estimator that samples another distribution sees each of that one's states."""
    n = estimator.num_samples // (2 if estimator.in_pairs else 1)
    u, weight = draws(estimator_samples(estimator, q), n)
    assert abs(weight.sum() - 1) < 1e-9
    found = gradients(estimator, q, f, u).numpy()
    mean = weight @ found
    return Law(mean, weight @ (found - mean) ** 2, found, weight)


def estimator_samples(estimator: Estimator, q: Distribution) -> Distribution:
    if isinstance(estimator, ImportanceWeighted):
        return q.map(lambda logits: logits / estimator.proposal_temperature)
    return q


def truth(q: Distribution, f: Cost = cost) -> np.ndarray:
    free = q.map(lambda value: value.detach().clone().requires_grad_())
    value = Exact().expect(free, f, Block(0, "exact", 0, torch.float64, CPU).one())
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, tuple(free.parameters.values()))]).numpy()


def bias(estimator: Estimator, q: Distribution, f: Cost = cost) -> float:
    """The largest bias of a coordinate, relative to the largest coordinate of the gradient."""
    right = truth(q, f)
    return float(np.abs(law(estimator, q, f).mean - right).max() / np.abs(right).max())


def learnt(baseline: Any, q: Distribution, n: int = 1) -> Reinforce:
    """REINFORCE with a baseline learnt from 8 draws."""
    estimator = Reinforce(baseline=baseline, num_samples=n)
    for draw in range(8):
        estimator.update(q, cost, Block(1, "tune", draw, torch.float64, CPU).one())
    return estimator


# ------------------------------------------------------------------------------------------------------------------------ unbiasedness

DISCRETE = [Muprop(num_samples=n) for n in (1, 2)]
ANY = [Dice(num_samples=n) for n in (1, 2)]
WEIGHTED = [ImportanceWeighted(proposal_temperature=t, num_samples=n) for t, n in ((0.6, 1), (1.5, 2), (4.0, 1))]
DOUBLE = [DoubleCV(coefficient=a, num_samples=n) for a in (-0.7, 0.0, 1.0, 2.3) for n in (2, 3, 4)]
DELTA = [DeltaMethod(coefficient=b, num_samples=n) for b, n in ((-0.4, 1), (0.0, 1), (1.0, 1), (0.7, 2), (1.0, 2))]
PAIRS = [Antithetic(num_samples=n) for n in (2, 4)]


@each(DISCRETE + WEIGHTED + ANY, BERNOULLI, CATEGORICAL)
def test_the_discrete_are_unbiased(estimator: Estimator, q: Distribution) -> None:
    assert bias(estimator, q) < 1e-10


@each(DOUBLE, BERNOULLI)
def test_double_cv_is_unbiased_whatever_its_coefficient(estimator: Estimator, q: Distribution) -> None:
    assert bias(estimator, q) < 1e-10


@each(DELTA + PAIRS + ANY, NORMAL)
def test_the_gaussian_are_unbiased(estimator: Estimator, q: Distribution) -> None:
    assert bias(estimator, q) < 1e-9


@pytest.mark.parametrize("baseline", ["mean", "optimal"])
@pytest.mark.parametrize("q", BERNOULLI + CATEGORICAL + NORMAL, ids=name_of)
def test_a_frozen_baseline_is_unbiased(baseline: str, q: Distribution) -> None:
    for n in (1, 2):
        assert bias(learnt(baseline, q, n), q) < 1e-9


@each([*DISCRETE, *WEIGHTED, Dice(num_samples=2), DoubleCV(num_samples=3)], [BERNOULLI[1]])
def test_the_value_is_unbiased(estimator: Estimator, q: Distribution) -> None:
    u, weight = draws(estimator_samples(estimator, q), estimator.num_samples)
    many = q.map(lambda value: value.expand(len(weight), *value.shape))
    value = estimator.expect(many, cost, replay({("z", 0): u})).detach().numpy()
    exact = float(Exact().expect(q, cost, Block(0, "exact", 0, torch.float64, CPU).one()))
    np.testing.assert_allclose(weight @ value, exact, rtol=1e-12)


# -------------------------------------------------------------------------------------------------------------------------- planted bugs


class MeanFieldLeaks(Muprop):
    """The mean-field evaluation keeps its dependence on q, and its direct gradient is added."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        return super().expect(q, cost, noise) - zero(cost(q.mean.detach().unsqueeze(0), q)).squeeze(0)


class NothingGivenBack(Muprop):
    """Forgets the gradient of what was subtracted."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        slope = cost_gradient(cost, q.mean.detach().unsqueeze(0), q.map(Tensor.detach))[1].detach()
        return inject(super().expect(q, cost, noise), -slope.squeeze(0), q.mean)


class NoHalf(DeltaMethod):
    """The second-order term of the expansion without its factor 1/2, which the analytic part has."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        u = noise.uniform((self.num_samples,), q)
        z = q.sample(u)
        d = z - q.loc.detach()
        hessian = expand(cost, q.loc.detach(), q.map(Tensor.detach))[2]
        missed = torch.einsum("...i,...ij,...j", d, hessian, d) / 2
        return follow_score(super().expect(q, cost, replay({("z", 0): u})), -self.coefficient * missed, q, z)


class NoCurvature(DeltaMethod):
    """Forgets that the second-order term has a gradient in the scale."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        hessian = expand(cost, q.loc.detach(), q.map(Tensor.detach))[2]
        return inject(super().expect(q, cost, noise), -q.scale.detach() * hessian.diagonal(dim1=-2, dim2=-1), q.scale)


class WrittenOut(DoubleCV):
    """No mutant: every term of the docstring, with the slopes as numbers."""

    slope: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(others)
    centre: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(others)

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        b = q.sample(noise.uniform((self.num_samples,), q))
        f, g = (x.detach() for x in cost_gradient(cost, b, q))
        h = f - self.coefficient * (self.slope(g) * (b - q.mean.detach())).sum(-1)
        value = follow_score(average(cost(b, q)), h - self.centre(h), q, b)
        return inject(value, self.coefficient * g.mean(0), q.mean)


def mean_of_all(x: Tensor) -> Tensor:
    return x.mean(0, keepdim=True)


class OwnSlope(WrittenOut):
    """The slope that multiplies a sample is the mean of all, its own included."""

    slope = staticmethod(mean_of_all)


class SelfIncluded(WrittenOut):
    """So is the baseline."""

    centre = staticmethod(mean_of_all)


class MirroredInZero(Antithetic):
    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        z = q.reparameterize(noise.uniform((self.num_samples // 2,), q))
        return cost(torch.cat((z, -z)), q).mean(0)


class Unweighted(ImportanceWeighted):
    """Samples the proposal, and forgets that it did."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        z = estimator_samples(self, q).sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        return follow_score(average(f), f.detach(), q, z)


class DirectTermUnweighted(ImportanceWeighted):
    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        proposal = q.map(lambda logits: logits.detach() / self.proposal_temperature)
        z = proposal.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        weight = (q.log_prob(z) - proposal.log_prob(z)).exp().detach()
        return follow_score(average(f), weight * f.detach(), q, z)


class SelfNormalised(ImportanceWeighted):
    """Weights that sum to N."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        proposal = q.map(lambda logits: logits.detach() / self.proposal_temperature)
        z = proposal.sample(noise.uniform((self.num_samples,), q))
        weight = (q.log_prob(z) - proposal.log_prob(z)).exp().detach()
        f = weight / weight.mean(0) * cost(z, q)
        return follow_score(average(f), f.detach(), q, z)


class BoxWithoutDirectTerm(Dice):
    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        return average(torch.exp(zero(q.log_prob(z))) * cost(z, q).detach())


class LearnsFromItself(Reinforce):
    """The optimal baseline estimated from the very samples that it is subtracted from."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        value = average(f)
        for name, score in q.score(z).items():
            signal = f.detach().reshape(*f.shape, *(1,) * q.event_ndim)
            value = inject(value, average((signal - (signal * score**2).mean(0) / (score**2).mean(0)) * score), q.parameters[name])
        return value


MUTANTS = [
    (MeanFieldLeaks(), BERNOULLI[1]),
    (MeanFieldLeaks(), CATEGORICAL[1]),
    (NothingGivenBack(), BERNOULLI[0]),
    (NothingGivenBack(), CATEGORICAL[1]),
    (NoHalf(), NORMAL[1]),
    (NoCurvature(), NORMAL[0]),
    (OwnSlope(num_samples=3), BERNOULLI[1]),
    (SelfIncluded(num_samples=3), BERNOULLI[1]),
    (MirroredInZero(), NORMAL[0]),
    (Unweighted(), BERNOULLI[1]),
    (DirectTermUnweighted(), CATEGORICAL[1]),
    (SelfNormalised(num_samples=2), BERNOULLI[1]),
    (BoxWithoutDirectTerm(), NORMAL[0]),
    (LearnsFromItself(num_samples=2), BERNOULLI[1]),
]


@pytest.mark.parametrize(("mutant", "q"), MUTANTS, ids=lambda value: type(value).__name__)
def test_a_planted_bug_is_a_bias(mutant: Estimator, q: Distribution) -> None:
    assert bias(mutant, q) > 0.01


# ---------------------------------------------------------------------------------------------------------------------------- identities


def agree(one: Estimator, other: Estimator, q: Distribution, f: Cost = cost) -> bool:
    """Whether two estimators give the same numbers for the same noise."""
    u, _ = draws(q, one.num_samples)
    return torch.allclose(gradients(one, q, f, u), gradients(other, q, f, u), rtol=1e-11, atol=1e-12)


def variance(estimator: Estimator, q: Distribution, f: Cost) -> np.ndarray:
    return law(estimator, q, f).variance


@pytest.mark.parametrize("q", BERNOULLI + CATEGORICAL, ids=name_of)
def test_muprop_is_exact_on_an_affine_cost(q: Discrete) -> None:
    assert (variance(Muprop(), q, affine) < 1e-28).all()
    assert (variance(Reinforce(), q, affine) > 1e-3).all()


def test_muprop_sees_how_the_cost_is_extended() -> None:
    """b^2 is b on the states, but between them it is bent: at p = 1/2 what is left over is (b - 1/2)^2 = 1/4, always."""
    q = Bernoulli(real(0.0))
    found = law(Muprop(), q, lambda z, q: (z**2).sum(-1)).gradients[:, 0]
    np.testing.assert_allclose(found, [0.25 * -0.5 + 0.25, 0.25 * 0.5 + 0.25], rtol=1e-14)


@pytest.mark.parametrize("q", NORMAL, ids=name_of)
def test_the_delta_method_is_exact_on_a_quadratic_cost(q: Normal) -> None:
    assert (variance(DeltaMethod(), q, quadratic) < 1e-20).all()
    assert (variance(DeltaMethod(coefficient=0.5), q, quadratic) > 1e-2).all()
    assert agree(DeltaMethod(coefficient=0.0, num_samples=2), Reinforce(num_samples=2), q)
    assert not agree(DeltaMethod(coefficient=0.1, num_samples=2), Reinforce(num_samples=2), q)


def test_the_expansion_is_that_of_autograd() -> None:
    """In every row of a batch, and with a Hessian whose diagonal and whose other entries differ."""
    q = Normal(real([0.4, -0.6, 0.1], [1.0, 0.3, -0.2]), real([0.7, 0.5, 1.0], [0.3, 0.9, 1.2]))
    value, slope, hessian = expand(cost, q.loc, q)
    for row in range(2):
        one = Normal(q.loc[row], q.scale[row])
        torch.testing.assert_close(value[row], cost(one.loc, one))
        torch.testing.assert_close(slope[row], torch.autograd.functional.jacobian(lambda z, one=one: cost(z, one), one.loc))
        torch.testing.assert_close(hessian[row], torch.autograd.functional.hessian(lambda z, one=one: cost(z, one), one.loc))


@pytest.mark.parametrize("q", BERNOULLI, ids=name_of)
@pytest.mark.parametrize("n", [2, 3])
def test_double_cv_is_leave_one_out_with_something_on_top(q: Bernoulli, n: int) -> None:
    assert agree(DoubleCV(coefficient=0.0, num_samples=n), RLOO(num_samples=n), q)
    assert not agree(DoubleCV(coefficient=0.1, num_samples=n), RLOO(num_samples=n), q)
    assert agree(DoubleCV(coefficient=0.6, num_samples=n), WrittenOut(coefficient=0.6, num_samples=n), q)
    assert (variance(DoubleCV(num_samples=n), q, affine) < 1e-28).all()
    assert (variance(RLOO(num_samples=n), q, affine) > 1e-3).all()


@pytest.mark.parametrize("coefficient", [1.0, -0.6])
def test_double_cv_of_two_samples_is_the_formula_of_the_paper(coefficient: float) -> None:
    """1/2 (f_1 + alpha g_2'(b_1 - p) - f_2 - alpha g_1'(b_2 - p)) (b_1 - b_2) - alpha (g_1 + g_2)/2 p (1 - p), alpha = -coefficient."""

    def free(z: Tensor, q: Any) -> Tensor:
        return affine(z, q) ** 3

    q, alpha = BERNOULLI[1], -coefficient
    u, _ = draws(q, 2)
    (b1, b2), p = q.sample(u), q.mean
    f, g = cost_gradient(free, torch.stack((b1, b2)), q)
    centred = f[0] + alpha * (g[1] * (b1 - p)).sum(-1) - f[1] - alpha * (g[0] * (b2 - p)).sum(-1)
    wanted = centred.unsqueeze(-1) * (b1 - b2) / 2 - alpha * (g[0] + g[1]) / 2 * p * (1 - p)
    torch.testing.assert_close(gradients(DoubleCV(coefficient=coefficient), q, free, u), wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("q", NORMAL, ids=name_of)
def test_an_antithetic_pair_is_two_mirrored_samples(q: Normal) -> None:
    u, _ = draws(q, 2)
    both = [gradients(Reparameterization(num_samples=2), q, cost, side) for side in (u, 1 - u)]
    # A uniform next to 1 has lost digits that its mirror image has.
    torch.testing.assert_close(gradients(Antithetic(num_samples=4), q, cost, u), (both[0] + both[1]) / 2, rtol=1e-7, atol=1e-7)
    of_loc = slice(0, q.event_shape[0])
    assert (variance(Antithetic(), q, quadratic)[of_loc] < 1e-20).all()
    assert (variance(Reparameterization(), q, quadratic)[of_loc] > 1e-2).all()
    # What is even in eps is not helped: a pair of an even function is one sample of it.
    even = variance(Antithetic(), q, lambda z, q: ((z - q.loc.detach()) ** 2).sum(-1))[q.event_shape[0] :]
    np.testing.assert_allclose(
        even, variance(Reparameterization(), q, lambda z, q: ((z - q.loc.detach()) ** 2).sum(-1))[q.event_shape[0] :]
    )


@pytest.mark.parametrize("q", BERNOULLI + CATEGORICAL, ids=name_of)
def test_the_proposal_of_temperature_one_is_q(q: Discrete) -> None:
    assert agree(ImportanceWeighted(proposal_temperature=1.0, num_samples=2), Reinforce(num_samples=2), q)
    assert not agree(ImportanceWeighted(proposal_temperature=1.1, num_samples=2), Reinforce(num_samples=2), q)


def test_a_flatter_proposal_is_worth_it_where_the_cost_is_rare() -> None:
    """All of the cost sits in a state of probability 0.02."""
    q = Bernoulli(real(-3.9))
    flat, plain = (law(e, q, lambda z, q: z.sum(-1)) for e in (ImportanceWeighted(proposal_temperature=3.0), Reinforce()))
    np.testing.assert_allclose(flat.mean, plain.mean, rtol=1e-12)
    assert flat.variance < plain.variance / 5


@pytest.mark.parametrize("q", BERNOULLI + CATEGORICAL + NORMAL, ids=name_of)
def test_dice_is_reinforce(q: Distribution) -> None:
    assert agree(Dice(num_samples=2), Reinforce(num_samples=2), q)


def hessians(estimator: Estimator, q: Distribution, u: Tensor, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E of the Hessian of an estimate in the parameters of q, flattened, and the exact Hessian."""
    flat = torch.cat([value.flatten() for value in q.parameters.values()])

    def rebuilt(at: Tensor) -> Distribution:
        split = iter(at.split([value.numel() for value in q.parameters.values()]))
        return q.map(lambda value: next(split).reshape(value.shape))

    def estimate(at: Tensor) -> Tensor:
        many = rebuilt(at).map(lambda value: value.expand(len(weight), *value.shape))
        return torch.as_tensor(weight) @ estimator.expect(many, cost, replay({("z", 0): u}))

    def exact(at: Tensor) -> Tensor:
        return Exact().expect(rebuilt(at), cost, Block(0, "exact", 0, torch.float64, CPU).one())

    one, other = (torch.autograd.functional.hessian(value, flat) for value in (estimate, exact))
    return one.numpy(), other.numpy()


@pytest.mark.parametrize("q", BERNOULLI + CATEGORICAL + NORMAL, ids=name_of)
def test_dice_has_the_right_hessian(q: Distribution) -> None:
    for n in (1, 2):
        found, exact = hessians(Dice(num_samples=n), q, *draws(q, n))
        np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-8 * np.abs(exact).max())


class PlantedNumbers(Dice):
    """The first-order surrogate, f log q with f a number, beside the direct term: right once differentiated, wrong twice."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        return average(f + f.detach() * zero(q.log_prob(z)))


@pytest.mark.parametrize("q", [BERNOULLI[1], CATEGORICAL[1], NORMAL[1]], ids=name_of)
def test_a_first_order_surrogate_has_a_wrong_hessian(q: Distribution) -> None:
    assert bias(PlantedNumbers(), q) < 1e-9
    found, exact = hessians(PlantedNumbers(), q, *draws(q, 1))
    assert np.abs(found - exact).max() > 0.05 * np.abs(exact).max()


# ------------------------------------------------------------------------------------------------------------------- learnt baselines


def free_of_q(z: Tensor, q: Any) -> Tensor:
    return affine(z, q) ** 3 + 2.0


# With uniforms of equal weight that give each state as often as q does.
QUARTERS = torch.cartesian_prod(*[torch.arange(1, 8, 2, dtype=torch.float64) / 8] * 2)
EVEN = Categorical(real([0.3, 0.3, 0.3], [-1.0, -1.0, -1.0]))
LEARNABLE = [(Bernoulli(real(1 / 3, 3).log()), QUARTERS), (EVEN, states(EVEN)[0])]


def learnt_exactly(baseline: Any, q: Discrete, uniforms: Tensor) -> Reinforce:
    estimator = Reinforce(baseline=baseline)
    for u in uniforms:
        estimator.update(q, free_of_q, replay({("z", 0): u.unsqueeze(0)}))
    return estimator


@pytest.mark.parametrize(("q", "uniforms"), LEARNABLE, ids=["bernoulli", "categorical"])
def test_the_learnt_baselines_are_what_they_are_called(q: Discrete, uniforms: Tensor) -> None:
    z, weight = q.points(0, q.num_points(0), 0)
    f, score = free_of_q(z, q), q.score(z)["logits"].flatten(1)
    mean, optimal = (learnt_exactly(kind, q, uniforms) for kind in ("mean", "optimal"))
    torch.testing.assert_close(mean._learnt["z", "logits"].flatten(), (weight @ f).reshape(1))
    wanted = weight @ (f[:, None] * score**2) / (weight @ score**2)
    torch.testing.assert_close(optimal._learnt["z", "logits"].flatten(), wanted)
    assert mean.tuned() == {"average.z": pytest.approx(float(weight @ f))}
    assert optimal.tuned() == {"average.z.logits": pytest.approx(float(wanted.mean()))}


@pytest.mark.parametrize(("q", "uniforms"), LEARNABLE, ids=["bernoulli", "categorical"])
def test_no_constant_beats_the_optimal_baseline(q: Discrete, uniforms: Tensor) -> None:
    """In any coordinate. The mean is not it."""
    optimal = learnt_exactly("optimal", q, uniforms)
    least = variance(optimal, q, free_of_q)
    for shift in (-0.01, 0.01):
        shifted = copy.deepcopy(optimal)
        shifted._learnt["z", "logits"] += shift
        assert (variance(shifted, q, free_of_q) > least).all()
    assert (variance(learnt_exactly("mean", q, uniforms), q, free_of_q) > 1.001 * least).all()


def test_a_gaussian_has_an_optimal_baseline_for_each_parameter() -> None:
    q, estimator = NORMAL[1], Reinforce(baseline="optimal", num_samples=4096)
    for draw in range(16):
        estimator.update(q, free_of_q, Block(1, "tune", draw, torch.float64, CPU).one())
    u, weight = draws(q, 1)
    z = q.sample(u)[0]
    for name, score in q.score(z).items():
        wanted = weight @ (free_of_q(z, q)[:, None] * score**2).numpy() / (weight @ (score**2).numpy())
        np.testing.assert_allclose(estimator._learnt["z", name], wanted, rtol=0.05)  # of 65536 draws
    assert (estimator._learnt["z", "scale"] / estimator._learnt["z", "loc"] - 1).abs().min() > 0.1


@pytest.mark.parametrize("baseline", ["mean", "optimal"])
def test_every_row_has_a_baseline_of_its_own(baseline: str) -> None:
    """What a row learns is what it learns alone, on the same numbers; and replicates in front of the rows share it."""
    rows, u = real([0.0, 0.0], [2.0, -1.0], [-0.5, 0.5]), QUARTERS.reshape(16, 1, 2).expand(16, 3, 2)
    together = Reinforce(baseline=baseline, num_samples=16)
    together.update(Bernoulli(rows), cost, replay({("z", 0): u}))
    for row, logits in enumerate(rows):
        alone = Reinforce(baseline=baseline, num_samples=16)
        alone.update(Bernoulli(logits), cost, replay({("z", 0): u[:, row]}))
        torch.testing.assert_close(together._learnt["z", "logits"][row], alone._learnt["z", "logits"])
        one = gradients(alone, Bernoulli(logits), cost, u[:, :1].expand(16, 5, 2))
        many = gradients(together, Bernoulli(rows), cost, u.unsqueeze(1).expand(16, 5, 3, 2)).reshape(5, 3, 2)
        torch.testing.assert_close(many[:, row], one)


# ------------------------------------------------------------------------------------------------------------------------------ extremes

SATURATED: list[Distribution] = [
    Bernoulli(real(-40.0, 40.0, 0.3)),
    Categorical(real([40.0, -40.0, 0.0], [0.0, float(np.log(1e-12)), 0.5])),
    Normal(real(0.4, -30.0), real(1e-6, 1e3)),
]


AT_EXTREMES = [
    Muprop(),
    DeltaMethod(),
    DoubleCV(),
    Antithetic(),
    *(ImportanceWeighted(proposal_temperature=t) for t in (1e-3, 1.5, 1e3)),
    Dice(),
    Reinforce(baseline="mean"),
    Reinforce(baseline="optimal"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("estimator", "q"),
    [(estimator, q) for estimator in AT_EXTREMES for q in SATURATED if isinstance(q, estimator.distributions)],
    ids=name_of,
)
def test_gradients_at_the_extremes_are_finite(estimator: Estimator, q: Distribution, dtype: torch.dtype) -> None:
    many = q.map(lambda value: value.to(dtype).expand(64, *value.shape).clone().requires_grad_())
    estimator = copy.deepcopy(estimator)
    estimator.update(many.map(Tensor.detach), quadratic, Block(2, "tune", 0, dtype, CPU).one())
    value = estimator.expect(many, quadratic, Block(2, "extremes", 0, dtype, CPU).one())
    for slope in torch.autograd.grad(value.sum(), tuple(many.parameters.values())):
        assert torch.isfinite(slope).all()


# --------------------------------------------------------------------------------------------------------------- variances as measured


class Problem(Model):
    start: ClassVar[Distribution]

    def init(self, noise: Noise) -> Params:
        return {name: value.clone() for name, value in self.start.parameters.items()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(self.start.replace(params), self.cost)

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return cost(z, q)


class OfBernoullis(Problem):
    start = BERNOULLI[1]


class OfCategoricals(Problem):
    start = CATEGORICAL[1]


class OfGaussians(Problem):
    """A gentle wave in place of powers: with a score, these have tails too heavy for a variance to be measured."""

    start = Normal(real(0.4, -0.6), real(0.2, 0.15))

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return torch.cos(0.7 * affine(z, q) + 0.3) + 0.2 * q.log_prob(z) + 0.5 * q.loc[..., 0] ** 2 * z[..., 1]


def cases() -> Iterator[tuple[Estimator, type[Problem]]]:
    everywhere: list[Callable[[], Estimator]] = [
        lambda: Dice(num_samples=2),
        lambda: Reinforce(baseline="mean", warmup=32),
        lambda: Reinforce(baseline="optimal", warmup=32, num_samples=2),
    ]
    for problem in (OfBernoullis, OfCategoricals, OfGaussians):
        for make in everywhere:
            yield make(), problem
    for discrete in (OfBernoullis, OfCategoricals):
        yield Muprop(num_samples=2), discrete
        yield ImportanceWeighted(), discrete
    yield DoubleCV(coefficient=0.8, num_samples=3), OfBernoullis
    yield DeltaMethod(coefficient=0.8), OfGaussians
    yield Antithetic(num_samples=2), OfGaussians


def measure(problem: Problem, estimator: Estimator) -> gsx.Result:
    replicates = 2**18 if isinstance(problem, OfGaussians) else 2**16
    return gsx.measure(problem, estimator, num_replicates=replicates, block_size=replicates // 64, seed=23, workers=1)


@pytest.mark.statistical
@pytest.mark.parametrize(("estimator", "problem"), list(cases()), ids=name_of)
def test_variances_are_exact(estimator: Estimator, problem: type[Problem]) -> None:
    model = problem()
    result = measure(model, estimator)
    warm_up(estimator, Program(model), seed=23)  # the baselines as the measurement froze them
    exact = law(estimator, model.start, model.cost)
    assert not measured.disagreements(result, measured.Exact(exact.mean, exact.variance))
    for wrong in (0.9, 1.1):
        assert measured.disagreements(result, measured.Exact(exact.mean, wrong * exact.variance)), "a variance wrong by 10 % passes"


class NotMirrored(Antithetic):
    """Two independent samples: the mean is right."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        return cost(q.reparameterize(noise.uniform((self.num_samples,), q)), q).mean(0)


class SameNoise(Muprop):
    """One sample, counted N times: the mean is right."""

    def expect(self, q: Any, cost: Cost, noise: Noise) -> Tensor:
        u = noise.uniform((1,), q)
        return super().expect(q, cost, replay({("z", 0): u.expand(self.num_samples, *u.shape[1:])}))


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("mutant", "right", "problem"),
    [(NotMirrored(), Antithetic(), OfGaussians), (SameNoise(num_samples=2), Muprop(num_samples=2), OfBernoullis)],
    ids=name_of,
)
def test_a_wrong_variance_is_caught(mutant: Estimator, right: Estimator, problem: type[Problem]) -> None:
    exact = law(right, problem.start, problem().cost)
    assert measured.disagreements(measure(problem(), mutant), measured.Exact(exact.mean, exact.variance))
