"""What every spool must do. Crashes are real: a process that is killed, and files as a crash may leave them."""

from __future__ import annotations

import errno
import os
import random
import signal
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import Unreachable
from gateway.model.sealed import SealedPoint
from gateway.transport.spool import Chunk, Spool, SpoolHeld, Spools, SpoolUnable, segment
from gateway.transport.spool.record import encode, scan
from gateway.transport.spool.segment import Cursor
from tests.conformance.points import Make, Traits, new_series

MANY = 1 << 30
LARGE = 512 << 20
make = Make(Traits())


def points_of(count: int, *, keys: int = 5, start: int = 0) -> list[SealedPoint]:
    """Points of a few homes, sealed and clear, each under its home's key."""
    homes = [new_series() for _ in range(keys)]
    return [
        make.point(homes[n % keys], start + n, battery=n / 3) if n % 4 == 0 else make.point(homes[n % keys], start + n)
        for n in range(count)
    ]


def opened(directory: Path, *, max_bytes: int = MANY) -> Spool:
    return Spool.open(directory / "spool", max_bytes=max_bytes)


def drained(spool: Spool, *, most: int = 7) -> list[SealedPoint]:
    """Everything, oldest first, settled."""
    return [point for chunk in chunks(spool, most) for point in chunk.points]


def chunks(spool: Spool, most: int) -> Iterator[Chunk]:
    while (chunk := spool.oldest(most)) is not None:
        yield chunk
        spool.settled(chunk)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(opened(tmp_path)) as made:
        yield made


def files(directory: Path) -> list[Path]:
    return sorted((directory / "spool").glob("*.seg"))


def test_what_is_appended_comes_back_equal_oldest_first_and_once(spool: Spool) -> None:
    points = points_of(100)
    for at in range(0, 100, 10):
        spool.append(points[at : at + 10])
    assert drained(spool) == points
    assert spool.empty
    assert spool.oldest(1) is None


def test_what_is_not_settled_comes_again(spool: Spool) -> None:
    points = points_of(30)
    spool.append(points)
    first = spool.oldest(10)
    assert first == spool.oldest(10)
    assert first is not None
    spool.settled(first)
    second = spool.oldest(10)
    assert first.points + second.points == points[:20] if second else None


def test_appending_goes_on_while_it_is_drained(spool: Spool) -> None:
    points, got = points_of(300), []
    for at in range(0, 300, 3):
        spool.append(points[at : at + 3])
        chunk = spool.oldest(2)
        assert chunk is not None
        got += chunk.points
        spool.settled(chunk)
    assert got + drained(spool) == points


def test_another_life_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    points = points_of(60)
    got = []
    for life in range(6):
        with closing(opened(tmp_path)) as spool:
            spool.append(points[life * 10 : life * 10 + 10])
            chunk = spool.oldest(4)
            assert chunk is not None
            got += chunk.points
            spool.settled(chunk)
    with closing(opened(tmp_path)) as spool:
        assert got + drained(spool) == points


def test_space_is_given_back(tmp_path: Path) -> None:
    with closing(opened(tmp_path, max_bytes=200_000)) as spool:
        for _ in range(40):
            spool.append(points_of(200))
            assert len(drained(spool, most=50)) == 200
        assert spool.size == 0
        assert files(tmp_path) == []


def test_it_is_bounded_and_takes_again_what_fits_when_it_was_drained(tmp_path: Path) -> None:
    with closing(opened(tmp_path, max_bytes=80_000)) as spool:
        taken = points_of(450)
        for at in range(0, 450, 50):
            spool.append(taken[at : at + 50])
        with pytest.raises(SpoolUnable, match="the spool is full"):
            spool.append(points_of(200))
        assert sum(file.stat().st_size for file in files(tmp_path)) <= 80_000
        assert drained(spool) == taken
        spool.append(points_of(50))


def test_one_process_has_it(tmp_path: Path) -> None:
    with closing(opened(tmp_path)), pytest.raises(SpoolHeld, match="another process has this spool"):
        opened(tmp_path)
    opened(tmp_path).close()


