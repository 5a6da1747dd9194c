"""The peers do the same work: from the same random numbers they get the engine's means and variances."""

from __future__ import annotations

import importlib.util

import pytest
from torch import Tensor

from gsx.benchmark.child import Peer
from gsx.benchmark.engine import Engine, measurement
from gsx.benchmark.images import enlarged
from gsx.benchmark.peers import closed_form
from gsx.benchmark.peers.vae_moments import PerReplicate
from gsx.benchmark.peers.vae_step import LOSSES, PlainStep
from gsx.benchmark.row import NotMeasured
from gsx.data import load
from gsx.program import flatten

FORMULAS = [(estimator, name) for estimator, candidates in closed_form.CANDIDATES.items() for name in candidates]


def relative_error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


# ------------------------------------------------------------------------------------------------------------------------ the toy


def toy_errors(estimator: str, formula: closed_form.Gradients, tile: int = 256) -> tuple[float, float]:
    engine = Engine(measurement({"name": "bernoulli_toy"}, estimator))
    ours = engine.moments(3, 1000)
    mean, second = closed_form.moments(formula, engine.block(3), 1000, tile)
    return relative_error(mean, ours.mean), relative_error(second, ours.second)


@pytest.mark.parametrize(("estimator", "name"), FORMULAS)
@pytest.mark.parametrize("tile", [256, 1000])
def test_a_closed_form_has_the_engines_moments(estimator: str, name: str, tile: int) -> None:
    assert max(toy_errors(estimator, closed_form.CANDIDATES[estimator][name], tile)) < 1e-5


def test_another_estimator_would_be_noticed() -> None:
    mean, second = toy_errors("straight_through", closed_form.concrete)
    assert mean > 0.01 and second > 0.01


# ------------------------------------------------------------------------------------------------------------------------ the VAE


def small_vae(estimator: str, hidden: list[int], engine: str) -> Engine:
    model = {"name": "binary_vae", "latents": 6, "hidden": hidden, "batch": 5}
    return Engine(measurement(model, estimator, engine=engine))


def uniforms(engine: Engine, replicates: int) -> Tensor:
    """What the engine draws for its block 0, ``[replicates, rows, latents]``."""
    return engine.block(0).draw("z", 0, (1, 5, 6), 0, replicates)[:, 0]


@pytest.mark.parametrize("hidden", [[], [7]], ids=["linear", "hidden"])
@pytest.mark.parametrize("estimator", list(LOSSES))
def test_the_plain_step_has_the_engines_mean(estimator: str, hidden: list[int]) -> None:
    engine = small_vae(estimator, hidden, "auto")
    step = PlainStep(LOSSES[estimator], engine.program.params, engine.program.model.get_buffer("x"))
    mean = flatten(step.gradients(uniforms(engine, 64).flatten(0, 1)))
    assert relative_error(mean, engine.moments(0, 64).mean) < 1e-4


@pytest.mark.parametrize("hidden", [[], [7]], ids=["linear", "hidden"])
@pytest.mark.parametrize("estimator", list(LOSSES))
def test_kept_gradients_have_the_engines_moments(estimator: str, hidden: list[int]) -> None:
    engine = small_vae(estimator, hidden, "vmap")
    ours = engine.moments(0, 64)
    peer = PerReplicate(LOSSES[estimator], engine.program.params, engine.program.model.get_buffer("x"))
    for mean, second in (peer.vmap(uniforms(engine, 64), 24), peer.loop(uniforms(engine, 64))):
        assert relative_error(flatten(mean), ours.mean) < 1e-4
        assert relative_error(flatten(second), ours.second) < 1e-4


def test_enlarged_digits_are_the_same_digits() -> None:
    digits = load("digits")
    images = enlarged(digits)
    assert images.inputs.shape == (1797, 784) and set(images.inputs.ravel()) == {0.0, 1.0}
    # The pixel in the middle of each enlarged one is the old one.
    middle = [(2 * old + 1) * 28 // 16 for old in range(8)]
    assert (images.inputs.reshape(-1, 28, 28)[:, middle][:, :, middle] == digits.inputs.reshape(-1, 8, 8)).all()


# ------------------------------------------------------------------------------------------------------- peers in their own process


def test_a_peer_answers_as_often_as_it_is_asked() -> None:
    with Peer("python_loop") as peer:
        assert 0 < peer.seconds(3) < 10 and 0 < peer.seconds(5) < 1


@pytest.mark.parametrize(("module", "library"), [("storchastic", "storch"), ("storchastic_plate", "storch"), ("backpack", "backpack")])
def test_a_library_is_measured_where_it_is_installed(module: str, library: str) -> None:
    with Peer(module) as peer:
        if importlib.util.find_spec(library):
            assert peer.seconds(10) > 0
        else:
            with pytest.raises(NotMeasured, match=f"No module named '{library}'"):
                peer.seconds(10)


def test_a_peer_that_dies_is_not_measured() -> None:
    with Peer("there_is_none") as peer, pytest.raises(NotMeasured, match="ended with code 1"):
        peer.seconds(1)
