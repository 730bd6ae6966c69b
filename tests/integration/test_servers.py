"""The real servers that tests and benchmarks stand on do what they are started for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import mqtt5
import pytest

from benchmarks import contenders, messages, processes, wire
from benchmarks.publisher import Acknowledgements
from benchmarks.servers import (
    EmbeddedBroker,
    InfluxDB1,
    Mosquitto,
    ServerDown,
    ServerMissing,
    VictoriaMetrics,
    free_port,
    http,
)
from benchmarks.stamps import StampingProxy
from benchmarks.stores import InfluxSide
from gateway.errors import Unreachable
from gateway.transport import broker as embedded

TOPIC = messages.topic(0)
FEW = 20


class Client:
    """A device or a gateway, reduced to what these tests ask of a broker."""

    def __init__(self, port: int, client_id: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._data = b""
        connect = mqtt5.ConnectPacket(client_id, keep_alive=600, session_expiry_interval=3600)
        self.sock.sendall(connect.write())
        (connack,) = self.take(1)
        assert isinstance(connack, mqtt5.ConnAckPacket)
        self.session_present = connack.session_present

    def take(self, count: int) -> list[mqtt5.Packet]:
        found: list[mqtt5.Packet] = []
        while len(found) < count:
            try:
                packet, size = mqtt5.read(memoryview(self._data))
            except IndexError:
                received = self.sock.recv(1 << 20)
                assert received, "the broker closed the connection"
                self._data += received
                continue
            self._data = self._data[size:]
            found.append(packet)
        return found

    def payloads(self, count: int) -> list[bytes]:
        """Receive and acknowledge."""
        return [self.acknowledge(packet) for packet in self.take(count)]

    def acknowledge(self, packet: mqtt5.Packet) -> bytes:
        assert isinstance(packet, mqtt5.PublishPacket)
        assert packet.packet_id is not None
        self.sock.sendall(wire.PUBACKS[packet.packet_id])
        return packet.payload

    def subscribe(self) -> None:
        wire.subscribe(self.sock, messages.FILTER)

    def publish(self, payloads: list[bytes]) -> None:
        for i, payload in enumerate(payloads, 1):
            self.sock.sendall(wire.publish(TOPIC, payload, i))
        assert {type(packet) for packet in self.take(len(payloads))} == {mqtt5.PubAckPacket}


Connect = Callable[[int, str], Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    with contextlib.ExitStack() as stack:

        def opened(port: int, client_id: str) -> Client:
            client = Client(port, client_id)
            stack.callback(client.sock.close)
            return client

        yield opened


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


@pytest.mark.parametrize("kind", [Mosquitto, InfluxDB1, VictoriaMetrics, EmbeddedBroker])
def test_a_server_can_be_killed_and_started_again_where_it_was(
    kind: type[Mosquitto | InfluxDB1 | VictoriaMetrics | EmbeddedBroker],
) -> None:
    with kind() as server:
        url, pid = server.url, server.pid
        server.kill()
        assert not Path(f"/proc/{pid}").exists()
        with pytest.raises((ServerDown, Unreachable), match="is not running"):
            _ = server.pid
        server.start()
        server.restart()
        assert server.url == url
        assert server.pid != pid
        socket.create_connection(("127.0.0.1", server.port), timeout=60).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=60)


def test_a_missing_program_is_named_with_its_debian_package() -> None:
    class Absent(Mosquitto):
        program, package = "no-such-broker", "its-package"

    with pytest.raises(ServerMissing, match="no-such-broker is not installed: apt-get install its-package"):
        Absent().start()


def test_a_server_that_does_not_start_shows_its_log() -> None:
    class Misconfigured(Mosquitto):
        def arguments(self) -> list[str]:
            arguments = super().arguments()
            Path(arguments[-1]).write_text("no_such_option 1")
            return arguments

    with pytest.raises(ServerDown, match=r"(?s)does not start; its log ends:\n.*no_such_option"):
        Misconfigured().start()


def test_a_taken_port_is_not_mistaken_for_the_server() -> None:
    with Mosquitto() as first, pytest.raises(ServerDown, match=f"another server answers on port {first.port}"):
        Mosquitto(port=first.port).start()


def test_a_port_that_is_taken_before_the_first_start_is_given_up_for_another() -> None:
    with Mosquitto() as first, Mosquitto() as second:
        late = Mosquitto()
        late.port = first.port  # it was free when it was chosen
        with late, socket.socket() as held:
            assert late.port not in {first.port, second.port}
            late.kill()
            held.bind(("127.0.0.1", late.port))
            held.listen()
            with pytest.raises(ServerDown, match="another server answers"):
                late.start()  # it is known by its port by now


def test_a_port_that_is_held_without_an_answer_is_given_up_too() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        late = Mosquitto()
        late.port = bound.getsockname()[1]
        with late:
            assert late.port != bound.getsockname()[1]


def test_who_listens_on_a_port_is_told_from_who_was_there_before() -> None:
    with Mosquitto() as first, Mosquitto() as second:
        assert processes.listens(first.pid, first.port)
        assert not processes.listens(second.pid, first.port)


def test_the_embedded_broker_gives_up_a_port_that_was_taken_before_its_first_start() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        late = EmbeddedBroker()
        late.port = bound.getsockname()[1]
        with late:
            assert late.port != bound.getsockname()[1]
            port = late.port
            late.restart()
            assert late.port == port


def test_a_free_port_is_none_that_an_outgoing_connection_may_have() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert free_port() < first or first < 10_050


def test_the_embedded_broker_says_that_its_port_is_taken(broker: EmbeddedBroker) -> None:
    with pytest.raises(Unreachable, match=f"does not start on 127.0.0.1:{broker.port}"):
        EmbeddedBroker(broker.port).start()


def test_influxdb_keeps_what_it_confirmed_before_sigkill() -> None:
    with InfluxSide() as side:
        _write(side.server.port, [b'telemetry s_1d="a" 1700000000000000000'])
        side.server.kill()
        side.server.start()
        assert side.count() == 1


def test_mosquitto_with_persistence_keeps_a_session_over_a_restart(connect: Connect) -> None:
    with Mosquitto(persistence=True) as server:
        gateway = connect(server.port, "gateway")
        gateway.subscribe()
        gateway.sock.close()
        connect(server.port, "device").publish([b"1", b"2"])
        server.restart()
        again = connect(server.port, "gateway")
        assert again.session_present
        assert again.payloads(2) == [b"1", b"2"]


def test_mosquitto_queues_more_than_its_defaults_would(connect: Connect) -> None:
    with Mosquitto() as server:
        gateway = connect(server.port, "gateway")
        gateway.subscribe()
        gateway.sock.close()
        sent = [b"%d" % i for i in range(3000)]
        connect(server.port, "device").publish(sent)
        assert connect(server.port, "gateway").payloads(len(sent)) == sent


def test_the_embedded_broker_gives_a_session_again_what_it_did_not_acknowledge(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    gateway = connect(broker.port, "gateway")
    gateway.subscribe()
    sent = [b"%d" % i for i in range(FEW)]
    connect(broker.port, "device").publish(sent)
    half = gateway.payloads(FEW // 2)
    gateway.take(FEW // 2)
    gateway.sock.close()
    again = connect(broker.port, "gateway")
    assert again.session_present
    assert half + again.payloads(FEW // 2) == sent


def test_the_embedded_broker_has_a_window_of_its_own(broker: EmbeddedBroker, connect: Connect) -> None:
    gateway = connect(broker.port, "gateway")
    gateway.subscribe()
    connect(broker.port, "device").publish([b""] * (embedded.IN_FLIGHT + FEW))
    first = gateway.take(embedded.IN_FLIGHT)
    gateway.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        gateway.take(1)
    gateway.sock.settimeout(60)
    for packet in first:
        gateway.acknowledge(packet)
    assert len(gateway.take(FEW)) == FEW


def test_the_embedded_broker_withholds_suback_while_the_window_is_full(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    gateway = connect(broker.port, "gateway")
    gateway.subscribe()
    connect(broker.port, "device").publish([b""] * (2 * embedded.IN_FLIGHT))
    gateway.take(embedded.IN_FLIGHT)
    gateway.sock.close()
    again = connect(broker.port, "gateway")
    wanted = mqtt5.TopicFilter(messages.FILTER, max_qos=mqtt5.QoS.AT_LEAST_ONCE)
    again.sock.sendall(mqtt5.SubscribePacket(1, [wanted]).write())
    redelivered = again.take(embedded.IN_FLIGHT)
    assert {type(packet) for packet in redelivered} == {mqtt5.PublishPacket}
    again.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        again.take(1)
    again.sock.settimeout(60)
    for packet in redelivered:
        again.acknowledge(packet)
    assert mqtt5.SubAckPacket in {type(packet) for packet in again.take(embedded.IN_FLIGHT)}


def test_the_embedded_broker_carries_what_the_gateway_must_refuse(broker: EmbeddedBroker, connect: Connect) -> None:
    gateway = connect(broker.port, "gateway")
    gateway.subscribe()
    large = b"x" * 10_000_000
    connect(broker.port, "device").publish([large, b""])
    assert gateway.payloads(2) == [large, b""]


def test_ctrl_c_leaves_the_embedded_broker_to_its_owner(broker: EmbeddedBroker, connect: Connect) -> None:
    os.kill(broker.pid, signal.SIGINT)
    connect(broker.port, "device").publish([b"still here"])
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_cpu_seconds_counts_children_alive_and_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    wait = burn + "\nprint(flush=True); input()"
    program = f"""
