"""Suspension of every customer of a world, by way of the key store."""

from __future__ import annotations

import sqlalchemy as sa

from gateway.keys.lifecycle import KeyState, move
from gateway.keystore import schema, subjects, workers
from tests.world import World


def suspend(world: World, state: KeyState = KeyState.SUSPENDED) -> None:
    """Every key of every customer; workers hear of it."""
    with world.keystore.act() as tx:
        for key_id, current in tx.execute(sa.select(schema.keys.c.key_id, schema.keys.c.state)).all():
            subjects.move_key(tx, key_id, state=move(KeyState(current), state), now=world.clock.wall())
        workers.raise_generation(tx)


def resume(world: World) -> None:
    """All of them again."""
    suspend(world, KeyState.ACTIVE)
