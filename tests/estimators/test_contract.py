"""What every estimator owes, for every estimator that has a YAML file: a newcomer is picked up here without a line of test.

Families: its names and declared facts; its manners (shapes, dtypes, no side effects, same noise same answer, the same on every route); its
cost; and whether its gradient is unbiased, tested in both directions against exact references, with mutants that must be caught.

The statistical tests share one family-wise error of 1e-3: another seed fails one run of this file in a thousand. They refuse to pass
without power: a bias of 2 % of the largest coordinate of the gradient would be seen with probability 0.999.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import scipy.stats
import torch
import yaml
from torch import Tensor

import gsx
from gsx import registry, yardstick
from gsx.configuration import Configuration
from gsx.costs import Combine, Cost, Expect, LogMeanExp, MultiSample
from gsx.data import Dataset
from gsx.distributions import Bernoulli, Categorical, Discrete, Distribution, Normal
from gsx.estimators.base import Estimator
from gsx.estimators.concrete import Concrete
from gsx.estimators.exact import Exact
from gsx.estimators.reinforce import Reinforce
from gsx.estimators.reparameterization import Reparameterization
from gsx.estimators.st_gumbel import STGumbel
from gsx.models.base import Model, Params
from gsx.models.bernoulli_ising import BernoulliIsing
from gsx.models.binary_vae import BinaryVAE
from gsx.models.categorical_vae import CategoricalVAE
from gsx.models.gaussian_vae import GaussianVAE
from gsx.models.iwae import IWAE
from gsx.naming import snake_case
from gsx.noise import Block, Noise, replay
from gsx.probe import has_one_site, probe, sites
from gsx.process import one_thread_each
from gsx.program import WRT, Program
from gsx.records import ConfigurationError
from gsx.reference import ReferenceSettings, reference_gradient
from gsx.routes import ROUTES, Materialising, choose
from gsx.routes.batched import can_batch
from gsx.routes.lay_open import MOST_TERMS, can_structure
from gsx.routes.vmap import Loop
from gsx.surrogate import zero
from gsx.tune import warm_up

CPU = torch.device("cpu")
CONF = Path(gsx.__file__).resolve().parents[1] / "conf"
FAMILY_WISE_ERROR, POWER, VISIBLE = 1e-3, 0.999, 0.02


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Tensors this small only lose time to threads, and nobody reads the times here."""
    with one_thread_each(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(yardstick, "SECONDS", 0.0)
        yield


# ------------------------------------------------------------------------------------------------------------------------ discovery


def settings_of(group: str, name: str) -> dict[str, Any]:
    """A YAML file with its `defaults` followed, as Hydra would compose it."""
    own = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    merged: dict[str, Any] = {}
    for parent in own.pop("defaults", ["_self_"]):
        merged |= own if parent == "_self_" else settings_of(group, parent)
    return merged


def files(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def is_preset(group: str, name: str) -> bool:
    """An alias or a preset: a file that begins with another's settings."""
    return "defaults" in yaml.safe_load((CONF / group / f"{name}.yaml").read_text())


def variants() -> dict[str, dict[str, Any]]:
    """Every estimator as its YAML file has it, and once more for each other value of a setting that has choices."""
    found = {}
    for name in files("estimator"):
        if is_preset("estimator", name):
            continue
        found[name] = settings_of("estimator", name)
        for key, parameter in registry.schema(registry.find("estimators", name)).items():
            if typing.get_origin(parameter.annotation) is Literal:
                for choice in typing.get_args(parameter.annotation):
                    if choice != found[name][key]:
                        found[f"{name}-{key}={choice}"] = found[name] | {key: choice}
    return found


VARIANTS = variants()
NAMES = [name for name in files("estimator") if not is_preset("estimator", name)]


def build(variant: str, num_samples: int | None = None) -> Estimator:
    return registry.estimator(registry.settings("estimators", VARIANTS[variant]), num_samples)


def samples(variant: str, more: int = 0) -> int:
    """The fewest samples that are allowed and at least so many more than the fewest of all."""
    kind = type(build(variant))
    wanted = kind.least_samples + more
    return wanted + wanted % 2 if kind.in_pairs else wanted


def kind_of(name: str) -> type[Estimator]:
    return typing.cast(type[Estimator], registry.find("estimators", name))


@functools.cache
def shipped_model(name: str) -> Model:
    configuration = Configuration.of({"estimator": {"name": "reinforce"}, "model": settings_of("model", name)})
    return configuration.build_model(configuration.dataset())


estimators = pytest.mark.parametrize("name", NAMES)
every_variant = pytest.mark.parametrize("variant", VARIANTS)

# ------------------------------------------------------------------------------------------------------------------------- problems


class Table(Model):
    """A cost written as a function of z and q; `start` are the parameters. Unequal, asymmetric, and none of them separable."""

    start: ClassVar[dict[str, Any]]
    combine: ClassVar[Combine | None] = None

    def init(self, noise: Noise) -> Params:
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in self.start.items()}

    def loss(self, params: Params, expect: Expect) -> Tensor:
        return expect(self.posterior(params), self.cost, combine=self.combine)

    def posterior(self, params: Params) -> Distribution:
        if "loc" in params:
            return Normal(params["loc"], params["log_scale"].exp())
        return Bernoulli(params["logits"]) if params["logits"].ndim == 1 else Categorical(params["logits"])

    def cost(self, z: Tensor, q: Any) -> Tensor:
        raise NotImplementedError


class BernoulliCubic(Table):
    """A cube of a sum: every estimator that leans on a first- or second-order expansion is wrong here."""

    start: ClassVar[dict[str, Any]] = {"logits": [-0.9, 0.3, 1.1]}

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return (z @ z.new_tensor([1.0, -1.6, 0.8]) + 0.4) ** 3 - 0.7


class BernoulliDirect(Table):
    """Depends on the parameters, and in such a way that leaving the direct term out moves the mean: E grad log q is zero, that of its
    square is not."""

    start: ClassVar[dict[str, Any]] = {"logits": [-0.7, 0.2, 0.9]}
    direct_term = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        x, y, w = z.unbind(-1)
        return 1.4 * x - y * w + 0.8 * w - 0.3 * q.log_prob(z) ** 2 - q.log_prob(z) - 1.3


class BernoulliBatch(Table):
    """Three rows, each with weights of its own: the parameters have a batch."""

    start: ClassVar[dict[str, Any]] = {"logits": [[-0.6, 0.4], [0.9, -0.2], [0.1, 0.7]]}

    def posterior(self, params: Params) -> Distribution:
        return Bernoulli(params["logits"])

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return ((z * z.new_tensor([[1.0, -1.3], [0.8, 0.5], [-1.1, 0.9]])).sum(-1) + 0.2) ** 3 - z.new_tensor([0.1, 0.9, 0.2])


class BernoulliNested(Table):
    """One draw decides the logits of another, and what its cost weighs."""

    start: ClassVar[dict[str, Any]] = {"logits": [-0.5, 0.6], "weight": [[0.9, -0.7], [-0.4, 1.1]]}
    direct_term = "other"

    def loss(self, params: Params, expect: Expect) -> Tensor:
        def outer(z: Tensor, q: Any) -> Tensor:
            weight = 0.7 + z[..., 0] - 0.5 * z[..., 1]
            return weight * expect(Bernoulli(z @ params["weight"] - 0.2), self.cost, site="inner") + 0.2 * q.log_prob(z) ** 2

        return expect(Bernoulli(params["logits"]), outer)

    def cost(self, z: Tensor, q: Any) -> Tensor:
        x, y = z.unbind(-1)
        return 1.2 * x - 0.9 * y + 0.7 * x * y - 0.1 + 0.2 * q.log_prob(z)


class BernoulliBound(Table):
    """What a bound of two samples is made of: the logarithms of two weights."""

    start: ClassVar[dict[str, Any]] = {"logits": [-0.6, 0.8]}
    combine = LogMeanExp(2)
    direct_term = "log_weights"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        x, y = z.unbind(-1)
        return q.log_prob(z) + 1.5 * x - 0.8 * y + 0.9 * x * y


class BernoulliBoundOfThree(BernoulliBound):
    """Three samples, and a direct term that is no log q's."""

    combine = LogMeanExp(3)
    direct_term = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return super().cost(z, q) + 0.2 * q.log_prob(z) ** 2


class CategoricalTable(Table):
    """A table over two variables of three outcomes, extended multilinearly: it does not separate."""

    start: ClassVar[dict[str, Any]] = {"logits": [[0.5, -0.3, 0.1], [-0.8, 0.4, 0.0]]}

    def cost(self, z: Tensor, q: Any) -> Tensor:
        table = z.new_tensor([[2.1, 1.0, -0.2], [-0.5, -1.9, 0.1], [0.4, -1.0, 0.6]])
        return torch.einsum("...i,...j,ij->...", z[..., 0, :], z[..., 1, :], table)


class CategoricalCubic(CategoricalTable):
    def cost(self, z: Tensor, q: Any) -> Tensor:
        return ((z * z.new_tensor([[1.0, -0.4, 0.2], [0.3, -1.1, 0.7]])).sum((-2, -1)) + 0.3) ** 3


class CategoricalBound(CategoricalTable):
    combine = LogMeanExp(2)


class CategoricalDirect(CategoricalTable):
    direct_term = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return super().cost(z, q) - 0.3 * q.log_prob(z) ** 2


class GaussianPolynomial(Table):
    start: ClassVar[dict[str, Any]] = {"loc": [0.4, -0.6], "log_scale": [-0.5, -0.3]}

    def cost(self, z: Tensor, q: Any) -> Tensor:
        x, y = z.unbind(-1)
        return 1.5 * x - 1.2 * y + 0.3 * x**2 * y + 0.4 * x * y - 1.2


class GaussianElbo(GaussianPolynomial):
    direct_term = "log_q"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return super().cost(z, q) + 0.7 * q.log_prob(z)


class GaussianBound(Table):
    """A log weight under one Gaussian: with two samples, two dimensions to integrate over."""

    start: ClassVar[dict[str, Any]] = {"loc": [0.4], "log_scale": [-0.4]}
    combine = LogMeanExp(2)
    direct_term = "log_weights"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        x = z.squeeze(-1)
        return q.log_prob(z) + 0.4 * (x - 0.9) ** 2 + 0.3 * torch.sin(2 * x)


class GaussianBoundOfThree(GaussianBound):
    combine = LogMeanExp(3)


class GaussianBoundDirect(GaussianBound):
    direct_term = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return super().cost(z, q) - 0.6 * q.log_prob(z) + 0.5 * z[..., 0] * q.scale[..., 0]


class GaussianDirect(GaussianPolynomial):
    direct_term = "other"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return super().cost(z, q) + 0.2 * q.log_prob(z) + 0.6 * z[..., 0] * q.loc[..., 1] - 0.4 * z[..., 1] * q.scale[..., 0]


class GaussianStep(GaussianPolynomial):
    """Jumps where the first coordinate passes 0.3: the pathwise gradient sees the slope and not the jump."""

    cost_is = "discontinuous"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        return (z[..., 0] > 0.3).to(z.dtype) + 0.4 * z[..., 0] * z[..., 1]

    def closed_form(self, params: Params) -> Params:
        loc, scale = params["loc"].clone(), params["log_scale"].exp()
        edge = (0.3 - loc[0]) / scale[0]
        density = torch.exp(-0.5 * edge**2) / math.sqrt(2 * math.pi)
        return {
            "loc": torch.stack((density / scale[0] + 0.4 * loc[1], 0.4 * loc[0])),
            "log_scale": torch.stack((density * edge, torch.zeros_like(edge))),
        }


class BlackBox(Table):
    """A cost that torch cannot see into."""

    cost_is = "black_box"

    def cost(self, z: Tensor, q: Any) -> Tensor:
        numbers = z.detach().numpy()
        return torch.from_numpy(np.tanh(numbers.reshape(*numbers.shape[: -q.event_ndim], -1) @ np.arange(1, 1 + math.prod(q.event_shape))))


class BernoulliBlackBox(BlackBox):
    start: ClassVar[dict[str, Any]] = {"logits": [-0.5, 0.3, 0.8]}


class CategoricalBlackBox(BlackBox):
    start: ClassVar[dict[str, Any]] = {"logits": [[0.2, -0.4, 0.6]]}


class GaussianBlackBox(BlackBox):
    start: ClassVar[dict[str, Any]] = {"loc": [0.3, -0.2], "log_scale": [0.1, -0.4]}


class BernoulliBlackBoxes(BernoulliBlackBox):
    combine = LogMeanExp(2)


class GaussianBlackBoxes(GaussianBlackBox):
    combine = LogMeanExp(2)


def pixels() -> Dataset:
    """Images of four pixels: a variational autoencoder so small that a bias of 2 % is seen in a second."""
    rows = (np.random.default_rng(5).random((9, 4)) < np.array([0.2, 0.5, 0.6, 0.8])).astype(np.float64)
    return Dataset("digits", "train", rows, np.zeros(9, dtype=np.int64), "none", None, "made up", "0" * 64)


#: name: (model, wrt, the bias that must be visible). A variational autoencoder's cost is far from zero, and so REINFORCE is noisy there.
PROBLEMS: dict[str, tuple[Model, str, float]] = {
    "bernoulli_cubic": (BernoulliCubic(), "all", VISIBLE),
    "bernoulli_direct": (BernoulliDirect(), "all", VISIBLE),
    "bernoulli_ising": (BernoulliIsing(logits=[-1.1, -0.3, 0.4, 0.9], seed=1), "all", VISIBLE),
    "bernoulli_batch": (BernoulliBatch(), "all", VISIBLE),
    "bernoulli_nested": (BernoulliNested(), "all", VISIBLE),
    "bernoulli_bound": (BernoulliBound(), "all", VISIBLE),
    "bernoulli_bound_of_three": (BernoulliBoundOfThree(), "all", VISIBLE),
    "categorical_table": (CategoricalTable(), "all", VISIBLE),
    "categorical_cubic": (CategoricalCubic(), "all", VISIBLE),
    "categorical_direct": (CategoricalDirect(), "all", VISIBLE),
    "categorical_bound": (CategoricalBound(), "all", VISIBLE),
    "gaussian_polynomial": (GaussianPolynomial(), "all", VISIBLE),
    "gaussian_direct": (GaussianDirect(), "all", VISIBLE),
    "gaussian_elbo": (GaussianElbo(), "all", VISIBLE),
    "gaussian_bound": (GaussianBound(), "all", VISIBLE),
    "gaussian_bound_of_three": (GaussianBoundOfThree(), "all", VISIBLE),
    "gaussian_bound_direct": (GaussianBoundDirect(), "all", VISIBLE),
    "binary_vae": (BinaryVAE(data=pixels(), latents=2, batch=2), "distribution", 5 * VISIBLE),
    "categorical_vae": (CategoricalVAE(data=pixels(), latents=2, categories=3, batch=2), "distribution", 5 * VISIBLE),
    "gaussian_vae": (GaussianVAE(data=pixels(), latents=2, batch=2), "distribution", 5 * VISIBLE),
    "gaussian_iwae": (IWAE(data=pixels(), latent="gaussian", latents=1, batch=2), "distribution", 5 * VISIBLE),
}
DESIGNED = ("bernoulli_cubic", "categorical_cubic")


def supports(estimator: Estimator, model: Model) -> bool:
    return all(estimator.supports(site.q, model) is None for site in sites(Program(model)).values())


def fits(estimator: Estimator, problem: str) -> bool:
    """Whether it is tested there: on several samples only where it wants them. (That they are one draw like any is tested elsewhere.)"""
    model = PROBLEMS[problem][0]
    of_several = any(site.q.copies > 1 for site in sites(Program(model)).values())
    return supports(estimator, model) and of_several == estimator.multi_sample


# ------------------------------------------------------------------------------------------------------------------ names and facts


def test_something_is_discovered() -> None:
    assert {"exact", "reparameterization", "reinforce", "concrete", "straight_through", "st_gumbel"} <= set(NAMES)
    assert {"reinforce-baseline=moving_average", "straight_through-backward=identity"} <= set(VARIANTS)


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


@estimators
def test_facts_are_declared(name: str) -> None:
    kind = kind_of(name)
    assert isinstance(kind.unbiased, bool) and isinstance(kind.needs_cost_gradient, bool)
    assert kind.unbiased_if is None or (kind.unbiased and kind.unbiased_if), "a condition belongs to an unbiased estimator"
    assert kind.distributions and all(issubclass(q, Distribution) for q in kind.distributions)
    assert kind.least_samples >= 1
    assert re.search(r"\((19|20)\d\d\)", kind.citation), "authors (year), title, where"
    assert issubclass(kind, Estimator) and kind.__mro__[1] is Estimator, "abstract or final: wrap, do not subclass"


@estimators
@pytest.mark.parametrize("section", ["Approximates:", "With:", "Requires:", "Costs:", "Bias:", "References:"])
def test_docstring_has_its_sections(name: str, section: str) -> None:
    assert section in inspect.getdoc(kind_of(name))  # type: ignore[operator]


@estimators
def test_the_docstring_and_the_flag_agree_on_bias(name: str) -> None:
    kind = kind_of(name)
    said = re.search(r"Bias: +(\w+)", inspect.getdoc(kind))  # type: ignore[arg-type]
    assert said is not None
    assert (said[1] == "none") == kind.unbiased


@every_variant
def test_too_few_samples_are_refused(variant: str) -> None:
    least = build(variant).num_samples
    assert least == type(build(variant)).least_samples
    with pytest.raises(ConfigurationError, match=f"num_samples={least - 1}: must be at least {least}"):
        build(variant, least - 1)


@every_variant
def test_an_odd_number_is_refused_where_samples_come_in_pairs(variant: str) -> None:
    odd = build(variant).num_samples + 1 + build(variant).num_samples % 2
    if type(build(variant)).in_pairs:
        with pytest.raises(ConfigurationError, match=f"num_samples={odd}: must be even"):
            build(variant, odd)
    else:
        assert build(variant, odd).num_samples == odd


@estimators
def test_a_temperature_must_be_positive(name: str) -> None:
    for key, parameter in registry.schema(kind_of(name)).items():
        if "temperature" in key:
            for value in (0.0, -1.0):
                with pytest.raises(ConfigurationError, match=f"estimator.{key}={value:g}: must be positive"):
                    registry.estimator(registry.settings("estimators", {"name": name, key: value}))
            with pytest.raises(ConfigurationError, match="must be finite"):
                registry.settings("estimators", {"name": name, key: math.inf})
            assert parameter.annotation is float


# ---------------------------------------------------------------------------------------------------------------------------- manners


def distribution(kind: type[Distribution], batch: tuple[int, ...], dtype: torch.dtype) -> Distribution:
    """One with unequal parameters that are leaves."""
    event = (3,) if kind.event_ndim == 1 else (2, 4)
    shape = (*batch, *event)
    numbers = torch.linspace(-1.5, 1.2, math.prod(shape), dtype=torch.float64).sin().reshape(shape)
    return kind(**{name: (numbers.exp() if name == "scale" else numbers + 0.1).to(dtype).requires_grad_() for name in kind.parameter_names})


def known(estimator: Estimator) -> list[type[Distribution]]:
    return [kind for kind in (Bernoulli, Categorical, Normal) if issubclass(kind, estimator.distributions)]


def quadratic(z: Tensor, q: Any) -> Tensor:
    weights = torch.linspace(-1, 1.5, math.prod(q.event_shape), dtype=z.dtype).reshape(q.event_shape)
    return (z * weights).flatten(-q.event_ndim).sum(-1) ** 2 + 0.1 * q.log_prob(z)


def estimate(estimator: Estimator, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
    """As the program asks for it: of two samples, where it wants several."""
    if estimator.multi_sample:
        q, cost = q.power(2), MultiSample(cost, LogMeanExp(2))
    return estimator.expect(q, cost, noise)


def ready(estimator: Estimator, q: Distribution) -> Estimator:
    estimator.prepare("z", q.map(Tensor.detach), Block(0, "prepare", 0, torch.float64, CPU).one())
    return estimator


def noise_for(dtype: torch.dtype) -> Noise:
    return Block(11, "manners", 0, dtype, CPU).one()


@every_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("batch", [(), (5,), (2, 5)], ids=str)
def test_shapes_and_dtypes(variant: str, dtype: torch.dtype, batch: tuple[int, ...]) -> None:
    for extra in (0, 2):
        for kind in known(build(variant)):
            q = distribution(kind, batch, dtype)
            estimator = ready(build(variant, samples(variant, extra)), q)
            value = estimate(estimator, q, quadratic, noise_for(dtype))
            assert (value.shape, value.dtype) == (torch.Size(batch), dtype)
            found = torch.autograd.grad(value.sum(), tuple(q.parameters.values()))
            for slope, parameter in zip(found, q.parameters.values(), strict=True):
                assert (slope.shape, slope.dtype) == (parameter.shape, dtype)
                assert torch.isfinite(slope).all() and slope.abs().max() > 0


@every_variant
def test_rows_of_a_batch_do_not_see_each_other(variant: str) -> None:
    for kind in known(build(variant)):
        q = distribution(kind, (4,), torch.float64)
        estimator = ready(build(variant), q)
        value = estimate(estimator, q, quadratic, noise_for(torch.float64))
        found = torch.autograd.grad(value[1], tuple(q.parameters.values()))
        assert all((slope[[0, 2, 3]] == 0).all() for slope in found)


@every_variant
def test_expect_changes_nothing(variant: str) -> None:
    """Neither `.grad`, nor a global generator, nor the parameters, nor the estimator itself."""
    for kind in known(build(variant)):
        q = distribution(kind, (2,), torch.float32)
        estimator = ready(build(variant), q)
        parameters = {name: value.detach().clone() for name, value in q.parameters.items()}
        state, own = copy.deepcopy(estimator.state_dict()), copy.deepcopy(vars(estimator))
        torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002 - the global one is what is guarded
        torch.autograd.grad(estimate(estimator, q, quadratic, noise_for(torch.float32)).sum(), tuple(q.parameters.values()))
        assert torch.equal(torch.get_rng_state(), torch_before)
        assert repr(np.random.get_state()) == repr(numpy_before)  # noqa: NPY002
        assert all(value.grad is None for value in (*q.parameters.values(), *estimator.parameters()))
        assert all(torch.equal(q.parameters[name], value) for name, value in parameters.items())
        assert repr(estimator.state_dict()) == repr(state)
        assert repr(vars(estimator)) == repr(own)


@every_variant
def test_the_same_noise_gives_the_same_bits(variant: str) -> None:
    for kind in known(build(variant)):
        q = distribution(kind, (3,), torch.float32)
        estimator = ready(build(variant), q)
        first, second = (estimate(estimator, q, quadratic, noise_for(torch.float32)) for _ in range(2))
        assert torch.equal(first, second)
        grads = [torch.autograd.grad(value.sum(), tuple(q.parameters.values())) for value in (first, second)]
        assert all(map(torch.equal, *grads))


@every_variant
def test_the_noise_matters(variant: str) -> None:
    """Negative control of the one above: other noise, other answer, for everything but `exact`."""
    for kind in known(build(variant)):
        q = distribution(kind, (3,), torch.float64)
        estimator = ready(build(variant), q)
        other = Block(12, "manners", 0, torch.float64, CPU).one()
        same = torch.equal(*(estimate(estimator, q, quadratic, noise) for noise in (noise_for(torch.float64), other)))
        assert same == isinstance(estimator, Exact)


def gradients_of_many(estimator: Estimator, q: Distribution, cost: Cost, replicates: int) -> list[Tensor]:
    """Of each parameter, ``[replicates, *event]``."""
    many = q.map(lambda value: value.detach().expand(replicates, *value.shape).clone().requires_grad_())
    value = estimate(ready(estimator, q), many, cost, Block(3, "constant", 0, torch.float64, CPU).tile(0, replicates))
    return list(torch.autograd.grad(value.sum(), tuple(many.parameters.values())))


@pytest.mark.statistical
@every_variant
def test_a_constant_cost_has_no_gradient(variant: str) -> None:
    """Exactly none where the gradient is the cost's; none on average (12 z-tests at 1e-6) where it is a score's."""

    def constant(z: Tensor, q: Any) -> Tensor:
        return 2.7 + 0 * z.flatten(-q.event_ndim).sum(-1)

    for kind in known(build(variant)):
        estimator = build(variant)
        replicates = 4 if isinstance(estimator, Exact) else 4096
        for g in gradients_of_many(estimator, distribution(kind, (), torch.float64), constant, replicates):
            if estimator.needs_cost_gradient:
                assert (g == 0).all()
            elif estimator.unbiased:
                assert (g.mean(0).abs() <= scipy.stats.norm.isf(0.5e-6) * g.std(0) / math.sqrt(replicates) + 1e-12).all()


# ------------------------------------------------------------------------------------------------------------------------- routes

REPLICATES = 3


def model_called(name: str) -> Model:
    return PROBLEMS[name.removeprefix("test.")][0] if name.startswith("test.") else shipped_model(name)


def programs(model: Model) -> Iterator[Program]:
    """The model with respect to everything it can be measured in."""
    for wrt in WRT:
        try:
            yield Program(model, wrt=wrt, dtype=torch.float64)
        except ConfigurationError:
            assert wrt == "encoder"  # it has none


ROUTED = [  # `exact` is evaluated once, and takes no route
    (variant, name)
    for variant in VARIANTS
    if variant != "exact"
    for name in (
        *(name for name in files("model") if supports(build(variant), shipped_model(name))),
        *(f"test.{name}" for name in PROBLEMS if "vae" not in name and fits(build(variant), name)),
    )
]


@pytest.mark.parametrize(("variant", "name"), ROUTED, ids=[f"{variant}-{name}" for variant, name in ROUTED])
def test_routes_agree_replicate_by_replicate(variant: str, name: str) -> None:
    """On the same noise every route gives each replicate the same gradient, whatever it is taken with respect to."""
    model = model_called(name)
    estimator = build(variant, samples(variant, 1))
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


@pytest.mark.parametrize(("variant", "name"), ROUTED, ids=[f"{variant}-{name}" for variant, name in ROUTED])
def test_the_structured_route_has_the_mean_of_the_loop(variant: str, name: str) -> None:
    """It forms no replicate's gradient to compare, but sums the same ones; its variances are tested in tests/routes."""
    model = model_called(name)
    for more in (0, 1):
        estimator = build(variant, samples(variant, more))
        for program in programs(model):
            seen = probe(program, estimator)
            if not can_structure(program, estimator, seen):
                laid_open = model.independent_rows and has_one_site(seen) and seen.evaluations <= MOST_TERMS
                plain = isinstance(estimator, Concrete | Reinforce | Reparameterization | STGumbel)
                assert program.wrt == "distribution" or not (laid_open and plain), "a VAE of ours is made of linear layers"
                with pytest.raises(ConfigurationError, match="engine=structured"):
                    choose("structured", program, estimator, seen)
                continue
            block = Block(5, "base", 2, torch.float64, CPU)
            found = choose("structured", program, estimator, seen).moments(block, REPLICATES, None)
            oracle = ROUTES["loop"](program, estimator, seen).moments(block, REPLICATES, None)
            torch.testing.assert_close(found.mean, oracle.mean, rtol=1e-9, atol=1e-11 * float(oracle.mean.abs().max()))
            assert (found.largest >= oracle.largest * (1 - 1e-12)).all()


@every_variant
def test_every_estimator_has_a_shipped_model(variant: str) -> None:
    assert any(supports(build(variant), shipped_model(name)) for name in files("model"))


# --------------------------------------------------------------------------------------------------------------------------- costs


def formula(text: str, symbols: dict[str, float]) -> float:
    """What "N (2 D + 1)" is worth: two things with nothing between them are multiplied."""
    product = re.sub(r"(?<=[\w)]) +(?=[\w(])", " * ", text)
    assert re.fullmatch(r"[\w\s()+*/-]+", product), text
    return float(eval(product, {"__builtins__": {}}, symbols))


@every_variant
@pytest.mark.parametrize("extra", [0, 3])
def test_evaluations_are_what_is_declared(variant: str, extra: int) -> None:
    """Counted twice: by the engine's dry run, and by a cost that counts itself; the docstring says the same."""
    kind = type(build(variant))
    if kind is not Exact:
        assert f"Costs: {kind.evaluations} evaluations" in " ".join(inspect.getdoc(kind).split())  # type: ignore[union-attr]
    assert (kind.gradient_evaluations != "0") == kind.needs_cost_gradient
    n = samples(variant, extra)
    checked = 0
    for model, _, _ in PROBLEMS.values():
        estimator = build(variant, n)
        if not (isinstance(model, Table) and supports(estimator, model)):
            continue
        program = Program(model, dtype=torch.float64)
        counted = 0
        original = program.model.cost

        def counting(z: Tensor, q: Any, original: Cost = original) -> Tensor:
            nonlocal counted
            counted += math.prod(z.shape[: -q.event_ndim])
            return original(z, q)

        program.model.cost = counting  # type: ignore[assignment, method-assign]
        found = sites(program)
        sites_own = 2 * counted  # the dry run too looks once at the cost before it asks the estimator
        seen = probe(program, estimator)
        rows = math.prod(next(iter(found.values())).q.batch_shape)
        assert seen.evaluations * rows == counted - sites_own
        if kind is not Exact:
            declared = [1.0, 1.0]
            for site in found.values():  # of a nested model, for each evaluation of the outer cost those of the inner
                event = site.q.event_shape
                symbols = {"N": n, "D": event[0], "C": event[1] if len(event) > 1 else 2} | VARIANTS[variant]
                for i, text in enumerate((kind.evaluations, kind.gradient_evaluations)):
                    declared[i] *= site.q.copies * formula(text, symbols)
            assert seen.evaluations == declared[0]
            assert seen.gradient_evaluations == declared[1] or len(found) > 1
        checked += 1
    assert checked


BOXES: list[Table] = [BernoulliBlackBox(), CategoricalBlackBox(), GaussianBlackBox(), BernoulliBlackBoxes(), GaussianBlackBoxes()]


BOXED = [
    (variant, box)
    for variant in VARIANTS
    for box in BOXES
    if isinstance(Program(box).outermost(Program(box).params), build(variant).distributions)
    if build(variant).multi_sample == (box.combine is not None)
]


@pytest.mark.parametrize(("variant", "model"), BOXED, ids=[f"{variant}-{box.name}" for variant, box in BOXED])
def test_black_boxes_are_measured_or_refused(variant: str, model: Model) -> None:
    estimator = build(variant)
    (site,) = sites(Program(model)).values()
    if estimator.needs_cost_gradient:
        assert "black box" in (estimator.supports(site.q, model) or "")
        with pytest.raises(ConfigurationError, match=f"estimator={estimator.name}: needs the gradient of the cost"):
            gsx.measure(model, estimator, num_replicates=64)
        return
    assert estimator.supports(site.q, model) is None
    if isinstance(estimator, Exact) and isinstance(site.q, Normal):
        return  # quadrature wants smoothness, and a black box promises none
    settings = {"num_replicates": 64, "dtype": "float64", "workers": 1}
    results = [gsx.measure(model, build(variant), engine=engine, **settings) for engine in ("auto", "loop")]
    means = [result.coordinates.mean for result in results]  # type: ignore[union-attr]
    np.testing.assert_allclose(*means, rtol=1e-9, atol=1e-12)
    assert np.abs(means[0]).max() > 0


# ------------------------------------------------------------------------------------------------------------------------- unbiasedness


@dataclass
class Look:
    """One z-test of a mean gradient against the exact one."""

    excess: float  # max of |bias| over its threshold: above 1, a bias is seen
    visible: float  # the bias that would be seen with probability POWER, relative to max |gradient|

    @property
    def biased(self) -> bool:
        return self.excess > 1


def look(model: Model, estimator: Estimator, wrt: str, *, tests: int, visible: float = VISIBLE, most: int = 2**22) -> Look:
    """R follows from the variance in a pilot on other noise, so that a bias of ``visible`` is seen; each coordinate of each of ``tests``
    tests gets its share of the family-wise error."""
    program = Program(model, wrt=wrt, dtype=torch.float64)
    truth = reference_gradient(program, ReferenceSettings(), seed=0).gradient
    seen = probe(program, estimator)
    warm_up(estimator, program, seed=4)
    route = choose("loop" if isinstance(estimator, Exact) else "auto", program, estimator, seen)  # `vmap` maps over noise
    assert isinstance(route, Materialising)
    size, scale = (8 if isinstance(estimator, Exact) else 2**13), float(np.abs(truth).max())
    threshold, power = scipy.stats.norm.isf(FAMILY_WISE_ERROR / (2 * tests * len(truth))), scipy.stats.norm.isf(1 - POWER)

    def of_block(stream: str, index: int) -> np.ndarray:
        block, tile = Block(4, stream, index, torch.float64, CPU), route.tile(size)
        return torch.cat([route.gradients(block, start, start + tile) for start in range(0, size, tile)]).numpy()

    pilot = of_block("pilot", 0).std(0).max()
    wanted = 1.2 * ((threshold + power) * pilot / (visible * scale)) ** 2
    blocks = math.ceil(min(most, max(2**14, wanted)) / size)
    if isinstance(estimator, Exact):
        blocks = 1
    means, variances = zip(*[(g.mean(0), g.var(0)) for g in (of_block("base", index) for index in range(blocks))], strict=True)
    se = np.sqrt(np.mean(variances, 0) / (blocks * size))
    rounding = (1e-4 if isinstance(estimator, Exact) else 1e-8) * scale  # `exact` has 16 nodes when it is asked for one estimate
    bias = np.abs(np.mean(means, 0) - truth)
    return Look(float((bias / (threshold * se + rounding)).max()), float((threshold + power) * se.max() / scale))


UNBIASED = [
    (variant, problem)
    for variant in VARIANTS
    for problem, (model, _, _) in PROBLEMS.items()
    if build(variant).biased_because(model) is None and fits(build(variant), problem)
]
BIASED = [variant for variant in VARIANTS if not build(variant).unbiased]


@pytest.mark.statistical
@pytest.mark.parametrize(("variant", "problem"), UNBIASED, ids=[f"{variant}-{problem}" for variant, problem in UNBIASED])
def test_declared_unbiased_is_unbiased(variant: str, problem: str) -> None:
    model, wrt, visible = PROBLEMS[problem]
    seen = look(model, build(variant), wrt, tests=len(UNBIASED), visible=visible)
    assert seen.visible < visible, "no power"
    assert not seen.biased, seen


@pytest.mark.parametrize("name", [name for name in NAMES if kind_of(name).unbiased])
def test_unbiasedness_is_tested_on_three_problems(name: str) -> None:
    """None of them separable, and one of them with a cost that depends on the parameters."""
    tested = {problem for variant, problem in UNBIASED if variant == name}
    assert len(tested) >= 3 or not known(build(name))
    assert any(PROBLEMS[problem][0].direct_term != "none" for problem in tested) or not known(build(name))


@pytest.mark.statistical
@pytest.mark.parametrize("variant", BIASED)
def test_declared_biased_is_biased(variant: str) -> None:
    """On at least one of the cubic costs: who is not caught there may be unbiased, and should say so."""
    fitting = [problem for problem in DESIGNED if supports(build(variant), PROBLEMS[problem][0])]
    assert fitting or not known(build(variant))
    assert any(look(PROBLEMS[problem][0], build(variant), "all", tests=len(BIASED), most=2**18).biased for problem in fitting)


@pytest.mark.statistical
def test_a_modest_estimator_would_be_found_out() -> None:
    """An unbiased estimator that calls itself biased is not biased on the designed problems: the test above would fail."""
    assert not any(look(PROBLEMS[problem][0], Reinforce(), "all", tests=len(BIASED), most=2**18).biased for problem in DESIGNED)


@pytest.mark.statistical
@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant != "exact" and supports(build(variant), GaussianStep())])
def test_a_condition_of_unbiasedness_is_meant(variant: str) -> None:
    """On a cost that jumps: who has a condition is biased and says so, who has none is not."""
    model, estimator = GaussianStep(), build(variant)
    reason = estimator.biased_because(model)
    assert look(model, estimator, "all", tests=len(VARIANTS)).biased == (reason is not None)
    if estimator.unbiased_if is not None:
        assert reason is not None and "biased here" in reason and estimator.unbiased_if in reason and "discontinuous" in reason
        assert estimator.biased_because(GaussianPolynomial()) is None
        result = gsx.measure(model, estimator, num_replicates=2**16, workers=1)
        assert result.verdict.status == "biased" and "biased here" in (result.verdict.reason or "")


