"""Whether every estimator is unbiased where it says so and biased where it says so, and that this test has teeth.

One family-wise error of 1e-3 is shared by all estimators: another seed fails one run of this file in a thousand. (See `gsx.testing.bias`.)
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from torch import Tensor

import gsx
from gsx import yardstick
from gsx.costs import Cost
from gsx.distributions import Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.noise import Noise
from gsx.process import one_thread_each
from gsx.surrogate import zero
from gsx.testing import CHECKS, NotApplicable, Subject
from gsx.testing.bias import VISIBLE, biased_where_it_says_so, look
from gsx.testing.problems import PROBLEMS
from gsx.testing.problems.continuous import GaussianPolynomial, GaussianStep
from gsx.testing.subject import Broken
from tests.estimators.catalogue import SUBJECTS

pytestmark = pytest.mark.statistical

#: How many tests a mutant's threshold pays for: as many as the estimators'.
TESTS = 10 * len(SUBJECTS)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


@pytest.mark.parametrize("check", ["unbiased where it says so", "biased where it says so", "its condition is meant", "a planted bug shows"])
@pytest.mark.parametrize("label", SUBJECTS)
def test_bias_is_as_declared(label: str, check: str) -> None:
    try:
        CHECKS[check](SUBJECTS[label])
    except NotApplicable as reason:
        pytest.skip(str(reason))


class Modest(Reinforce):
    """An unbiased estimator that calls itself biased."""

    unbiased = False


def test_a_modest_estimator_would_be_found_out() -> None:
    with pytest.raises(Broken, match="declared biased, and no bias is seen on bernoulli_cubic, categorical_cubic"):
        biased_where_it_says_so(Subject.of(Modest).among(len(SUBJECTS)))


def test_a_condition_reaches_the_verdict() -> None:
    """On a cost that jumps the pathwise estimator is biased, and the result says why."""
    result = gsx.measure(GaussianStep(), "reparameterization", num_replicates=2**16, workers=1)
    assert result.verdict.status == "biased"
    assert "biased here: unbiased only if the cost is continuous" in (result.verdict.reason or "")
    assert Reparameterization().biased_because(GaussianPolynomial()) is None


# --------------------------------------------------------------------------------------------------------------------------- mutants


class Mutant(Reinforce):
    """REINFORCE with one fault: ``signal(f [N, *batch]) -> [N, *batch]`` weighs the scores."""

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        return (self.direct(f) + self.signal(f.detach()) * zero(q.log_prob(z))).mean(0)

    def signal(self, f: Tensor) -> Tensor:
        return f

    def direct(self, f: Tensor) -> Tensor:
        return f


class WrongSign(Mutant):
    def signal(self, f: Tensor) -> Tensor:
        return -f


class NoDirectTerm(Mutant):
    def direct(self, f: Tensor) -> Tensor:
        return f.detach()


class TwiceDirectTerm(Mutant):
    def direct(self, f: Tensor) -> Tensor:
        return f + zero(f)


class BaselineHasSeenTheSample(Mutant):
    """A moving average that takes the current cost in before it is subtracted."""

    def signal(self, f: Tensor) -> Tensor:
        return f - (0.9 * 0.4 + 0.1 * f)


class BaselineOfAll(Mutant):
    """The mean over all N samples as a baseline, without N / (N - 1)."""

    def signal(self, f: Tensor) -> Tensor:
        return f - f.mean(0)


class MeanTimesMean(Mutant):
    """Averages learning signals and scores separately and multiplies then."""

    def signal(self, f: Tensor) -> Tensor:
        return f.mean(0, keepdim=True).expand_as(f)


class ThreePercentShort(Mutant):
    def signal(self, f: Tensor) -> Tensor:
        return 0.97 * f


class TwoPercentShort(Mutant):
    """As much as must be visible, and no more."""

    def signal(self, f: Tensor) -> Tensor:
        return (1 - VISIBLE) * f


class ScaleDetached(Reparameterization):
    """A path cut: the sample no longer moves with the scale."""

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal)
        cut = Normal(q.loc, q.scale.detach())
        return cost(cut.reparameterize(noise.uniform((self.num_samples,), q)), q).mean(0)


class PathOnly(Reparameterization):
    """The cost gets a detached q: the direct term is lost."""

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal)
        return cost(q.reparameterize(noise.uniform((self.num_samples,), q)), q.map(Tensor.detach)).mean(0)


class LeaveOneOut(Mutant):
    """No mutant: the right factor, to show that the problems do not reject everything."""

    def signal(self, f: Tensor) -> Tensor:
        return (f - f.mean(0)) * (len(f) / (len(f) - 1))


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("mutant", "problem"),
    [
        (WrongSign(), "bernoulli_ising"),
        (WrongSign(), "categorical_table"),
        (WrongSign(), "gaussian_polynomial"),
        (NoDirectTerm(), "bernoulli_direct"),
        (NoDirectTerm(), "categorical_direct"),
        (NoDirectTerm(), "gaussian_direct"),
        (TwiceDirectTerm(), "bernoulli_direct"),
        (BaselineHasSeenTheSample(), "bernoulli_ising"),
        (BaselineOfAll(num_samples=4), "bernoulli_ising"),
        (BaselineOfAll(num_samples=4), "categorical_table"),
        (MeanTimesMean(num_samples=2), "bernoulli_ising"),
        (TwoPercentShort(), "bernoulli_ising"),
        (ThreePercentShort(), "bernoulli_ising"),
        (ThreePercentShort(), "gaussian_polynomial"),
        (ScaleDetached(), "gaussian_polynomial"),
        (PathOnly(), "gaussian_direct"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_mutants_are_caught(mutant: Estimator, problem: str) -> None:
    assert look(PROBLEMS[problem], mutant, tests=TESTS).biased


@pytest.mark.statistical
def test_a_right_relative_of_the_mutants_passes() -> None:
    assert not look(PROBLEMS["bernoulli_ising"], LeaveOneOut(num_samples=4), tests=TESTS).biased


@pytest.mark.statistical
def test_that_there_is_no_bias_is_seen_sooner_than_that_there_is() -> None:
    """After half of the replicates or two thirds, in 98 of 100 seeds; the shorter gradient varies as much, to 4 %."""
    right, short = (look(PROBLEMS["bernoulli_ising"], mutant, tests=TESTS) for mutant in (Mutant(), TwoPercentShort()))
    assert right.replicates < 0.7 * short.replicates
    assert not right.biased and right.visible < VISIBLE
