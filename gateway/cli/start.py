"""The entry point: imports the commands, so that Ctrl-C in that half second is answered as at any other moment.

A worker holds to its supervisor before that: one that is killed in that half second leaves nobody behind. `run` answers
SIGTERM and SIGHUP as it will once it listens (see `cli.run`): it ends with 0, and a reload waits till then.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from gateway.runtime.bond import hold_to_supervisor


def main() -> None:
    """Run the command line. Exit code 130 when interrupted, also before there was anything to interrupt."""
    hold_to_supervisor()
    if _is_run(sys.argv[1:]):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    try:
        from gateway.cli.main import main as begin  # here, since this is what may be interrupted
    except KeyboardInterrupt:
        os._exit(130)
    begin()


def _is_run(arguments: Sequence[str]) -> bool:
    before = ""
    for argument in arguments:
        if before != "--config" and not argument.startswith("-"):
            return argument == "run"
        before = argument
    return False


if __name__ == "__main__":
    main()
