"""The data sets: what is measured on. A data set is checked bit by bit before it is used, and never downloaded."""

from gsx.data.dataset import NAMES, Dataset, load

__all__ = ["NAMES", "Dataset", "load"]