CONDITIONAL = [
    (variant, problem)
    for variant in VARIANTS
    for problem, (model, _, _) in PROBLEMS.items()
    if build(variant).unbiased and build(variant).biased_because(model) is not None and fits(build(variant), problem)
]


@pytest.mark.statistical
@pytest.mark.parametrize(("variant", "problem"), CONDITIONAL, ids=[f"{variant}-{problem}" for variant, problem in CONDITIONAL])
def test_a_condition_on_the_direct_term_is_meant(variant: str, problem: str) -> None:
    """Who is unbiased for some direct terms is biased for the others, and says so."""
    model, wrt, visible = PROBLEMS[problem]
    assert f"direct term is {model.direct_term}" in (build(variant).biased_because(model) or "")
    assert look(model, build(variant), wrt, tests=len(CONDITIONAL), visible=visible).biased


def direct_term(model: Model) -> str:
    """The one that is seen at eight draws of each site: the gradient of the cost in the q it is handed, held against the score."""
    found = set()

    def implementation(q: Distribution, cost: Cost, site: str) -> Tensor:
        free = q.map(lambda value: value.detach().requires_grad_())
        z = q.map(Tensor.detach).sample(Block(2, "direct", 0, torch.float64, CPU).one().uniform((8,), q))
        weighed = isinstance(cost, MultiSample) and q.copies > 1
        f = cost.each(z, free).sum(0) if weighed else cost(z, free)
        parameters, scores = tuple(free.parameters.values()), q.score(z).values()
        of_draw = [torch.autograd.grad(x.sum() + 0 * sum(p.sum() for p in parameters), parameters, retain_graph=True) for x in f]
        slopes = [torch.stack(slope) for slope in zip(*of_draw, strict=True)]
        factor = sum((a * b).sum() for a, b in zip(slopes, scores, strict=True)) / sum((b * b).sum() for b in scores)
        if all(torch.allclose(slope, torch.zeros_like(slope)) for slope in slopes):
            found.add("none")
        elif all(torch.allclose(slope, factor * score) for slope, score in zip(slopes, scores, strict=True)):
            bound = weighed and isinstance(cost.combine, LogMeanExp) and abs(float(factor) - 1) < 1e-6
            found.add("log_weights" if bound else "other" if weighed else "log_q")
        else:
            found.add("other")
        return f.detach().mean(0)

    Program(model, dtype=torch.float64).loss(Program(model, dtype=torch.float64).params, implementation)
    return next(kind for kind in ("other", "log_weights", "log_q", "none") if kind in found)


