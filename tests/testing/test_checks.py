"""Every check of the contract has teeth: an estimator that breaks it in one way is caught by the check for it, and by its own words."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gsx.cli import main
from gsx.distributions import Bernoulli, Categorical, Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.noise import Noise
from gsx.records import ConfigurationError
from gsx.surrogate import average, zero
from gsx.testing import CHECKS, Broken, NotApplicable, Subject, bias, run
from gsx.testing.facts import formula


class Right(Estimator):
    """REINFORCE, as it should be.

    Approximates: grad E f.
    With: the mean of f times the score.
    Requires: a score.
    Costs: N evaluations, no gradient of the cost.
    Bias: none.
    References: Williams (1992).
    """

    unbiased = True
    needs_cost_gradient = False
    distributions: Any = (Bernoulli, Categorical, Normal)
    evaluations = "N"
    citation = "Williams (1992), Simple statistical gradient-following algorithms, Machine Learning 8"

    def expect(self, q: Distribution, cost: Any, noise: Noise) -> Tensor:
        return self.estimate(q, cost, q.sample(noise.uniform((self.num_samples,), q)))

    @staticmethod
    def estimate(q: Distribution, cost: Any, z: Tensor) -> Tensor:
        f = cost(z, q)
        return average(f + f.detach() * zero(q.log_prob(z)))


def broken(**changes: Any) -> type[Estimator]:
    """`Right` with another attribute or method, as a class of its own that derives from Estimator alone."""
    body = {key: value for key, value in vars(Right).items() if key not in ("__dict__", "__weakref__", "__abstractmethods__", "_abc_impl")}
    return type("Right", (Estimator,), body | changes)


def doubled_evaluation(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    z = q.sample(noise.uniform((self.num_samples,), q))
    return Right.estimate(q, cost, z) + 0 * cost(z, q).mean(0).detach()


def global_noise(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    u = noise.uniform((self.num_samples,), q)
    return Right.estimate(q, cost, q.sample(torch.rand(u.shape, dtype=u.dtype)))


def backward(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    value = Right.estimate(q, cost, q.sample(noise.uniform((self.num_samples,), q)))
    value.sum().backward(retain_graph=True)
    return value


def remembers(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    self.seen = getattr(self, "seen", 0) + 1
    return Right.estimate(q, cost, q.sample(noise.uniform((self.num_samples,), q)))


def mixes_rows(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    value = Right.estimate(q, cost, q.sample(noise.uniform((self.num_samples,), q)))
    return value + zero(value.mean())


def sums_rows(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    return Right.estimate(q, cost, q.sample(noise.uniform((self.num_samples,), q))).sum()


def single_precision(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    return Right.estimate(q, cost, q.sample(noise.uniform((self.num_samples,), q))).float()


def no_noise(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    noise.uniform((self.num_samples,), q)
    u = torch.full((self.num_samples, *q.batch_shape, *q.event_shape), 0.7, dtype=next(iter(q.parameters.values())).dtype)
    return Right.estimate(q, cost, q.sample(u - 0.1 * torch.linspace(0, 1, u.shape[-1], dtype=u.dtype)))


def log_of_a_complement(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    """log q by hand: log(1 - p) where p rounds to 1."""
    z = q.sample(noise.uniform((self.num_samples,), q))
    f = cost(z, q)
    log_prob = (z * torch.log(q.mean) + (1 - z) * torch.log(1 - q.mean)).sum(-1)
    return average(f + f.detach() * zero(log_prob))


def right_for_one_sample(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    """A factor N where there is none."""
    z = q.sample(noise.uniform((self.num_samples,), q))
    f = cost(z, q)
    return average(f + self.num_samples * f.detach() * zero(q.log_prob(z)))


def two_latents(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    """A control variate of a latent that is not the sample's: unbiased all the same."""
    value = Right.estimate(q, cost, q.sample(noise.uniform((self.num_samples,), q)))
    return value + 0 * cost(q.relax(q.latent(noise.uniform((1,), q)), 0.5), q)[0].detach()


