"""The report room: tables and figures from stored results only. It knows pandas and matplotlib, and neither torch nor a configuration."""

from gsx.report.build import Report, report
from gsx.report.styles import STYLES

__all__ = ["STYLES", "Report", "report"]
