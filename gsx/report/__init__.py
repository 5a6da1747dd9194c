"""The report room: tables and figures from stored results only. It knows pandas and matplotlib, and neither torch nor a configuration."""

from gsx.report.styles import STYLES  # first: see there how matplotlib is imported

# isort: split
from gsx.report.build import Report, report

__all__ = ["STYLES", "Report", "report"]
