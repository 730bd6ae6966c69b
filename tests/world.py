"""A whole gateway without a broker: real key store, custodian, ledger and SQLite store in one directory, and canaries.

Tests enrol, publish, read and erase here as the commands do, and then look for what must not be found: every identifier
is a canary, and `leaks()` searches the world's files for each in raw, hexadecimal and base64.

    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    world.read("anna").value
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.clock import Clock, SystemClock
from gateway.control.access import Access
from gateway.control.certificate import Certificates
from gateway.control.enrolment import Enrolment, Result, enrol
from gateway.control.erasure import Erased, Erasures
from gateway.control.final import Finality
from gateway.control.ledger import Ledger
from gateway.control.operations import Operations
from gateway.control.role import Control
from gateway.control.turnover import Turned, Turnovers
from gateway.keys.custodian import FileCustodian
from gateway.keys.lease import Lease
from gateway.keys.letters import LetterSealer
from gateway.keys.ring import GenerationMoved, Ring
from gateway.keys.signing import SigningKey
from gateway.keystore.database import KeyStore
from gateway.keystore.schema import metadata
from gateway.model.dead import DeadLetter
from gateway.model.ids import KeyEpoch, parse_controller, parse_customer, parse_device
from gateway.model.sealed import SealedPoint
from gateway.model.table import Table
from gateway.pipeline.chain import Chain, Processed
from gateway.pipeline.letters import letters_of
from gateway.pipeline.topics import TopicPattern
from gateway.policy.load import load_policy
from gateway.policy.rules import Policy
from gateway.runtime.config import resource
from gateway.runtime.replay import Replay
from gateway.transport.letters import DeadLetters
from gateway.transport.store import Store, open_store
from tests.postgres import PASSWORD

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
Value = float | str | bool | None
CONTROLLER = "heat-co"
CANARY = "kanariefågel-"  # in front of every customer and device: whatever shows it has leaked
SQLITE = "sqlite:///keys.db"
KEY_STORES = ("sqlite", "postgresql")  # as tests that run on both call them
KEYS = "keys.url"  # where a world notes its key store
PATTERN = TopicPattern("glomska/{controller}/{device}/readings")


def ns(text: str) -> int:
    """An RFC 3339 time of whole seconds as ns since 1970."""
    return int(dt.datetime.fromisoformat(text).timestamp()) * SECOND


@dataclass(frozen=True)
class Message:
    """A PUBLISH, as decode sees it."""

    topic: str
    payload: bytes
    content_type: str | None = None


def topic(device: str, *, controller: str = CONTROLLER) -> str:
    """Where a canary device publishes."""
    return f"glomska/{controller}/{CANARY}{device}/readings"


def message(device: str, time: int, **readings: Value) -> Message:
    """A flat JSON message of one device; `time` in ns, sent as milliseconds."""
    return Message(topic(device), json.dumps({"time": time // 1_000_000, **readings}).encode())


class ShiftedClock(SystemClock):
    """This machine's clocks, moved: they go on by themselves, so that what is waited for comes."""

    def __init__(self, now: int) -> None:
        self._shift = now - super().wall()
        self._jumped = 0

    def wall(self) -> int:
        return super().wall() + self._shift + self._jumped

    def boottime(self) -> int:
        return super().boottime() + self._jumped

    def advance(self, nanoseconds: int) -> None:
        """Both move forward at once."""
        self._jumped += nanoseconds


