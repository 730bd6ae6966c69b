"""What `doctor` says of a key store in PostgreSQL: not there yet, there, able to lose what it has committed, away."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.checks import CHECKS
from gateway.errors import ConfigurationFault, GlomskaError, Unreachable
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened
from tests.postgres import PASSWORD, Postgres


def check(url: str, tmp_path: Path, *, create: bool = False) -> str:
    secret = tmp_path / "keys.password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    environ = {"STATE": str(tmp_path / "state"), "KEYS__URL": url, "KEYS__PASSWORD_FILE": str(secret)}
    settings = load_settings(environ={f"GLOMSKA_{name}": value for name, value in environ.items()})
    with opened(settings, create=create) as house:
        return CHECKS["key store"](house)


def refusal(url: str, tmp_path: Path) -> GlomskaError:
    with pytest.raises(GlomskaError) as caught:
        check(url, tmp_path, create=True)
    return caught.value


def test_what_it_says(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.database()
    assert check(url, tmp_path) == "not there yet: `glomska enrol` makes it"
    fault = refusal(url, tmp_path)
    assert isinstance(fault, ConfigurationFault)
    assert str(fault) == "the key store can lose what it has committed: fsync = off, full_page_writes = off"
    assert fault.hint == "set these to on in postgresql.conf, and reload it"
    assert isinstance(refusal(url + "-absent", tmp_path), Unreachable)


def test_a_durable_one(tmp_path: Path) -> None:
    with Postgres(durable=True) as server:
        url = server.database()
        assert check(url, tmp_path, create=True) == f"{url}, 0 controller(s)"
