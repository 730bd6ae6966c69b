"""Copies of a whole gateway, as an operator, a snapshot or an attacker takes them, on either key store.

A key store in a file is copied with its directory; one in PostgreSQL by its server, byte by byte, into a database that
the copy's own `keys.url` names. Nobody may be connected to that meanwhile: `imaged` sees to it for one world.

    copy = imaged(world, tmp_path / "copy")
    put_back(copy, world.directory)             # its key store alone, in the place of what is there
    set_back(world.keystore, rows)              # to what `all_rows` gave, under whoever has it open
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Any

import psycopg

from gateway.keystore.database import KeyStore
from gateway.keystore.schema import metadata
from tests.postgres import PASSWORD
from tests.world import KEYS, SQLITE, World, keys_of


def copied(directory: Path, to: Path, *, without: str = "") -> Path:
    """A gateway at rest, once more; but for what stands under one name, such as the custodian's medium."""
    shutil.copytree(directory, to, ignore=shutil.ignore_patterns(without))
    _own_database(to, like=keys_of(to))
    return to


def imaged(world: World, to: Path, *, without: str = "") -> Path:
    """The same of one that is open, as it is on disk at this moment."""
    if world.keys != SQLITE:
        world.keystore.close()  # it connects again when it is asked for something
    return copied(world.directory, to, without=without)


def put_back(copy: Path, directory: Path) -> None:
    """The key store of a copy in the place of a gateway's own, which nobody has open."""
    emptied(directory)
    for file in copy.glob("keys.db*"):
        shutil.copy(file, directory)
    _own_database(directory, like=keys_of(copy))


def emptied(directory: Path) -> None:
    """No key store in the place of a gateway's own, which nobody has open."""
    for file in directory.glob("keys.db*"):
        file.unlink()
    _own_database(directory)


def all_rows(keystore: KeyStore) -> dict[str, list[dict[str, Any]]]:
    """Everything in a key store, by table."""
    with keystore.snapshot() as tx:
        return {t.name: [dict(row) for row in tx.execute(t.select()).mappings()] for t in metadata.sorted_tables}


def set_back(keystore: KeyStore, rows: dict[str, list[dict[str, Any]]]) -> None:
    """These rows and no others, at once: what a server that was restored shows to those who connect to it again."""
    with keystore.act() as tx:
        for table in reversed(metadata.sorted_tables):
            tx.execute(table.delete())
        for table in metadata.sorted_tables:
            if rows[table.name]:
                tx.execute(table.insert(), rows[table.name])


def opened(directory: Path) -> KeyStore:
    """The key store of a copy and nothing else."""
    return KeyStore.open(keys_of(directory), state=directory, password=PASSWORD.encode())


def _own_database(directory: Path, *, like: str = "/template1") -> None:
    """A directory whose key store is in PostgreSQL gets a new database of its own, empty or as another is now."""
    server, _, _name = keys_of(directory).rpartition("/")
    if server.startswith("postgresql:"):
        made, template = f"copy_{secrets.token_hex(6)}", like.rpartition("/")[2]
        with psycopg.connect(f"{server}/postgres", password=PASSWORD, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{made}" TEMPLATE "{template}"'.encode())
        (directory / KEYS).write_text(f"{server}/{made}")
