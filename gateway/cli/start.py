"""The entry point: imports the commands, so that Ctrl-C in that half second is answered as at any other moment.

A worker holds to its supervisor before that: one that is killed in that half second leaves nobody behind.
"""

from __future__ import annotations

import os

from gateway.runtime.bond import hold_to_supervisor


def main() -> None:
    """Run the command line. Exit code 130 when interrupted, also before there was anything to interrupt."""
    hold_to_supervisor()
    try:
        from gateway.cli.main import main as begin  # here, since this is what may be interrupted
    except KeyboardInterrupt:
        os._exit(130)
    begin()


if __name__ == "__main__":
    main()
