"""`gsx list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from gsx.cli.arguments import Parser
from gsx.cli.columns import aligned, folded, terminal_width
from gsx.cli.config_folder import config_folder
from gsx.experiment import experiments, load
from gsx.records import ConfigurationError

Rows = list[Sequence[str]]

DESCRIPTION = """What there is to choose from: the names that estimator=, model=, device= and data= take, and those of gsx reproduce. Into a
file or a pipe one line each."""


def command(arguments: list[str]) -> int:
    parser = Parser(prog="gsx list", description=DESCRIPTION)
    parser.add_argument("what", nargs="?", choices=LISTS, help="default: everything")
    parser.add_argument("--plugins", nargs="*", default=[], metavar="MODULE", help="modules with estimators and models of your own")
    parser.add_argument("--bibtex", action="store_true", help="the papers of the estimators, as BibTeX")
    chosen = parser.parse_args(arguments)
    if chosen.bibtex and chosen.what not in (None, "estimators"):
        raise ConfigurationError(f"list {chosen.what} --bibtex: only estimators have papers")
    if chosen.plugins:
        from gsx.registry import import_plugins

        import_plugins(chosen.plugins)
    if chosen.bibtex:
        return _bibtex(chosen.plugins)
    room = terminal_width()
    for what in [chosen.what] if chosen.what else LISTS:
        if not chosen.what:
            print(f"{what}:")
        rows = LISTS[what](chosen.plugins)
        print((aligned(rows) if room is None else folded(rows, room)) + ("" if chosen.what else "\n"))
    return 0


def _bibtex(plugins: list[str]) -> int:
    from gsx.catalogue import bibtex, estimators

    print("\n\n".join(bibtex(name, kind) for name, kind in estimators(plugins).items()))
    return 0


def _estimators(plugins: list[str]) -> Rows:
    from gsx.catalogue import COLUMNS, estimators, row

    return [COLUMNS, *(row(name, kind) for name, kind in estimators(plugins).items())]


def _models(plugins: list[str]) -> Rows:
    from gsx.models.base import Model
    from gsx.registry import find, names

    rows: Rows = [("name", "cost", "data", "what")]
    for name in names("models", plugins):
        kind = find("models", name, plugins)
        assert issubclass(kind, Model)
        config = config_folder() / "model" / f"{name}.yaml"
        what = _comment(config) if config.exists() else (kind.__doc__ or "").partition("\n")[0]
        rows.append((name, kind.cost_is, kind.default_data or "none", what))
    known = {row[0]: row for row in rows}
    presets = [path for path in _configs("model") if path.stem not in known]
    return rows + [(path.stem, *known[_base(path)][1:3], _comment(path)) for path in presets]


def _experiments(plugins: list[str]) -> Rows:
    folders = [config_folder()]
    known = [(load(name, folders), load(name, folders, "quick")) for name in experiments(folders)]
    rows = [
        (full.name, str(len(full.steps)), str(len(full.findings)), str(len(quick.findings)), full.title, full.source)
        for full, quick in known
    ]
    return [("name", "steps", "findings", "--quick", "title", "source"), *rows]


def _devices(plugins: list[str]) -> Rows:
    import torch

    rows: Rows = [("name", "what"), ("cpu", torch.backends.cpu.get_cpu_capability())]
    return [*rows, ("cuda", torch.cuda.get_device_name() if torch.cuda.is_available() else "none that torch can see")]


def _data(plugins: list[str]) -> Rows:
    from gsx.data import holdings

    rows: Rows = [("name", "state", "train", "test", "what")]
    return [*rows, *((it.name, it.state, it.rows.get("train", "-"), it.rows.get("test", "-"), it.attribution) for it in holdings())]


def _configs(group: str) -> list[Path]:
    return sorted((config_folder() / group).glob("*.yaml"))


def _base(preset: Path) -> str:
    """The model that a preset sets up; it may do so through another preset."""
    config: Any = OmegaConf.load(preset)
    first: str = config["defaults"][0] if "defaults" in config else preset.stem
    return preset.stem if first == preset.stem else _base(preset.with_stem(first))


def _comment(path: Path) -> str:
    """The first comment of a configuration file that is not Hydra's: what it is, or which command runs it."""
    return next(line for line in path.read_text().splitlines() if not line.startswith("# @")).lstrip("# ")


LISTS: dict[str, Callable[[list[str]], Rows]] = {
    "estimators": _estimators,
    "models": _models,
    "experiments": _experiments,
    "devices": _devices,
    "data": _data,
}
