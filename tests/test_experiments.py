"""Experiment files: what is shipped is whole, and every mistake is one line with file, key and rule."""

from __future__ import annotations

import copy
import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from gsx.cli.compose import cells, composing, plain
from gsx.cli.config_folder import config_folder
from gsx.configuration import Configuration, Setup
from gsx.experiment import Experiment, check_cells, experiments, load
from gsx.experiment.definition import last_of_each, override_value
from gsx.records import ConfigurationError
from gsx.training.configuration import TrainingConfiguration

FOLDERS = [config_folder()]
NAMES = list(experiments(FOLDERS))
SIZES = ("full", "quick")
#: What a step's command composes, and reads it as.
COMMANDS: dict[str, tuple[str, type[Setup]]] = {"run": ("config", Configuration), "train": ("train", TrainingConfiguration)}


@functools.cache
def base(config_name: str, *group: str) -> dict[str, Any]:
    """What one choice of a group composes to, or none; to be called within `composing`."""
    return plain(compose(config_name, overrides=list(group)))


def planned(experiment: Experiment, step: str) -> list[dict[str, Any]]:
    """The configurations of a step, each key of which is there to be set.

    Hydra composes each choice of a group once for all experiments, gsx checks the first cell of each of their combinations, and the others
    differ by values only: every cell by both would take minutes.
    """
    (chosen,) = (one for one in experiment.steps if one.name == step)
    (config_name, configuration), arguments = COMMANDS[chosen.command], chosen.arguments(f"name={experiment.folder}")
    checked = set()
    configs = []
    with composing():
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        for overrides in cells([word for word in arguments if word != "-m"], "-m" in arguments, config_name)[0]:
            groups = tuple(override for override in overrides if (config_folder() / override.partition("=")[0]).is_dir())
            config = copy.deepcopy(base(config_name))
            for group in groups:
                key = group.partition("=")[0]
                config[key] = copy.deepcopy(base(config_name, group)[key])
            for override in parser.parse_overrides([override for override in overrides if override not in groups]):
                *path, key = override.key_or_group.split(".")
                place = functools.reduce(lambda place, name: place[name], path, config)
                assert key in place, f"{experiment.name}: {override.input_line}: unknown key"
                place[key] = override.value()
            if groups not in checked:
                checked.add(groups)
                # What an earlier step leaves behind is not there yet.
                configuration.of({**config, "model": {**config["model"], "checkpoint": None}})
            configs.append(config)
    return configs


# ------------------------------------------------------------------------------------------------------------------------- shipped


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_every_override_composes_and_every_finding_names_one_cell(name: str, size: str) -> None:
    experiment = load(name, FOLDERS, size)
    for step in experiment.steps:
        configs = planned(experiment, step.name)
        assert configs
        check_cells(experiment, step.name, configs)