class World:
    """One gateway's state in `directory`; several worlds on one directory are several processes of one gateway."""

    def __init__(
        self, directory: Path, *, clock: Clock | None = None, policy: Policy | None = None, keys: str | None = None
    ) -> None:
        """`keys` is the key store's URL; who opens the same directory again finds it there."""
        self.directory = directory
        self.clock = clock or SystemClock()
        self.policy = policy or load_policy(resource("policy.toml"))
        self.keys = keys or keys_of(directory)
        if keys is not None:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            (directory / KEYS).write_text(keys)
        self.keystore = KeyStore.open(self.keys, state=directory, password=PASSWORD.encode())
        self.custodian = FileCustodian(directory / "kek")
        self.signing_key = SigningKey(directory / "signing.key")
        self.ledger = Ledger(directory / "ledger", self.clock, self.signing_key)
        self.control = Control(self.keystore, self.ledger, self.clock, self.custodian)
        self.store: Store = open_store("sqlite:///readings.db", state=directory)
        self.chain = Chain(self.policy, max_payload_bytes=262_144)
        self.lease = Lease(self.keystore, self.clock, lease_s=30, deadline_s=0)
        self.ring = Ring(self.keystore, self.custodian, self.policy, self.lease, self.clock, parse=PATTERN.parse)
        self.letters = DeadLetters(directory / "letters.db", max_bytes=64 << 20)
        self.sealer = LetterSealer(self.ring, parse=PATTERN.parse)
        self.operations = Operations(self.control, self.custodian, self.letters, keep_days=30, operations_days=7)
        self._registered = False

    @property
    def erasures(self) -> Erasures:
        queues = {"dead letters": self.letters}
        return Erasures(
            self.control,
            self.custodian,
            {"sqlite:readings": self.store},
            queues,
            policy=lambda: self.policy,
            certificates=self.certificates,
        )

    @property
    def finality(self) -> Finality:
        return Finality(self.control, self.certificates)

    @property
    def certificates(self) -> Certificates:
        return Certificates(self.directory / "certificates", self.ledger, self.signing_key)

    @property
    def replay(self) -> Replay:
        return Replay(self.letters, self.ring, self.chain, self.store, self.clock)

    @property
    def turnovers(self) -> Turnovers:
        return Turnovers(self.control, self.custodian, lambda: self.policy, {"readings": self.store})

    @property
    def access(self) -> Access:
        return Access(self.keystore, self.custodian, self.policy, self.store, self.clock, lease_s=30)

    def enrol(
        self,
        customer: str,
        *devices: str,
        since: int = 0,
        purposes: Iterable[str] = (),
        returning: bool = False,
        controller: str = CONTROLLER,
    ) -> Result:
        """Enrol a canary customer with canary devices, from an event time on (default: 30 days ago)."""
        lines = [
            Enrolment(
                line=number,
                controller=parse_controller(controller),
                customer=parse_customer(CANARY + customer),
                device=parse_device(CANARY + device),
                area="SE3",
                valid_from=since or self.clock.wall() - 30 * DAY,
                purposes=tuple(purposes),
            )
            for number, device in enumerate(devices, start=2)
        ]
        return enrol(self.control, self.custodian, self.policy, lines, new_incarnation=returning)

    def register(self) -> None:
        """Become a worker, as `run` does."""
        if not self._registered:
            self.ring.register()
            self._registered = True

    def process(self, *messages: Message) -> Processed:
        """Through look-up and all four stages, as the worker does it."""
        self.register()
        while True:
            try:
                with self.ring.using():
                    devices = self.ring.resolve([m.topic for m in messages])
                    return self.chain(messages, devices, self.clock.wall())
            except GenerationMoved:
                self.ring.poll()

    def refuse(self, *messages: Message) -> list[DeadLetter]:
        """Messages of which something is refused: their letters, kept as the worker keeps them."""
        self.register()
        self.operations.tend()
        while True:
            try:
                with self.ring.using():
                    devices, now = self.ring.resolve([m.topic for m in messages]), self.clock.wall()
                    done = self.chain(messages, devices, now)
                    letters = letters_of(messages, devices, done.refusals.message, now, self.sealer)
            except GenerationMoved:
                self.ring.poll()
            else:
                self.letters.add(letters)
                return letters

    def process_one(self, device: str, time: int, **readings: Value) -> Processed:
        """One message, processed and not stored."""
        return self.process(message(device, time, **readings))

    def publish(self, device: str, time: int | None = None, **readings: Value) -> Processed:
        """One message, processed and stored."""
        done = self.process_one(device, self.clock.wall() if time is None else time, **readings)
        self.store.write(done.points)
        return done

    def read(self, customer: str, *, purpose: str = "provision", start: int | None = None) -> Table:
        """All readings of a canary customer, from 30 days ago on unless told."""
        since = self.clock.wall() - 30 * DAY if start is None else start
        return self.access.read(
            parse_controller(CONTROLLER),
            parse_customer(CANARY + customer),
            purpose=purpose,
            start=since,
            end=self.clock.wall() + DAY,
        )

    def erase(self, customer: str, *, controller: str = CONTROLLER) -> Erased:
        """Erase a canary customer while this world's worker, if it is one, keeps polling."""
        with self.polling():
            return self.erasures.erase(parse_controller(controller), parse_customer(CANARY + customer))

    def turn_over(self, *, until: KeyEpoch | None = None) -> Turned:
        """One whole pass while this world's worker, if it is one, keeps polling."""
        with self.polling():
            return self.turnovers.run(parse_controller(CONTROLLER), until=until)

    @contextmanager
    def polling(self) -> Iterator[None]:
        """The keeper thread of a worker, which has polled before and after, however late the thread itself is run."""
        if not self._registered:
            yield
            return
        done = threading.Event()

        def keep() -> None:
            while not done.wait(0.01):
                self.ring.poll()

        thread = threading.Thread(target=keep)
        self.ring.poll()
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        self.ring.poll()

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """What the key store's own tables hold."""
        with self.keystore.snapshot() as tx:
            return [tuple(row) for row in tx.exec_driver_sql(query)]

    def points(self) -> list[SealedPoint]:
        """Everything that the store file holds, by way of its own tables."""
        with sqlite3.connect(self.directory / "readings.db") as db:
            names = [row[0] for row in db.execute("SELECT pseudonym FROM series")]
        return list(self.store.query("telemetry", names, 0, 2**63 - 1)) if names else []

    def leaks(self, *needles: str | bytes) -> list[str]:
        """Files of this world that hold one of `needles`, or any canary, in raw, hexadecimal or base64."""
        wanted = [CANARY.encode(), *(n.encode() if isinstance(n, str) else n for n in needles)]
        forms = [form for needle in wanted for form in disguises(needle)]
        return sorted({name for name, data in self.held().items() for form in forms if form in data})

    def held(self) -> dict[str, bytes]:
        """Every file of this world, and a key store that is none."""
        files = (file for file in self.directory.rglob("*") if file.is_file())
        held = {str(file.relative_to(self.directory)): file.read_bytes() for file in files}
        held["key store"] = b"" if self.keys.startswith("sqlite") else self._database()
        return held

    def _database(self) -> bytes:
        """Every row of a key store that is no file, as text and in hexadecimal."""
        opened = KeyStore.open(self.keys, state=self.directory, password=PASSWORD.encode())
        with opened.snapshot() as tx:
            rows = [row for table in metadata.tables.values() for row in tx.execute(table.select())]
        opened.close()
        return "\n".join(
            cell.hex() if isinstance(cell, bytes) else str(cell) for row in rows for cell in row
        ).encode() + b"".join(cell for row in rows for cell in row if isinstance(cell, bytes))

    def close(self) -> None:
        """End as `run` does."""
        if self._registered:
            self.ring.leave()
        self.store.close()
        self.letters.close()
        self.keystore.close()


def keys_of(directory: Path) -> str:
    """The URL of the key store that a world in this directory has."""
    found = directory / KEYS
    return found.read_text() if found.exists() else SQLITE


def disguises(needle: bytes) -> list[bytes]:
    """A needle in raw, hexadecimal (both cases), and the inner part of its base64 at each of the three alignments."""
    found = [needle, needle.hex().encode(), needle.hex().upper().encode()]
    for lead in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * lead + needle)
            found.append(text[4 if lead else 0 : len(text) - 4])
    return [form for form in found if len(form) >= min(8, len(needle))]
