"""The folders of trainings: each is told of, whatever its state, be it only planned; and the parameters it has led to are found by their
digest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gsx.records import GsxError, IntegrityError, Training
from gsx.report import escape
from gsx.report.collect import UNREADABLE, missing, name_of, reason
from gsx.store import TrainingDirectory, find
from gsx.store.find import TRAINING
from gsx.store.planned import Planned


@dataclass(frozen=True)
class Trained:
    """One folder of a training: its state, why it is in that state, and the training where there is one."""

    name: str  # the last two parts of its path: reports must not depend on where the folder lies
    state: str
    reason: str | None
    training: Training | None
    digests: dict[int, str]  # seed -> what the parameters at its end are declared to be
    directory: TrainingDirectory = field(repr=False)
    planned: dict[str, Any] | None = field(default=None, repr=False)  # of one that is missing the configuration, where its plan has it

    @cached_property
    def ends(self) -> tuple[End, ...]:
        return tuple(End(self, seed, digest) for seed, digest in self.digests.items())


@dataclass(frozen=True)
class End:
    """The parameters at the end of one seed."""

    of: Trained
    seed: int
    digest: str

    @property
    def file(self) -> str:
        """As it is typed where `outputs` lies."""
        return f"outputs/{self.of.name}/parameters-seed{self.seed}.npz"

    @cached_property
    def there(self) -> bool:
        """Whether the file is, and is what the training declares: `gsx run` would measure at whatever it holds."""
        try:
            return self.of.directory.read_parameters(self.seed) is not None
        except (GsxError, OSError):
            return False


class Ends:
    """The parameters that the trainings of a report have led to."""

    def __init__(self, trainings: Iterable[Trained]) -> None:
        self._declared: dict[str, list[End]] = defaultdict(list)
        for trained in trainings:
            for end in trained.ends:
                self._declared[end.digest].append(end)

    def find(self, digest: object) -> End | None:
        """Those with a digest, from the first training that still has them."""
        return next((end for end in self._declared.get(str(digest), ()) if end.there), None)


def collect(paths: Sequence[Path]) -> list[Trained]:
    found = find(paths)
    refused = [(TrainingDirectory(path), fault) for path, fault in found.refused if path.name.startswith(TRAINING)]
    trained = [*map(_read, found.trainings), *(_read(directory, fault) for directory, fault in refused)]
    trained += map(_planned, missing(found.plans, (), trainings=True))
    return sorted(trained, key=lambda trained: trained.name)


def _planned(one: Planned) -> Trained:
    return Trained(name_of(one), one.state, escape.line(one.what), None, {}, TrainingDirectory(one.path), one.config)


def _read(directory: TrainingDirectory, refused: IntegrityError | None = None) -> Trained:
    name = name_of(directory)
    try:
        if refused is not None:
            raise refused
        directory.check_links()
        error, training, digests = directory.read_error(), directory.read(), directory.digests()
    except UNREADABLE as fault:
        return Trained(name, "unreadable", reason(str(fault), directory) or type(fault).__name__, None, {}, directory)
    state = training.status if training else "failed" if error else "partial"
    why = reason(error, directory) if error and state != "complete" else None
    return Trained(name, state, why, training, digests, directory)
