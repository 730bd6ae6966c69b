"""Ctrl-C before there is anything to interrupt: while the commands are still being imported."""

from __future__ import annotations

import signal
import subprocess
import sys

SLOW = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "gateway.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from gateway.cli.start import main
main()
"""


def test_an_interrupt_while_importing_is_answered_as_any_other() -> None:
    done = subprocess.run([sys.executable, "-c", SLOW], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "")
