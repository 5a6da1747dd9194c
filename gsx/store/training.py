"""The folder of one training: its curve, its parameters and its checkpoints, as data that anyone may have written."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gsx.records import IntegrityError, Parameters, Training
from gsx.store.arrays import MAX_ARRAYS, check_index, write_arrays
from gsx.store.configured import CONFIG
from gsx.store.curve import format_curve, parse_curve
from gsx.store.files import MAX_JSON, MAX_TEXT, atomic_write, create_folder, read, remove
from gsx.store.folder import Folder, check_address
from gsx.store.parameters import read_parameters, write_parameters
from gsx.store.result import STATUSES
from gsx.store.schema import Each, Rule, Some, amount, check, count, number, ordered, positive
from gsx.store.strict_json import parse_json, sealed_json
from gsx.store.training_state import State, pack_state, parse_state

_SEEDS = 4096  #: no training has more


@dataclass(frozen=True)
class TrainingDirectory(Folder):
    """The folder of one training."""

    def _state(self, seed: int) -> Path:
        return self.path / f"state-seed{seed}.npz"

    def _parameters(self, seed: int) -> Path:
        return self.path / f"parameters-seed{seed}.npz"

    def discard(self) -> None:
        """Forget the training: what force=true does. EnvironmentFault."""
        remove(self.path / "training.json", self.path / "curve.csv", self._error)
        remove(*self.path.glob("state-seed*.npz"), *self.path.glob("parameters-seed*.npz"))

    @property
    def made_anew(self) -> str:
        """The way out where a file is damaged that follows from the checkpoints."""
        how = "makes it anew from the checkpoints" if self.seeds_begun() else "trains anew"
        return f"remove training.json, and the same command {how}"

    # -- checkpoints

    def write_state(self, state: State) -> None:
        """EnvironmentFault from the disk; ConfigurationError above MAX_ARRAYS."""
        write_arrays(self._state(state.seed), pack_state(state))

    def read_state(self, seed: int) -> State | None:
        """The last checkpoint of a seed, or None. IntegrityError, EnvironmentFault."""
        advice = "remove it, and the same command trains this seed anew; the other seeds stay"
        return read(self._state(seed), 2 * MAX_ARRAYS, lambda stream: parse_state(stream, seed), advice)

    def seeds_begun(self) -> list[int]:
        """The seeds that have a checkpoint."""
        found = (re.fullmatch(r"state-seed(\d+)\.npz", path.name) for path in self.path.glob("state-seed*.npz"))
        return sorted(int(match[1]) for match in found if match)

    # -- the end

    def write(self, training: Training) -> None:
        """parameters-seed<k>.npz, curve.csv, then training.json, which declares them. EnvironmentFault; ValueError for a NaN."""
        table = format_curve(training.curve)
        digests = {str(seed): parameters.digest for seed, parameters in training.parameters.items()}
        declared = {"rows": len(training.curve), "sha256": hashlib.sha256(table).hexdigest()}
        data = sealed_json({**training.as_json(), "curve": declared, "parameters": digests})
        create_folder(self.path)
        remove(self.path / "training.json")  # an older one never stands beside a newer curve
        for seed, parameters in training.parameters.items():
            write_parameters(self._parameters(seed), parameters)
        atomic_write(self.path / "curve.csv", table)
        atomic_write(self.path / "training.json", data)
        if training.status != "failed":
            remove(self._error)

    def read(self) -> Training | None:
        """The training with its curve, without its parameters, or None. IntegrityError, EnvironmentFault."""
        parsed = read(self.path / "training.json", MAX_JSON, parse_training, self.made_anew)
        if parsed is None:
            return None
        training, declared, _ = parsed
        curve = read(self.path / "curve.csv", MAX_TEXT, lambda stream: parse_curve(stream, declared), self.made_anew)
        if curve is None:
            raise IntegrityError(f"{self.path / 'curve.csv'}: missing, and training.json declares it; {self.made_anew}")
        return dataclasses.replace(training, curve=curve)

    def check(self, training: Training) -> None:
        """IntegrityError unless a complete training lies where it belongs, and parameters beside it, at which no more is looked."""
        check_address(self.path, training.training_id)
        for path in map(self._parameters, self.digests()):
            if read(path, 2 * MAX_ARRAYS, check_index, self.made_anew) is None:
                raise IntegrityError(f"{path}: missing, and training.json declares it; {self.made_anew}")

    def digests(self) -> dict[int, str]:
        """What training.json declares the parameters at the end of each seed to be. IntegrityError, EnvironmentFault."""
        parsed = read(self.path / "training.json", MAX_JSON, parse_training, self.made_anew)
        training, _, declared = parsed or (None, None, {})
        return {seed: declared[str(seed)] for seed in (training.seeds if training else ()) if str(seed) in declared}

    def read_parameters(self, seed: int | None = None, advice: str | None = None) -> Parameters | None:
        """The parameters at the end of a seed, the first one's by default, or None. IntegrityError, EnvironmentFault.

        ``advice`` is for the user who meets a damaged one: whose training this is makes it anew, whoever only reads it may not.
        """
        advice = advice or self.made_anew
        parsed = read(self.path / "training.json", MAX_JSON, parse_training, advice)
        if parsed is None:
            return None
        training, _, digests = parsed
        seed = training.seeds[0] if seed is None else seed
        if str(seed) not in digests:
            return None
        parameters = read_parameters(self._parameters(seed), advice)
        if parameters is None or parameters.digest != digests[str(seed)]:
            raise IntegrityError(f"{self._parameters(seed)}: missing, or not what training.json declares; {advice}")
        return parameters


SCHEMA: Rule = {
    "training_id": str,
    "status": str,
    "config": CONFIG,
    "model": str,
    "estimator": str,
    "seeds": [count],
    "steps": positive,
    "probe": [str],
    "reference": Some({"kind": (str, None), "estimator": (str, None), "num_replicates": (count, None)}),
    "summary": Each({"value": (number, None), "se": (amount, None), "ci": (ordered, None)}),
    "provenance": dict,
    "curve": {"rows": count, "sha256": str},
    "parameters": Each(str),
}


def parse_training(stream: BinaryIO) -> tuple[Training, dict[str, Any], dict[str, str]]:
    """The training, what it declares about curve.csv, and the digests of the parameters of each seed."""
    body = parse_json(stream)
    training = Training.from_json(body)
    check(body, SCHEMA)
    if training.status not in STATUSES:
        raise ValueError(f"status {training.status!r} is none of {', '.join(STATUSES)}")
    if not 1 <= len(training.seeds) <= _SEEDS or len(set(training.seeds)) < len(training.seeds):
        raise ValueError("its seeds are none")
    return training, body["curve"], body["parameters"]