import subprocess, sys
alive = [sys.executable, "-c", {wait!r}]
subprocess.run([sys.executable, "-c", {burn!r}], check=True)
child = subprocess.Popen(alive, stdout=subprocess.PIPE)
child.stdout.readline()
print(flush=True)
child.wait()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(processes.tree(process.pid)) == 2
        assert processes.cpu_seconds(process.pid) >= 0.38
        assert processes.peak_rss_mb(process.pid) >= processes.rss_mb(process.pid) > 5
        process.communicate(b"\n")
    with pytest.raises(ProcessLookupError):
        processes.cpu_seconds(process.pid)


@pytest.mark.parametrize("size", [1, 3, 4, 7, 64])
def test_the_publisher_counts_acknowledgements_of_every_length(size: int) -> None:
    short, reasoned = wire.PUBACKS[7], b"\x40\x03\x00\x07\x10"
    stream = short * 5 + reasoned * 3 + b"\xd0\x00" + short * 2
    ours, theirs = socket.socketpair()
    with ours, theirs:
        acknowledged = Acknowledgements(ours)
        for i in range(0, len(stream), size):
            theirs.send(stream[i : i + size])
            acknowledged._take(acknowledged._rest + ours.recv(size))
        assert acknowledged.count == 10


def test_the_proxy_stamps_a_point_after_the_store_confirmed_it() -> None:
    with InfluxSide() as side, StampingProxy(side.server.port) as proxy:
        now = time.time_ns()
        _write(proxy.port, [b'telemetry s_1d="a b 12" %d' % (now - i) for i in range(FEW)])
        assert sorted(proxy.stored_ns) == sorted(now - i for i in range(FEW))
        assert all(stamp >= now for stamp in proxy.stored_ns.values())
        assert side.count() == side.written() == FEW