def test_a_finding_about_no_cell_is_caught() -> None:
    """The check above can fail: a cell that is not in the grid, and one that is there twice."""
    for where, count in (({"estimator": "rloo", "num_samples": 3}, 0), ({"estimator": "rloo"}, 4)):
        experiment = load("arms_toy", FOLDERS, "quick")
        data = {**experiment.definition, "findings": [measured(step="sweep", where=where)]}
        with pytest.raises(ConfigurationError, match=f"{count} cells of sweep have"):
            check_cells(Experiment.of(data, "arms_toy"), "sweep", planned(experiment, "sweep"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_down_is_read_again(name: str, size: str) -> None:
    experiment = load(name, FOLDERS, size)
    assert Experiment.of(experiment.definition, name, size) == experiment
    assert experiment.folder == (name if size == "full" else f"{name}-quick")


# ---------------------------------------------------------------------------------------------------------------------------- sizes


def definition(**more: Any) -> dict[str, Any]:
    step = {"name": "sweep", "command": "run", "overrides": ["num_replicates=1000"], "sweep": {"estimator": ["rloo", "arm"]}}
    return {"title": "a title", "steps": [step], **more}


def measured(**more: Any) -> dict[str, Any]:
    return {"says": "something", "kind": "measured", "measured": {"step": "sweep", "number": "variance", **more}}


@pytest.mark.parametrize("name", NAMES)
def test_what_counts_as_published_names_a_publication(name: str) -> None:
    """A year, and nothing that was worked out here."""
    for finding in load(name, FOLDERS).findings:
        if finding.origin == "published":
            assert re.search(r"\((19|20)\d\d\)|et al\. \(20", finding.source), finding
            assert not re.search(r"here|ours|our |closed form|quadrature|exact:|in general", finding.source), finding


def test_the_quick_size_differs_where_it_says_so() -> None:
    data = definition(findings=[measured(), measured() | {"says": "slow", "quick": "skip"}])
    data["steps"][0]["quick"] = {"overrides": ["num_replicates=10"], "sweep": {"model.logits": [[0.5], [1e-3, -1.0]]}}
    full, quick = (Experiment.of(data, "mine", size) for size in SIZES)
    assert full.steps[0].arguments("name=mine") == ["-m", "num_replicates=1000", "estimator=rloo,arm", "name=mine"]
    expected = ["-m", "num_replicates=10", "estimator=rloo,arm", "model.logits=[0.5],[0.001,-1.0]", "name=x"]
    assert quick.steps[0].arguments("name=x") == expected
    assert [len(size.findings) for size in (full, quick)] == [2, 1]


def test_of_two_overrides_of_one_key_the_later_one_holds() -> None:
    assert last_of_each(["a=1", "+b.c=2", "a=3", "~d", "b.c=4"]) == ["a=3", "~d", "b.c=4"]
    assert Experiment.of(definition(), "mine").steps[0].arguments("estimator=disarm")[1:] == ["num_replicates=1000", "estimator=disarm"]


def test_values_as_hydra_reads_them() -> None:
    assert [override_value(value) for value in (None, True, 2, 0.5, "rloo", [1, [0.0]])] == [
        "null",
        "true",
        "2",
        "0.5",
        "rloo",
        "[1,[0.0]]",
    ]


# ------------------------------------------------------------------------------------------------------------------------- mistakes

VALUE = {"says": "something", "kind": "value", "published": 1.0, "tolerance": 0.1, "measured": {"step": "sweep", "number": "variance"}}

REFUSED: list[tuple[dict[str, Any], str]] = [
    (definition(titel="x"), "experiment.titel: unknown key; did you mean title?"),
    ({"title": "x"}, "experiment.steps: must be given"),
    (definition(steps=[]), "experiment.steps=[]: must be at least one"),
    (definition(steps=[{"name": "a", "sweeps": {}}]), "steps[0].sweeps: unknown key; did you mean sweep?"),
    (definition(steps=[{"name": "a"}, {"name": "a"}]), "steps: two have the name a"),
    (definition(steps=[{"name": "a", "command": "rn"}]), "steps[0].command=rn: must be one of run, train"),
    (definition(steps=[{"name": "a", "overrides": [{"model": 3}]}]), "steps[0].overrides: {'model': 3}: must be key=value"),
    (definition(steps=[{"name": "a", "overrides": ["name=x"]}]), "steps[0].overrides: name: is not for a step"),
    (definition(steps=[{"name": "a", "sweep": {"model": "x"}}]), "steps[0].sweep.model=x: must be a list"),
    (definition(steps=[{"name": "a", "sweep": {"m": [1]}, "overrides": ["m=2"]}]), "steps[0].sweep.m: is fixed by an override"),
    (definition(steps=[{"name": "a", "quick": {"skip": 1}}]), "steps[0].quick.skip: unknown key"),
    (definition(findings=[measured(step="swep")]), "findings[0].measured.step=swep: unknown step; did you mean sweep?"),
    (definition(findings=[measured(number="varience")]), "findings[0].measured.number=varience: unknown number; did you mean variance?"),
    (definition(findings=[measured(number="mean.logits")]), "must be that of a coordinate, like mean.logits[0]"),
    (definition(findings=[measured(number="mse.logits[0]")]), "of one coordinate there are"),
    (definition(findings=[measured(number="cosine_single.logits")]), "known for the whole gradient only"),
    (definition(findings=[measured(number={"metric": "loss"})]), "must be a statistic, like variance: sweep is a run step"),
    (definition(findings=[measured(number={"argmin": "k"})]), "findings[0].measured.number.of: must be given"),
    (definition(findings=[measured(number={"crossing": "k", "of": "variance", "between": [{}]})]), "must be two mappings"),
    (definition(findings=[measured(times=0)]), "findings[0].measured.times=0: must be positive"),
    (definition(findings=[measured(), measured()]), "findings: two say 'something'"),
    (definition(findings=[measured() | {"kind": "valu"}]), "findings[0].kind=valu: must be one of value, less"),
    (definition(findings=[measured() | {"published": 1}]), "findings[0].published: unknown key"),
    (definition(findings=[measured() | {"quick": True}]), "findings[0].quick=True: must be skip"),
    (definition(findings=[VALUE | {"published": "abc"}]), "findings[0].published=abc: must be a number, or a range"),
    (definition(findings=[VALUE | {"published": [2, 1]}]), "findings[0].published=[2, 1]: must be a number, or a range"),
    (definition(findings=[VALUE | {"tolerance": -1}]), "findings[0].tolerance=-1: must be at least 0"),
    (definition(findings=[{k: v for k, v in VALUE.items() if k != "tolerance"}]), "findings[0].tolerance: must be given"),
]


@pytest.mark.parametrize(("data", "expected"), REFUSED, ids=[expected for _, expected in REFUSED])
def test_a_mistake_is_one_line(data: dict[str, Any], expected: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigurationError) as refused:
        load("mine", [tmp_path])
    assert str(refused.value).startswith("mine.yaml: ") and expected in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(("text", "expected"), [("title: a\ntitle: b\n", "the key title stands there twice"), ("[", "is no YAML")])
def test_what_is_no_yaml(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=expected):
        load("mine", [tmp_path])


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    """YAML 1.1 takes 1e-5 for a text."""
    (tmp_path / "experiment").mkdir()
    text = yaml.safe_dump(definition(findings=[VALUE])).replace("published: 1.0", "published: 1e-5")
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    assert load("mine", [tmp_path]).findings[0].claimed == (1e-5, 1e-5)
