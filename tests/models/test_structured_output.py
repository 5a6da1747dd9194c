"""Structured output prediction against the same expectation written out in numpy, every state of every layer summed over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import gsx
from gsx import yardstick
from gsx.models.structured_output import StructuredOutput
from gsx.probe import sites
from gsx.records import ConfigurationError
from tests.models.test_models import Numbers, bits, layer, log_bernoulli, loss_of, numbers, pixels, program, reference, slopes

LAYERS = [[3], [2, 3], [1, 2, 2]]


def networks(model: StructuredOutput) -> list[str]:
    return ["encoder", *(f"encoder_{index}" for index in range(2, len(model.encoders) + 1)), "decoder"]


def misfit(model: StructuredOutput, *, swapped: bool = False, evidence: bool = False) -> Callable[[Numbers], float]:
    """-E log p(y|h), or with ``evidence`` -log E p(y|h), averaged over the rows. ``swapped``, a planted bug: the halves."""
    names, images = networks(model), model.x.numpy()
    upper, lower = images[:, :2], images[:, 2:]
    if swapped:
        upper, lower = lower, upper

    def loss(at: Numbers) -> float:
        total = 0.0
        for x, y in zip(upper, lower, strict=True):
            law = {tuple(x): 1.0}  # of the last layer seen so far
            for name in names[:-1]:
                above: dict[tuple[float, ...], float] = {}
                for below, mass in law.items():
                    logits = layer(at, name, 2 * np.array(below) - 1)
                    for z in bits(len(logits)):
                        above[tuple(z)] = above.get(tuple(z), 0.0) + mass * float(np.exp(log_bernoulli(z, logits)))
                law = above
            log_p = np.array([log_bernoulli(y, layer(at, "decoder", 2 * np.array(h) - 1)) for h in law])
            mass = np.array(list(law.values()))
            total -= float(np.log(mass @ np.exp(log_p)) if evidence else mass @ log_p)
        return total / len(images)

    return loss


@pytest.mark.parametrize("latents", LAYERS, ids=str)
def test_it_is_its_enumeration(latents: list[int]) -> None:
    """Which the same enumeration with the halves exchanged is not."""
    model = StructuredOutput(data=pixels(), latents=latents, batch=2)
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


@pytest.mark.statistical
@pytest.mark.parametrize(("latents", "engine"), [([6], "structured"), ([2, 2, 2], "vmap")], ids=str)
def test_it_is_measured(latents: list[int], engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against its enumeration; each fails at one seed in a thousand."""
    monkeypatch.setattr(yardstick, "SECONDS", 0.0)
    settings = {"name": "structured_output", "latents": latents, "batch": 2}
    result = gsx.measure(settings, "disarm", num_replicates=2**9, block_size=8, engine=engine, workers=1)
    assert result.reference["kind"] == "enumeration" and result.engine == engine
    assert result.verdict.status in ("unbiased", "inconclusive") and result.nonfinite["replicates"] == 0
