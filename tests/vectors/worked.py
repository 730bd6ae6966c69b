"""One reading from the customer's key to the stored point, worked out from the formulas alone.

Nothing of the gateway is used here: `hmac`, `hashlib`, `struct`, `base64`, and AES-256-GCM-SIV from pyca/cryptography.
Bytes are lower-case hex. Nonces that the gateway draws at random are chosen here, as are all keys and ids.

    python -m tests.vectors.worked          # writes worked.json beside this file, and docs/formats/vector.md
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

ROOT = Path(__file__).parents[2]
JSON_FILE = Path(__file__).with_name("worked.json")
PAGE = ROOT / "docs/formats/vector.md"

INPUTS: dict[str, Any] = {
    "controller": "fjärrvärme-ab",
    "customer": "kund 1024",
    "device": "termostat-å-7",
    "W_1": bytes(range(0x20)).hex(),
    "KEK_1": bytes(range(0x20, 0x40)).hex(),
    "KEK_2": bytes(range(0x30, 0x50)).hex(),
    "R_2": bytes(range(0x50, 0x70)).hex(),
    "second random nonce": "e0e1e2e3e4e5e6e7e8e9eaeb",
    "R_1": bytes(range(0x40, 0x60)).hex(),
    "F_m": bytes(range(0x60, 0x80)).hex(),
    "O_day": bytes(range(0x80, 0xA0)).hex(),
    "purge key": bytes(range(0xA0, 0xC0)).hex(),
    "CSK": bytes(range(0xC0, 0xE0)).hex(),
    "e": 1,
    "class": "telemetry",
    "version": 3,
    "base epoch": 670,
    "key id": "0123456789abcdef0123456789abcdef",
    "incarnation": "fedcba9876543210fedcba9876543210",
    "record id": "000102030405060708090a0b0c0d0e0f",
    "route key id": "101112131415161718191a1b1c1d1e1f",
    "erasure": "202122232425262728292a2b2c2d2e2f",
    "random nonce": "f0f1f2f3f4f5f6f7f8f9fafb",
    "record kind": "invoice",
    "record plaintext": '{"kWh":"312.4"}',
    "capture plaintext": '{"devices":[]}',
    "domain": "store",
    "area": "SE3",
    "event time": "2026-01-31T23:59:59.999Z",
    "event time, ns": 1_769_903_999_999_000_000,
    "format": 1,
    "schema": 1,
    "readings": {"temperature": 21.5, "humidity": 40.1, "power": -1250, "energy": 12345.678},
    "correction": {"revision": 2, "readings": {"temperature": 21.75}},
}
QUANTITIES = {"temperature": (0, 2, ">i"), "humidity": (2, 1, ">i"), "power": (3, 0, ">i"), "energy": (4, 3, ">q")}


@dataclass(frozen=True)
class Value:
    """One line of the page: its name, where it comes from, and what it is."""

    name: str
    formula: str
    value: str


def lp(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack(">H", len(raw)) + raw


def u8(number: int) -> bytes:
    return struct.pack(">B", number)


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, section 2.3, in full."""
    okm, block, count = b"", b"", 0
    while len(okm) < length:
        count += 1
        block = mac(prk, block + info + bytes([count]))
        okm += block
    return okm[:length]


