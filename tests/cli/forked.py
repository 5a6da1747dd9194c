"""Commands as forks of one process that has imported what they need: a process each, without two seconds of imports each."""

from __future__ import annotations

import atexit
import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

#: A request is a line, as is its answer, the exit code. It computes nothing itself: torch has started no thread that a fork would miss.
SERVER = """
import json, os, signal, sys

import gsx.cli.report, gsx.cli.run, gsx.cli.train
from gsx import forecast, yardstick
from gsx.cli import main

yardstick.SECONDS = forecast.TIMING_SECONDS = 0.0
for line in sys.stdin:
    words, folder, environment, streams, seconds = json.loads(line)
    if not (child := os.fork()):
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        for number, (path, flags) in enumerate([(os.devnull, os.O_RDONLY), *((path, os.O_WRONLY) for path in streams)]):
            os.dup2(os.open(path, flags), number)
        signal.alarm(seconds)
        sys.argv = sys.orig_argv = ["gsx", *words]
        sys.exit(main())
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@functools.cache
def _server() -> subprocess.Popen[str]:
    """One for all tests of this process. Its first path is none where a user's modules would lie."""
    server = subprocess.Popen([sys.executable, "-P", "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    return server


def run(words: tuple[str, ...], folder: Path, environment: dict[str, str], seconds: int = 300) -> subprocess.CompletedProcess[str]:
    """A command to its end, with the least timing."""
    server = _server()
    assert server.stdin and server.stdout
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
        request = (words, str(folder), environment, (out.name, err.name), seconds)
        print(json.dumps(request), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(words, code, out.read(), err.read())
