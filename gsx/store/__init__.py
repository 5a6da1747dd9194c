"""The disk: one folder per run, its files replaced whole or not at all, and read as data that anyone may have written.

Writing is atomic, so a kill at any instant leaves the old file or the new one. Reading verifies a sha256 before it believes a number,
checks every declared size before it allocates one, and runs nothing: no pickle, no class looked up by name. A bad file is an
`IntegrityError` that names the file, the fault and the way out; a disk that cannot be read or written is an `EnvironmentFault`; a missing
file is None.
"""

from gsx.store.experiment import (
    PlannedCell,
    PlannedStep,
    StoredExperiment,
    find_experiments,
    read_experiment,
    write_experiment,
)
from gsx.store.files import atomic_write, create_folder, environment_fault, refused_link
from gsx.store.find import find, find_runs, find_shards, find_trainings
from gsx.store.folder import MOST_DEATHS, MOVE_AWAY, Folder
from gsx.store.links import check_file, check_way
from gsx.store.parameters import read_parameters, write_parameters
from gsx.store.reference import StoredReference
from gsx.store.run_directory import RunDirectory
from gsx.store.segments import StoredSegments, check_fingerprint
from gsx.store.shards import StoredShard, check_alike
from gsx.store.standing import PLANNED, SETTLED, STATES, Standing, said, standings
from gsx.store.sweep import StoredSweep, read_sweep, write_sweep
from gsx.store.table import TABLE_COLUMNS, CoordinateTable
from gsx.store.training import TrainingDirectory
from gsx.store.training_state import State
from gsx.store.verify import Checked, verify

__all__ = [
    "MOST_DEATHS",
    "MOVE_AWAY",
    "PLANNED",
    "SETTLED",
    "STATES",
    "TABLE_COLUMNS",
    "Checked",
    "CoordinateTable",
    "Folder",
    "PlannedCell",
    "PlannedStep",
    "RunDirectory",
    "Standing",
    "State",
    "StoredExperiment",
    "StoredReference",
    "StoredSegments",
    "StoredShard",
    "StoredSweep",
    "TrainingDirectory",
    "atomic_write",
    "check_alike",
    "check_file",
    "check_fingerprint",
    "check_way",
    "create_folder",
    "environment_fault",
    "find",
    "find_experiments",
    "find_runs",
    "find_shards",
    "find_trainings",
    "read_experiment",
    "read_parameters",
    "read_sweep",
    "refused_link",
    "said",
    "standings",
    "verify",
    "write_experiment",
    "write_parameters",
    "write_sweep",
]
