"""The unit that is shipped lets the gateway work: its filter of system calls, on a real broker and store."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.commands import Gateway, deliver, flat, stack

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "config" / "systemd" / "glomska.service"
ENROLMENT = "controller,customer,device,postal_code,valid_from\nheat-co,anna,meter-1,11122,2000-01-01\n"
NOW = int(time.time() * 1000)


def test_a_gateway_works_under_the_filter_of_its_unit(tmp_path: Path) -> None:
    with stack("embedded") as servers:
        gateway = Gateway(tmp_path, servers)
        gateway.enrol(ENROLMENT)
        gateway.environment["PYTHONPATH"] = str(ROOT)
        gateway.within = (sys.executable, "-m", "tests.filtered", str(UNIT))
        with gateway.run("--workers", "2") as running:
            deliver(servers, *(flat("glomska/heat-co/meter-1/readings", NOW - i, power=i) for i in range(20)))
            gateway.await_points(20)
            assert running.stop()["stored"] == 20
