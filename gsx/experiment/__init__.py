"""A published experiment as data: the steps that measure it, and the findings it is held against.

The definition is read from `conf/experiment/NAME.yaml` by `gsx reproduce`, and from the experiment.json it leaves by `gsx report`: one
parser, which believes nothing and says file, key and rule. Nothing here needs torch.
"""

from gsx.experiment.definition import Experiment, Finding, Step
from gsx.experiment.file import experiments, load
from gsx.experiment.matching import check_cells
from gsx.experiment.quantity import Argmin, Crossing, CurveNumber, Quantity, Statistic, flat, matches
from gsx.experiment.strict_yaml import read_yaml

__all__ = [
    "Argmin",
    "Crossing",
    "CurveNumber",
    "Experiment",
    "Finding",
    "Quantity",
    "Statistic",
    "Step",
    "check_cells",
    "experiments",
    "flat",
    "load",
    "matches",
    "read_yaml",
]
