"""The files that Hydra composes: those of a user's folders are read strictly before Hydra reads them."""

from __future__ import annotations

import os
from pathlib import Path

from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult

from gsx.cli.config_folder import config_folder
from gsx.experiment import read_yaml
from gsx.records import ConfigurationError


class FileConfigSource(file_config_source.FileConfigSource):
    """ConfigurationError for what is no regular file, no YAML, or not plain keys and values.

    Named as Hydra's own, which is registered anew in a launcher's processes, and does not replace one of its name.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        if Path(self.path) == config_folder():  # our own, which take as long to read twice
            return super().load_config(config_path)
        path = self._path(config_path)
        shown = os.path.relpath(path)
        data = read_yaml(path, shown)
        if data is not None and not isinstance(data, dict):
            raise ConfigurationError(f"{shown}: must hold keys and their values")
        try:
            return super().load_config(config_path)
        except ValueError as error:  # of what Hydra reads in comments: `# @package`
            raise ConfigurationError(f"{shown}: {error}") from error

    def is_config(self, config_path: str) -> bool:
        """Whatever is there, so that what is no file is said to be none, and not to be unknown."""
        path = self._path(config_path)
        return os.path.lexists(path) and not path.is_dir()

    def _path(self, config_path: str) -> Path:
        return Path(self.path, self._normalize_file_name(config_path))


def declared() -> None:
    """Make it the source of `file://`; whichever was there is Hydra's own."""
    Plugins.instance()  # which registers that
    SourcesRegistry.instance().types["file"] = FileConfigSource
