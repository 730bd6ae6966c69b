"""Primitives against their RFCs, and every formula against values that were worked out without this code."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from gateway.crypto import aead, derive, envelope, selftest
from gateway.crypto.derive import Kind, Use
from gateway.crypto.envelope import RecordPlace, RowKind, RowPlace
from gateway.errors import VerificationFailed
from gateway.keys.handle import Common, Device, Span, SubjectKey
from gateway.keys.rewrap import Rewrapping
from gateway.model.ids import (
    Controller,
    DeviceId,
    Incarnation,
    KeyEpoch,
    KeyId,
    Pseudonym,
    RecordId,
    epoch_of,
)
from gateway.pipeline.chain import Chain
from gateway.policy.load import load_policy
from gateway.runtime.config import resource
from gateway.transport import lineprotocol
from tests.vectors import worked
from tests.world import Message

VECTORS = Path(worked.__file__).parent
RFC: dict[str, list[dict[str, str]]] = json.loads((VECTORS / "rfc.json").read_text())
HMAC, HKDF, SIV = RFC.values()

WORKED = json.loads(worked.JSON_FILE.read_text())
INPUTS: dict[str, Any] = WORKED["inputs"]
VALUES: dict[str, dict[str, str]] = WORKED["values"]
CONTROLLER, DEVICE = Controller(INPUTS["controller"]), DeviceId(INPUTS["device"])
VERSION, BASE, TIME = INPUTS["version"], INPUTS["base epoch"], INPUTS["event time, ns"]


def raw(name: str) -> bytes:
    return bytes.fromhex(INPUTS[name])


def names(case: dict[str, str]) -> str:
    return case["case"]


@pytest.mark.parametrize("case", HMAC, ids=names)
def test_hmac_as_rfc_4231(case: dict[str, str]) -> None:
    assert derive.extract(bytes.fromhex(case["key"]), bytes.fromhex(case["message"])).hex() == case["tag"]


@pytest.mark.parametrize("case", HKDF, ids=names)
def test_hkdf_as_rfc_5869(case: dict[str, str]) -> None:
    prk = derive.extract(bytes.fromhex(case["salt"]), bytes.fromhex(case["ikm"]))
    assert prk.hex() == case["prk"]
    for length in (1, 16, 32):
        assert derive.expand(prk, bytes.fromhex(case["info"]), length).hex() == case["okm"][: 2 * length]


@pytest.mark.parametrize("length", [-1, 0, 33, 255 * 32])
def test_expand_refuses_what_is_not_one_block(length: int) -> None:
    with pytest.raises(ValueError, match="expand gives 1 to 32 bytes"):
        derive.expand(bytes(32), b"", length)


@pytest.mark.parametrize("case", SIV, ids=names)
def test_gcm_siv_as_rfc_8452(case: dict[str, str]) -> None:
    key, nonce, plain, aad, sealed = (
        bytes.fromhex(case[k]) for k in ("key", "nonce", "plaintext", "aad", "result")
    )  # fmt: skip
    assert aead.cipher(key).encrypt(nonce, plain, aad) == sealed
    assert aead.cipher(key).decrypt(nonce, sealed, aad) == plain


def test_selftest_passes_here_and_sees_a_broken_primitive(monkeypatch: pytest.MonkeyPatch) -> None:
    selftest.run()
    right = derive.expand
    monkeypatch.setattr(derive, "expand", lambda prk, info: right(prk, info)[::-1])
    with pytest.raises(VerificationFailed, match="self-test: HKDF-Expand gives a wrong answer on this machine"):
        selftest.run()


def test_the_worked_vector_and_its_page_are_current() -> None:
    assert worked.document() == WORKED
    assert worked.page() == worked.PAGE.read_text()


def test_worked_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_bytes", lambda size: raw("random nonce")[:size])
    rows = VALUES["Rows"]
    kek_row = envelope.wrap_kek(raw("W_1"), raw("KEK_1"), controller=CONTROLLER, e=1)
    assert kek_row.hex() == rows["KEK row"]
    assert envelope.unwrap_kek(raw("W_1"), kek_row, controller=CONTROLLER, e=1) == raw("KEK_1")
    csk = RowPlace(
        controller=CONTROLLER,
        kind=RowKind.CSK,
        key_id=KeyId(raw("key id")),
        version=VERSION,
        incarnation=Incarnation(raw("incarnation")),
        key_class=INPUTS["class"],
        base=BASE,
    )
    route = RowPlace(controller=CONTROLLER, kind=RowKind.ROUTE, key_id=KeyId(raw("route key id")), version=INPUTS["e"])
    for place, secret, name in ((csk, raw("CSK"), "CSK row"), (route, raw("R_1"), "route secret's row")):
        assert place.aad().hex() == rows[f"aad of the {name}"]
        assert envelope.wrap(raw("KEK_1"), secret, place).hex() == rows[name]
        assert envelope.unwrap(raw("KEK_1"), bytes.fromhex(rows[name]), place) == secret
    commitment = derive.commitment(raw("CSK"), key_id=KeyId(raw("key id")), version=VERSION, base=BASE)
    assert commitment.hex() == rows["commit"]


def test_worked_turnover(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of one key and one route, as a pass turns them."""
    before, after = VALUES["Rows"], VALUES["Turnover to e = 2, with the horizon at 672"]
    monkeypatch.setattr(secrets, "token_bytes", lambda size: raw("second random nonce")[:size])
    passing = Rewrapping(
        CONTROLLER,
        2,
        keks={1: raw("KEK_1"), 2: raw("KEK_2")},
        route_secret=raw("R_2"),
        horizons={INPUTS["class"]: 672},
    )
    key_id, incarnation, row = raw("key id"), raw("incarnation"), bytes.fromhex(before["CSK row"])
    key = (key_id, incarnation, INPUTS["class"], VERSION, BASE, 1, row, bytes.fromhex(before["commit"]), "active", 7)
    assert passing.keys([key]).ratcheted == [
        {
            "of": 7,
            "to": 2,
            "row": bytes.fromhex(after["CSK row after"]),
            "at": 672,
            "commit": bytes.fromhex(after["commit after"]),
        }
    ]
    hashed = derive.route_hasher(raw("R_2"), controller=CONTROLLER)(Kind.CUSTOMER, INPUTS["customer"])
    assert hashed.hex() == after["route of the customer after"]