def test_dropped_is_gone(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as spool:
        spool.append(points_of(50))
        spool.drop()
        assert spool.empty
        later = points_of(3)
        spool.append(later)
        assert drained(spool) == later


@pytest.mark.parametrize("from_outside", [False, True])
def test_points_of_a_key_are_overwritten_and_nothing_else(tmp_path: Path, from_outside: bool) -> None:
    points = points_of(200, keys=4)
    key_ids = sorted({point.series.key_id for point in points})
    dead, others = {key_ids[0]}, [p for p in points if p.series.key_id != key_ids[0]]
    with closing(opened(tmp_path, max_bytes=80_000)) as spool:
        for at in range(0, 200, 20):
            spool.append(points[at : at + 20])
        ahead = spool.oldest(10)
        assert ahead is not None
        spool.settled(ahead)
        if from_outside:  # as `erase` does it, while the worker has the spool
            gone = Spools(tmp_path, max_bytes=MANY).purge(dead, [b"\x01" * 32])
        else:
            gone = spool.purge(dead.intersection)
        assert gone == 50
        held = b"".join(file.read_bytes() for file in files(tmp_path))
        for point in points:
            assert (point.series.pseudonym.encode() in held) == (point.series.key_id not in dead)
        left = drained(spool)
        assert [p for p in ahead.points + left if p.series.key_id not in dead] == others
        assert spool.damaged == 0
        if not from_outside:  # else what was read ahead before is dropped by whoever drains, who asks for living keys
            assert not any(point.series.key_id in dead for point in left)


def test_a_report_disturbs_nobody(tmp_path: Path) -> None:
    points = points_of(40)
    with closing(opened(tmp_path)) as spool:
        spool.append(points)
        chunk = spool.oldest(10)
        assert chunk is not None
        spool.settled(chunk)
        (waiting,) = Spools(tmp_path, max_bytes=MANY).report()
        assert (waiting.worker, waiting.held, waiting.points, waiting.damaged) == ("spool", True, 30, 0)
        assert drained(spool) == points[10:]
    (waiting,) = Spools(tmp_path, max_bytes=MANY).report()
    assert (waiting.held, waiting.points) == (False, 0)


def test_a_report_stands_a_segment_that_is_drained_meanwhile(tmp_path: Path) -> None:
    points = points_of(200)
    with closing(opened(tmp_path, max_bytes=80_000)) as spool:
        for at in range(0, 200, 20):
            spool.append(points[at : at + 20])

        def meanwhile(_bytes: int) -> None:
            if not spool.empty:
                assert drained(spool) == points

        (waiting,) = Spools(tmp_path, max_bytes=MANY).report(meanwhile)
        assert (waiting.worker, waiting.points, waiting.damaged, waiting.since) == ("spool", 0, 0, None)


def test_names_of_workers_are_names_of_directories(tmp_path: Path) -> None:
    spools = Spools(tmp_path / "spools", max_bytes=MANY)
    names = ["glomska-1", "../../etc", "a/b", "värme 1", ".."]
    for name in names:
        spools.open(name).close()
    assert spools.workers() == sorted(names)
    assert {entry.name for entry in tmp_path.iterdir()} == {"spools"}


KILLED = """
import sys
from pathlib import Path
from tests.conformance.test_spool import drain_and_append
drain_and_append(Path(sys.argv[1]), int(sys.argv[2]))
"""


def drain_and_append(directory: Path, seed: int) -> None:
    """In a process of its own, until it is killed: says what is durable, and what was settled, as it is."""
    dice = random.Random(seed)
    with closing(opened(directory, max_bytes=400_000)) as spool:
        while True:
            points = points_of(dice.randrange(1, 40))
            try:
                spool.append(points)
                for point in points:
                    sys.stdout.write(f"+{point.series.pseudonym}{point.time}\n")
            except SpoolUnable:
                pass
            if dice.random() < 0.6 and (chunk := spool.oldest(dice.randrange(1, 60))) is not None:
                for point in chunk.points:
                    sys.stdout.write(f"-{point.series.pseudonym}{point.time}\n")
                sys.stdout.flush()  # the store has them before the cursor moves
                spool.settled(chunk)
            sys.stdout.flush()


@pytest.mark.parametrize("seed", range(6))
def test_killed_anywhere_nothing_that_was_durable_is_lost(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    durable: set[str] = set()
    stored: set[str] = set()
    for life in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), str(seed * 100 + life)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(dice.randrange(1, 2500))]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
        process.wait()
        process.stdout.close()
        for line in lines:
            if line.endswith("\n"):
                (durable if line[0] == "+" else stored).add(line[1:-1])
    with closing(opened(tmp_path)) as spool:
        left = {f"{point.series.pseudonym}{point.time}" for point in drained(spool)}
        assert spool.damaged == 0 or spool.damaged <= 1, "at most the record that was being written"
    assert durable <= stored | left