def forgets_the_direct_term(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    z = q.sample(noise.uniform((self.num_samples,), q))
    f = cost(z, q).detach()
    return average(f + f * zero(q.log_prob(z)))


def a_square(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    z = q.sample(noise.uniform((self.num_samples,), q))
    f = cost(z, q)
    return average(f + f.detach() * zero(q.log_prob(z))) + 0.5 * zero(next(iter(q.parameters.values())).flatten(-q.event_ndim).sum(-1))


def of_replicates(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
    """Another estimator where the batch has an axis of replicates."""
    z = q.sample(noise.uniform((self.num_samples,), q))
    f = cost(z, q)
    return average(f + (1 + 0.5 * (len(q.batch_shape) > 0)) * f.detach() * zero(q.log_prob(z)))


def refuses_nothing(self: Any, *, num_samples: int | None = None) -> None:
    torch.nn.Module.__init__(self)
    self.num_samples = 1 if num_samples is None else num_samples


def positional(self: Any, scale: float = 1.0, *, num_samples: int | None = None) -> None:
    Estimator.__init__(self, num_samples=num_samples)


VIOLATIONS: list[tuple[str, type[Estimator], str]] = [
    ("facts are declared", broken(citation="Williams"), "authors (year), title, where"),
    ("facts are declared", broken(distributions=()), "distributions is not declared"),
    ("facts are declared", broken(unbiased="yes"), "unbiased is not declared: a class attribute of type bool"),
    ("the docstring agrees", broken(__doc__="An estimator."), "its docstring has no section 'Approximates:'"),
    ("the docstring agrees", broken(unbiased=False), "`Bias:` and `unbiased` disagree"),
    ("the docstring agrees", broken(evaluations="2 N"), "does not say 'Costs: 2 N evaluations'"),
    ("settings are typed", broken(__init__=positional), "scale can be given by position"),
    ("samples are checked", broken(__init__=refuses_nothing), "num_samples=0 is not refused"),
    ("shapes and dtypes", broken(expect=sums_rows), "batch (5,), torch.float32, N = 1: the value has shape ()"),
    ("shapes and dtypes", broken(expect=single_precision), "the value is torch.float32"),
    ("rows are independent", broken(expect=mixes_rows), "row 1 has a gradient in the logits of other rows"),
    ("nothing is changed", broken(expect=global_noise), "torch's global generator has moved"),
    ("nothing is changed", broken(expect=backward), "something was left in .grad"),
    ("nothing is changed", broken(expect=remembers), "`expect` has changed the estimator"),
    ("same noise same bits", broken(expect=global_noise), "the same noise gives another"),
    ("same noise same bits", broken(expect=no_noise), "the noise makes no difference"),
    ("extremes are finite", broken(expect=log_of_a_complement, distributions=(Bernoulli,)), "not finite at extreme parameters"),
    ("hard and relaxed agree", broken(expect=two_latents, distributions=(Bernoulli,)), "a relaxed draw is not that of any hard one"),
    ("evaluations are counted", broken(expect=doubled_evaluation), "'N' is 1 for N = 1 on bernoulli_cubic, and 2 were counted"),
    ("evaluations are counted", broken(needs_cost_gradient=True), "gradient_evaluations and needs_cost_gradient disagree"),
    ("routes agree", broken(expect=of_replicates), "engine=batched and engine=loop differ"),
    ("a black box is measured or refused", broken(needs_cost_gradient=True, supports=lambda *_: None), "and takes a black box"),
    ("a constant has no gradient", broken(expect=a_square), "a constant cost has a gradient in logits"),
    ("unbiased where it says so", broken(expect=forgets_the_direct_term), "declared unbiased, and biased by"),
    ("unbiased where it says so", broken(expect=right_for_one_sample), "in float32, N = 2"),
    ("biased where it says so", broken(unbiased=False), "declared biased, and no bias is seen"),
    ("its condition is meant", broken(unbiased_if="the cost is continuous"), "on a cost that jumps it is unbiased, and says biased here"),
]


@pytest.mark.statistical
@pytest.mark.parametrize(("check", "kind", "words"), VIOLATIONS, ids=[f"{check}-{words[:30]}" for check, _, words in VIOLATIONS])
def test_a_violation_is_caught(check: str, kind: type[Estimator], words: str) -> None:
    with pytest.raises(Broken) as caught:
        CHECKS[check](Subject.of(kind))
    assert words in str(caught.value)


@pytest.mark.statistical
@pytest.mark.parametrize("check", CHECKS)
def test_the_right_one_passes(check: str) -> None:
    """At a family-wise error of 1e-3 a check: another seed fails one run in 300."""
    try:
        CHECKS[check](Subject.of(Right))
    except NotApplicable:
        assert check in ("biased where it says so", "hard and relaxed agree")


def test_every_check_has_a_violation_or_is_about_violations() -> None:
    assert {check for check, _, _ in VIOLATIONS} | {"a planted bug shows"} == set(CHECKS)


def test_a_bug_that_cannot_show_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimator that varies too much for any test: its unbiasedness is not believed either."""

    def noisy(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        return average(f + (f.detach() + 3e4) * zero(q.log_prob(z)))

    monkeypatch.setattr(bias, "MOST", 4)
    for check, words in (("unbiased where it says so", "it varies too much"), ("a planted bug shows", "no teeth")):
        outcome = run(Subject.of(broken(expect=noisy, distributions=(Bernoulli,))), check)
        assert outcome.status == "failed" and words in outcome.reason


def test_whatever_an_estimator_raises_is_a_failure() -> None:
    def raises(self: Any, q: Any, cost: Any, noise: Any) -> Tensor:
        raise RuntimeError("first line\nsecond line")

    outcome = run(Subject.of(broken(expect=raises)), "shapes and dtypes")
    assert outcome.status == "failed" and outcome.reason == "RuntimeError: first line"


@pytest.mark.parametrize(
    ("text", "value"),
    [("N", 3), ("2 N", 6), ("N (2 D + 1)", 33), ("N C D", 60), ("N (C (C - 1) / 2 + 1)", 21), ("N (M + 1)", 24)],
)
def test_formulas(text: str, value: float) -> None:
    assert formula(text, {"N": 3, "D": 5, "C": 4, "M": 7}) == value


@pytest.mark.parametrize("text", ["__import__('os')", "N; D", "N.real"])
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a formula"):
        formula(text, {"N": 3})


# ------------------------------------------------------------------------------------------------------------------------ the command


def test_the_command_passes_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "reparameterization"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("reparameterization:\n  passed  facts are declared  (")
    assert "n/a     biased where it says so: declared unbiased" in said.out
    assert said.out.splitlines()[-1] == "16 passed, 0 failed" and said.err == ""


def test_the_command_fails_a_users_own(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A self-including baseline, in a module of the user's; exit code 4."""
    (tmp_path / "of_mine.py").write_text('''
from gsx.distributions import Bernoulli
from gsx.estimators.base import Estimator
from gsx.surrogate import average, follow_score


class MeanOfAll(Estimator):
    """REINFORCE less the mean of all samples.

    Approximates: grad E f. With: the mean of (f - mean f) times the score. Requires: N >= 2. Costs: N evaluations. Bias: none.
    References: nobody (2026).
    """

    unbiased, needs_cost_gradient, distributions, evaluations, citation = True, False, (Bernoulli,), "N", "Nobody (2026), Wrong"
    least_samples = 2

    def expect(self, q, cost, noise):
        z = q.sample(noise.uniform((self.num_samples,), q))
        f = cost(z, q)
        return follow_score(average(f), (f - f.mean(0)).detach(), q, z)
''')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["check", "mean_of_all", "--plugins", "of_mine"]) == 4
    said = capsys.readouterr()
    failed = [line for line in said.out.splitlines() if line.startswith("  failed")]
    assert len(failed) == 1 and "declared unbiased, and biased by" in failed[0]
    assert said.err == "gsx: 1 checks failed\n"


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "reinforse"]) == 2
    assert capsys.readouterr().err == "gsx: estimator=reinforse: unknown; did you mean reinforce?\n"


def test_settings_are_passed_on() -> None:
    subject = Subject.of(Right)
    assert subject.label == "right" and not subject.settings
    with pytest.raises(ConfigurationError):
        subject.make(0)
