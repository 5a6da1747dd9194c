"""The command line: a router that imports a command when it is asked for, and the one place where faults become exit codes."""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import re
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable

import gsx
from gsx.cli import signals, streams
from gsx.cli.leaving import leave
from gsx.naming import did_you_mean, in_one_line
from gsx.records import ConfigurationError, EnvironmentFault, GsxError

COMMANDS = {
    "run": "one measurement, or with -m a sweep",
    "merge": "the parts of runs that were cut by shard=k/n, joined",
    "train": "optimise parameters with an estimator, and measure others on the way",
    "reproduce": "published experiments, and whether they reproduce",
    "status": "what is done, running, unfinished, failed, missing",
    "verify": "whether every stored file is whole and belongs where it lies",
    "report": "tables and figures of stored results",
    "check": "whether estimators, your own too, are what they say of themselves",
    "data": "which data sets are here; fetching those that are not",
    "list": "estimators, models, experiments, devices, data",
    "completion": "tab completion for bash, zsh or fish",
}

#: Those whose results are files: their work is done, and their exit code is its own, whether or not anybody could be told.
STORING = ("run", "merge", "train", "reproduce", "report")

#: Those that compute: interrupted, they leave what they can go on from.
COMPUTING = ("run", "merge", "train", "reproduce")

#: Those that begin with torch, and the memory that a process has mapped when it is loaded.
WITH_TORCH, TORCH_BYTES = ("run", "train", "reproduce"), 640 << 20

HELP = f"""gsx {gsx.__version__}: how biased, how noisy and how expensive is a stochastic gradient estimator

usage: gsx COMMAND [ARGUMENTS]

{chr(10).join(f"  {name:<12}{text}" for name, text in COMMANDS.items())}

  gsx list estimators                                              # what to choose from
  gsx run estimator=concrete device=cuda                           # measure one, on a GPU
  gsx run -m estimator=concrete estimator.temperature=0.1,0.5,1.0  # sweep
  gsx report                                                       # tables and figures of all that was run here
  gsx reproduce arms_toy --quick                                   # a published experiment

gsx COMMAND --help says more; gsx --version prints the version.
exit codes: 0 ok, 1 a job failed, 2 bad configuration, 3 missing data, 4 a check failed,
  5 environment, 6 integrity, 7 busy, 130 interrupted, 129 by a closed terminal, 143 by SIGTERM"""

#: What torch, the linker, Python's threads and its import of torch say where memory is short.
_NO_MEMORY = re.compile(
    "out of memory|can(no|')t allocate memory|can't start new thread|failed to map segment|error return without exception set",
    re.IGNORECASE,
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit code. Every foreseen fault is one line on stderr. Without arguments it is what this process is there for."""
    if arguments is not None:
        return _ended(arguments)
    before = threading.enumerate()
    code = _ended(sys.argv[1:])
    leave(before, code)
    return code


def _ended(arguments: list[str]) -> int:
    environment = dict(os.environ)
    streams.heed()
    signals.heed()
    try:
        code = _command(arguments)
        if (refusal := streams.refusal()) is None:
            return code
        failed = _fail(f"standard output: {refusal.strerror}", 5)
        return code if arguments and arguments[0] in STORING else failed
    except GsxError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt as interruption:
        return _interrupted(arguments, interruption)
    except OSError as error:
        return _fail(by_the_system(error), 5)
    except Exception as error:
        if signals.heard():  # what was interrupted has raised another in its place, as OmegaConf does on its way out
            return _interrupted(arguments)
        if not out_of_memory(error):
            traceback.print_exc()
            return _fail(f"internal error: {type(error).__name__}: {error}", 1)
    finally:
        # What a command tells the processes of its jobs through the environment is not for the next one.
        os.environ.clear()
        os.environ.update(environment)
        _end_in_peace()
    # Said here, where what the fault held on to is free again.
    return _fail("out of memory; a smaller model or fewer workers need less, and the same command goes on from what is kept", 5)


def _interrupted(arguments: list[str], interruption: KeyboardInterrupt | None = None) -> int:
    where = f" in {interruption}" if interruption and str(interruption) else ""
    computes = arguments[:1] and arguments[0] in COMPUTING and "--dry-run" not in arguments
    said = "what was computed is kept, and the same command goes on from there" if computes else "no result was changed"
    kept = getattr(interruption, "__notes__", [said])
    return _fail("; ".join([f"interrupted{where}", *kept]), signals.exit_code())


def by_the_system(error: OSError) -> str:
    """What it refused, and why."""
    return f"{error.filename or 'system'}: {error.strerror or error}"


def out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or _NO_MEMORY.search("".join(traceback.format_exception_only(error))) is not None


@functools.cache
def _end_in_peace() -> None:
    """As Python ends, which takes torch a while, nothing is left to interrupt. What is registered last is called first."""
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def _command(arguments: list[str]) -> int:
    name, *rest = arguments or ["--help"]
    if name in ("--version", "-V"):
        print(f"gsx {gsx.__version__}")
        return 0
    if name in ("--help", "-h", "help"):
        print(HELP)
        return 0
    if name == "resume":
        raise ConfigurationError("resume: is the same command again; it goes on from what is stored (gsx status says what is unfinished)")
    if name not in COMMANDS:
        raise ConfigurationError(f"{name}: unknown command{did_you_mean(name, COMMANDS, cutoff=0.6)}")
    _check_folder()
    if name in WITH_TORCH:
        _check_memory()
    command: Callable[[list[str]], int] = importlib.import_module(f"gsx.cli.{name}").command
    return command(rest)


def _check_folder() -> None:
    """Before torch, whose libraries end the process where there is no current folder."""
    try:
        os.getcwd()
    except OSError as error:
        raise EnvironmentFault(f"the current folder is gone or closed to you ({error.strerror}); go to another one") from error


def _check_memory() -> None:
    """Before torch, which may crash or hang while it is loaded where there is too little."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < TORCH_BYTES:
        raise EnvironmentFault(f"a process may have {limit >> 20} MiB here (ulimit -v); torch alone takes {TORCH_BYTES >> 20} MiB")


def _fail(message: str, code: int) -> int:
    print(f"gsx: {in_one_line(message)}", file=sys.stderr)
    return code
