"""Attack 20: a corrected value is sealed under the nonce of the first, and the two together give both away.

The nonce holds the revision, so a correction is another field under another nonce. Where a device does send two values
under one time and revision, GCM-SIV shows that they differ, and nothing about how.
"""

from __future__ import annotations

import base64

from gateway.crypto.derive import KEY_BYTES
from gateway.keys.handle import SubjectKey
from gateway.model.ids import Incarnation, KeyEpoch, KeyId, new_id, parse_controller, parse_device
from gateway.model.sealed import SealedPoint
from tests.world import World


def sealed(point: SealedPoint) -> bytes:
    """Ciphertext without tag, format and schema."""
    return base64.urlsafe_b64decode(point.value + "=" * (-len(point.value) % 4))[2:-16]


def difference(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def packed(celsius: float) -> bytes:
    return round(celsius * 100).to_bytes(4, "big", signed=True)


def test_a_correction_is_another_field_under_another_nonce(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall() // 10**6 * 10**6
    first, second = (world.publish("meter-1", now, temperature=t, rev=r).points[0] for t, r in ((20, 0), (21.5, 1)))
    assert (first.field, second.field) == ("s_1", "s_1_r1")
    assert difference(sealed(first), sealed(second)) != difference(packed(20), packed(21.5))
    again = world.publish("meter-1", now, temperature=20, rev=1).points[0]
    assert difference(sealed(first), sealed(again)) != bytes(4)  # the same value does not even look the same
    table = world.read("anna")
    assert (table.value.tolist(), table.revision.tolist()) == ([20.0], [1])


def test_the_revision_alone_makes_another_ciphertext() -> None:
    """Also where both would be written to one field."""
    key = SubjectKey(
        bytes(KEY_BYTES),
        controller=parse_controller("one"),
        incarnation=Incarnation(new_id()),
        key_class="telemetry",
        version=1,
        base=600,
        key_id=KeyId(new_id()),
    ).series(parse_device("d"), KeyEpoch(676), area="SE3")
    first, second = (key.seal("s_1", 1_780_000_000_000_000_000, revision, packed(20)) for revision in (0, 1))
    assert first[:-16] != second[:-16]


def test_a_redelivered_first_version_does_not_undo_a_correction(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall() // 10**6 * 10**6
    for celsius, revision in ((20, 0), (21.5, 1), (20, 0)):
        world.publish("meter-1", now, temperature=celsius, rev=revision)
    assert len(world.points()) == 2
    assert world.read("anna").value.tolist() == [21.5]


def test_two_values_under_one_nonce_give_nothing_away(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall() // 10**6 * 10**6
    seen = set()
    for n in range(200):
        one, other = (world.process_one("meter-1", now + n * 10**6, temperature=t).points[0] for t in (20, 21.5))
        leak = difference(sealed(one), sealed(other))
        assert leak != difference(packed(20), packed(21.5))
        seen.add(leak)
    assert len(seen) == 200  # no two differences are alike either