def siv(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    return AESGCMSIV(key).encrypt(nonce, plaintext, aad)


class Work:
    """Gathers values in the order in which they are worked out."""

    def __init__(self) -> None:
        self.sections: dict[str, list[Value]] = {}
        self._here: list[Value] = []

    def section(self, title: str) -> None:
        self._here = self.sections.setdefault(title, [])

    def put(self, name: str, formula: str, value: bytes) -> bytes:
        self._here.append(Value(name, formula, value.hex()))
        return value

    def text(self, name: str, formula: str, value: str) -> str:
        self._here.append(Value(name, formula, value))
        return value


def raw(name: str) -> bytes:
    return bytes.fromhex(INPUTS[name])


def compute() -> dict[str, list[Value]]:
    """Every value, by section."""
    work = Work()
    _rows(work)
    epoch, csk = _ratchet(work)
    _record(work, epoch, csk)
    name, key = _names(work, epoch, csk)
    _point(work, epoch, name, key)
    _hashes(work)
    _turnover(work)
    return work.sections


def _rows(work: Work) -> None:
    work.section("Rows")
    controller, nonce, version, base = (
        INPUTS["controller"],
        raw("random nonce"),
        INPUTS["version"],
        INPUTS["base epoch"],
    )
    aad = work.put("aad of the KEK row", 'LP(controller) ‖ LP("kek") ‖ u32(e)', lp(controller) + lp("kek") + u32(1))
    sealed = siv(raw("W_1"), nonce, raw("KEK_1"), aad)
    work.put("KEK row", "u8(1) ‖ nonce ‖ AES-256-GCM-SIV(W_1, nonce, KEK_1, aad)", u8(1) + nonce + sealed)
    place = raw("key id") + raw("incarnation") + lp(INPUTS["class"]) + u32(version) + u32(base)
    formula = 'u8(1) ‖ LP(controller) ‖ LP("csk") ‖ key id ‖ incarnation ‖ LP(class) ‖ u32(version) ‖ u32(base epoch)'
    aad = work.put("aad of the CSK row", formula, u8(1) + lp(controller) + lp("csk") + place)
    sealed = siv(raw("KEK_1"), nonce, raw("CSK"), aad)
    work.put("CSK row", "u8(1) ‖ nonce ‖ AES-256-GCM-SIV(KEK_1, nonce, CSK, aad)", u8(1) + nonce + sealed)
    formula = 'u8(1) ‖ LP(controller) ‖ LP("route") ‖ route key id ‖ 16 zero bytes ‖ LP("") ‖ u32(e) ‖ u32(0)'
    head = u8(1) + lp(controller) + lp("route") + raw("route key id")
    aad = work.put("aad of the route secret's row", formula, head + bytes(16) + lp("") + u32(1) + u32(0))
    sealed = siv(raw("KEK_1"), nonce, raw("R_1"), aad)
    work.put("route secret's row", "u8(1) ‖ nonce ‖ AES-256-GCM-SIV(KEK_1, nonce, R_1, aad)", u8(1) + nonce + sealed)
    label = b"glomska/1|commit" + raw("key id") + u32(version) + u32(base)
    formula = 'Expand(CSK, "glomska/1|commit" ‖ key id ‖ u32(version) ‖ u32(base epoch), 32)'
    work.put("commit", formula, expand(raw("CSK"), label, 32))


def _ratchet(work: Work) -> tuple[int, bytes]:
    work.section("Epoch and ratchet")
    moment = dt.datetime.fromisoformat(INPUTS["event time"])
    epoch = 12 * (moment.year - 1970) + moment.month - 1
    work.text("n", "12 · (2026 − 1970) + 1 − 1", str(epoch))
    csk = raw("CSK")
    for at in range(INPUTS["base epoch"] + 1, epoch + 1):
        csk = work.put(
            f"CSK at {at}", f'Expand(CSK at {at - 1}, "glomska/1|ratchet", 32)', expand(csk, b"glomska/1|ratchet", 32)
        )
    salt = hashlib.sha256(lp(INPUTS["controller"]) + u32(INPUTS["version"])).digest()
    work.put("salt", "SHA-256(LP(controller) ‖ u32(version))", salt)
    work.put("PRK", f"HKDF-Extract(salt, CSK at {epoch})", mac(salt, csk))
    return epoch, csk


def _turnover(work: Work) -> None:
    """The CSK row of the first section, two epochs on and under another KEK; the customer's route under another R."""
    work.section("Turnover to e = 2, with the horizon at 672")
    version, horizon = INPUTS["version"], 672
    csk = raw("CSK")
    for _ in range(INPUTS["base epoch"], horizon):
        csk = expand(csk, b"glomska/1|ratchet", 32)
    csk = work.put("CSK at 672", "as above", csk)
    place = raw("key id") + raw("incarnation") + lp(INPUTS["class"]) + u32(version) + u32(horizon)
    aad = u8(1) + lp(INPUTS["controller"]) + lp("csk") + place
    work.put("aad of the CSK row after", "as before, with base epoch 672", aad)
    sealed = siv(raw("KEK_2"), raw("second random nonce"), csk, aad)
    formula = "u8(1) ‖ second nonce ‖ AES-256-GCM-SIV(KEK_2, second nonce, CSK at 672, aad)"
    work.put("CSK row after", formula, u8(1) + raw("second random nonce") + sealed)
    label = b"glomska/1|commit" + raw("key id") + u32(version) + u32(horizon)
    formula = 'Expand(CSK at 672, "glomska/1|commit" ‖ key id ‖ u32(version) ‖ u32(672), 32)'
    work.put("commit after", formula, expand(csk, label, 32))
    key = expand(raw("R_2"), b"glomska/1|route", 32)
    message = lp(INPUTS["controller"]) + lp("customer") + lp(INPUTS["customer"])
    formula = 'HMAC-SHA-256(Expand(R_2, "glomska/1|route", 32), LP(controller) ‖ LP("customer") ‖ LP(customer))'
    work.put("route of the customer after", formula, mac(key, message))


def _subkey(work: Work, csk: bytes, use: str, domain: str, epoch: int) -> bytes:
    salt = hashlib.sha256(lp(INPUTS["controller"]) + u32(INPUTS["version"])).digest()
    info = b"glomska/1" + lp(use) + lp(domain) + u32(epoch)
    work.put(f"info of {use}", f'"glomska/1" ‖ LP("{use}") ‖ LP("{domain}") ‖ u32(n)', info)
    key = expand(mac(salt, csk), info, 32)
    return work.put(f'K("{use}", "{domain}", n)', "Expand(PRK, info, 32)", key)


def _record(work: Work, epoch: int, csk: bytes) -> None:
    work.section("Record")
    kind, nonce = INPUTS["record kind"], raw("random nonce")
    key = _subkey(work, csk, "record", kind, epoch)
    head = u8(1) + lp(INPUTS["controller"]) + raw("incarnation") + lp(INPUTS["class"])
    formula = "u8(1) ‖ LP(controller) ‖ incarnation ‖ LP(class) ‖ u32(version) ‖ u32(n) ‖ LP(kind) ‖ record id"
    tail = u32(INPUTS["version"]) + u32(epoch) + lp(kind) + raw("record id")
    aad = work.put("aad of the record", formula, head + tail)
    sealed = siv(key, nonce, INPUTS["record plaintext"].encode(), aad)
    work.put("record", "u8(1) ‖ nonce ‖ AES-256-GCM-SIV(K, nonce, plaintext, aad)", u8(1) + nonce + sealed)
    aad = u8(1) + lp(INPUTS["controller"]) + lp("capture") + raw("erasure")
    work.put("aad of the capture", 'u8(1) ‖ LP(controller) ‖ LP("capture") ‖ erasure', aad)
    sealed = siv(raw("purge key"), nonce, INPUTS["capture plaintext"].encode(), aad)
    work.put("capture", "u8(1) ‖ nonce ‖ AES-256-GCM-SIV(purge key, nonce, plaintext, aad)", u8(1) + nonce + sealed)


def _names(work: Work, epoch: int, csk: bytes) -> tuple[str, bytes]:
    work.section("Pseudonym and series key")
    key = _subkey(work, csk, "pseudonym", INPUTS["domain"], epoch)
    tag = work.put(
        "tag", 'HMAC-SHA-256(K("pseudonym", "store", n), LP(device))[:16]', mac(key, lp(INPUTS["device"]))[:16]
    )
    name = work.text("P", "base32(tag)", base64.b32encode(tag).decode().lower().rstrip("="))
    seal = _subkey(work, csk, "seal", INPUTS["domain"], epoch)
    return name, work.put("K_P", 'Expand(K("seal", "store", n), LP(P), 32)', expand(seal, lp(name), 32))


def _point(work: Work, epoch: int, name: str, key: bytes) -> None:
    work.section("Sealed value and stored point")
    _sealed(work, epoch, name, key, INPUTS["readings"], 0)
    work.section("Its second correction")
    _sealed(work, epoch, name, key, INPUTS["correction"]["readings"], INPUTS["correction"]["revision"])


def _sealed(  # the inputs of the formula
    work: Work, epoch: int, name: str, key: bytes, readings: dict[str, float], revision: int
) -> None:
    time = INPUTS["event time, ns"]
    held = sorted((QUANTITIES[quantity], value) for quantity, value in readings.items())
    plain = b"".join(struct.pack(form, round(value * 10**decimals)) for (_, decimals, form), value in held)
    work.put("plaintext", "value × 10^decimals, two's complement, in ascending quantity number", plain)
    mask = sum(1 << number for (number, _, _), _ in held)
    field = f"s_{mask:x}" + (f"_r{revision}" if revision else "")
    work.text("field", '"s_" ‖ hex of Σ 2^number' + (' ‖ "_r" ‖ revision' if revision else ""), field)
    nonce = work.put("nonce", "u64(event time) ‖ u32(revision)", struct.pack(">QI", time, revision))
    aad = u8(INPUTS["format"]) + u8(INPUTS["schema"]) + lp(INPUTS["controller"]) + lp(INPUTS["domain"]) + lp(name)
    aad += u32(epoch) + u32(INPUTS["version"]) + lp(INPUTS["class"]) + lp(field) + nonce
    formula = (
        "u8(format) ‖ u8(schema) ‖ LP(controller) ‖ LP(domain) ‖ LP(P) ‖ u32(n) ‖ u32(version) ‖ LP(measurement)"
        " ‖ LP(field) ‖ u64(event time) ‖ u32(revision)"
    )
    work.put("aad", formula, aad)
    sealed = work.put("sealed", "AES-256-GCM-SIV(K_P, nonce, plaintext, aad)", siv(key, nonce, plain, aad))
    value = base64.urlsafe_b64encode(u8(INPUTS["format"]) + u8(INPUTS["schema"]) + sealed).decode().rstrip("=")
    work.text("value", "base64url(u8(format) ‖ u8(schema) ‖ sealed)", value)
    line = f'{INPUTS["class"]},area={INPUTS["area"]},series={name} {field}="{value}" {time}'
    work.text("line protocol", 'class,area=…,series=P field="value" time', line)


def _hashes(work: Work) -> None:
    work.section("Keyed hashes")
    controller = lp(INPUTS["controller"])
    for label, secret, kinds in (
        ("route", "R_1", ("customer", "device")),
        ("fence", "F_m", ("customer", "device")),
        ("dead", "O_day", ("device",)),
    ):
        key = expand(raw(secret), f"glomska/1|{label}".encode(), 32)
        work.put(f"key of {label}", f'Expand({secret}, "glomska/1|{label}", 32)', key)
        for kind in kinds:
            tag = mac(key, controller + lp(kind) + lp(INPUTS[kind]))
            work.put(f"{label} of the {kind}", f'HMAC-SHA-256(key, LP(controller) ‖ LP("{kind}") ‖ LP({kind}))', tag)


def document() -> dict[str, Any]:
    """What stands in worked.json."""
    found = {title: {v.name: v.value for v in values} for title, values in compute().items()}
    return {"computed by": "python -m tests.vectors.worked", "inputs": INPUTS, "values": found}


def page() -> str:
    """docs/formats/vector.md."""
    lines = [
        "# A worked vector",
        "",
        "One reading from the customer's key to the stored point, and what else is made with such keys. Notation: see",
        "[the index](README.md#notation); formulas: [keys](keys.md), [points](points.md). Bytes are lower-case hex.",
        "",
        "This page and `tests/vectors/worked.json` are written by `python -m tests.vectors.worked`, which works from",
        "the formulas alone and shares no code with the gateway. Keys, ids and nonces are chosen; never use them.",
        "",
        "## Inputs",
        "",
        "| name | value |",
        "|---|---|",
        *(f"| {name} | `{_shown(value)}` |" for name, value in INPUTS.items()),
    ]
    for title, values in compute().items():
        lines += ["", f"## {title}", ""]
        for value in values:
            lines += [f"**{value.name}** = {value.formula}", "", "```", value.value, "```", ""]
        lines.pop()
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    JSON_FILE.write_text(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
    PAGE.write_text(page())
