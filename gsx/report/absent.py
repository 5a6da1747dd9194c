"""What experiments and sweeps have planned and nothing complete is there of, as results without numbers: where curves break."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsx.records import Cost, GsxError, Result, Verdict
from gsx.store import RunDirectory, read_experiment, read_sweep
from gsx.store.experiment import FILE
from gsx.store.find import TRAINING


@dataclass(frozen=True)
class Absent:
    what: str  # what it is a part of
    directory: RunDirectory
    result: Result  # its configuration; no statistic exists


@dataclass(frozen=True)
class _Planned:
    what: str
    folder: Path
    result_id: str
    config: dict[str, Any]


def absent(plans: Iterable[Path], complete: Container[str]) -> Iterator[Absent]:
    """The runs that plans ask for, but for those `complete` (by result_id).

    A plan is read as a stranger's file: what is no configuration is left to the table of missing cells, which needs none.
    """
    seen: set[str] = set()
    for plan in plans:
        try:
            cells = list(_experiment(plan.parent) if plan.name == FILE else _sweep(plan))
        except (GsxError, OSError):
            continue
        for cell in cells:
            if cell.result_id in complete or cell.result_id in seen or cell.folder.name.startswith(TRAINING):
                continue
            seen.add(cell.result_id)
            if (result := _without_numbers(cell.result_id, cell.config)) is not None:
                yield Absent(cell.what, RunDirectory(cell.folder), result)


def _experiment(folder: Path) -> Iterator[_Planned]:
    if (stored := read_experiment(folder)) is None:
        return
    for name, step in stored.steps.items():
        for cell in step.cells or ():
            yield _Planned(f"step {name} of gsx reproduce {stored.name}", folder / cell.folder, cell.result_id, cell.config)


def _sweep(plan: Path) -> Iterator[_Planned]:
    """Those whose configuration was kept: not in plans of before."""
    if (stored := read_sweep(plan)) is None:
        return
    for folder, config in stored.configs.items():
        yield _Planned("of a sweep", plan.parent / folder, stored.cells[folder], config)


def _without_numbers(result_id: str, config: dict[str, Any]) -> Result | None:
    estimator, model, n, r = (config.get(key) for key in ("estimator", "model", "num_samples", "num_replicates"))
    if not (isinstance(estimator, dict) and isinstance(model, dict) and isinstance(n, int) and isinstance(r, int) and n > 0 and r > 0):
        return None
    names = estimator.get("name"), model.get("name")
    if not all(isinstance(name, str) for name in names):
        return None
    return Result(
        result_id=result_id,
        status="missing",
        config=config,
        estimator=str(names[0]),
        model=str(names[1]),
        engine=str(config.get("engine")),
        num_samples=n,
        num_replicates=r,
        blocks=0,
        summary={},
        parameters={},
        reference={},
        verdict=Verdict("inconclusive", None, None, None, None),
        cost=Cost(0, 0, 0),
        nonfinite={},
        tuning={},
        moments_sha256="",
        provenance={},
    )
