"""What each stage takes for a batch of 5,000 messages of four quantities: `make bench`.

Each benchmark also looks at what it measured: a stage that lost readings would be fast.
"""
# ruff: noqa: D103 - a benchmark's name says what it measures

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.batch import MAX_PAYLOAD_BYTES, POINTS, Batch
from gateway.model.clear import Refusals
from gateway.model.ids import DeviceId, epoch_of
from gateway.model.sealed import SealedPoint, parse_sealed_field
from gateway.pipeline.chain import Chain, Processed
from gateway.pipeline.pseudonymise import Nameless
from gateway.transport import lineprotocol
from gateway.transport.ingest.stream import READ_BYTES, Chunk, Reader


@pytest.fixture(scope="module")
def batch() -> Batch:
    return Batch()


@pytest.fixture(scope="module")
def chain(batch: Batch) -> Chain:
    return Chain(batch.policy, max_payload_bytes=MAX_PAYLOAD_BYTES)


@pytest.fixture(scope="module")
def processed(batch: Batch, chain: Chain) -> Processed:
    done = chain(batch.arrivals, batch.devices, batch.now)
    assert not done.refusals.readings
    return done


def _nameless(batch: Batch, chain: Chain) -> list[Nameless]:
    refusals = Refusals()
    readings = chain.decode(batch.arrivals, batch.now, refusals)
    return chain.pseudonymise(chain.admit(readings, batch.devices, batch.now, refusals))


def _read_stream(stream: bytes) -> int:
    reader, arrived = Reader(MAX_PAYLOAD_BYTES), 0
    for at in range(0, len(stream), READ_BYTES):
        piece = stream[at : at + READ_BYTES]
        reader.room()[: len(piece)] = piece
        chunk: Chunk = reader.decode(len(piece))
        arrived += len(chunk.arrivals)
    return arrived


def test_receive(benchmark: BenchmarkFixture, batch: Batch) -> None:
    assert benchmark(_read_stream, batch.stream) == POINTS


def test_decode(benchmark: BenchmarkFixture, batch: Batch, chain: Chain) -> None:
    readings = benchmark(lambda: chain.decode(batch.arrivals, batch.now, Refusals()))
    assert len(readings.message) == POINTS


def test_admit(benchmark: BenchmarkFixture, batch: Batch, chain: Chain) -> None:
    readings = chain.decode(batch.arrivals, batch.now, Refusals())
    admitted = benchmark(lambda: chain.admit(readings, batch.devices, batch.now, Refusals()))
    assert len(admitted.message) == POINTS


def test_pseudonymise(benchmark: BenchmarkFixture, batch: Batch, chain: Chain) -> None:
    refusals = Refusals()
    admitted = chain.admit(chain.decode(batch.arrivals, batch.now, refusals), batch.devices, batch.now, refusals)
    (nameless,) = benchmark(lambda: chain.pseudonymise(admitted))
    assert len({key.series.pseudonym for key in nameless.series}) == len(set(batch.devices))


def test_pseudonym_and_series_key_of_a_new_device(benchmark: BenchmarkFixture, batch: Batch) -> None:
    key, epoch = batch.new_key("telemetry"), epoch_of(batch.now)
    series = benchmark(lambda: key.series(DeviceId("device"), epoch, area="SE3"))
    assert series.series.pseudonym == key.pseudonym(DeviceId("device"), epoch)


def test_seal(benchmark: BenchmarkFixture, batch: Batch, chain: Chain) -> None:
    (nameless,) = _nameless(batch, chain)

    def seal() -> list[SealedPoint]:
        points: list[SealedPoint] = []
        chain.seal(nameless, points, [])
        return points

    assert {point.field for point in benchmark(seal)} == {"s_1d"}


def test_chain(benchmark: BenchmarkFixture, batch: Batch, chain: Chain) -> None:
    done = benchmark(lambda: chain(batch.arrivals, batch.devices, batch.now))
    assert len(done.points) == POINTS
    assert not done.refusals.readings


def test_line_protocol(benchmark: BenchmarkFixture, processed: Processed) -> None:
    lines, refused = benchmark(lambda: lineprotocol.render(processed.points))
    assert lines.count(b"\n") == POINTS - 1
    assert not refused


def test_open(benchmark: BenchmarkFixture, batch: Batch, chain: Chain, processed: Processed) -> None:
    (nameless,) = _nameless(batch, chain)

    def opened() -> list[bytes]:
        return [
            key.open(point.field, point.time, parse_sealed_field(point.field)[1], point.value)
            for key, point in zip(nameless.series, processed.points, strict=True)
        ]

    assert len(set(map(len, benchmark(opened)))) == 1
