"""The exact mean as a baseline: its law by enumeration, its two ways to the mean, what it refuses; and the toy it was made for.

The statistical test at the end holds 5 variances to 5 standard errors of a Student t of 63 degrees of freedom: another seed fails once in
30 000.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import gsx
from gsx import yardstick
from gsx.costs import Cost, Separable
from gsx.distributions import Bernoulli, Discrete
from gsx.estimators import exact_baseline
from gsx.estimators.base import Estimator
from gsx.estimators.disarm import Disarm
from gsx.estimators.double_cv import DoubleCV
from gsx.estimators.exact_baseline import ExactBaseline
from gsx.estimators.rloo import RLOO
from gsx.models.bernoulli_ising import BernoulliIsing
from gsx.models.bernoulli_toy import BernoulliToy
from gsx.probe import probe
from gsx.process import one_thread_each
from gsx.program import Program
from gsx.records import ConfigurationError
from tests.estimators.test_score_function import BERNOULLI, CATEGORICAL, bias, cost, draws, gradients, name_of


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


@pytest.mark.parametrize("q", BERNOULLI + CATEGORICAL, ids=name_of)
@pytest.mark.parametrize("n", [1, 2])
def test_it_is_unbiased(q: Discrete, n: int) -> None:
    assert bias(ExactBaseline(num_samples=n), q) < 1e-10


@pytest.mark.parametrize("planted", [None, "the mean of the draws"])
def test_its_baseline_is_the_mean_of_the_cost(planted: str | None) -> None:
    """(f - E f) times the score, and the cost's own gradient, on the numbers of two samples; E f is a sum over four states by hand."""
    q = BERNOULLI[1]
    u, _ = draws(q, 2)
    z, free = q.sample(u), q.map(lambda value: value.detach().expand(u.shape[1], 2).clone().requires_grad_())
    f = cost(z, free)
    (direct,) = torch.autograd.grad(f.mean(0).sum(), free.logits)
    states = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    p = torch.sigmoid(q.logits)
    mean = f.mean(0) if planted else (torch.where(states > 0, p, 1 - p).prod(-1) * cost(states, q)).sum()
    wanted = direct + ((f - mean).detach().unsqueeze(-1) * (z - p)).mean(0)
    assert torch.allclose(gradients(ExactBaseline(num_samples=2), q, cost, u), wanted, rtol=1e-12) == (planted is None)


def test_a_separable_cost_is_summed_one_coordinate_at_a_time() -> None:
    """The same gradients as from all states, for 2 evaluations instead of 2^D."""
    terms = Separable(lambda b: (b - 0.3) ** 3 * torch.arange(1.0, 5.0, dtype=b.dtype), mean=True)
    opaque: Cost = lambda b, q: terms(b, q)  # noqa: E731 - the same, and not known to separate
    q = Bernoulli(torch.tensor([-0.9, 0.3, 1.1, 0.0], dtype=torch.float64))
    u, _ = draws(q, 1)
    found = [gradients(ExactBaseline(), q, f, u) for f in (terms, opaque)]
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-15)
    assert probe(Program(BernoulliToy(logits=[0.0] * 200)), ExactBaseline(num_samples=3)).evaluations == 3 + 2


def test_pieces_are_as_good_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = exact_baseline.mean(CATEGORICAL[1], cost)
    monkeypatch.setattr(exact_baseline, "PIECE", 4 * CATEGORICAL[1].logits.numel())  # of 9 states
    torch.testing.assert_close(exact_baseline.mean(CATEGORICAL[1], cost), whole, rtol=1e-12, atol=0)


def test_too_many_states_are_refused_before_any_work() -> None:
    with pytest.raises(ConfigurationError, match="estimator=exact_baseline: sums over at most 1024 joint states, and bernoulli_ising"):
        probe(Program(BernoulliIsing(logits=[0.1] * 11)), ExactBaseline())
    assert probe(Program(BernoulliIsing(logits=[0.1] * 10)), ExactBaseline()).evaluations == 1 + 2**10


# ------------------------------------------------------------------------------------------------------------------- double_cv_toy

#: Of `conf/experiment/double_cv_toy.yaml`: f(b) = t^2 + s sum_d b_d on the states, with s = (1 - 2 t) / D; p = 1/2 at the start.
D, T = 200, 0.499
S = (1 - 2 * T) / D
#: The variance of a coordinate at N = 2. With X = 2 b - 1, a sign: a sample of R* is s/4 X_d sum_e X_e, and so is a pair of DisARM; RLOO is
#: s/2 (b_1 - b_2)_d sum_e (b_1 - b_2)_e. With the coefficient a, Double CV has 1 - a of that, and a p (1 - p) times the slope
#: 2 (b - t) / D, the mean of the two samples', which is uncorrelated with it.
AT_THE_START: list[tuple[Estimator, float]] = [
    (RLOO(num_samples=2), S**2 * D / 16),
    (Disarm(num_samples=2), S**2 * (D - 1) / 16),
    (ExactBaseline(num_samples=2), S**2 * (D - 1) / 32),
    (DoubleCV(coefficient=0.0), S**2 * D / 16),
    (DoubleCV(coefficient=0.02), 0.98**2 * S**2 * D / 16 + 0.02**2 / (32 * D**2)),
]


@pytest.mark.parametrize(("estimator", "variance"), AT_THE_START, ids=name_of)
def test_variances_at_the_start_of_double_cv_toy(estimator: Estimator, variance: float) -> None:
    model = {"name": "bernoulli_toy", "logits": [0.0] * D, "target": T}
    result = gsx.measure(model, estimator, num_replicates=2**13, dtype="float64", workers=1)
    found = result.summary["variance"]
    assert found is not None and found.se is not None
    assert found.se < 0.02 * D * variance, "too few replicates to tell 10 %"
    assert abs(found.value - D * variance) < 5 * found.se
    assert result.coordinates is not None
    np.testing.assert_allclose(result.coordinates.reference, S / 4, rtol=1e-12)
