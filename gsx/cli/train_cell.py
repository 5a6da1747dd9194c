"""One cell of `gsx train` before anything runs: checked, named by its content, and where it stands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsx.cli.compose import composed
from gsx.cli.failures import reason
from gsx.cli.folder_name import chosen, folder_name, telling_words
from gsx.cli.planning import broken_folder, standing, unless_broken
from gsx.records import IntegrityError
from gsx.store import TrainingDirectory, check_way
from gsx.training import Session, TrainingConfiguration

CONFIG = "train"


@dataclass(frozen=True)
class Cell:
    """One training as it is before anything runs."""

    made: Session | Exception  # or why there is none: what a plug-in did, or a link in the folder
    folder: Path
    state: str  # complete | unfinished | new | damaged | broken: there is nothing to train, `made` says why
    result_id: str
    config: dict[str, Any]  # as the training will hold it
    what: str  # "model estimator"
    broken: Path  # where its error is kept as long as it cannot be made

    @property
    def session(self) -> Session:
        """Raises why there is none."""
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


def plan(overrides: list[str], alone: bool = True, dry_run: bool = False) -> Cell:
    """Check a training and look where it stands. Whatever is wrong with its configuration is raised here, before any work.

    A plug-in that raises, or kills its process again and again, fails when the training's turn comes, and so in a sweep, where the training
    is not `alone`, do damaged files and links. With `dry_run` no death is counted: nothing is written.
    """
    given = composed(overrides, CONFIG)
    broken = broken_folder(given, "train-")
    session = unless_broken(lambda: Session(TrainingConfiguration.of(given)), given, broken, heed=not alone, count=not dry_run)
    if isinstance(session, Exception):
        return Cell(session, broken, "broken", "", given, " ".join(chosen(given)), broken)
    configuration = session.configuration
    words = telling_words(session.config, configuration.plugins, session.config["num_samples"])
    folder = Path.cwd() / "outputs" / configuration.name / folder_name(["train", *words], session.training_id)
    check_way(folder.parent)
    what = f"{session.model.name} {session.chosen}"
    directory = TrainingDirectory(folder)
    try:
        directory.check_links()
    except IntegrityError as error:
        if alone:
            raise
        return Cell(error, broken, "broken", session.training_id, session.config, what, broken)
    state = standing(configuration.force, alone, lambda: session.complete(directory), lambda: bool(directory.seeds_begun()))
    if state == "complete" and not dry_run:
        TrainingDirectory(broken).forget_error()  # it does not run, and what was in its way is gone
    return Cell(session, folder, state, session.training_id, session.config, what, broken)
