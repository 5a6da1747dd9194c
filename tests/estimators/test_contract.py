"""What every estimator owes, for every estimator that has a YAML file: a newcomer is picked up here without a line of test.

The contract itself is `gsx.testing`, which `gsx check` runs too; here all estimators are held to it, on all shipped models, and on GPUs.
Whether they are unbiased is tested in `test_bias.py`.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gsx
from gsx import registry, yardstick
from gsx.catalogue import FAMILIES
from gsx.costs import Cost, Expect, LogMeanExp, MultiSample
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.estimators.concrete import Concrete
from gsx.estimators.exact import Exact
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.st_gumbel import STGumbel
from gsx.models.base import Model, Params
from gsx.naming import snake_case
from gsx.noise import Block, Noise, replay
from gsx.probe import has_one_site, probe, sites
from gsx.process import one_thread_each
from gsx.program import WRT, Program
from gsx.records import ConfigurationError
from gsx.routes import ROUTES, Materialising, choose, materialising
from gsx.routes.batched import can_batch
from gsx.routes.lay_open import MOST_TERMS, can_structure
from gsx.routes.vmap import Loop
from gsx.surrogate import zero
from gsx.testing import CHECKS, NotApplicable, Subject
from gsx.testing.examples import examples
from gsx.testing.problems import BLACK_BOXES, PROBLEMS
from gsx.testing.problems.discrete import BernoulliDirect
from gsx.tune import warm_up
from tests.estimators.catalogue import NAMES, SUBJECTS, files, is_preset, settings_of, shipped_model

CPU = torch.device("cpu")
#: These are statistical, and have a file of their own.
OF_BIAS = ("unbiased where it says so", "biased where it says so", "its condition is meant", "a planted bug shows")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


every_subject = pytest.mark.parametrize("label", SUBJECTS)


# ------------------------------------------------------------------------------------------------------------------ names and facts


def test_something_is_discovered() -> None:
    assert {"exact", "reparameterization", "reinforce", "concrete", "straight_through", "st_gumbel"} <= set(NAMES)
    assert {"reinforce-baseline=moving_average", "straight_through-backward=identity"} <= set(SUBJECTS)


def test_every_class_has_its_yaml_and_every_yaml_its_class() -> None:
    assert registry.names("estimators") == NAMES
    assert registry.names("models") == [name for name in files("model") if not is_preset("model", name)]


@pytest.mark.parametrize("group", ["estimator", "model"])
def test_names_agree(group: str) -> None:
    """The YAML file, its `name`, the class in snake case and the module are one name."""
    for name in files(group):
        settings = settings_of(group, name)
        kind = registry.find(f"{group}s", settings["name"])  # type: ignore[arg-type]
        assert snake_case(kind.__name__) == settings["name"]
        assert kind.__module__ == f"gsx.{group}s.{settings['name']}"
        if not is_preset(group, name):
            assert settings["name"] == name


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in ("estimator", "model") for name in files(group)])
def test_yaml_is_the_schema(group: str, name: str) -> None:
    """Keys and defaults of the file are those of the constructor; a preset may change values, and adds no key."""
    settings = settings_of(group, name)
    schema = registry.schema(registry.find(f"{group}s", settings["name"]))  # type: ignore[arg-type]
    assert set(settings) == {"name", *schema}
    for key, parameter in schema.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, f"{key} can be given by position"
        assert parameter.annotation is not inspect.Parameter.empty, f"{key} has no type"
        if not is_preset(group, name):
            assert settings[key] == parameter.default and type(settings[key]) is type(parameter.default), key
    checked = registry.settings(f"{group}s", settings)  # type: ignore[arg-type]
    assert checked == settings


def test_gumbel_softmax_is_another_name_of_concrete() -> None:
    assert settings_of("estimator", "gumbel_softmax") == settings_of("estimator", "concrete")


@pytest.mark.parametrize("name", NAMES)
def test_a_temperature_must_be_positive(name: str) -> None:
    for key, parameter in registry.schema(registry.find("estimators", name)).items():
        if "temperature" in key:
            for value in (0.0, -1.0):
                with pytest.raises(ConfigurationError, match=f"estimator.{key}={value:g}: must be positive"):
                    registry.estimator(registry.settings("estimators", {"name": name, key: value}))
            with pytest.raises(ConfigurationError, match="must be finite"):
                registry.settings("estimators", {"name": name, key: math.inf})
            assert parameter.annotation is float


@pytest.mark.parametrize("name", NAMES)
def test_every_estimator_is_of_a_family(name: str) -> None:
    kind = registry.find("estimators", name)
    assert issubclass(kind, Estimator) and kind.family in FAMILIES


# ------------------------------------------------------------------------------------------------------------------------- contract


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in OF_BIAS])
@every_subject
def test_the_contract_holds(label: str, check: str) -> None:
    try:
        CHECKS[check](SUBJECTS[label])
    except NotApplicable as reason:
        pytest.skip(str(reason))


# --------------------------------------------------------------------------------------------------------------------------- routes

REPLICATES = 3


def programs(model: Model) -> Iterator[Program]:
    """The model with respect to everything it can be measured in."""
    for wrt in WRT:
        try:
            yield Program(model, wrt=wrt, dtype=torch.float64)
        except ConfigurationError:
            assert wrt == "encoder"  # it has none


#: Published sizes take gigabytes and minutes with every estimator, and are the networks of the small ones.
LARGE = re.compile(r"_disarm|_rodeo|_\d+x\d+$|_200$")
ROUTED = [
    (label, name)
    for label, subject in SUBJECTS.items()
    for name in files("model")
    if not LARGE.search(name)
    if label != "exact" and subject.supports(shipped_model(name))  # `exact` is evaluated once, and takes no route
]


@pytest.mark.parametrize(("label", "name"), ROUTED, ids=[f"{label}-{name}" for label, name in ROUTED])
def test_routes_agree_replicate_by_replicate(label: str, name: str) -> None:
    """On the same noise every route gives each replicate the same gradient, whatever it is taken with respect to."""
    model = shipped_model(name)
    estimator = SUBJECTS[label].make(SUBJECTS[label].samples(1))
    compared = 0
    for program in programs(model):
        seen = probe(program, estimator)
        estimator.warmup = min(estimator.warmup, 8)
        warm_up(estimator, program, seed=0)
        block = Block(5, "base", 2, torch.float64, CPU)
        oracle = Loop(program, estimator, seen).gradients(block, 1, 1 + REPLICATES)
        assert oracle.shape == (REPLICATES, program.layout.size)
        for engine in ("batched", "vmap"):
            if (engine == "batched" and not can_batch(program, seen)) or (engine == "vmap" and model.cost_is == "black_box"):
                with pytest.raises(ConfigurationError, match=f"engine={engine}"):
                    choose(engine, program, estimator, seen)
                continue
            route = choose(engine, program, estimator, seen)
            assert isinstance(route, Materialising)
            found = route.gradients(block, 1, 1 + REPLICATES)
            torch.testing.assert_close(found, oracle, rtol=1e-9, atol=1e-11 * float(oracle.abs().max()))
            compared += 1
    assert compared


@pytest.mark.parametrize(("label", "name"), ROUTED, ids=[f"{label}-{name}" for label, name in ROUTED])
def test_the_structured_route_has_the_mean_of_the_loop(label: str, name: str) -> None:
    """It forms no replicate's gradient to compare, but sums the same ones; its variances are tested in tests/routes."""
    model = shipped_model(name)
    for more in (0, 1):
        estimator = SUBJECTS[label].make(SUBJECTS[label].samples(more))
        for program in programs(model):
            seen = probe(program, estimator)
            if not can_structure(program, estimator, seen):
                excused = estimator.needs_cost_gradient or seen.evaluations > MOST_TERMS or not has_one_site(seen)
                assert program.wrt == "distribution" or not model.independent_rows or excused, "a VAE of ours is made of linear layers"
                with pytest.raises(ConfigurationError, match="engine=structured"):
                    choose("structured", program, estimator, seen)
                continue
            block = Block(5, "base", 2, torch.float64, CPU)
            found = choose("structured", program, estimator, seen).moments(block, REPLICATES, None)
            oracle = ROUTES["loop"](program, estimator, seen).moments(block, REPLICATES, None)
            torch.testing.assert_close(found.mean, oracle.mean, rtol=1e-9, atol=1e-11 * float(oracle.mean.abs().max()))
            assert (found.largest >= oracle.largest * (1 - 1e-12)).all()


