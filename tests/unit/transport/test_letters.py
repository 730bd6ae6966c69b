"""The file of dead letters: durable, bounded, and forgetful of what was purged."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import ConfigurationFault
from gateway.model.dead import DeadLetter, LetterKind
from gateway.model.ids import KeyId, new_id
from gateway.model.sealed import Reason, SealedPoint
from gateway.transport.letters import (
    CONTROLLER_SHARE,
    EVERY,
    FLOOD_SHARE,
    KEY_SHARE,
    DeadLetters,
    LettersUnreachable,
    Wanted,
)
from tests.conformance.points import new_series, sealed_text

MB = 2**20


@pytest.fixture
def letters(tmp_path: Path) -> Iterator[DeadLetters]:
    kept = DeadLetters(tmp_path / "letters.db", max_bytes=4 * MB)
    yield kept
    kept.close()


def letter(
    number: int = 1,
    *,
    key: bytes = b"k" * 16,
    dead: bytes = b"",
    reason: Reason = Reason.MALFORMED,
    sealed: bytes = b"sealed",
    controller: str = "heat-co",
) -> DeadLetter:
    return DeadLetter(
        letter_id=new_id(),
        kind=LetterKind.UNATTRIBUTED if dead else LetterKind.MESSAGE,
        reason=reason,
        arrived=number,
        controller=controller,
        key_id=KeyId(key),
        dead=dead,
        sealed=sealed,
    )


def test_what_was_added_is_found_by_another_process_oldest_first(letters: DeadLetters, tmp_path: Path) -> None:
    kept = [letter(3), letter(1, dead=b"d" * 32), letter(2, reason=Reason.RANGE)]
    assert letters.add(kept) == 3
    other = DeadLetters(tmp_path / "letters.db", max_bytes=4 * MB)
    assert other.find(EVERY) == sorted(kept, key=lambda one: one.arrived)
    assert (tmp_path / "letters.db").stat().st_mode & 0o777 == 0o600
    other.close()


def test_it_is_read_in_pages_and_by_what_is_wanted(letters: DeadLetters) -> None:
    kept = [letter(n, reason=Reason.RANGE if n % 2 else Reason.TOPIC, controller=f"c{n % 3}") for n in range(20)]
    letters.add(kept)
    first = letters.find(EVERY, limit=7)
    rest = letters.find(EVERY, after=(first[-1].arrived, first[-1].letter_id))
    assert [*first, *rest] == kept
    assert letters.find(Wanted(reasons=(Reason.RANGE,))) == kept[1::2]
    assert letters.find(Wanted(controller="c1")) == kept[1::3]
    assert letters.find(Wanted(since=5, until=8)) == kept[5:8]
    assert letters.find(Wanted(ids=(kept[4].letter_id,))) == [kept[4]]
    assert letters.count(Wanted(reasons=(Reason.TOPIC,), since=5)) == 7
    assert letters.drop(Wanted(controller="c1")) == 7
    assert letters.remove([kept[0].letter_id, kept[1].letter_id]) == 1
    assert letters.level().by_reason == {"range": 6, "topic": 6}


def test_adding_the_same_letter_again_changes_nothing(letters: DeadLetters) -> None:
    one = letter()
    letters.add([one])
    assert letters.add([one]) == 0
    assert letters.find(EVERY) == [one]


def test_a_purge_takes_keys_and_hashes_and_nothing_of_theirs_is_taken_afterwards(
    letters: DeadLetters, tmp_path: Path
) -> None:
    other_key, other_device = letter(1, key=b"o" * 16), letter(2, key=b"D" * 16, dead=b"e" * 32)
    theirs = [letter(3, sealed=b"of-an-erased-key"), letter(4, key=b"D" * 16, dead=b"d" * 32, sealed=b"of-a-device")]
    letters.add([other_key, other_device, *theirs])
    assert letters.purge([KeyId(b"k" * 16)], [b"d" * 32]) == 2
    assert letters.add([letter(5), letter(6, key=b"D" * 16, dead=b"d" * 32), letter(7, key=b"D" * 16)]) == 1
    assert [one.arrived for one in letters.find(EVERY)] == [1, 2, 7]
    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"of-an-erased-key" not in raw
    assert b"of-a-device" not in raw


def test_a_purge_says_when_a_reader_keeps_the_log(
    letters: DeadLetters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters.add([letter()])
    monkeypatch.setattr("gateway.transport.letters._BUSY_S", 0.2)
    reader = sqlite3.connect(tmp_path / "letters.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM letter").fetchone()
    with pytest.raises(LettersUnreachable, match="a reader is open"):
        letters.purge([KeyId(b"k" * 16)], [])
    reader.close()
    letters.purge([KeyId(b"k" * 16)], [])


def test_it_never_grows_beyond_its_bound_and_has_room_again_once_something_went(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "letters.db", max_bytes=MB)

    def fill() -> None:
        for number in range(10_000):
            letters.add([letter(number, sealed=bytes(1000))])

    with pytest.raises(LettersUnreachable, match="is full at 1 MiB") as full:
        fill()
    assert "dead_letters.max_bytes" in full.value.hint
    level = letters.level()
    assert MB * 0.9 < level.used_bytes <= MB == level.max_bytes
    assert (tmp_path / "letters.db").stat().st_size <= MB
    assert letters.count(EVERY) == level.letters > 500
    letters.drop(Wanted(until=level.letters // 2))
    assert letters.add([letter(sealed=bytes(1000))]) == 1
    letters.close()


def fill(letters: DeadLetters, size: int, **more: object) -> list[DeadLetter]:
    """So many bytes of a flood, in letters of about 1 kB."""
    made = [letter(reason=Reason.RATE, sealed=bytes(1000 - 256), **more) for _ in range(size // 1000)]  # type: ignore[arg-type]
    letters.add(made)
    return made[:1]


def test_who_floods_has_a_share_of_each_key_of_each_controller_and_of_the_file(letters: DeadLetters) -> None:
    one = fill(letters, 4 * MB // KEY_SHARE - 5_000)
    other = fill(letters, 10_000, key=b"o" * 16)
    assert letters.full(one + other) == set(), "a share is not used up"
    fill(letters, 10_000)
    assert letters.full(one + other) == {one[0].key_id}
    letters.remove([one[0].letter_id])
    letters.drop(Wanted(key_ids=(KeyId(b"k" * 16),)))
    assert letters.full(one + other) == set(), "what has gone counts no more"
    assert letters._db.execute("SELECT count(*), sum(bytes) FROM held").fetchone() == (2, 20_000)
    for number in range(5):
        fill(letters, 4 * MB // CONTROLLER_SHARE // 5 + 1_000, key=bytes([number]) * 16)
    foreign = fill(letters, 1_000, key=b"f" * 16, controller="other")
    assert letters.full(other + foreign) == {other[0].key_id}, "all of its controller's are full"
    fill(letters, 4 * MB // FLOOD_SHARE, key=b"m" * 16, controller="many")
    assert letters.full(other + foreign) == {other[0].key_id, foreign[0].key_id}, (
        "the other half is for what is no flood"
    )
    assert letters.add([letter()]) == 1


def test_a_file_of_the_version_before_is_counted_when_it_is_opened(letters: DeadLetters, tmp_path: Path) -> None:
    one = fill(letters, 4 * MB // KEY_SHARE + 10_000)
    letters.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "letters.db")) as db:
        for what in ("TRIGGER came", "TRIGGER went", "TABLE held"):
            db.execute(f"DROP {what}")
        db.execute("PRAGMA user_version = 1")
    again = DeadLetters(tmp_path / "letters.db", max_bytes=4 * MB)
    assert again.full(one) == {one[0].key_id}
    again.close()


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "letters.db") as db:
        db.execute("CREATE TABLE theirs(x)")
    db.close()
    with pytest.raises(ConfigurationFault, match="another program"):
        DeadLetters(tmp_path / "letters.db", max_bytes=MB)


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LettersUnreachable, match="cannot be opened"):
        DeadLetters(tmp_path / "away" / "letters.db", max_bytes=MB)


def test_a_point_comes_back_as_it_was(letters: DeadLetters) -> None:
    refused = SealedPoint(new_series(), 7, "s_1d", sealed_text(), (("power", 1.5),))
    letters.add([DeadLetter.of_point(refused, Reason.STORE, arrived=9)])
    (found,) = letters.find(EVERY)
    assert (found.kind, found.reason, found.key_id) == (LetterKind.POINT, Reason.STORE, refused.series.key_id)
    assert SealedPoint.from_bytes(found.sealed) == refused
    assert letters.keys_of(Reason.STORE) == {(LetterKind.POINT, refused.series.key_id)}
