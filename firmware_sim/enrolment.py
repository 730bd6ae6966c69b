"""The fleet as an enrolment file: `controller,customer,device,postal_code,valid_from`.

A device belongs to its customer from 2000 on: before any reading, real or simulated, and not after the date to which
clocks without a battery fall back, so that a reading of then is too old and not one of an unknown device.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from firmware_sim.fleet import Home

VALID_FROM = "2000-01-01T00:00:00Z"
COLUMNS = ("controller", "customer", "device", "postal_code", "valid_from")


def write_enrolment(homes: Iterable[Home], path: Path) -> None:
    """Write the file, replacing an older one. Raises OSError."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows((home.controller, home.customer, home.device, home.postal_code, VALID_FROM) for home in homes)