@every_subject
def test_every_estimator_has_a_shipped_model(label: str) -> None:
    assert any(SUBJECTS[label].supports(shipped_model(name)) for name in files("model"))


BOXED = [(label, box) for label, subject in SUBJECTS.items() for box in BLACK_BOXES if subject.is_for(box)]


@pytest.mark.parametrize(("label", "model"), BOXED, ids=[f"{label}-{box.name}" for label, box in BOXED])
def test_black_boxes_are_measured_or_refused(label: str, model: Model) -> None:
    estimator = SUBJECTS[label].make(None)
    (site,) = sites(Program(model)).values()
    if estimator.needs_cost_gradient:
        assert "black box" in (estimator.supports(site.q, model) or "")
        with pytest.raises(ConfigurationError, match=f"estimator={estimator.name}: needs the gradient of the cost"):
            gsx.measure(model, estimator, num_replicates=64)
        return
    assert estimator.supports(site.q, model) is None
    if isinstance(estimator, Exact) and isinstance(site.q, Normal):
        return  # quadrature wants smoothness, and a black box promises none
    settings: dict[str, Any] = {"num_replicates": 128, "block_size": 2, "dtype": "float64", "workers": 1}
    settings["tune"] = {"steps": 3, "replicates": 4}
    settings["reference"] = {"num_replicates": 128}  # of a long run, where nothing is exact: its numbers are not looked at
    engines = ("auto",) if isinstance(estimator, Exact) else ("auto", "loop")  # what computes no replicates has no engine
    results = []
    for engine in engines:
        estimator = SUBJECTS[label].make(None)
        estimator.warmup = min(estimator.warmup, 8)
        results.append(gsx.measure(model, estimator, engine=engine, **settings))
    means = [result.coordinates.mean for result in results]  # type: ignore[union-attr]
    np.testing.assert_allclose(means[0], means[-1], rtol=1e-9, atol=1e-12)
    assert np.abs(means[0]).max() > 0


