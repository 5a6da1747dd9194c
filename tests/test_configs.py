"""Every committed configuration composes, runs, and says in a comment what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gsx import data, yardstick
from gsx.cli.compose import composed, composing
from gsx.cli.config_folder import config_folder
from gsx.configuration import Configuration
from gsx.measurement import Measurement
from gsx.records import ConfigurationError, MissingData, Result
from gsx.registry import find, names, schema
from gsx.testing import Subject
from tests.estimators.catalogue import shipped_model

CONF = config_folder()
FILES = sorted(CONF.rglob("*.yaml"))


def options(group: str) -> list[str]:
    found = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    assert found
    return found


#: A class by its preset; the others are presets of themselves.
CLASS = {"iwae_gaussian": "iwae", "binary_vae_200": "binary_vae", "binary_vae_hidden": "binary_vae", "gumbel_softmax": "concrete"}
CLASS |= dict.fromkeys(("binary_vae_disarm_linear", "binary_vae_disarm_nonlinear", "binary_vae_rodeo"), "binary_vae")
CLASS |= dict.fromkeys((f"categorical_vae_{size}" for size in ("8x4", "4x24", "8x16", "16x12", "64x8", "10x30")), "categorical_vae")
CLASS |= dict.fromkeys(("structured_output_200", "structured_output_20x10"), "structured_output")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The least timing, so that a measurement takes as long as its numbers do; and nothing in this folder."""
    monkeypatch.setattr(yardstick, "SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GSX_DATA", raising=False)


def configured(*overrides: str) -> Configuration:
    with composing():
        return Configuration.of(composed(list(overrides)))


def measured(*overrides: str) -> Result:
    """A measurement that is as small as can be, held in memory."""
    result = Measurement(configured("num_replicates=64", "block_size=1", "reference.num_replicates=64", *overrides)).run()
    variance = result.summary["variance"]
    assert result.status == "complete" and variance is not None and variance.value >= 0
    return result


# -------------------------------------------------------------------------------------------------------------------------- models

#: Of a published size: no exact reference, and for this test the gradient of the distribution's parameters alone, in a small batch.
LARGE = {preset for preset in CLASS if re.search(r"_200|_disarm|_rodeo|_\d+x\d+$", preset)}
FEWER = {preset: ["wrt=distribution", "model.batch=4"] for preset in LARGE}


@pytest.mark.parametrize("model", options("model"))
def test_models(model: str) -> None:
    result = measured(f"model={model}", "estimator=reinforce", *FEWER.get(model, []))
    assert result.model == CLASS.get(model, model)
    assert (result.reference["kind"] == "long_run") == (model in LARGE - {"categorical_vae_8x4"})


#: Of them, the first that the estimator supports.
TOYS = ("bernoulli_toy", "categorical_toy", "gaussian_toy", "gamma_toy", "k_subset_toy", "iwae", "iwae_gaussian")


@pytest.mark.parametrize("estimator", options("estimator"))
def test_estimators(estimator: str) -> None:
    name = CLASS.get(estimator, estimator)
    subject = Subject.of(find("estimators", name))
    model = next(toy for toy in TOYS if subject.supports(shipped_model(toy)))
    result = measured(f"model={model}", f"estimator={estimator}", "tune.steps=2", "tune.replicates=2")
    assert result.estimator == CLASS.get(estimator, estimator)


@pytest.mark.parametrize("reference", options("reference"))
def test_references(reference: str) -> None:
    assert measured(f"reference={reference}").reference["kind"] == {"auto": "closed_form", "long_run": "long_run"}[reference]


@pytest.mark.parametrize("device", options("device"))
def test_devices(device: str) -> None:
    try:
        assert configured(f"device={device}").device.name in ("cpu", "cuda")
    except ConfigurationError as error:
        assert device == "cuda" and "device=cuda: torch sees no CUDA GPU" in str(error)


@pytest.mark.parametrize("name", options("data"))
def test_data(name: str) -> None:
    model = "bayes_logistic" if name == "breast_cancer" else "binary_vae"
    configuration = configured(f"data={name}", f"model={model}")
    assert name == "auto" or name in data.NAMES
    try:
        dataset = configuration.dataset()
    except MissingData as error:
        assert name in ("mnist", "fashion_mnist") and name in str(error)
    else:
        assert dataset is not None and dataset.name == ("digits" if name == "auto" else name)
        assert configuration.build_model(dataset).name == model


# --------------------------------------------------------------------------------------------------------------------- conventions


def comment(path: Path) -> str:
    """The first comment that is not Hydra's."""
    line = next(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package"))
    assert line.startswith("# ")
    return line.removeprefix("# ")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONF).as_posix())
def test_conventions(path: Path) -> None:
    """A first line of comment, plain data, no class by path (but for launchers), no tab, one line break at the end."""
    text = path.read_text(encoding="utf-8")
    group = path.relative_to(CONF).parts[0]
    assert "\t" not in text and text.endswith("\n") and not text.endswith("\n\n")
    assert all(line == line.rstrip() and len(line) <= 140 for line in text.splitlines())
    assert ("_target_" in text) == (path.parent.name == "launcher")  # which is Hydra's, and names its plug-ins so
    assert isinstance(yaml.safe_load(text), dict)
    assert re.fullmatch(r"[a-z0-9_]+", path.stem)
    if group != "hydra" or path.parent.name != "help":
        assert re.match(r"(# @package _global_\n)?# \S", text)
    if group == "experiment":
        assert text.startswith(f"# gsx reproduce {path.stem}\n")
    elif group in ("estimator", "model", "data", "reference", "device"):
        assert comment(path).endswith(".")


@pytest.mark.parametrize("room", ["estimators", "models"])
def test_a_file_for_each_class(room: str) -> None:
    """Every class has its YAML of the same name, whose keys and values are its signature's; whatever else there is, is a preset."""
    group = room.removesuffix("s")
    for name in names(room):  # type: ignore[arg-type]
        given = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
        assert given.pop("name") == name
        usual = {key: parameter.default for key, parameter in schema(find(room, name)).items()}  # type: ignore[arg-type]
        assert given.keys() == usual.keys(), name
        if name != "bayes_logistic":  # its file takes a minibatch, its class by itself all rows
            assert given == usual, name
    presets = set(options(group)) - set(names(room))  # type: ignore[arg-type]
    for preset in presets:
        base = yaml.safe_load((CONF / group / f"{preset}.yaml").read_text(encoding="utf-8"))["defaults"][0]
        assert base in names(room) and CLASS[preset] == base  # type: ignore[arg-type]