def test_the_proxy_takes_a_body_in_chunks() -> None:
    with InfluxSide() as side, StampingProxy(side.server.port) as proxy:
        now = time.time_ns()
        lines = (b'telemetry s_1d="a b 12" %d\n' % (now - i) for i in range(FEW))
        connection = HTTPConnection("127.0.0.1", proxy.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/write?db=glomska", lines, {"Content-Type": "text/plain"})
            assert connection.getresponse().status == HTTPStatus.NO_CONTENT
        assert len(proxy.stored_ns) == side.count() == FEW


def test_the_messages_are_the_same_for_all_and_name_a_point_each() -> None:
    twice = [list(messages.messages(2500, last_ms=1_760_000_000_000)) for _ in range(2)]
    assert twice[0] == twice[1]
    points = {(topic, json.loads(payload)["time"]) for topic, payload in twice[0]}
    assert len(points) == 2500
    assert max(at for _, at in points) == 1_760_000_000_000


OURS = ("glomska", "glomska:free", "glomska:sqlite", "plain", "idle-subscriber")  # Node-RED takes npm: `make bench`


def test_the_rig_balances_the_books_of_every_pipeline() -> None:
    command = [sys.executable, "-m", "benchmarks.ingest", "--json", "--messages", "4000", "--latency-messages", "300"]
    result = subprocess.run(
        [*command, "--pipelines", *OURS, "telegraf"], capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 0, result.stderr
    assert ("left out: telegraf is not installed" in result.stderr) == bool(contenders.by_name("telegraf").missing())
    found = json.loads(result.stdout)
    rows = {(row["pipeline"], row["store"]): row for row in found["rows"]}
    rows.pop(("telegraf", "influxdb"), None)
    assert {name: row["stored"] for name, row in rows.items()} == {
        ("glomska", "influxdb"): 4000,
        ("glomska", "free"): 4000,
        ("glomska", "sqlite"): 4000,
        ("plain", "victoriametrics"): 4000,
        ("idle-subscriber", "none"): 0,
    }
    for name in (("glomska", "influxdb"), ("glomska", "free"), ("plain", "victoriametrics")):
        assert 0 < rows[name]["latency_ms"]["p50"] <= rows[name]["latency_ms"]["p99"]
    assert all(row["cpu_us_per_message"] > 0 and row["messages_per_second"] > 0 for row in rows.values())
    ours, theirs = rows["glomska", "influxdb"], rows["plain", "victoriametrics"]
    assert found["ratio"]["plain"] == pytest.approx(theirs["cpu_us_per_message"] / ours["cpu_us_per_message"], rel=0.01)
    assert found["ratio"]["node_red"] is None
    assert found["share_of_idle"] > 0


def _write(port: int, lines: list[bytes]) -> None:
    http(f"http://127.0.0.1:{port}/write?db=glomska", data=b"\n".join(lines))


@pytest.mark.parametrize(("backed_up", "left"), [(False, FEW), (True, 2 * FEW)])
def test_influxdb_forgets_what_follows_a_torn_log_unless_a_backup_is_taken(
    tmp_path: Path, *, backed_up: bool, left: int
) -> None:
    with InfluxDB1(database="glomska", log_level="info") as influxdb:
        _store(influxdb, range(FEW))
        influxdb.kill()
        (log,) = influxdb.directory.glob("wal/glomska/autogen/*/*.wal")
        with log.open("ab") as torn:
            torn.write(b"\x01" + (5_000).to_bytes(4, "big") + bytes(200))  # a record of 5,000 bytes, of which 200 came
        influxdb.start()
        _store(influxdb, range(FEW, 2 * FEW))
        if backed_up:
            influxdb.backup(tmp_path)
        influxdb.restart()
        assert (_points(influxdb), influxdb.logs_cut() > 0) == (left, True)


def _store(influxdb: InfluxDB1, numbers: range) -> None:
    lines = "\n".join(f"m v={number} {number}" for number in numbers)
    http(f"{influxdb.http_url}/write?db=glomska", data=lines.encode())


def _points(influxdb: InfluxDB1) -> int:
    answer = json.loads(influxdb.query("SELECT COUNT(v) FROM m", "glomska"))
    return int(answer["results"][0]["series"][0]["values"][0][1])