# ------------------------------------------------------------------------------------------------------------------------- coupling


class Miscoupled(STGumbel):
    """Hardens the latent of one draw and relaxes that of another."""

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        hard = q.harden(q.latent(noise.uniform((self.num_samples,), q)))
        soft = q.relax(q.latent(noise.uniform((self.num_samples,), q)), self.temperature)
        return cost(hard.detach() + zero(soft), q).mean(0)


def well_coupled(estimator: Concrete | STGumbel, kind: type[Discrete]) -> bool:
    """Whether, on frozen noise, the points handed to the cost and their derivatives are those of the one latent of the first draw."""
    (q,) = (q for q in examples(Subject.of(type(estimator)), (2,), torch.float64) if type(q) is kind)
    assert isinstance(q, Discrete)
    u = Block(9, "coupling", 0, torch.float64, CPU).draw("z", 0, (estimator.num_samples, 2, *q.event_shape))[0]
    other = Block(9, "coupling", 1, torch.float64, CPU).draw("z", 0, (estimator.num_samples, 2, *q.event_shape))[0]
    points: list[Tensor] = []
    weights = torch.linspace(-1, 2, u.numel(), dtype=torch.float64).reshape(u.shape)

    def cost(z: Tensor, q: Any) -> Tensor:
        points.append(z.detach())
        return (weights * z).flatten(-q.event_ndim).sum(-1)

    value = estimator.expect(q, cost, replay({("z", 0): u, ("z", 1): other}))
    (slope,) = torch.autograd.grad(value.sum(), q.logits)
    # Written out, for a latent l = theta + noise: dy = y (1 - y) / tau dl, and (diag y - y y') / tau dl.
    noise = torch.log(u / (1 - u)) if kind is Bernoulli else -torch.log(-torch.log(u))
    latent, tau = q.logits.detach() + noise, estimator.temperature
    if kind is Bernoulli:
        soft, hard = 1 / (1 + torch.exp(-latent / tau)), (latent > 0).double()
        pulled = weights * soft * (1 - soft) / tau
    else:
        soft = (latent / tau).softmax(-1)
        hard = (latent == latent.amax(-1, keepdim=True)).double()
        pulled = soft * (weights - (weights * soft).sum(-1, keepdim=True)) / tau
    expected = soft if isinstance(estimator, Concrete) else hard
    return torch.allclose(points[0], expected) and torch.allclose(slope, pulled.mean(0), rtol=1e-9)


@pytest.mark.parametrize("kind", [Bernoulli, Categorical])
@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_hard_and_relaxed_draws_are_coupled(kind: type[Discrete], temperature: float) -> None:
    assert well_coupled(Concrete(temperature=temperature, num_samples=3), kind)
    assert well_coupled(STGumbel(temperature=temperature, num_samples=3), kind)
    assert not well_coupled(Miscoupled(temperature=temperature, num_samples=3), kind)


