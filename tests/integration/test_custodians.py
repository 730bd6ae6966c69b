"""A whole gateway whose wrapping keys are on a PKCS#11 token, alone and with a second custodian."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import Gateway, await_, deliver, flat, stack
from tests.softhsm import SoftHsm

ENROLMENT = """\
controller,customer,device,postal_code,valid_from
heat-co,anna,meter-1,11122,2000-01-01
heat-co,bo,meter-2,11122,2000-01-01
"""
_ASK = """\
import json, sys
from gateway.keys.token import TokenCustodian
custodian = TokenCustodian(sys.argv[1], sys.argv[2], sys.argv[3].encode())
print(json.dumps([custodian.exists("heat-co", e) for e in (1, 2)]))
"""
NOW = time.time_ns() // 1_000_000


def gateway_on(hsm: SoftHsm, label: str, folder: Path, **settings: str) -> dict[str, str]:
    """Settings of a gateway with this token."""
    pin = folder / "pin"
    pin.write_bytes(hsm.pin)
    pin.chmod(0o600)
    return {"keys__custodian": f"pkcs11:token={label};module={hsm.module}", "keys__pin_file": str(pin), **settings}


@pytest.mark.parametrize("recovery", ["", "file:recovery"], ids=["token", "token and files"])
def test_everything_works_with_a_token_until_it_is_lost_and_then_with_the_second(recovery: str, tmp_path: Path) -> None:
    with SoftHsm() as hsm, stack("embedded") as on:
        label = hsm.token()
        settings = gateway_on(hsm, label, tmp_path, **({"keys__recovery": recovery} if recovery else {}))
        gateway = Gateway(tmp_path, on, store__timeout_s=1, **settings)
        gateway.enrol(ENROLMENT)
        with gateway.run() as running:
            for device in ("meter-1", "meter-2"):
                deliver(on, *(flat(f"glomska/heat-co/{device}/readings", NOW - n * 1000, power=n) for n in range(10)))
            gateway.await_points(20)
            assert len(gateway.read("heat-co/anna")) == 10
            erased = json.loads(gateway.call("erase", "-", "--yes", "--wait", "--json", stdin="heat-co/anna"))
            gateway.call("read", "-", "--purpose", "provision", stdin="heat-co/anna", code=7)
            turned = json.loads(gateway.call("keys", "turnover", "--json"))
            assert turned["kek"] == 2
            assert on_token(hsm, label) == [False, True], "of the wrapping keys the newest alone"
            await_(lambda: not open_erasures(gateway), lambda: "the erasure is not final")
            running.stop()
        certified(gateway, erased["erasure"], tmp_path / "public.pem", attested=not recovery)
        assert len(gateway.read("heat-co/bo")) == 10
        custodian = {check["name"]: check for check in doctor(gateway)}["custodian"]
        assert custodian["ok"], custodian
        hsm.pull(label)
        said = gateway.refused("read", "-", "--purpose", "provision", stdin="heat-co/bo", code=4)
        assert "token" in said
        assert ("keys.recovery" in said) is bool(recovery)
        if recovery:
            on_the_second_alone(gateway, recovery)


@pytest.mark.parametrize("kind", ["files", "token"])
def test_while_it_is_away_known_devices_go_on_nothing_is_done_to_keys_and_the_log_says_so(
    kind: str, tmp_path: Path
) -> None:
    with SoftHsm() as hsm, stack("embedded") as on:
        label = hsm.token()
        gateway = Gateway(tmp_path, on, **(gateway_on(hsm, label, tmp_path) if kind == "token" else {}))
        gateway.enrol(ENROLMENT)
        kek = gateway.state / "kek"

        def away() -> None:
            hsm.pull(label) if kind == "token" else kek.rename(gateway.state / "medium")

        def back() -> None:
            hsm.plug(label) if kind == "token" else (gateway.state / "medium").rename(kek)

        with gateway.run() as running:
            deliver(on, flat("glomska/heat-co/meter-1/readings", NOW, power=1))
            gateway.await_points(1)
            away()
            said = running.await_event("waiting: housekeeping", level="warning")
            assert "connect" in said["hint"]
            deliver(on, *(flat(f"glomska/heat-co/meter-{n}/readings", NOW + 1000, power=2) for n in (1, 2)))
            gateway.await_points(3)
            more = "controller,customer,device,postal_code,valid_from\nheat-co,cia,meter-3,11122,2000-01-01\n"
            gateway.call("enrol", "--csv", "-", stdin=more, code=4)
            gateway.call("erase", "-", "--yes", stdin="heat-co/anna", code=4)
            back()
            running.await_event("recovered: housekeeping")
            gateway.call("erase", "-", "--yes", stdin="heat-co/anna")
            gateway.enrol(more)
            deliver(on, flat("glomska/heat-co/meter-3/readings", NOW, power=1))
            await_(lambda: len(gateway.read("heat-co/cia")) == 1, lambda: "the new one's reading is not there")
            running.stop()


def on_token(hsm: SoftHsm, label: str) -> list[bool]:
    """Whether the token has the first, and the second wrapping key: a process of its own asks."""
    asked = [sys.executable, "-c", _ASK, hsm.module, label, hsm.pin.decode()]
    found: list[bool] = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    return found


def on_the_second_alone(gateway: Gateway, recovery: str) -> None:
    """The first is dead: the second is given its place, and all goes on."""
    for name in ("RECOVERY", "PIN_FILE"):
        gateway.environment.pop(f"GLOMSKA_KEYS__{name}")
    gateway.environment["GLOMSKA_KEYS__CUSTODIAN"] = recovery
    assert len(gateway.read("heat-co/bo")) == 10
    gateway.refused("read", "-", "--purpose", "provision", stdin="heat-co/anna", code=7)
    assert json.loads(gateway.call("keys", "turnover", "--json"))["kek"] == 3
    assert len(gateway.read("heat-co/bo")) == 10
    with gateway.run() as running:
        running.stop()


def open_erasures(gateway: Gateway) -> list[object]:
    found: list[object] = json.loads(gateway.call("erasures", "list", "--open", "--json"))["erasures"]
    return found


def certified(gateway: Gateway, erasure: str, key: Path, *, attested: bool) -> None:
    """The final certificate verifies, and says what the custodian reported."""
    key.write_text(gateway.call("ledger", "public-key"))
    place = json.loads(gateway.call("erasures", "show", erasure, "--json"))["certificate"]
    verdict = json.loads(gateway.call("verify", place, "--key", str(key), "--json"))
    assert verdict["kind"] == "final"
    reports = verdict["claims"]["custodian"]["reported"]
    assert [report["e"] for report in reports] == [1]
    assert all(report["attested"] is attested for report in reports), reports
    assert ("pkcs11" in reports[0]["custodian"]) is True


def doctor(gateway: Gateway) -> list[dict[str, object]]:
    """What it says of every check; the broker of the test may be away or not."""
    checks: list[dict[str, object]] = json.loads(gateway.call("doctor", "--json"))["checks"]
    return checks
