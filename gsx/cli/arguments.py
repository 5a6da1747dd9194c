"""Command-line options whose mistakes are one line, like every other mistake."""

from __future__ import annotations

import argparse
from typing import NoReturn

from gsx.records import ConfigurationError


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{self.prog.removeprefix('gsx ')}: {message}")
