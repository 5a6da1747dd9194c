"""Where the files of configurations lie."""

from __future__ import annotations

from pathlib import Path

import gsx
from gsx.records import ConfigurationError


def config_folder() -> Path:
    """Where `config.yaml` lies: in the package for a wheel, beside it for a checkout."""
    package = Path(gsx.__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").exists():
            return folder
    raise ConfigurationError(f"{package}: the conf folder is missing; gsx is not installed whole")


def config_folders(config_dir: str | None = None) -> list[Path]:
    """Where options are looked for: a user's own folder first."""
    return [*([Path(config_dir)] if config_dir else []), config_folder()]
