"""One cell of `gsx train` before anything runs: checked, named by its content, and where it stands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsx.cli.cell import unless_broken
from gsx.cli.compose import composed
from gsx.cli.failures import reason
from gsx.cli.folder_name import broken_name, chosen, folder_name, telling_words
from gsx.store import TrainingDirectory, check_way
from gsx.training import Session, TrainingConfiguration

CONFIG = "train"


@dataclass(frozen=True)
class Cell:
    """One training as it is before anything runs."""

    made: Session | Exception  # or what a plug-in raised instead
    folder: Path
    state: str  # complete | unfinished | new | broken: its own code raised before there was anything to train
    result_id: str
    config: dict[str, Any]  # as the training will hold it
    what: str  # "model estimator"
    broken: Path  # where its error is kept as long as it cannot be made

    @property
    def session(self) -> Session:
        """Raises what a plug-in has raised."""
        if isinstance(self.made, Exception):
            raise self.made
        return self.made

    @property
    def shown(self) -> str:
        """The folder as the user would type it."""
        return os.path.relpath(self.folder)

    def line(self) -> str:
        if isinstance(self.made, Exception):
            what = reason(self.made)
        else:
            what = f"steps={self.made.configuration.steps} seeds={self.made.configuration.seeds}"
        return f"{self.state:<11}{self.shown}  {what}"


def plan(overrides: list[str]) -> Cell:
    """Check a training and look where it stands. Whatever is wrong with its configuration is raised here, before any work.

    A plug-in that raises fails when the training's turn comes.
    """
    given = composed(overrides, CONFIG)
    session = unless_broken(lambda: Session(TrainingConfiguration.of(given)), given)
    broken = Path.cwd() / "outputs" / str(given["name"]) / f"train-{broken_name(given)}"
    check_way(broken)
    if isinstance(session, Exception):
        return Cell(session, broken, "broken", "", given, " ".join(chosen(given)), broken)
    configuration = session.configuration
    words = telling_words(session.config, configuration.plugins, session.config["num_samples"])
    folder = Path.cwd() / "outputs" / configuration.name / folder_name(["train", *words], session.training_id)
    check_way(folder)
    TrainingDirectory(folder).check_links()
    state = "new"
    if not configuration.force:
        if session.complete(TrainingDirectory(folder)):
            state = "complete"
        elif any(folder.glob("state-seed*.npz")):
            state = "unfinished"
    return Cell(session, folder, state, session.training_id, session.config, f"{session.model.name} {session.chosen}", broken)
