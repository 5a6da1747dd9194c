"""Command-line options whose mistakes are one line, like every other mistake."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from gsx.naming import did_you_mean
from gsx.records import ConfigurationError


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        what = self.prog.removeprefix("gsx ")
        if wrong := re.fullmatch(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", message):
            option, given, known = wrong.groups()
            named = f"{option} " if option.startswith("-") else ""
            choices = [choice.strip("'") for choice in known.split(", ")]
            raise ConfigurationError(f"{what}: {named}{given}: unknown{did_you_mean(given, choices, cutoff=0.6)}")
        raise ConfigurationError(f"{what}: {message}")
