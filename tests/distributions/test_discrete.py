"""What Bernoulli and Categorical promise alike: densities, states, means, and above all that hard and relaxed draws are one latent's.

A mis-coupled pair of hard and relaxed draws stays unbiased in many estimators, so no average shows it: the coupling is tested with frozen
noise. Tests marked `statistical` state how often another seed would fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from gsx.distributions import Bernoulli, Categorical, Discrete
from gsx.noise import uniforms
from gsx.process import one_thread_each

CPU = torch.device("cpu")
KINDS = {"bernoulli": Bernoulli, "categorical": Categorical}
TINY = math.log(1e-12)

#: Unequal logits, the saturated and the nearly impossible (probability 1e-12) among them.
LOGITS = {
    "bernoulli": torch.tensor([[-2.0, -0.3, 0.9], [40.0, -40.0, TINY]], dtype=torch.float64),
    "categorical": torch.tensor(
        [[[0.6, -0.4, 0.1, -1.0], [2.0, 0.0, -3.0, 0.5]], [[40.0, -40.0, 0.0, 1.0], [0.0, TINY, 0.3, -0.2]]], dtype=torch.float64
    ),
}
MODERATE = {"bernoulli": LOGITS["bernoulli"][0], "categorical": LOGITS["categorical"][0]}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small only lose time to threads."""
    with one_thread_each():
        yield


def make(kind: str, logits: Tensor | None = None) -> Discrete:
    return KINDS[kind](LOGITS[kind] if logits is None else logits)


def draw(name: str, samples: int, q: Discrete) -> Tensor:
    shape = (samples, *q.batch_shape, *q.event_shape)
    return uniforms((name,), 0, math.prod(shape), q.logits.dtype, CPU).reshape(shape)


def states(q: Discrete) -> Tensor:
    return q.points(0, q.num_points(1), 1)[0]


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ------------------------------------------------------------------------------------------------------------------ laws and states


def test_log_prob_is_that_of_torch(kind: str) -> None:
    q = make(kind)
    theirs = (
        torch.distributions.Bernoulli(logits=q.logits) if kind == "bernoulli" else torch.distributions.OneHotCategorical(logits=q.logits)
    )
    z = states(q)
    expected = theirs.log_prob(z)
    expected = expected.sum(-1)  # both have the D coordinates as their last axis now
    torch.testing.assert_close(q.log_prob(z), expected)
    torch.testing.assert_close(q.mean, theirs.mean)


def test_log_prob_is_linear_in_relaxed_points(kind: str) -> None:
    q = make(kind, MODERATE[kind])
    a, b = states(q)[0], states(q)[-1]
    torch.testing.assert_close(q.log_prob(0.3 * a + 0.7 * b), 0.3 * q.log_prob(a) + 0.7 * q.log_prob(b))


def test_points_are_all_the_states_once_and_their_weights_the_law(kind: str) -> None:
    q = make(kind)
    count = q.num_points(1)
    z, weight = q.points(0, count, 1)
    assert count == (8 if kind == "bernoulli" else 16)
    assert z.shape == (count, *q.batch_shape, *q.event_shape) and weight.shape == (count, *q.batch_shape)
    assert len({tuple(row.flatten().tolist()) for row in z[:, 0]}) == count
    torch.testing.assert_close(weight.sum(0), torch.ones(q.batch_shape, dtype=torch.float64), rtol=1e-14, atol=0)
    torch.testing.assert_close((weight[(...,) + (None,) * q.event_ndim] * z).sum(0), q.mean, rtol=1e-13, atol=1e-30)
    if kind == "categorical":
        assert (z.sum(-1) == 1).all()


def test_points_come_in_pieces(kind: str) -> None:
    q = make(kind)
    whole = q.points(0, q.num_points(1), 1)
    pieces = [q.points(start, min(start + 3, q.num_points(1)), 1) for start in range(0, q.num_points(1), 3)]
    for part in (0, 1):
        assert torch.equal(torch.cat([piece[part] for piece in pieces]), whole[part])


def test_coordinate_points_are_exact_for_sums_over_coordinates(kind: str) -> None:
    q = make(kind)

    def terms(z: Tensor) -> Tensor:
        """Any function of each coordinate: [S, *batch, D]."""
        weighted = z * torch.linspace(0.5, 2, z.shape[-1], dtype=z.dtype)
        return torch.sin(3 * weighted) if kind == "bernoulli" else torch.sin(3 * weighted.sum(-1))

    z, weight = q.coordinate_points(1)
    assert len(z) == q.num_coordinate_points(1)
    joint, joint_weight = q.points(0, q.num_points(1), 1)
    torch.testing.assert_close((weight * terms(z)).sum((0, -1)), (joint_weight * terms(joint).sum(-1)).sum(0), rtol=1e-13, atol=1e-15)


def test_probability_1e_12_keeps_its_digits(kind: str) -> None:
    q = make(kind)
    if kind == "bernoulli":
        assert q.mean[1, 2].item() == pytest.approx(1e-12, rel=1e-11)
        assert q.mean[1, 1].item() == pytest.approx(math.exp(-40), rel=1e-12)
    else:
        others = math.exp(0) + math.exp(0.3) + math.exp(-0.2)
        assert q.mean[1, 1, 1].item() == pytest.approx(1e-12 / others, rel=1e-11)
    assert torch.isfinite(q.log_prob(states(q))).all()


