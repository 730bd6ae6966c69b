"""What is replayed is what is in the files, read here once more and by other means."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
from collections import defaultdict
from pathlib import Path

import msgspec
import numpy as np
import pytest

import firmware_sim
from firmware_sim.fleet import Firmware, Message, meters
from firmware_sim.meters import Part, once, replay_count, replay_messages

DATA = Path(firmware_sim.__file__).parent / "data"
NOW = 1_795_000_000_123


def rows(name: str) -> list[list[str]]:
    with gzip.open(DATA / name, "rt") as file:
        return list(csv.reader(file))[1:]


def unix(text: str) -> int:
    moment = dt.datetime.fromisoformat(text)
    return int(moment.replace(tzinfo=dt.UTC).timestamp())


def by_device(messages: list[Message]) -> dict[str, list[tuple[int, dict[str, float]]]]:
    homes = defaultdict(list)
    for message in messages:
        values = msgspec.json.decode(message.payload)
        homes[message.topic].append((message.time, values))
    return homes


@pytest.mark.parametrize(
    ("sample", "weather", "interval", "repeated"), [(0, "0", 3600, 0), (1, "1_2", 1800, 15), (2, "1_2", 1800, 24)]
)
def test_replay_equals_the_source_file(sample: int, weather: str, interval: int, repeated: int) -> None:
    homes = meters(3, seed=1)
    said = by_device(list(replay_messages(homes, Part())))[homes[sample].topic]
    source = rows(f"uk-electricity-hdd-only-hourly-sample-{sample}.csv.gz")
    used = {unix(start): float(value) for start, value in source}
    outdoor = {unix(time): float(value) for _, time, value in rows(f"uk-tempC-sample-{weather}.csv.gz")}

    assert len(source) - len(used) == repeated
    assert [time // 1000 for time, _ in said] == [start + interval for start in sorted(used)]
    counter = 0.0
    for time, values in said:
        kwh = used[time // 1000 - interval]
        counter += kwh
        assert values["power"] == round(kwh * 3_600_000 / interval)
        assert values["energy"] == round(counter, 3)
        hour = time // 1000 // 3600 * 3600
        known = outdoor.get(hour, outdoor.get(hour - 3600) if time % 3_600_000 == 0 else None)
        assert ("outdoor_temperature" in values) == (known is not None)
        if known is not None:
            assert values["outdoor_temperature"] == float(f"{known:.2f}")


def test_times_are_shifted_so_that_each_file_ends_now_and_keeps_its_gaps() -> None:
    homes = meters(3, seed=1)
    shifted = by_device(list(replay_messages(homes, Part(end=NOW))))
    kept = by_device(list(replay_messages(homes, Part())))
    for home, interval in zip(homes, (3600, 1800, 1800), strict=True):
        times = np.array([time for time, _ in shifted[home.topic]])
        assert NOW - interval * 1000 < times[-1] <= NOW
        assert np.array_equal(np.diff(times), np.diff([time for time, _ in kept[home.topic]]))


def test_messages_come_by_event_time_and_name_one_home_and_time_each() -> None:
    homes = meters(7, seed=1, senml=0.5)
    messages = list(replay_messages(homes, Part(days=7, end=NOW)))
    times = [message.time // 1000 for message in messages]
    assert times == sorted(times)
    assert len({(message.topic, message.time) for message in messages}) == len(messages)
    assert {message.topic for message in messages} == {home.topic for home in homes}


def test_copies_report_at_other_times_than_the_originals() -> None:
    homes = [home for home in meters(30, seed=1) if home.firmware is not Firmware.SENML]
    said = by_device(list(replay_messages(homes, Part(limit=1, end=NOW))))
    phases = [NOW - said[home.topic][0][0] for home in homes]
    assert len(set(phases[3:])) == len(phases[3:])
    assert all(0 <= phase < 2 * 3_600_000 for phase in phases)


@pytest.mark.parametrize(("part", "count"), [(Part(limit=10), 30), (Part(days=1), 24 + 48 + 48), (Part(), 81_473)])
def test_the_count_is_known_before(part: Part, count: int) -> None:
    homes = meters(3, seed=1)
    assert replay_count(homes, part) == len(list(replay_messages(homes, part))) == count


def test_a_part_goes_on_counting_where_the_file_does() -> None:
    homes = meters(1, seed=1)
    assert list(replay_messages(homes, Part(limit=5))) == list(replay_messages(homes, Part()))[-5:]


def test_repeated_rows_that_disagree_are_refused() -> None:
    times = np.array([0, 3600, 3600])
    assert [column.tolist() for column in once(times, np.array([0.1, 0.2, 0.2]))] == [[0, 3600], [100, 200]]
    with pytest.raises(ValueError, match="two values for one time"):
        once(times, np.array([0.1, 0.2, 0.3]))


def test_values_that_are_no_whole_wh_are_refused() -> None:
    with pytest.raises(ValueError, match="no whole Wh"):
        once(np.array([0]), np.array([0.1234]))