def test_worked_epoch_ratchet_and_subkeys() -> None:
    steps = VALUES["Epoch and ratchet"]
    assert str(epoch_of(TIME)) == steps["n"] == "672"
    assert derive.ratchet(raw("CSK")).hex() == steps["CSK at 671"]
    csk = derive.ratchet(raw("CSK"), 2)
    assert csk.hex() == steps["CSK at 672"]
    assert derive.extract(bytes.fromhex(steps["salt"]), csk).hex() == steps["PRK"]
    named = VALUES["Pseudonym and series key"] | VALUES["Record"]
    for use, domain in ((Use.PSEUDONYM, "store"), (Use.SEAL, "store"), (Use.RECORD, "invoice")):
        key = derive.subkey(csk, use=use, controller=CONTROLLER, version=VERSION, domain=domain, epoch=672)
        assert key.hex() == named[f'K("{use}", "{domain}", n)']
    name = derive.pseudonym(bytes.fromhex(named['K("pseudonym", "store", n)']), DEVICE)
    assert name == named["P"]
    series_key = derive.series_key(bytes.fromhex(named['K("seal", "store", n)']), Pseudonym(name))
    assert series_key.hex() == named["K_P"]


def test_worked_record_and_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_bytes", lambda size: raw("random nonce")[:size])
    values = VALUES["Record"]
    place = RecordPlace(
        controller=CONTROLLER,
        incarnation=Incarnation(raw("incarnation")),
        key_class=INPUTS["class"],
        version=VERSION,
        epoch=672,
        kind=INPUTS["record kind"],
        record_id=RecordId(raw("record id")),
    )
    assert place.aad().hex() == values["aad of the record"]
    plain = INPUTS["record plaintext"].encode()
    sealed = subject_key().seal_record(
        plain, kind=INPUTS["record kind"], record_id=RecordId(raw("record id")), epoch=KeyEpoch(672)
    )
    assert sealed.hex() == values["record"]
    capture = bytes.fromhex(values["capture"])
    opened = envelope.open_capture(raw("purge key"), capture, controller=CONTROLLER, erasure=raw("erasure"))
    assert opened == INPUTS["capture plaintext"].encode()
    sealed = envelope.seal_capture(raw("purge key"), opened, controller=CONTROLLER, erasure=raw("erasure"))
    assert sealed == capture


