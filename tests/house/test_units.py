"""The systemd unit is one, by systemd's own check where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "config" / "systemd" / "glomska.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit_as_it_is(tmp_path: Path) -> None:
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace("/opt/glomska/bin/glomska", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_what_another_start_does_not_mend_is_not_started_again() -> None:
    lines = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#")
    assert {int(code) for code in lines["RestartPreventExitStatus"].split()} == {2, 3, 5, 8, 9}
    assert (lines["Type"], lines["KillMode"], lines["ExecReload"]) == ("notify", "mixed", "/bin/kill -HUP $MAINPID")
