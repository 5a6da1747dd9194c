"""The command `gsx`, and `python -m gsx`: Ctrl-C is answered in one line from here on, before any import that takes a while."""

from __future__ import annotations

import os
import signal
import sys

_SAID, _CODE = b"gsx: interrupted\n", 130


def main() -> int:
    """What the process is there for; its exit code."""
    answer = signal.getsignal(signal.SIGINT)
    if answer is signal.default_int_handler:  # else it is ignored, as by a shell's background job
        signal.signal(signal.SIGINT, _end)
    from gsx import cli

    try:
        signal.signal(signal.SIGINT, answer)
        return cli.main()
    except KeyboardInterrupt:  # before the command heeds it, or after it has ended
        os.write(2, _SAID)
        return _CODE


def _end(number: int, frame: object) -> None:
    """Nothing has begun; whatever is being imported might make of an exception what it likes."""
    os.write(2, _SAID)
    os._exit(_CODE)


if __name__ == "__main__":
    sys.exit(main())