@pytest.mark.parametrize("name", [*files("model"), *(f"test.{name}" for name in PROBLEMS)])
def test_direct_terms_are_what_is_declared(name: str) -> None:
    assert direct_term(model_called(name)) == model_called(name).direct_term


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
        (ThreePercentShort(), "bernoulli_ising"),
        (ThreePercentShort(), "gaussian_polynomial"),
        (ScaleDetached(), "gaussian_polynomial"),
        (PathOnly(), "gaussian_direct"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_mutants_are_caught(mutant: Estimator, problem: str) -> None:
    model, wrt, _ = PROBLEMS[problem]
    assert look(model, mutant, wrt, tests=len(UNBIASED)).biased


@pytest.mark.statistical
def test_a_right_relative_of_the_mutants_passes() -> None:
    assert not look(PROBLEMS["bernoulli_ising"][0], LeaveOneOut(num_samples=4), "all", tests=len(UNBIASED)).biased


class Miscoupled(STGumbel):
    """Hardens the latent of one draw and relaxes that of another."""

    def expect(self, q: Distribution, cost: Cost, noise: Noise) -> Tensor:
        assert isinstance(q, Discrete)
        hard = q.harden(q.latent(noise.uniform((self.num_samples,), q)))
        soft = q.relax(q.latent(noise.uniform((self.num_samples,), q)), self.temperature)
        return cost(hard.detach() + zero(soft), q).mean(0)


def well_coupled(estimator: Concrete | STGumbel, kind: type[Discrete]) -> bool:
    """Whether, on frozen noise, the points handed to the cost and their derivatives are those of the one latent of the first draw."""
    q = distribution(kind, (2,), torch.float64)
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


# ----------------------------------------------------------------------------------------------------------------------------- CUDA


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU")
@pytest.mark.parametrize(("variant", "problem"), UNBIASED + [(variant, problem) for variant in BIASED for problem in DESIGNED])
def test_cpu_and_gpu_agree_replicate_by_replicate(variant: str, problem: str) -> None:
    """The noise is the same bit for bit; the rest agrees to rounding."""
    model, wrt, _ = PROBLEMS[problem]
    if not supports(build(variant), model):
        pytest.skip("not supported")
    found = []
    for device in ("cpu", "cuda"):
        program, estimator = Program(model, wrt=wrt, dtype=torch.float64, device=device), build(variant)
        route = choose("auto", program, estimator, probe(program, estimator))
        found.append(route.gradients(Block(0, "base", 0, torch.float64, torch.device(device)), 0, 64).cpu())
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-10)