def test_a_torn_tail_is_cut_counted_and_reported(tmp_path: Path) -> None:
    points = points_of(20)
    with closing(opened(tmp_path)) as spool:
        spool.append(points[:10])
        whole = spool.size
        spool.append(points[10:])
    (file,) = files(tmp_path)
    os.truncate(file, whole + 5)
    told: list[int] = []
    with closing(Spool.open(tmp_path / "spool", max_bytes=MANY, on_damage=told.append)) as spool:
        assert (told, spool.damaged) == ([5], 1)
        assert file.stat().st_size == whole
        assert drained(spool) == points[:10]


@pytest.mark.parametrize("cursor", [b"", bytes(4), b"\x01" * 21, bytes(25), b"\xff" * 400, None])
def test_a_cursor_that_is_lost_or_damaged_stores_again_and_loses_nothing(tmp_path: Path, cursor: bytes | None) -> None:
    points = points_of(40)
    with closing(opened(tmp_path)) as spool:
        spool.append(points)
        chunk = spool.oldest(10)
        assert chunk is not None
        spool.settled(chunk)
    place = tmp_path / "spool" / "cursor"
    place.unlink() if cursor is None else place.write_bytes(cursor)
    with closing(opened(tmp_path)) as spool:
        assert drained(spool) == points


def test_a_cursor_that_cannot_be_read_is_no_reason_to_begin_anew(tmp_path: Path) -> None:
    for _ in range(3):
        with closing(opened(tmp_path)) as spool:
            spool.append(points_of(5))
            drained(spool)
    points, kept = points_of(50), tmp_path / "kept"
    place = tmp_path / "spool" / "cursor"
    place.rename(kept)
    place.mkdir()
    with (
        pytest.raises(
            SpoolUnable, match="the spool cannot be opened: its cursor cannot be read: is a directory"
        ) as found,
        closing(opened(tmp_path)) as spool,
    ):
        spool.append(points)  # under numbers that lie before the cursor
    assert "remove that" in found.value.hint
    with pytest.raises(Unreachable, match="a spool cannot be read"):
        Spools(tmp_path, max_bytes=MANY).report()
    place.rmdir()
    kept.rename(place)
    with closing(opened(tmp_path)) as spool:
        spool.append(points)
    with closing(opened(tmp_path)) as spool:
        assert drained(spool) == points


def halfway(directory: Path, points: list[SealedPoint], settled: int) -> tuple[Path, list[int]]:
    """A spool of one segment of which so many points are drained; the segment, and where each point ends."""
    ends = []
    with closing(opened(directory)) as spool:
        for point in points:
            spool.append([point])
            ends.append(spool.size)
        chunk = spool.oldest(settled)
        assert chunk is not None
        spool.settled(chunk)
    (file,) = files(directory)
    return file, ends


def test_bytes_that_vanish_before_the_cursor_make_it_skip_nothing(tmp_path: Path) -> None:
    points = points_of(40, keys=1)
    file, ends = halfway(tmp_path, points, 20)
    whole = file.read_bytes()
    file.write_bytes(whole[ends[0] :])  # a whole record, so that another one ends where the cursor is
    (waiting,) = Spools(tmp_path, max_bytes=MANY).report()
    assert (waiting.points, waiting.damaged) == (39, 0)
    with closing(opened(tmp_path)) as spool:
        assert drained(spool)[-20:] == points[20:]


def test_of_a_file_that_is_shorter_than_the_cursor_what_is_left_comes_back(tmp_path: Path) -> None:
    points = points_of(40)
    file, ends = halfway(tmp_path, points, 20)
    file.write_bytes(file.read_bytes()[ends[29] :])
    with closing(opened(tmp_path)) as spool:
        assert drained(spool) == points[30:]


