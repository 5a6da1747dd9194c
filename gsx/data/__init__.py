"""The data sets: what is measured on. A data set is checked bit by bit before it is used, and never downloaded unasked."""

from gsx.data.dataset import IMAGES, NAMES, Dataset, load
from gsx.data.holding import Holding, holdings

__all__ = ["IMAGES", "NAMES", "Dataset", "Holding", "holdings", "load"]
