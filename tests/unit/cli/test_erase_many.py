"""Many erased at once: one who cannot be is refused by line and reason, and the others go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from gateway.cli.main import call
from gateway.errors import VerificationFailed
from gateway.keystore.schema import keys, secrets
from tests.unit.control.test_dates import Site
from tests.unit.control.test_erasure import damage_identity, lineage_and_incarnation, subject
from tests.world import CANARY

pytestmark = pytest.mark.both_key_stores


@pytest.fixture
def site(tmp_path: Path, keys_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path, keys_url)
    for who in ("anna", "bo", "cia", "dag"):
        made.world.enrol(who, f"meter-of-{who}")
    for name, value in made._environ.items():
        monkeypatch.setenv(f"GLOMSKA_{name}", value)
    yield made
    made.world.close()


def erased(file: Path, capsys: pytest.CaptureFixture[str], *names: str) -> tuple[str, str]:
    """The first line that is told, and who was refused; the exit code is 8 where one of them is damaged."""
    file.write_text("customer\n" + "".join(f"{CANARY}{name}\n" for name in names), encoding="utf-8")
    code = call(["erase", "--csv", str(file), "--yes"])
    told = capsys.readouterr()
    assert code == (8 if "damaged" in told.err else 0)
    return told.out.splitlines()[0], told.err


def test_one_who_is_damaged_holds_up_no_other(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _lineage, bo = lineage_and_incarnation(site.world, "bo")
    was, file = damage_identity(site.world, bo), tmp_path / "gone.csv"
    assert erased(file, capsys, "anna", "anna", "nobody", "bo", "cia") == (
        "2 erased, 2 refused; 0 rows deleted",
        "line 4: unknown\nline 5: damaged\n",
    )
    with site.world.keystore.act() as tx:
        mine = (keys.c.incarnation == bo) & (keys.c.key_class == "identity")
        tx.execute(update(keys).where(mine).values(wrapped=was))
    assert erased(file, capsys, "anna", "bo") == ("1 erased, 1 refused; 0 rows deleted", "line 2: erased\n")


def test_one_whose_purge_key_is_damaged_holds_up_no_other(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = site.world
    world.erasures.begin(*subject("anna"))
    with world.keystore.act() as tx:
        tx.execute(update(secrets).where(secrets.c.kind == "purge").values(wrapped=bytes(61)))
    assert erased(tmp_path / "gone.csv", capsys, "anna", "bo") == (
        "1 erased, 1 refused; 0 rows deleted",
        "line 2: damaged\n",
    )


@pytest.mark.parametrize("damage", [{"commitment": bytes(32)}, {"wrapped": None}], ids=["another", "missing"])
def test_one_whose_key_is_another_or_missing_holds_up_no_other(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: dict[str, bytes | None]
) -> None:
    world = site.world
    _lineage, bo = lineage_and_incarnation(world, "bo")
    mine = (keys.c.incarnation == bo) & (keys.c.key_class == "telemetry")
    with world.keystore.act() as tx:
        tx.execute(update(keys).where(mine).values(damage))
    assert erased(tmp_path / "gone.csv", capsys, "anna", "bo", "cia") == (
        "2 erased, 1 refused; 0 rows deleted",
        "line 3: damaged\n",
    )
    with pytest.raises(VerificationFailed, match="this customer cannot be erased: a key") as fault:
        world.erase("bo")
    assert "their rows of table `keys`" in fault.value.hint
    with world.ledger.locked():  # who asked for it once ended before it began
        world.ledger.append("erase", "intent", erasure="ab" * 16, incarnation=bo.hex(), access="0" * 64)
    assert list(world.erasures.carry_on()[1]) == [bytes.fromhex("ab" * 16)], "it stops itself, and no other"
    world.erase("dag")


@pytest.mark.one_key_store
def test_the_exit_code_says_that_nobody_was_erased(site: Site, tmp_path: Path) -> None:
    file, codes = tmp_path / "gone.csv", list[int]()
    for names in (["anna"], ["anna"], ["nobody"], ["anna", "nobody"], ["anna", "bo"], []):
        file.write_text("customer\n" + "".join(f"{CANARY}{name}\n" for name in names), encoding="utf-8")
        codes.append(call(["erase", "--csv", str(file), "--yes"]))
    assert codes == [0, 7, 5, 5, 0, 0]
    assert site.world.sql("SELECT count(*) FROM erasures") == [(2,)]