# -------------------------------------------------------------------------------------------------------------------------- models


class ClosedOver(BernoulliDirect):
    """Uses the q of its own making and not the one it is handed: the trap the contract of a cost warns of."""

    def loss(self, params: Params, expect: Expect) -> Tensor:
        mine = Bernoulli(params["logits"])
        return expect(mine, lambda z, q: self.cost(z, mine))


def test_a_cost_must_use_the_q_it_is_handed() -> None:
    """With respect to the distribution's own parameters the handed q carries the leaves: a cost that closes over another loses its direct
    term. With respect to the model's parameters the engine notices, and takes a route on which both are right."""
    gradients = {}
    for model in (BernoulliDirect(), ClosedOver()):
        for wrt in ("all", "distribution"):
            program = Program(model, wrt=wrt, dtype=torch.float64)
            estimator = Reinforce()
            route = choose("auto", program, estimator, probe(program, estimator))
            gradients[type(model), wrt] = route.gradients(Block(0, "base", 0, torch.float64, CPU), 0, 4)
    right = gradients[BernoulliDirect, "all"]
    torch.testing.assert_close(gradients[BernoulliDirect, "distribution"], right)
    torch.testing.assert_close(gradients[ClosedOver, "all"], right)
    assert (gradients[ClosedOver, "distribution"] - right).abs().min() > 1e-3


def direct_term(model: Model) -> str:
    """The one that is seen at eight draws of each site: the gradient of the cost in the q it is handed, held against the score."""
    found = set()
    program = Program(model, dtype=torch.float64)

    def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
        free = q.map(lambda value: value.detach().requires_grad_())
        z = q.map(Tensor.detach).sample(Block(2, "direct", 0, torch.float64, CPU).one().uniform((8,), q))
        several = isinstance(cost, MultiSample) and q.copies > 1
        f = cost.each(z, free).sum(0) if several else cost(z, free)
        parameters, scores = tuple(free.parameters.values()), list(q.score(z).values())
        nothing = 0 * sum(parameter.sum() for parameter in parameters)
        of_draw = [torch.autograd.grad(x.sum() + nothing, parameters, retain_graph=True) for x in f]
        slopes = [torch.stack(slope) for slope in zip(*of_draw, strict=True)]
        factor = float(sum((a * b).sum() for a, b in zip(slopes, scores, strict=True)) / sum((b * b).sum() for b in scores))
        if all((slope == 0).all() for slope in slopes):
            found.add("none")
        elif not all(torch.allclose(slope, factor * score) for slope, score in zip(slopes, scores, strict=True)):
            found.add("other")
        elif several:
            found.add("log_weights" if isinstance(cost.combine, LogMeanExp) and abs(factor - 1) < 1e-9 else "other")
        else:
            found.add("log_q")
        return f.detach().mean(0)

    program.loss(program.leaves, implementation)
    return next(kind for kind in ("other", "log_weights", "log_q", "none") if kind in found)


@pytest.mark.parametrize("name", files("model"))
def test_direct_terms_are_what_is_declared(name: str) -> None:
    assert direct_term(shipped_model(name)) == shipped_model(name).direct_term


@pytest.mark.parametrize("name", PROBLEMS)
def test_direct_terms_of_the_problems_are_what_is_declared(name: str) -> None:
    assert direct_term(PROBLEMS[name].model) == PROBLEMS[name].model.direct_term


# ----------------------------------------------------------------------------------------------------------------------------- CUDA


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU")
@pytest.mark.parametrize("label", [label for label, subject in SUBJECTS.items() if not subject.is_exact])
def test_cpu_and_gpu_agree_replicate_by_replicate(label: str) -> None:
    """The noise is the same bit for bit; the rest agrees to rounding."""
    fitting = [name for name, problem in PROBLEMS.items() if SUBJECTS[label].supports(problem.model)]
    for name in fitting:
        found = []
        for device in ("cpu", "cuda"):
            program, estimator = Program(PROBLEMS[name].model, dtype=torch.float64, device=device), SUBJECTS[label].make(None)
            route = materialising(program, estimator, probe(program, estimator))
            found.append(route.gradients(Block(0, "base", 0, torch.float64, torch.device(device)), 0, 64).cpu())
        torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-10, msg=lambda why, name=name: f"{name}: {why}")
    assert fitting
