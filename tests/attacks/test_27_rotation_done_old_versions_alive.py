"""Attack 27: a rotation is reported as done, and old versions still open what there is.

The attacker holds KEK and route secret of before the turnover, unwrapped, and today's key store.
"""

from __future__ import annotations

import pytest

from gateway.crypto import envelope
from gateway.crypto.envelope import RowKind, RowPlace
from gateway.errors import VerificationFailed
from gateway.keys.lineage import Kind, Lineage
from gateway.keystore import lineages, rows, subjects, turnovers
from gateway.model.ids import Incarnation, parse_controller
from tests.world import CANARY, CONTROLLER, World

pytestmark = pytest.mark.both_key_stores

HEAT_CO = parse_controller(CONTROLLER)


def opened(world: World) -> Lineage:
    with world.keystore.snapshot() as tx:
        found = Lineage.load(tx, world.custodian, HEAT_CO)
    assert found is not None
    return found


@pytest.fixture
def held(world: World) -> Lineage:
    """What the attacker keeps of before; then everything is turned over."""
    for name in ("anna", "bo", "cai"):
        world.enrol(name, f"meter-{name}")
    world.erase("cai")
    before = opened(world)
    world.turn_over()
    return before


def wrapped_rows(world: World) -> list[tuple[RowPlace, bytes]]:
    """Every wrapped row of the key store, with where it stands."""
    after = opened(world)
    with world.keystore.snapshot() as tx:
        owners = {
            Incarnation(route.incarnation)
            for name in ("anna", "bo")
            for route in subjects.find_routes(tx, after.route_hashes(Kind.CUSTOMER, CANARY + name))
        }
        keys: list[rows.Key] = subjects.find_keys(tx, owners)
        secrets = [row for kind in RowKind for row in lineages.find_secrets(tx, HEAT_CO, kind)]
    found = [
        (
            RowPlace(
                controller=HEAT_CO,
                kind=RowKind.CSK,
                key_id=key.key_id,
                version=key.version,
                incarnation=key.incarnation,
                key_class=key.key_class,
                base=key.base,
            ),
            key.wrapped,
        )
        for key in keys
        if key.wrapped is not None
    ]
    found += [
        (
            RowPlace(controller=HEAT_CO, kind=RowKind(secret.kind), key_id=secret.key_id, version=secret.version),
            secret.wrapped,
        )
        for secret in secrets
    ]
    return found


def opens(kek: bytes, place: RowPlace, wrapped: bytes) -> bool:
    try:
        envelope.unwrap(kek, wrapped, place)
    except VerificationFailed:
        return False
    return True


def test_no_row_opens_under_the_kek_of_before(world: World, held: Lineage) -> None:
    found = wrapped_rows(world)
    assert {place.kind for place, _row in found} >= {RowKind.CSK, RowKind.ROUTE, RowKind.FENCE}
    new = opened(world)
    assert all(opens(new._keks[2], place, row) for place, row in found)
    assert [place.kind for place, row in found if opens(held._keks[1], place, row)] == []


def test_no_route_is_found_by_the_secret_of_before(world: World, held: Lineage) -> None:
    with world.keystore.snapshot() as tx:
        for kind, name in ((Kind.CUSTOMER, CANARY + "anna"), (Kind.DEVICE, CANARY + "meter-anna")):
            assert subjects.find_routes(tx, opened(world).route_hashes(kind, name))
            assert subjects.find_routes(tx, held.route_hashes(kind, name)) == []


def test_the_kek_of_before_is_in_no_row_and_its_key_at_no_custodian(world: World, held: Lineage) -> None:
    assert held.e == 1
    with world.keystore.snapshot() as tx:
        assert list(lineages.find_keks(tx, HEAT_CO)) == [2]
        assert turnovers.left_behind(tx, HEAT_CO, e=2) == {"keys": 0, "routes": 0, "secrets": 0}
    assert not world.custodian.exists(HEAT_CO, 1)