@pytest.mark.statistical
def test_samples_follow_the_law(kind: str) -> None:
    """Chi-square over all states at 1e-4; a state off by 0.3 percentage points is seen."""
    q = make(kind, MODERATE[kind])
    z = q.sample(draw("law", 2**18, q)).flatten(1)
    codes = {tuple(row): i for i, row in enumerate(states(q).flatten(1).tolist())}
    weights = z.new_tensor([2.0**i for i in range(z.shape[1])])
    names = {float(weights @ z.new_tensor(state)): i for state, i in codes.items()}
    counted = np.bincount([names[code] for code in (z @ weights).tolist()], minlength=len(codes))
    expected = q.log_prob(states(q)).exp().numpy()
    assert scipy.stats.chisquare(counted, expected / expected.sum() * len(z)).pvalue > 1e-4


# ------------------------------------------------------------------------------------------------------------------------ coupling


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_sample_is_the_hardened_latent(kind: str, dtype: torch.dtype) -> None:
    q = make(kind, LOGITS[kind].to(dtype))
    u = draw("coupling", 2**16, q)
    latent = q.latent(u)
    differ = q.sample(u) != q.harden(latent)
    # Where the threshold itself rounds the two may differ; and only there.
    eps = torch.finfo(dtype).eps
    if kind == "bernoulli":
        assert (latent[differ].abs() <= 8 * eps * (1 + q.logits.abs()).expand_as(latent)[differ]).all()
        assert differ.double().mean() < 1e-4
    else:
        assert not differ.any()


def test_relaxations_tend_to_the_hard_draw(kind: str) -> None:
    q = make(kind)
    latent = q.latent(draw("relax", 500, q))
    hard = q.harden(latent)
    gap = latent.abs() if kind == "bernoulli" else latent.topk(2, -1).values.diff(dim=-1).abs()
    clear = (gap > 1e-3).expand_as(latent)
    torch.testing.assert_close(q.relax(latent, 1e-5)[clear], hard[clear])
    errors = [(q.relax(latent, tau) - hard).abs().mean().item() for tau in (2.0, 1.0, 0.5, 0.1, 0.01)]
    assert errors == sorted(errors, reverse=True)


def test_relaxations_are_the_written_formula(kind: str) -> None:
    q = make(kind, MODERATE[kind])
    latent = q.latent(draw("formula", 50, q))
    scaled = latent / 0.7
    expected = 1 / (1 + torch.exp(-scaled)) if kind == "bernoulli" else scaled.exp() / scaled.exp().sum(-1, keepdim=True)
    torch.testing.assert_close(q.relax(latent, 0.7), expected)
    torch.testing.assert_close(q.relax(latent, torch.tensor(0.7, dtype=torch.float64)), expected)


def misses(q: Discrete, v: Tensor) -> int:
    """How many entries of the conditional latent harden to something else than what it is conditioned on, over all states."""
    wrong = 0
    for z in states(q):
        latent = q.conditional_latent(z.expand_as(v), v)
        assert torch.isfinite(latent).all()
        wrong += int((q.harden(latent) != z).sum())
    return wrong


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_conditional_latent_hardens_to_what_it_is_conditioned_on(kind: str, dtype: torch.dtype) -> None:
    q = make(kind, LOGITS[kind].to(dtype))
    assert misses(q, draw("conditional", 1024, q)) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_so_it_does_at_the_smallest_and_largest_uniforms(kind: str, dtype: torch.dtype) -> None:
    """2^-24 and 1 - 2^-24 (float32) come up once in 8 million numbers: often enough to meet them in one long run."""
    q = make(kind, LOGITS[kind].to(dtype))
    low, high = torch.finfo(dtype).eps / 2, 1 - torch.finfo(dtype).eps / 2
    v = torch.full((4, *q.batch_shape, *q.event_shape), 0.5, dtype=dtype)
    v[0], v[1] = low, high
    v[2].view(-1)[::2], v[3].view(-1)[1::2] = low, high
    assert misses(q, v) == 0


def law_of_latent(q: Discrete, conditional: Callable[[Discrete, Tensor, Tensor], Tensor]) -> float:
    """The smallest p-value of Kolmogorov-Smirnov tests of each coordinate of the conditional latent, its z drawn from q, against the
    law that `latent` has; of the differences between outcomes too, which see what single coordinates do not."""
    u, v = draw("ks.z", 2**16, q), draw("ks.v", 2**16, q)
    found = conditional(q, q.sample(u), v).flatten(1)
    if isinstance(q, Bernoulli):
        laws = [scipy.stats.logistic(theta) for theta in q.logits.tolist()]
        return min(scipy.stats.kstest(found[:, d].numpy(), law.cdf).pvalue for d, law in enumerate(laws))
    theta, found = q.logits, found.unflatten(1, q.event_shape)
    singles = [
        scipy.stats.kstest(found[:, d, c].numpy(), scipy.stats.gumbel_r(theta[d, c].item()).cdf).pvalue
        for d in range(theta.shape[0])
        for c in range(theta.shape[1])
    ]
    # Two independent Gumbels differ by a logistic variable.
    pairs = [
        scipy.stats.kstest(
            (found[:, d, c] - found[:, d, c - 1]).numpy(), scipy.stats.logistic((theta[d, c] - theta[d, c - 1]).item()).cdf
        ).pvalue
        for d in range(theta.shape[0])
        for c in range(1, theta.shape[1])
    ]
    return min(singles + pairs)


