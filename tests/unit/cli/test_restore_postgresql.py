"""`glomska keys backup` and `keys restore` between a key store in a file and one in PostgreSQL."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gateway.cli.main import call
from tests.postgres import PASSWORD, Postgres
from tests.world import CANARY, CONTROLLER, World

Printed = pytest.CaptureFixture[str]


def here(patch: pytest.MonkeyPatch, state: Path, url: str) -> None:
    """What the commands of a machine see."""
    secret = state.parent / "keys.password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    for name, value in {"STATE": str(state), "KEYS__URL": url, "KEYS__PASSWORD_FILE": str(secret)}.items():
        patch.setenv(f"GLOMSKA_{name}", value)


def answer(capsys: Printed, *words: str, code: int = 0) -> dict[str, object]:
    assert call(["keys", *words, "--json"]) == code
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.both_key_stores
def test_a_backup_is_put_back_as_a_postgresql_key_store(
    world: World, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.publish("meter-1", temperature=21.5)
    world.ring.leave()
    world._registered = False
    here(monkeypatch, world.directory, world.keys)
    file = tmp_path / "copy.backup"
    assert answer(capsys, "backup", "--to", str(file)) == {"backup": str(file), "days": 30}
    world.erase("bo")

    there, url = tmp_path / "new" / "state", postgres.database()
    there.parent.mkdir()
    shutil.copytree(world.directory, there, ignore=shutil.ignore_patterns("keys.*", "backups"))
    here(monkeypatch, there, url)
    assert set(answer(capsys, "restore", str(file))) == {"made", "seq"}
    assert answer(capsys, "status", code=0)["controllers"]
    refused = answer(capsys, "turnover", code=9)["error"]
    assert "keys recover" in refused["hint"]  # type: ignore[index]
    found = answer(capsys, "recover")
    assert (found["erased"], found["missing"]) == (1, {"incarnations": [], "routes": 0, "replaced_keys_of": []})
    again = answer(capsys, "restore", str(file), code=2)["error"]
    assert again["code"] == "usage"  # type: ignore[index]

    back = World(there, keys=url)
    assert back.read("anna").value.tolist() == [21.5]
    assert back.enrol("bo", "meter-2").refused == [(2, "erased")]
    assert back.leaks() == []
    back.close()
    assert f"{CONTROLLER}/{CANARY}" not in capsys.readouterr().out