def test_what_is_overwritten_before_the_cursor_loses_nothing_behind_it(tmp_path: Path) -> None:
    points = points_of(40)
    halfway(tmp_path, points, 20)
    gone = points[19].series.key_id
    Spools(tmp_path, max_bytes=MANY).purge({gone})
    with closing(opened(tmp_path)) as spool:
        living = [point for point in points[20:] if point.series.key_id != gone]
        assert drained(spool)[-len(living) :] == living


def test_a_cursor_of_version_1_is_believed(tmp_path: Path) -> None:
    points = points_of(40)
    _, ends = halfway(tmp_path, points, 20)
    body = b"\x01" + struct.pack(">QQ", 1, ends[29])
    (tmp_path / "spool" / "cursor").write_bytes(body + struct.pack(">I", zlib.crc32(body)))
    with closing(opened(tmp_path)) as spool:
        assert drained(spool) == points[30:]


def test_what_vanishes_under_a_living_spool_is_damage_and_what_follows_comes(tmp_path: Path) -> None:
    points = points_of(60)
    with closing(opened(tmp_path, max_bytes=12_000)) as spool:
        for point in points:
            spool.append([point])
        files(tmp_path)[0].write_bytes(b"")
        got = drained(spool)
        assert got == points[-len(got) :]
        assert len(got) > 40
        assert spool.damaged == 1


@pytest.mark.parametrize("cursor", [b"", b"\xff" * 400])
def test_a_cursor_that_nobody_can_believe_is_written_anew_before_anything_is_appended(
    tmp_path: Path, cursor: bytes
) -> None:
    opened(tmp_path).close()
    place = tmp_path / "spool" / "cursor"
    place.write_bytes(cursor)
    opened(tmp_path).close()
    assert place.read_bytes() == Cursor().encode()


