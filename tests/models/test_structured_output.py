"""Structured output prediction against the same expectation written out in numpy, every state of every layer summed over."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

import gsx
from gsx import yardstick
from gsx.models.structured_output import StructuredOutput
from gsx.probe import sites
from gsx.records import ConfigurationError
from tests.models.test_models import Numbers, bits, layer, log_bernoulli, loss_of, numbers, pixels, program, reference, slopes

LAYERS: list[tuple[list[int], int | None]] = [([3], None), ([2, 3], None), ([1, 2, 2], None), ([2], 3), ([1, 2], 3)]


def networks(model: StructuredOutput) -> list[str]:
    return ["encoder", *(f"encoder_{index}" for index in range(2, len(model.encoders) + 1)), "decoder"]


def states(logits: np.ndarray, categories: int | None) -> Iterator[tuple[np.ndarray, float]]:
    """What the next network reads of each state of a layer, and its probability."""
    if categories is None:
        for z in bits(len(logits)):
            yield 2 * z - 1, float(np.exp(log_bernoulli(z, logits)))
        return
    p = np.exp(logits.reshape(-1, categories))
    p /= p.sum(-1, keepdims=True)
    for outcome in itertools.product(range(categories), repeat=len(p)):
        yield np.eye(categories)[list(outcome)].ravel(), math.prod(p[d, c] for d, c in enumerate(outcome))


def misfit(model: StructuredOutput, *, swapped: bool = False, evidence: bool = False) -> Callable[[Numbers], float]:
    """-E log p(y|h), or with ``evidence`` -log E p(y|h), averaged over the rows. ``swapped``, a planted bug: the halves."""
    names, images = networks(model), model.x.numpy()
    upper, lower = images[:, :2], images[:, 2:]
    if swapped:
        upper, lower = lower, upper

    def loss(at: Numbers) -> float:
        total = 0.0
        for x, y in zip(upper, lower, strict=True):
            law = {tuple(2 * x - 1): 1.0}  # of the last layer seen so far
            for name in names[:-1]:
                above: dict[tuple[float, ...], float] = {}
                for below, mass in law.items():
                    for z, p in states(layer(at, name, np.array(below)), model.categories):
                        above[tuple(z)] = above.get(tuple(z), 0.0) + mass * p
                law = above
            log_p = np.array([log_bernoulli(y, layer(at, "decoder", np.array(h))) for h in law])
            mass = np.array(list(law.values()))
            total -= float(np.log(mass @ np.exp(log_p)) if evidence else mass @ log_p)
        return total / len(images)

    return loss


@pytest.mark.parametrize(("latents", "categories"), LAYERS, ids=str)
def test_it_is_its_enumeration(latents: list[int], categories: int | None) -> None:
    """Which the same enumeration with the halves exchanged is not."""
    model = StructuredOutput(data=pixels(), latents=latents, categories=categories, batch=2)
    at = numbers(model)
    assert list(at) == [f"{name}.0.{part}" for name in networks(model) for part in ("weight", "bias")]
    expected, found = slopes(misfit(model), at), reference(model, "enumeration")
    assert all(np.abs(expected[part]).max() > 1e-4 for _, _, part in program(model).layout.slices())  # of all layers
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert loss_of(model) == pytest.approx(misfit(model)(at), rel=1e-12)
    assert np.abs(slopes(misfit(model, swapped=True), at) - found).max() > 1e-2


def test_it_is_a_bound() -> None:
    model = StructuredOutput(data=pixels(), latents=[2, 3], batch=3)
    assert loss_of(model) > misfit(model, evidence=True)(numbers(model)) + 1e-3


def test_predictions_start_from_the_mean_of_the_lower_half() -> None:
    data = pixels()
    bias = numbers(StructuredOutput(data=data, batch=2))["decoder.0.bias"]
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), data.inputs.mean(0)[2:].clip(0.01, 0.99))


def test_each_layer_is_drawn_given_the_one_before() -> None:
    first, second, third = sites(program(StructuredOutput(data=pixels(), latents=[1, 2, 3], batch=2))).items()
    assert [name for name, _ in (first, second, third)] == ["z", "z2", "z3"]
    assert [site.nested for _, site in (first, second, third)] == [False, True, True]
    assert first[1].q.context is not None and first[1].q.context.shape == (2, 4)  # a baseline may look at the whole image
    assert third[1].q.batch_shape[-1] == 2 and third[1].q.parameters["logits"].shape[-1] == 3


def test_it_can_be_shown_other_rows() -> None:
    data = pixels()
    model, other = StructuredOutput(data=data, batch=2), StructuredOutput(data=data, batch=2, seed=1)
    assert not torch.equal(model.x, other.x)
    model.observe(other.x, torch.zeros(2), of=9)
    at = numbers(model)
    assert loss_of(model) == pytest.approx(misfit(other)(at), rel=1e-12)


@pytest.mark.parametrize("latents", [[], [0], [2, 0], [-1, 3]], ids=str)
def test_bad_layers_are_refused(latents: list[int]) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        StructuredOutput(data=pixels(), latents=latents)
    assert str(refusal.value) == f"latents={latents}: must be one number for each layer, each at least 1"


def test_one_outcome_is_no_choice() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        StructuredOutput(data=pixels(), categories=1)
    assert str(refusal.value) == "categories=1: must be at least 2"


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("latents", "categories", "estimator", "engine"),
    [
        ([6], None, "disarm", "structured"),
        ([2, 2, 2], None, "disarm", "vmap"),
        ([3], 3, "rloo", "structured"),
        ([1, 2], 3, "muprop", "vmap"),
    ],
    ids=str,
)
def test_it_is_measured(latents: list[int], categories: int | None, estimator: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against its enumeration; each fails at one seed in a thousand."""
    monkeypatch.setattr(yardstick, "SECONDS", 0.0)
    settings = {"name": "structured_output", "latents": latents, "categories": categories, "batch": 2}
    result = gsx.measure(settings, estimator, num_replicates=2**9, block_size=8, engine=engine, workers=1)
    assert result.reference["kind"] == "enumeration" and result.engine == engine
    assert result.verdict.status in ("unbiased", "inconclusive") and result.nonfinite["replicates"] == 0
