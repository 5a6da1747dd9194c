"""What experiments and sweeps have planned, cell by cell; whether anything is there of it is for others to see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsx.records import IntegrityError
from gsx.store.experiment import FILE, read_experiment
from gsx.store.files import one_line
from gsx.store.folder import age
from gsx.store.sweep import read_sweep


@dataclass(frozen=True)
class Planned:
    """A cell, or a step whose cells are not known, or (damaged) a plan that cannot be read."""

    path: Path  # as it is shown
    place: Path  # as it is known by, whichever path leads there
    what: str  # what it is a part of, or what is wrong with its plan
    plan: Path | None = None  # None where it is damaged
    cell: bool = True
    config: dict[str, Any] | None = None  # of a cell, where its plan has kept it

    @property
    def state(self) -> str:
        return "damaged" if self.plan is None else "missing"

    @property
    def detail(self) -> str:
        return self.what if self.plan is None else f"{self.plan}, {age(self.plan)}: {self.what}"


def planned(plans: Iterable[Path]) -> Iterator[Planned]:
    """What each of these files has planned. EnvironmentFault."""
    for plan in plans:
        try:
            yield from _experiment(plan) if plan.name == FILE else _sweep(plan)
        except IntegrityError as fault:
            yield Planned(plan, plan.parent.resolve() / plan.name, str(fault), cell=False)


def _experiment(plan: Path) -> Iterator[Planned]:
    folder, real = plan.parent, plan.parent.resolve()
    stored = read_experiment(folder)
    if stored is None:
        return
    size = " --quick" if stored.size == "quick" else ""
    for name, step in stored.steps.items():
        what = f"step {one_line(name)} of gsx reproduce {one_line(stored.name)}{size}"
        if step.cells is None:
            yield Planned(folder, real / f"{FILE} {name}", f"{what} was not reached", plan, cell=False)
        for cell in step.cells or ():
            own = one_line(cell.folder)  # anyone may have written it, of any length
            yield Planned(folder / own, real / own, what, plan, config=cell.config)


def _sweep(plan: Path) -> Iterator[Planned]:
    folder, real = plan.parent, plan.parent.resolve()
    stored = read_sweep(plan)
    if stored is None:
        return
    what = one_line(stored.command) or "a sweep"
    for cell in stored.cells:
        yield Planned(folder / cell, real / cell, what, plan, config=stored.configs.get(cell))
