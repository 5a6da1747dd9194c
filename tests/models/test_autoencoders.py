"""The settings of the autoencoders' networks and priors, against enumeration in numpy and on every engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gsx.estimators.base import Estimator
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.straight_through import StraightThrough
from gsx.models.autoencoder import VariationalAutoencoder
from gsx.models.base import Params
from gsx.models.binary_vae import BinaryVAE
from gsx.models.categorical_vae import CategoricalVAE
from gsx.models.networks import ACTIVATIONS, perceptron
from gsx.noise import Noise
from gsx.program import Program
from gsx.routes import ROUTES
from gsx.routes.base import Materialising
from tests.models.test_models import Numbers, bits, log_bernoulli, loss_of, numbers, pixels, reference, slopes
from tests.routes.factory import assert_right, block, oracle, refused, route

ACTIVATE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.3 * x),
}
READ: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "signed": lambda x, mean: 2 * x - 1,
    "centred": lambda x, mean: x - mean,
    "raw": lambda x, mean: x,
}


def network(at: Numbers, name: str, x: np.ndarray, activation: str) -> np.ndarray:
    """One hidden layer."""
    hidden = ACTIVATE[activation](x @ at[f"{name}.0.weight"].T + at[f"{name}.0.bias"])
    return hidden @ at[f"{name}.1.weight"].T + at[f"{name}.1.bias"]


def negative_elbo(model: VariationalAutoencoder, activation: str, inputs: str) -> Callable[[Numbers], float]:
    """Every state summed over; the prior from `prior.logits`, or uniform where there are none."""
    mean = pixels().inputs.mean(0)

    def of_row(at: Numbers, x: np.ndarray) -> float:
        logits = network(at, "encoder", READ[inputs](x, mean), activation)
        total = 0.0
        if isinstance(model, BinaryVAE):
            prior = at.get("prior.logits", np.zeros(len(logits)))
            found = [(z if inputs == "raw" else 2 * z - 1, log_bernoulli(z, logits), log_bernoulli(z, prior)) for z in bits(len(logits))]
        else:
            logits = logits.reshape(2, 3)
            log_q, log_p = (v - np.log(np.exp(v).sum(-1, keepdims=True)) for v in (logits, at.get("prior.logits", np.zeros((2, 3)))))
            draws = [np.eye(3)[list(outcome)] for outcome in itertools.product(range(3), repeat=2)]
            found = [(z.ravel(), (z * log_q).sum(), (z * log_p).sum()) for z in draws]
        for code, log_q, log_p in found:
            total += float(np.exp(log_q) * (log_q - log_p - log_bernoulli(x, network(at, "decoder", code, activation))))
        return total

    return lambda at: float(np.mean([of_row(at, x) for x in model.x.numpy()]))


def vae(kind: str, activation: str, inputs: str, prior: str = "uniform", hidden: tuple[int, ...] = (3,)) -> BinaryVAE | CategoricalVAE:
    """With every parameter moved: away from a uniform prior, and from the kink of a rectifier that reads nothing but zeros."""
    settings: Any = {"data": pixels(), "hidden": list(hidden), "activation": activation, "inputs": inputs, "prior": prior, "batch": 3}
    model = BinaryVAE(latents=2, **settings) if kind == "binary" else CategoricalVAE(latents=2, categories=3, **settings)
    usual = model.init

    def moved(noise: Noise) -> Params:
        return {name: value + torch.linspace(-0.4, 0.5, value.numel()).reshape(value.shape) for name, value in usual(noise).items()}

    model.init = moved  # type: ignore[method-assign]
    return model


SETTINGS = [
    ("tanh", "signed", "uniform"),
    ("relu", "raw", "uniform"),
    ("leaky_relu", "centred", "learned"),
    ("leaky_relu", "raw", "learned"),
]


@pytest.mark.parametrize("kind", ["binary", "categorical"])
@pytest.mark.parametrize("settings", SETTINGS, ids="-".join)
def test_enumeration(kind: str, settings: tuple[str, str, str]) -> None:
    """And no other activation, and no other reading of the inputs, gives the same loss."""
    activation, inputs, _ = settings
    model = vae(kind, *settings)
    at, loss = numbers(model), negative_elbo(model, activation, inputs)
    assert ("prior.logits" in at) == (settings[2] == "learned")
    np.testing.assert_allclose(reference(model, "enumeration"), slopes(loss, at), rtol=1e-6, atol=1e-8)
    value = loss_of(model)
    assert value == pytest.approx(loss(at), rel=1e-12)
    for other, read in [*((other, inputs) for other in ACTIVATE if other != activation), *((activation, r) for r in READ if r != inputs)]:
        assert abs(negative_elbo(model, other, read)(at) - value) > 1e-4


def test_activations_by_name() -> None:
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    assert set(ACTIVATIONS) == set(ACTIVATE)
    for name, activate in ACTIVATIONS.items():
        np.testing.assert_allclose(activate(x), ACTIVATE[name](x.numpy()), rtol=1e-14)


def test_one_layer_has_no_activation() -> None:
    params = {"net.0.weight": torch.eye(2), "net.0.bias": torch.zeros(2)}
    x = torch.tensor([[-3.0, 2.0]])
    for name in ACTIVATIONS:
        assert torch.equal(perceptron(params, "net", x, name), x)


# ------------------------------------------------------------------------------------------------------------------------- engines


@pytest.mark.parametrize("kind", ["binary", "categorical"])
@pytest.mark.parametrize("estimator", [Reinforce(num_samples=2), StraightThrough()], ids=lambda estimator: estimator.name)
@pytest.mark.parametrize("wrt", ["all", "encoder", "distribution"])
def test_a_learned_prior_on_every_engine(kind: str, estimator: Estimator, wrt: str) -> None:
    """Replicate by replicate the same as one backward pass each. The prior's own gradient keeps the structured route from `all`."""
    program = Program(vae(kind, "leaky_relu", "centred", "learned"), wrt=wrt, dtype=torch.float64)
    assert ("prior.logits" in program.leaves) == (wrt == "all")
    one_each = oracle(program, estimator)
    assert isinstance(one_each, Materialising)
    wanted = one_each.gradients(block(), 0, 5)
    engines = {"all": ["vmap"], "encoder": ["batched", "vmap"], "distribution": ["batched", "vmap"]}[wrt]
    for engine in engines:
        found = route(engine, program, estimator)
        assert isinstance(found, Materialising) and type(found) is ROUTES[engine]
        torch.testing.assert_close(found.gradients(block(), 0, 5), wanted, rtol=1e-10, atol=1e-12)
    if wrt == "encoder":
        assert_right(program, estimator)
    else:
        assert refused(program, estimator)
    if wrt == "all":
        own = next(part for name, _, part in program.layout.slices() if name == "prior.logits")
        assert wanted[:, own].abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["binary", "categorical"])
@pytest.mark.parametrize("settings", SETTINGS[:2], ids="-".join)
@pytest.mark.parametrize("wrt", ["all", "encoder"])
def test_rectifiers_on_the_structured_route(kind: str, settings: tuple[str, str, str], wrt: str) -> None:
    assert_right(Program(vae(kind, *settings, hidden=(4, 3)), wrt=wrt, dtype=torch.float64), Reinforce())
