"""What can go wrong, each with the exit code of the command that meets it."""

from __future__ import annotations


class GsxError(Exception):
    """A fault the user can act on: one line, and the exit code of the command that meets it."""

    exit_code = 1


class ConfigurationError(GsxError, ValueError):
    """A key, a value and the rule it breaks. Raised before any work."""

    exit_code = 2


class BrokenContract(ConfigurationError):
    """An estimator or a model of a user's own that does not do what is asked of one: a job of its own fails of it, and no other."""


class Killed(GsxError):
    """A job whose processes die before they come to an end: nobody else is to die of it."""


class MissingCheckpoint(ConfigurationError):
    """Parameters that were named and are not there: a training that has not come to its end leaves none yet."""


class MissingData(GsxError):
    """A data set that is not on this machine, with the commands that would fetch it."""

    exit_code = 3


class EnvironmentFault(GsxError):
    """Disk, memory or permissions."""

    exit_code = 5


class IntegrityError(GsxError):
    """A file that is torn, corrupted or foreign, or results that must not be mixed."""

    exit_code = 6


class Busy(GsxError):
    """Another process holds the run directory."""

    exit_code = 7