def test_worked_keyed_hashes() -> None:
    values = VALUES["Keyed hashes"]
    for kind in Kind:
        name = INPUTS[kind]
        route = derive.route_hash(raw("R_1"), controller=CONTROLLER, kind=kind, name=name)
        fence = derive.fence_hash(raw("F_m"), controller=CONTROLLER, kind=kind, name=name)
        assert (route.hex(), fence.hex()) == (values[f"route of the {kind}"], values[f"fence of the {kind}"])
    dead = derive.dead_hash(raw("O_day"), controller=CONTROLLER, device=DEVICE)
    assert dead.hex() == values["dead of the device"]


def subject_key() -> SubjectKey:
    return SubjectKey(
        raw("CSK"),
        controller=CONTROLLER,
        incarnation=Incarnation(raw("incarnation")),
        key_class=INPUTS["class"],
        version=VERSION,
        base=BASE,
        key_id=KeyId(raw("key id")),
    )


@pytest.mark.parametrize(
    ("section", "payload"),
    [
        ("Sealed value and stored point", INPUTS["readings"]),
        ("Its second correction", {"rev": INPUTS["correction"]["revision"], **INPUTS["correction"]["readings"]}),
    ],
)
def test_a_message_becomes_the_worked_line(section: str, payload: dict[str, float]) -> None:
    """Through decode, admit, pseudonymise, seal and line protocol: the whole way, byte for byte."""
    policy = load_policy(resource("policy.toml"))
    span = Span(starts=0, ends=2**63 - 1, keys=(subject_key(),), area=INPUTS["area"], permitted=2**8 - 1)
    arrival = Message("any", json.dumps({"time": INPUTS["event time"], **payload}).encode())
    device = Device(DEVICE, [span], Common(schema=policy.schema))
    done = Chain(policy, max_payload_bytes=1000)([arrival], [device], TIME)
    lines, refused = lineprotocol.render(done.points)
    values = VALUES[section]
    assert refused == {}
    assert lines.decode() == values["line protocol"]
    (point,) = done.points
    assert (point.series.pseudonym, point.field, point.value) == (
        VALUES["Pseudonym and series key"]["P"],
        values["field"],
        values["value"],
    )
    series = subject_key().series(DEVICE, KeyEpoch(672), area="")
    revision = payload.get("rev", 0)
    assert series.open(point.field, TIME, int(revision), point.value).hex() == values["plaintext"]


@pytest.mark.parametrize("section", ["Sealed value and stored point", "Its second correction"])
def test_worked_aad_and_nonce(section: str) -> None:
    values = VALUES[section]
    revision = int(values["field"].partition("_r")[2] or 0)
    nonce = aead.reading_nonce(TIME, revision)
    assert nonce.hex() == values["nonce"]
    place = envelope.SeriesPlace(
        controller=CONTROLLER, domain="store", epoch=672, version=VERSION, measurement=INPUTS["class"]
    )
    prefix = place.aad(Pseudonym(VALUES["Pseudonym and series key"]["P"]))
    assert (prefix + derive.lp(values["field"].encode()) + nonce).hex() == values["aad"]
    assert envelope.encode_values([bytes.fromhex(values["sealed"])]) == [values["value"]]
    assert envelope.decode_value(values["value"]) == (1, 1, bytes.fromhex(values["sealed"]))


@pytest.mark.parametrize("revision", [0, 1, 99, 2**32 - 1])
def test_nonces_of_many_readings_are_those_of_each(revision: int) -> None:
    times = [0, 1, TIME, 2**63 - 1, 2**64 - 1]
    assert aead.reading_nonces(times, revision) == [aead.reading_nonce(time, revision) for time in times]


@pytest.mark.parametrize(("time", "revision"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**32)])
def test_no_nonce_for_what_its_fields_cannot_hold(time: int, revision: int) -> None:
    with pytest.raises(OverflowError):
        aead.reading_nonces([time], revision)