def test_a_cursor_that_cannot_be_written_is_said_and_what_is_drained_gives_its_room_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = points_of(30)

    def refuse(_file: int, _data: bytes, _at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with closing(opened(tmp_path)) as spool:
        spool.append(points[:20])
        with monkeypatch.context() as full:
            full.setattr(os, "pwrite", refuse)
            assert drained(spool) == points[:20]
        assert "the spool cannot be marked as drained: no space left on device" in str(spool.behind)
        assert spool.size == 0
        spool.append(points[20:])
    with closing(opened(tmp_path)) as spool:
        assert drained(spool) == points[20:]
        assert spool.behind is None


def test_a_disk_that_became_read_only_acknowledges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    points = points_of(10)
    with closing(opened(tmp_path)) as spool:
        with monkeypatch.context() as disk:
            disk.setattr(os, "fdatasync", refuse)
            disk.setattr(os, "ftruncate", refuse)
            disk.setattr(Path, "unlink", refuse)
            for _ in range(2):
                with pytest.raises(SpoolUnable, match="the spool cannot be written: read-only file system"):
                    spool.append(points_of(10))
        spool.append(points)
        assert drained(spool) == points


def test_what_is_no_spool_of_ours_stops_neither_erasure_nor_report(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as spool:
        spool.append(points := points_of(10, keys=1))
    (tmp_path / "lost+found").mkdir(mode=0)
    (tmp_path / "notes").mkdir()
    spools = Spools(tmp_path, max_bytes=MANY)
    assert spools.workers() == ["spool"]
    assert [waiting.points for waiting in spools.report()] == [10]
    (tmp_path / "spool" / "lock").unlink()
    assert spools.purge([points[0].series.key_id]) == 10, "with its lock gone it is one all the same"


@pytest.mark.parametrize("broken", ["pwrite", "fdatasync"])
def test_a_disk_that_fails_acknowledges_nothing_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    before, lost, after = points_of(10), points_of(10), points_of(10)
    with closing(opened(tmp_path)) as spool:
        spool.append(before)
        honest: Callable[..., int] = getattr(os, broken)

        def fails(file: int, *rest: object) -> int:
            if broken == "pwrite":  # half of it comes to the disk
                data, at = rest
                assert isinstance(data, bytes)
                honest(file, data[: len(data) // 2], at)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        for _ in range(3):
            monkeypatch.setattr(os, broken, fails)
            with pytest.raises(SpoolUnable, match="the spool cannot be written: no space left on device"):
                spool.append(lost)
            monkeypatch.setattr(os, broken, honest)
        spool.append(after)
        assert drained(spool) == before + after
        assert spool.damaged == 0
    with closing(opened(tmp_path)) as spool:
        assert drained(spool) == []


def test_a_bad_place_on_the_disk_costs_what_stands_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = points_of(200)
    with closing(opened(tmp_path)) as spool:
        spool.append(points)
        honest, bad = os.pread, range(8192, 12_288)

        def failing(file: int, size: int, at: int) -> bytes:
            if at < bad.stop and at + size > bad.start:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return honest(file, size, at)

        monkeypatch.setattr(os, "pread", failing)
        got = drained(spool, most=1000)
        assert got == [point for point in points if point in got], "in order, and nothing that was not put in"
        assert 150 < len(got) < 200
        assert spool.damaged == 1
        assert spool.empty


# Random damage.

CASES = int(os.environ.get("GLOMSKA_TEST_DAMAGES", "400"))


def damage(dice: random.Random, data: bytes, *, before: int | None = None) -> tuple[bytes, int, int]:
    """What a disk may make of a file: the new content, and the first and last byte of the old one that may differ.

    `before`: it begins before that one.
    """
    start = dice.randrange(before or len(data))
    length = min(dice.choice([1, 1, 2, 7, 64, 512, 4096]), len(data) - start)
    end = start + length
    match dice.randrange(6):
        case 0:  # bits
            return data[:start] + bytes([data[start] ^ 1 << dice.randrange(8)]) + data[start + 1 :], start, start + 1
        case 1:  # noise
            return data[:start] + dice.randbytes(length) + data[end:], start, end
        case 2:  # a hole
            return data[:start] + bytes(length) + data[end:], start, end
        case 3:  # cut off
            return data[:start], start, len(data)
        case 4:  # bytes lost
            return data[:start] + data[end:], start, end
        case _:  # bytes too many, which may be a piece of the file itself
            more = dice.choice([dice.randbytes(length), data[dice.randrange(len(data)) :][:length]])
            return data[:start] + more + data[start:], start, start


def test_damaged_anywhere_everything_before_and_behind_is_recovered(tmp_path: Path) -> None:
    """`GLOMSKA_TEST_DAMAGES=10000 pytest tests/conformance/test_spool.py -k damaged_anywhere` is the long form."""
    points = points_of(60)
    ends: list[int] = []
    with closing(opened(tmp_path)) as spool:
        for point in points:
            spool.append([point])
            ends.append(spool.size)
    (file,) = files(tmp_path)
    whole, spans = file.read_bytes(), list(zip([0, *ends], ends, strict=False))
    for case in range(CASES):
        dice = random.Random(case)
        for old in files(tmp_path):
            old.unlink()
        content, first, last = damage(dice, whole)
        if dice.random() < 0.3:
            (tmp_path / "spool" / "cursor").write_bytes(dice.randbytes(dice.choice([0, 5, 21, 60])))
        else:
            (tmp_path / "spool" / "cursor").unlink(missing_ok=True)
        file.write_bytes(content)
        with closing(opened(tmp_path)) as spool:
            got = drained(spool, most=dice.choice([1, 9, 100]))
            expected = [p for p, (start, end) in zip(points, spans, strict=True) if end <= first or start >= last]
            assert all(point in points for point in got), f"case {case}: a wrong reading"
            assert [p for p in got if p in expected] == expected or case_repeats(got, expected), f"case {case}"
            spool.append(points[:3])
            assert drained(spool) == points[:3]


def test_what_damage_made_large_takes_little_memory_and_loses_nothing(tmp_path: Path) -> None:
    """A damaged inode may say any size; what it has no blocks for reads as zeros."""
    points = points_of(60)
    for part in (points[:30], points[30:]):
        with closing(opened(tmp_path)) as spool:  # each life begins a segment
            spool.append(part)
    first, last = files(tmp_path)
    tracemalloc.start()
    try:
        for large in (first, last, tmp_path / "spool" / "cursor"):
            os.truncate(large, LARGE)
        spools = Spools(tmp_path, max_bytes=MANY)
        (waiting,) = spools.report()
        assert (waiting.points, waiting.damaged) == (60, 2)
        assert spools.purge({points[0].series.key_id}) > 0
        with closing(opened(tmp_path)) as spool:
            assert last.stat().st_size < LARGE, "it is cut"
            kept = [point for point in points if point.series.key_id != points[0].series.key_id]
            assert drained(spool) == kept
            assert spool.damaged == 2
        assert tracemalloc.get_traced_memory()[1] < LARGE // 8
    finally:
        tracemalloc.stop()


def test_read_in_windows_it_is_what_it_is_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [encode([point]) for point in points_of(10)]
    longest = max(map(len, whole))
    monkeypatch.setattr(segment, "RECORD_BYTES_MAX", longest)
    for case in range(300):
        dice = random.Random(case)
        monkeypatch.setattr(segment, "WINDOW_BYTES", longest + dice.randrange(1, 3 * longest))
        content, _, _ = damage(dice, b"".join(dice.choices(whole, k=dice.randrange(1, 20))))
        content, _, _ = damage(dice, content or b"x")
        (tmp_path / "000000000001.seg").write_bytes(content)
        start = dice.randrange(len(content) + 1)
        end = dice.choice([None, dice.randrange(start, len(content) + 1)])
        assert list(segment.records(tmp_path, 1, start, end)) == list(scan(content[:end], start)), f"case {case}"


def test_damaged_anywhere_in_one_of_many_segments_with_a_cursor(tmp_path: Path) -> None:
    """`GLOMSKA_TEST_DAMAGES=10000 pytest tests/conformance/test_spool.py -k damaged_anywhere` is the long form."""
    points, most = points_of(60), 12_000
    places: list[tuple[int, int, int]] = []  # of each point: segment, start, end
    with closing(opened(tmp_path, max_bytes=most)) as spool:
        for point in points:
            spool.append([point])
            last = files(tmp_path)[-1]
            end = last.stat().st_size
            begun = places[-1][2] if places and places[-1][0] == int(last.stem) else 0
            places.append((int(last.stem), begun, end))
        chunk = spool.oldest(11)
        while chunk is not None and chunk.after.segment == 1:  # into the midst of the second
            spool.settled(chunk)
            chunk = spool.oldest(3)
        assert chunk is not None
        spool.settled(chunk)
        cursor = chunk.after
    whole = {file.name: file.read_bytes() for file in [*files(tmp_path), tmp_path / "spool" / "cursor"]}
    assert len(whole) > 5
    assert cursor.segment == 2
    assert 0 < cursor.offset < len(whole["000000000002.seg"])
    for case in range(CASES):
        dice = random.Random(case)
        for old in files(tmp_path):
            old.unlink()
        own = dice.random() < 0.5  # what stands before the cursor in its own segment
        name = "000000000002.seg" if own else dice.choice(sorted(set(whole) - {"cursor"}))
        content, first, behind = damage(dice, whole[name], before=cursor.offset if own else None)
        known = dice.random() < 0.8
        changed = {name: content} | ({} if known else {"cursor": dice.randbytes(dice.choice([0, 5, 21, 60]))})
        for each, data in (whole | changed).items():
            (tmp_path / "spool" / each).write_bytes(data)
        begins = cursor if known else Cursor()
        expected = [
            point
            for point, (number, start, end) in zip(points, places, strict=True)
            if number >= 2  # the first was drained, and is gone
            and Cursor(number, start) >= begins
            and (f"{number:012}.seg" != name or end <= first or start >= behind)
        ]
        with closing(opened(tmp_path, max_bytes=most)) as spool:
            got = drained(spool, most=dice.choice([1, 9, 100]))
            assert all(point in points for point in got), f"case {case}: a wrong reading"
            assert [p for p in got if p in expected] == expected or case_repeats(got, expected), f"case {case}"
            spool.append(points[:3])
            assert drained(spool) == points[:3]


def case_repeats(got: list[SealedPoint], expected: list[SealedPoint]) -> bool:
    """A piece of the file that stands there twice gives its readings twice, which changes nothing in a store."""
    return all(point in got for point in expected)
