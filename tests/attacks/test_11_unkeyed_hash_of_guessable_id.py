"""Attack 11: device numbers are few, so whoever hashes all of them finds out who is who.

The attacker has the store, the key store, the ledger and the list of all possible identifiers; not the custodian. They
try every hash of every candidate, plain and keyed with every piece of bytes that they have found.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Iterator
from hashlib import blake2b, md5, sha1, sha256, sha512

import pytest
import sqlalchemy as sa

from gateway.crypto.derive import Label, expand, lp
from gateway.keystore import schema
from tests.world import CANARY, CONTROLLER, World

NUMBERS = 500


def haystack(world: World) -> bytes:
    """Everything but the custodian's files."""
    return b"\0".join(data for name, data in world.held().items() if not name.startswith("kek"))


def found_bytes(world: World) -> list[bytes]:
    """Whatever could serve as a key: every blob of the key store, in whole and in parts of 32 bytes, also expanded."""
    with world.keystore.snapshot() as tx:
        blobs = {
            value
            for table in schema.metadata.sorted_tables
            for row in tx.execute(sa.select(table))
            for value in row
            if isinstance(value, bytes)
        }
    parts = {part for blob in blobs for part in (blob, blob[:32], blob[1:33], blob[13:45], blob[-32:])}
    return sorted(parts | {expand(part, label.value) for part in parts for label in (Label.ROUTE, Label.FENCE)})


def spellings(kind: str, name: str) -> Iterator[bytes]:
    """How a hasher may feed an identifier."""
    controller, raw = CONTROLLER.encode(), name.encode()
    yield raw
    yield controller + b"/" + raw
    yield lp(raw)
    yield lp(controller) + lp(kind.encode()) + lp(raw)


def guesses(texts: Iterable[bytes], keys: list[bytes]) -> Iterator[bytes]:
    """Every digest of every text."""
    for text in texts:
        for algorithm in (md5, sha1, sha256, sha512, blake2b):
            yield algorithm(text).digest()
        for label in Label:
            yield hmac.digest(label.value, text, "sha256")
        for key in keys:
            yield hmac.digest(key, text, "sha256")


def disguised(digest: bytes) -> tuple[bytes, ...]:
    """A digest as it may stand in a file: raw and cut to 16 bytes, hexadecimal, base32."""
    short = digest[:16]
    return short, short.hex().encode(), base64.b32encode(short).rstrip(b"=").lower()


def test_every_candidate_is_tried_in_vain(world: World) -> None:
    customer = f"customer-{NUMBERS // 3}"
    device = f"meter-{NUMBERS // 2}"
    world.enrol(customer, device)
    world.publish(device, temperature=21.5)
    pile, keys = haystack(world), found_bytes(world)
    assert len(keys) > 10  # the attacker does have something to try
    windows = {pile[i : i + 16] for i in range(len(pile) - 15)}

    hits = 0
    for number in range(NUMBERS):
        likely = number in {NUMBERS // 3, NUMBERS // 2}  # all keys for the right ones; trying all for all takes hours
        texts = [
            *spellings("customer", f"{CANARY}customer-{number}"),
            *spellings("device", f"{CANARY}meter-{number}"),
        ]
        for digest in guesses(texts, keys if likely else keys[:4]):
            hits += any(form[:16] in windows and form in pile for form in disguised(digest))
    assert hits == 0


@pytest.mark.both_key_stores
def test_after_erasure_too(world: World) -> None:
    world.enrol("customer-1", "meter-1")
    world.publish("meter-1", temperature=21.5)
    world.erase("customer-1")
    pile = haystack(world)
    texts = [*spellings("customer", f"{CANARY}customer-1"), *spellings("device", f"{CANARY}meter-1")]
    for digest in guesses(texts, found_bytes(world)):
        assert not any(form in pile for form in disguised(digest))
