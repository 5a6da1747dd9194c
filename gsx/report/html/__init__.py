"""report.html: one file that opens from disk, asks nothing of a network, and shows names out of results as text."""

from gsx.report.html.page import page

__all__ = ["page"]