def wrong_unconditional(q: Discrete, z: Tensor, v: Tensor) -> Tensor:
    """Forgets the condition: right law, wrong coupling. The law must pass, the hardening must fail."""
    return q.latent(v)


def wrong_same_half(q: Discrete, z: Tensor, v: Tensor) -> Tensor:
    """Hardens to z, but spreads the uniform over half the interval whatever p is."""
    if isinstance(q, Bernoulli):
        return torch.where(z > 0, torch.log1p(v) - torch.log1p(-v), torch.log(v) - torch.log(2 - v))
    latent = q.latent(v)
    return torch.where(z > 0, latent.amax(-1, keepdim=True) + 0.1, latent)


def wrong_rate(q: Discrete, z: Tensor, v: Tensor) -> Tensor:
    """The conditional latent of other probabilities: a forgotten normalisation."""
    return KINDS["bernoulli" if isinstance(q, Bernoulli) else "categorical"](0.9 * q.logits + 0.02).conditional_latent(z, v)


@pytest.mark.statistical
def test_law_of_the_conditional_latent(kind: str) -> None:
    """At most 14 p-values below 1e-5 each: another seed fails once in 7000. The planted bugs must fall below it."""
    q = make(kind, MODERATE[kind])
    assert law_of_latent(q, lambda q, z, v: q.conditional_latent(z, v)) > 1e-5
    assert law_of_latent(q, wrong_same_half) < 1e-5
    assert law_of_latent(q, wrong_rate) < 1e-5


def test_the_coupling_test_sees_what_the_law_does_not(kind: str) -> None:
    """v in place of the conditional: the law of the latent is right, so only frozen noise shows that it belongs to another draw."""
    q = make(kind, MODERATE[kind])
    z, v = q.sample(draw("ks.z", 2**12, q)), draw("ks.v", 2**12, q)
    assert law_of_latent(q, wrong_unconditional) > 1e-5
    assert (q.harden(wrong_unconditional(q, z, v)) != z).any()


def test_gradient_of_the_latents_against_finite_differences(kind: str) -> None:
    logits = MODERATE[kind].clone().requires_grad_()
    u = draw("gradcheck", 3, make(kind, logits.detach()))
    assert torch.autograd.gradcheck(lambda theta: make(kind, theta).latent(u), logits)
    for z in states(make(kind, logits.detach())):
        assert torch.autograd.gradcheck(lambda theta, z=z: make(kind, theta).conditional_latent(z.expand_as(u), u), logits)
    # Negative control: the conditional latent does move with the logits in a way of its own. A detached conditional noise would move as the
    # plain latent does, with slope 1.
    z = make(kind, logits.detach()).sample(u)
    (slope,) = torch.autograd.grad(make(kind, logits).conditional_latent(z, u).sum(), logits)
    assert (slope - len(u)).abs().min() > 1e-3


def test_saturated_logits_stay_finite(kind: str) -> None:
    for dtype in (torch.float32, torch.float64):
        logits = LOGITS[kind].to(dtype).requires_grad_()
        q = make(kind, logits)
        u, v = draw("saturated.u", 500, q), draw("saturated.v", 500, q)
        for z in states(q).detach():
            latent = q.conditional_latent(z.expand_as(v), v)
            total = q.relax(latent, 0.1).sum() + q.log_prob(q.relax(q.latent(u), 0.1)).sum() + latent.sum()
            (slope,) = torch.autograd.grad(total, logits)
            assert torch.isfinite(total) and torch.isfinite(slope).all()


def test_samples_are_detached_and_dtypes_kept(kind: str) -> None:
    for dtype in (torch.float32, torch.float64):
        q = make(kind, LOGITS[kind].to(dtype).requires_grad_())
        u = draw("detached", 4, q)
        assert not q.sample(u).requires_grad
        assert q.latent(u).requires_grad
        for x in (q.sample(u), q.latent(u), q.harden(q.latent(u)), q.relax(q.latent(u), 0.5), q.log_prob(q.sample(u)), q.mean, states(q)):
            assert x.dtype == dtype


def test_the_latent_moves_the_draw_under_vmap(kind: str) -> None:
    q = make(kind, MODERATE[kind])
    u = draw("vmap", 8, q)
    for function in (q.sample, q.latent, lambda x: q.harden(q.latent(x)), lambda x: q.conditional_latent(q.sample(x), x)):
        torch.testing.assert_close(torch.func.vmap(function)(u), function(u))
