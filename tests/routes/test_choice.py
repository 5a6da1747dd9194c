"""When the structured route is taken, and the simplest reasons why it is not."""

from __future__ import annotations

import pytest
from torch import Tensor
from torch.nn.functional import linear

import gsx
from gsx import registry
from gsx.costs import Cost
from gsx.data import load
from gsx.distributions import Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.estimators.disarm import Disarm
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.rloo import RLOO
from gsx.models.base import Params
from gsx.models.binary_vae import BinaryVAE
from gsx.noise import Noise
from gsx.probe import Probe, probe, sites
from gsx.program import Program
from gsx.routes import choose
from gsx.routes.lay_open import MOST_TERMS
from gsx.routes.structured import MANY_COORDINATES
from gsx.surrogate import cost_gradient, inject, zero
from tests.routes.factory import Linear, pixels, refused, vae

# ------------------------------------------------------------------------------------------------------------------- when it is taken


def chosen(engine: str, program: Program, estimator: Estimator) -> str:
    return choose(engine, program, estimator, Probe(sites(program))).name


def large(latents: int = 200) -> Program:
    """A binary_vae on 64 pixels: 25 864 coordinates with 200 latents."""
    return Program(BinaryVAE(data=pixels(64), latents=latents, batch=2))


def test_auto_takes_it_for_many_coordinates_only() -> None:
    assert large().layout.size > MANY_COORDINATES > large(100).layout.size
    assert chosen("auto", large(), Reinforce()) == "structured"
    assert chosen("auto", large(100), Reinforce()) == "vmap"
    assert chosen("structured", large(100), Reinforce()) == "structured"
    for engine in ("vmap", "loop"):
        assert chosen(engine, large(), Reinforce()) == engine


def test_the_limit_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than MANY_COORDINATES, not as many."""
    program = Program(vae("binary_vae"))
    for many, engine in ((program.layout.size, "vmap"), (program.layout.size - 1, "structured")):
        monkeypatch.setattr("gsx.routes.MANY_COORDINATES", many)
        assert chosen("auto", program, Reinforce()) == engine


@pytest.mark.parametrize("name", ["binary_vae", "categorical_vae", "gaussian_vae"])
@pytest.mark.parametrize("hidden", [[], [3]], ids=["linear", "hidden"])
@pytest.mark.parametrize("wrt", ["all", "encoder"])
def test_the_autoencoders_have_it(name: str, hidden: list[int], wrt: str) -> None:
    program = Program(vae(name, hidden=hidden), wrt=wrt)
    for estimator in (Reinforce(), RLOO()):
        assert chosen("structured", program, estimator) == "structured"
        assert chosen("auto", program, estimator) != "structured"


# ---------------------------------------------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize("name", ["bernoulli_toy", "bernoulli_ising", "categorical_toy", "gaussian_toy", "bayes_logistic"])
def test_models_without_rows_are_refused(name: str) -> None:
    data = load("breast_cancer") if name == "bayes_logistic" else None
    assert refused(Program(registry.model(registry.settings("models", {"name": name}), data)), Reinforce())


@pytest.mark.parametrize("name", ["binary_vae", "gaussian_vae"])
def test_the_distributions_own_parameters_are_refused(name: str) -> None:
    assert refused(Program(vae(name), wrt="distribution"), Reinforce())


@pytest.mark.parametrize("wrt", ["all", "encoder"])
def test_too_many_terms_are_refused(wrt: str) -> None:
    """Of a layer after the draw each sample is a term; those before it have one. MOST_TERMS are allowed."""
    program = Program(vae("binary_vae"), wrt=wrt)
    for estimator in (Reinforce, RLOO, Disarm):
        assert not refused(program, estimator(num_samples=MOST_TERMS))
        assert refused(program, estimator(num_samples=MOST_TERMS + 2)) == (wrt == "all")


class Pathwise(Estimator):
    """The pathwise gradient with the cost's slope taken by `torch.func.vjp`, whose tensors no layer can be laid open to."""

    unbiased = True
    needs_cost_gradient = True
    distributions = (Normal,)
    evaluations = "N"
    citation = "made up"

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Normal)
        z = q.reparameterize(noise.uniform((self.num_samples,), q))
        value, slope = cost_gradient(cost, z.detach(), q)
        return inject(value.mean(0), (slope / self.num_samples).sum(0), q.loc) + 0 * zero(z).sum((0, -1))


class LayerOfRowsFirst(Linear):
    """Under the transform its first layer is one whose input the transform does not know."""

    extra = (4, 4)

    def decode(self, params: Params, z: Tensor) -> Tensor:
        skipped = linear(self.x, params["extra"])
        return skipped + super().decode(params, z)


@pytest.mark.parametrize("model", [Linear, LayerOfRowsFirst])
def test_a_layer_under_a_transform_is_refused(model: type[Linear]) -> None:
    assert refused(Program(model()), Pathwise())


@pytest.mark.parametrize("model", [Linear, LayerOfRowsFirst])
def test_with_the_decoder_not_measured_a_transform_is_no_obstacle(model: type[Linear]) -> None:
    assert not refused(Program(model(), wrt="encoder"), Pathwise())


def test_an_estimator_with_a_transform_is_measured() -> None:
    """The dry run cannot see what autograd holds under torch.func, and goes on without."""
    program = Program(Linear())
    seen = probe(program, Pathwise())
    assert seen.saved == 0 and seen.evaluations == 1 and len(seen.draws) == 1
    result = gsx.measure(Linear(), Pathwise(), engine="vmap", num_replicates=64, workers=1)
    assert result.engine == "vmap" and result.num_replicates == 1024
