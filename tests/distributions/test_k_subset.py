"""Subsets of exactly k elements, held against sums over all of them, and the model made of them.

Sampling is proven, not tested: the uniforms that give a subset are a box, whose sides are compared at their ends. The tests marked
`statistical` state how often another seed would fail.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.costs import Separable
from gsx.distributions import Bernoulli, Categorical, KSubset
from gsx.estimators.exact import Exact
from gsx.models.k_subset_toy import KSubsetToy
from gsx.noise import Block, uniforms
from gsx.process import one_thread_each
from gsx.records import ConfigurationError

CPU = torch.device("cpu")
#: Two rows of unequal logits, the saturated and the nearly impossible (odds of 1e-12) among them.
LOGITS = torch.tensor([[-0.9, 0.3, 1.4, -0.2, 0.7], [40.0, -40.0, math.log(1e-12), 0.4, -0.3]], dtype=torch.float64)
SIZES = [1, 2, 4, 5]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small only lose time to threads."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


@pytest.fixture(params=SIZES)
def q(request: pytest.FixtureRequest) -> KSubset:
    return KSubset(LOGITS, request.param)


def draw(name: str, samples: int, q: KSubset) -> Tensor:
    shape = (samples, *q.batch_shape, *q.event_shape)
    return uniforms((name,), 0, math.prod(shape), q.logits.dtype, CPU).reshape(shape)


def subsets(size: int, k: int) -> np.ndarray:
    return np.array([[float(d in chosen) for d in range(size)] for chosen in itertools.combinations(range(size), k)])


def law(logits: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """All subsets ``[states, D]`` and their probabilities ``[states, *batch]``."""
    z = subsets(logits.shape[-1], k)
    log_weight = np.moveaxis((z * logits.numpy()[..., None, :]).sum(-1), -1, 0)
    weight = np.exp(log_weight - log_weight.max(0))
    return z, weight / weight.sum(0)


# -------------------------------------------------------------------------------------------------------------------------- the law


def test_log_prob_and_marginals_are_those_of_the_enumeration(q: KSubset) -> None:
    z, p = law(LOGITS, q.k)
    found = q.log_prob(torch.from_numpy(z)[:, None].expand(-1, 2, -1))
    np.testing.assert_allclose(found.exp().numpy(), p, rtol=1e-12)
    np.testing.assert_allclose(q.mean.numpy(), np.einsum("sb,sd->bd", p, z), rtol=1e-12)


def test_both_weights_of_a_coordinate_keep_their_digits(q: KSubset) -> None:
    """Neither is one minus the other: 1e-12 and exp(-80) have the relative precision of a half."""
    z, p = law(LOGITS, q.k)
    points, weights = q.coordinate_points(1)
    assert torch.equal(points, torch.stack((torch.zeros_like(LOGITS), torch.ones_like(LOGITS))))
    np.testing.assert_allclose(weights[1].numpy(), np.einsum("sb,sd->bd", p, z), rtol=1e-12)
    np.testing.assert_allclose(weights[0].numpy(), np.einsum("sb,sd->bd", p, 1 - z), rtol=1e-12)


def test_one_element_is_a_categorical() -> None:
    one, categorical = KSubset(LOGITS, 1), Categorical(LOGITS.unsqueeze(-2))
    torch.testing.assert_close(one.mean, categorical.mean.squeeze(-2), rtol=1e-13, atol=0)
    z = torch.eye(5, dtype=torch.float64)[:, None].expand(5, 2, 5)
    torch.testing.assert_close(one.log_prob(z), categorical.log_prob(z.unsqueeze(-2)), rtol=1e-13, atol=1e-13)


def test_it_is_independent_bernoullis_given_their_sum() -> None:
    row, k = LOGITS[0], 2
    b, weight = Bernoulli(row).points(0, 32, 1)
    of_sum = b.sum(-1) == k
    torch.testing.assert_close(KSubset(row, k).log_prob(b[of_sum]).exp(), weight[of_sum] / weight[of_sum].sum())


def test_log_prob_is_linear_in_relaxed_points(q: KSubset) -> None:
    a, b = torch.tensor([0.2, 0.9, 0.0, 0.4, 1.0], dtype=torch.float64), torch.tensor([1.0, 0.1, 0.3, 0.6, 0.0], dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(0.3 * a + 0.7 * b), 0.3 * q.log_prob(a) + 0.7 * q.log_prob(b))


def test_points_are_all_the_subsets_once_in_order(q: KSubset) -> None:
    z, p = law(LOGITS, q.k)
    count = q.num_points(1)
    assert count == len(z) == math.comb(5, q.k)
    points, weights = q.points(0, count, 1)
    for row in range(2):
        np.testing.assert_array_equal(points[:, row].numpy(), z)
    np.testing.assert_allclose(weights.numpy(), p, rtol=1e-12)
    pieces = [q.points(start, min(start + 3, count), 1) for start in range(0, count, 3)]
    assert torch.equal(torch.cat([piece[0] for piece in pieces]), points)
    torch.testing.assert_close(torch.cat([piece[1] for piece in pieces]), weights, rtol=1e-14, atol=0)


def test_a_sum_over_coordinates_needs_marginals_only(q: KSubset) -> None:
    """`exact` gives a separable cost the value and gradient of the joint enumeration."""

    def terms(z: Tensor) -> Tensor:
        return torch.sin(3 * z * torch.linspace(0.5, 2, 5, dtype=torch.float64))

    noise, found = Block(0, "exact", 0, torch.float64, CPU).one(), []
    for cost in (Separable(terms), lambda z, q: terms(z).sum(-1)):
        free = q.map(lambda value: value.clone().requires_grad_())
        value = Exact().expect(free, cost, noise)
        found.append((value.detach(), torch.autograd.grad(value.sum(), free.logits)[0]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


# ------------------------------------------------------------------------------------------------------------------------ derivatives


def test_the_score_is_the_gradient_of_log_prob(q: KSubset) -> None:
    free = q.map(lambda value: value.clone().requires_grad_())
    z = q.points(0, 3, 1)[0] if q.k < 5 else q.points(0, 1, 1)[0]
    score = free.score(z)["logits"]
    assert not score.requires_grad
    for n in range(len(z)):
        (gradient,) = torch.autograd.grad(free.log_prob(z[n]).sum(), free.logits)
        torch.testing.assert_close(score[n], gradient, rtol=1e-11, atol=1e-12)


def test_the_derivative_of_the_marginals_is_the_covariance(q: KSubset) -> None:
    z, p = law(LOGITS, q.k)
    jacobian = torch.func.jacrev(lambda row: KSubset(row, q.k).mean)
    for row in range(2):
        centred = z - p[:, row] @ z
        covariance = np.einsum("s,si,sj->ij", p[:, row], centred, centred)
        np.testing.assert_allclose(jacobian(LOGITS[row]).numpy(), covariance, rtol=1e-7, atol=1e-14)
    assert torch.autograd.gradcheck(lambda row: KSubset(row, q.k).mean, LOGITS[0].clone().requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_saturated_logits_stay_finite(dtype: torch.dtype) -> None:
    for k in SIZES:
        q = KSubset(LOGITS.to(dtype, copy=True).requires_grad_(), k)
        z = q.sample(draw("finite", 100, q).to(dtype))
        assert z.dtype == dtype and not z.requires_grad and (z.sum(-1) == k).all()
        total = (q.mean**2).sum() + q.log_prob(z).sum() + (q.coordinate_points(1)[1] ** 2).sum() + q.latent(draw("l", 9, q)).sum()
        (slope,) = torch.autograd.grad(total, q.logits)
        assert torch.isfinite(total) and torch.isfinite(slope).all() and total.dtype == dtype


# --------------------------------------------------------------------------------------------------------------------------- sampling


def ends(row: Tensor, k: int, inside: float) -> tuple[Tensor, Tensor]:
    """For every subset, uniforms that lie ``inside`` the box that must give it, next to the ends that decide: ``[states, D]`` twice."""
    z, p = law(row, k)
    u = np.empty_like(z)
    for s, d in np.ndindex(*z.shape):
        so_far = (z[:, :d] == z[s, :d]).all(-1)
        taken = p[so_far & (z[:, d] == 1)].sum() / p[so_far].sum()
        u[s, d] = taken * (1 - inside) if z[s, d] else taken + (1 - taken) * inside
    return torch.from_numpy(z), torch.from_numpy(u)


@pytest.mark.parametrize("k", SIZES)
def test_samples_have_the_law(k: int) -> None:
    """The box of a subset has its probability for volume, and reaches as far as it must; a millionth further is another subset."""
    z, u = ends(LOGITS[0], k, 1e-10)
    assert torch.equal(KSubset(LOGITS[0], k).sample(u), z)
    if k < 5:
        z, beyond = ends(LOGITS[0], k, -1e-6)
        no_choice = (beyond < 0) | (beyond > 1)  # where only one thing can happen there is no end
        beyond[no_choice] = 0.5
        assert (KSubset(LOGITS[0], k).sample(beyond) != z).any(-1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_every_draw_has_k_elements(q: KSubset, dtype: torch.dtype) -> None:
    low, high = torch.finfo(dtype).eps / 4, 1 - torch.finfo(dtype).eps / 2
    u = draw("size", 300, q).to(dtype)
    u[0], u[1] = low, high
    u[2:40].view(-1)[::2] = low
    u[20:60].view(-1)[1::3] = high
    q = q.map(lambda value: value.to(dtype))
    assert (q.sample(u).sum(-1) == q.k).all()
    assert (q.harden(q.latent(u)).sum(-1) == q.k).all()


@pytest.mark.statistical
def test_perturb_and_map_draws_without_replacement() -> None:
    """Chi-square at 1e-4: the k largest of logits plus Gumbel noise have the law of successive draws, and not that of the k-subset."""
    row, k = LOGITS[0], 2
    q = KSubset(row, k)
    z, p = law(row, k)
    w = row.exp().numpy()
    without = np.zeros(len(z))
    for i, j in itertools.permutations(range(5), 2):
        without[(z[:, [i, j]] == 1).all(-1)] += w[i] / w.sum() * w[j] / (w.sum() - w[i])
    drawn = q.harden(q.latent(draw("map", 2**16, q)))
    counted = (drawn[:, None] == torch.from_numpy(z)).all(-1).sum(0).numpy()
    assert scipy.stats.chisquare(counted, without * len(drawn)).pvalue > 1e-4
    assert scipy.stats.chisquare(counted, p * len(drawn)).pvalue < 1e-4
    counted = (q.sample(draw("sample", 2**16, q))[:, None] == torch.from_numpy(z)).all(-1).sum(0).numpy()
    assert scipy.stats.chisquare(counted, p * len(drawn)).pvalue > 1e-4


# ---------------------------------------------------------------------------------------------------------------------------- manners


def test_k_survives(q: KSubset) -> None:
    context = torch.ones(2, 3)
    q = KSubset(LOGITS, q.k, context)
    for other in (q.map(lambda value: value + 1), q.replace({"logits": LOGITS[:1]})):
        assert (other.k, other.context) == (q.k, context)
    assert (q.batch_shape, q.event_shape) == ((2,), (5,))


@pytest.mark.parametrize("k", [0, 6, -1])
def test_a_wrong_k_is_refused(k: int) -> None:
    with pytest.raises(ConfigurationError, match=f"k={k}: must be from 1 to 5"):
        KSubset(LOGITS, k)


def test_everything_works_under_vmap(q: KSubset) -> None:
    u = draw("vmap", 8, q)
    for function in (
        q.sample,
        lambda u: q.harden(q.latent(u)),
        lambda u: q.log_prob(q.sample(u)),
        lambda u: q.score(q.sample(u))["logits"],
    ):
        torch.testing.assert_close(torch.func.vmap(function)(u), function(u))
    for of_row in (lambda row: KSubset(row, q.k).mean, lambda row: KSubset(row, q.k).points(0, 1, 1)[1]):
        torch.testing.assert_close(torch.func.vmap(of_row)(LOGITS), torch.stack([of_row(row) for row in LOGITS]))


# ---------------------------------------------------------------------------------------------------------------------------- the model


def test_the_model_has_the_gradient_of_the_enumeration() -> None:
    model = KSubsetToy()
    z, p = law(model.start, model.k)
    f = (z @ model.values.numpy() - model.target) ** 2
    result = gsx.measure(model, "exact", dtype="float64")
    assert result.coordinates is not None and result.config["model"]["name"] == "k_subset_toy"
    np.testing.assert_allclose(result.coordinates.mean, (p * f) @ (z - p @ z), rtol=1e-10)


def test_the_model_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ConfigurationError, match="k=5: must be at least 1 and below the 5 logits"):
        KSubsetToy(k=5)
    with pytest.raises(ConfigurationError, match="must hold as many numbers as logits, 5"):
        KSubsetToy(values=[1.0, 2.0])
