"""On the path of a process whose gateway, or fleet, is to lack a defence: Python imports this before anything else."""

from __future__ import annotations

import os

from tests.faults.without import DEFENCES, NAME

DEFENCES[os.environ[NAME]]()
