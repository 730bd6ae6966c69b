"""Everything is built here, once, on one screen: from configuration to what the commands use.

with opened(load_settings()) as house:
    house.worker(log).run()
"""

from __future__ import annotations

import contextlib
import ctypes
import resource as limits
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gateway.clock import Clock, SystemClock
from gateway.control.access import Access
from gateway.control.erasure import Erasures
from gateway.control.ledger import Ledger
from gateway.control.operations import Operations
from gateway.control.role import Control, require_current, require_ledger
from gateway.control.turnover import Turnovers
from gateway.crypto import selftest
from gateway.errors import ConfigurationFault, GlomskaError, Refused, Unreachable
from gateway.keys.custodian import Custodian, PairedCustodian, open_custodian
from gateway.keys.lease import Lease
from gateway.keys.letters import LetterSealer
from gateway.keys.ring import Ring
from gateway.keys.signing import SigningKey
from gateway.keystore import lineages, rows
from gateway.keystore.database import KeyStore
from gateway.model.dead import DeadLetter
from gateway.model.ids import Controller
from gateway.model.sealed import Reason, SealedPoint
from gateway.pipeline.budget import Budget, Limits
from gateway.pipeline.chain import Chain
from gateway.pipeline.mapped import Mapping
from gateway.pipeline.topics import Topics
from gateway.policy.areas import Areas, load_areas
from gateway.policy.rules import Mode, Policy, horizon_days
from gateway.runtime import memory
from gateway.runtime.accepted import Accepted
from gateway.runtime.config import Settings
from gateway.runtime.duties import each_of
from gateway.runtime.forgetting import Forgetting
from gateway.runtime.leftovers import Leftovers
from gateway.runtime.log import Log
from gateway.runtime.mappings import load_mappings
from gateway.runtime.receiving import Receiving, told_in
from gateway.runtime.replay import Replay
from gateway.runtime.roll import ALONE, Roll, Seat
from gateway.runtime.secret import login_to, optional_secret
from gateway.runtime.spooling import Spooling
from gateway.runtime.worker import Worker
from gateway.transport.letters import DeadLetters
from gateway.transport.spool import Spools
from gateway.transport.store import REQUEST_WAITS, Installable, Store, numbers_only, open_store

_PR_SET_DUMPABLE = 4  # prctl(2): no core dump, no other user's debugger


@dataclass
class House:
    """One configured gateway; what is not used is not opened."""

    settings: Settings
    clock: Clock
    create: bool = True

    @cached_property
    def accepted(self) -> Accepted:
        """What stored readings mean; read when it is asked for."""
        return Accepted(self.settings.state)

    @cached_property
    def policy(self) -> Policy:
        """Raises PolicyFault, also where it would misread what is stored; ConfigurationFault, Unreachable."""
        return self.accepted.load(self.settings.policy)

    @cached_property
    def areas(self) -> Areas:
        """Raises ConfigurationFault."""
        return load_areas(self.settings.areas)

    @cached_property
    def mappings(self) -> tuple[Mapping, ...]:
        """Raises ConfigurationFault, PolicyFault."""
        return load_mappings(self.settings.mqtt.mappings, self.policy, self.settings.mqtt.topics)

    @cached_property
    def topics(self) -> Topics:
        """All that is subscribed to. Raises what `mappings` raises."""
        return Topics(self.settings.mqtt.topics, [mapping.pattern for mapping in self.mappings])

    @cached_property
    def keystore(self) -> KeyStore:
        """Raises ConfigurationFault, Unreachable, IntegrityStop."""
        keys = self.settings.keys
        password = optional_secret(keys.password_file)
        return KeyStore.open(keys.url, state=self.settings.state, create=self.create, password=password)

    @cached_property
    def custodian(self) -> Custodian:
        """Opens no key yet. Raises ConfigurationFault."""
        keys, state = self.settings.keys, self.settings.state
        first = open_custodian(keys.custodian, state=state, pin=optional_secret(keys.pin_file))
        if keys.recovery is None:
            return first
        return PairedCustodian(
            first, open_custodian(keys.recovery, state=state, pin=optional_secret(keys.recovery_pin_file))
        )

    @cached_property
    def store(self) -> Store:
        """Raises ConfigurationFault, Unreachable."""
        return self.installable_store

    @cached_property
    def installable_store(self) -> Installable:
        """The same, which can also be set up."""
        self.require_store_for(self.policy)
        store = self.settings.store
        return self._opened_store(store.timeout_s)

    @cached_property
    def hurried_store(self) -> Store:
        """The same with the patience that live readings have, where a spool takes what it cannot. Raises as `store`."""
        patience, timeout = self.settings.spool.patience_s, self.settings.store.timeout_s
        if patience >= timeout or self.settings.store.url.startswith("sqlite:"):
            return self.store  # a file has one connection
        return self._opened_store(patience)

    def _opened_store(self, timeout_s: float) -> Installable:
        store = self.settings.store
        return open_store(
            store.url,
            state=self.settings.state,
            timeout_s=timeout_s,
            login=login_to(store),
            keep_days=horizon_days(self.policy),
        )

    def require_store_for(self, policy: Policy) -> None:
        """Raises ConfigurationFault."""
        store = self.settings.store
        sealed = [quantity.name for quantity in policy.quantities if quantity.mode is Mode.SEALED]
        if sealed and numbers_only(store.url):
            raise ConfigurationFault(
                f"store.url: VictoriaMetrics holds numbers only, and {self.settings.policy} seals: {', '.join(sealed)}",
                hint="name another store, or give these quantities another mode: clear, which anyone who reads the "
                "store can see, or drop",
            )

    @cached_property
    def signing_key(self) -> SigningKey:
        """What ledger and certificates are signed with; read when it is used."""
        return SigningKey(self.settings.state / self.settings.ledger.signing_key)

    @cached_property
    def spools(self) -> Spools:
        """Every spool of this machine; opens none."""
        return Spools(self.settings.state / "spool", max_bytes=self.settings.spool.max_bytes)

    @cached_property
    def control(self) -> Control:
        """Key store and ledger, known to agree. Raises IntegrityStop, Refused, Unreachable."""
        self.unagreed.check()
        return self.unagreed

    @cached_property
    def unagreed(self) -> Control:
        """The same, whether they agree or not. Raises IntegrityStop, Refused, Unreachable."""
        if self.settings.ledger.elsewhere:
            message = "acts on keys are done on the machine that has the ledger, and this one has not"
            raise Refused(message, hint="do it there; ledger.elsewhere says that it is another one")
        directory = self.settings.state / self.settings.ledger.path
        require_ledger(self.keystore, directory)
        ledger = Ledger(directory, self.clock, self.signing_key)
        return Control(self.keystore, ledger, self.clock, self.custodian)

    @cached_property
    def forgetting(self) -> Forgetting:
        """Erasures, turnovers, and what is signed about them."""
        return Forgetting(self)

    @property
    def erasures(self) -> Erasures:
        """Raises what `control` raises."""
        return self.forgetting.erasures

    @property
    def turnovers(self) -> Turnovers:
        """Raises what `control` raises."""
        return self.forgetting.turnovers

    @property
    def letters_file(self) -> Path:
        """Where dead letters are, if there are any yet."""
        return self.settings.state / self.settings.dead_letters.path

    @cached_property
    def letters(self) -> DeadLetters:
        """Raises ConfigurationFault, Unreachable."""
        return DeadLetters(self.letters_file, max_bytes=self.settings.dead_letters.max_bytes)

    @cached_property
    def operations(self) -> Operations:
        """Keys of dead letters. Raises what `control` raises."""
        kept = self.settings.dead_letters
        return Operations(
            self.control,
            self.custodian,
            self.letters,
            keep_days=kept.keep_days,
            operations_days=kept.operations_days,
        )

    @cached_property
    def access(self) -> Access:
        """Reads for a purpose. Raises what `control` raises: in a restored key store the erased would live again."""
        self.control.check()
        lease_s = self.settings.keys.lease_s
        return Access(self.keystore, self.custodian, self.policy, self.store, self.clock, lease_s=lease_s)

    @staticmethod
    def self_test() -> None:
        """Raises VerificationFailed when a primitive gives a wrong answer."""
        selftest.run()

    @cached_property
    def receiving(self) -> Receiving:
        """Sessions at the broker. Raises what `mappings` raises."""
        return Receiving(self.settings.mqtt, self.topics, Roll(self.settings.state / "sessions"), self.clock)

    def connected(self) -> set[str]:
        """Controllers that have, or get, a connection of their own where each has one. Raises Unreachable."""
        with self.keystore.snapshot() as tx:
            return {*self.settings.mqtt.controllers, *lineages.all_controllers(tx)}

    def worker(self, log: Log, seat: Seat = ALONE) -> Worker:
        """The ingesting process, or one of several. Raises what its parts raise."""
        self.self_test()
        memory.calm_collector()
        memory.one_arena()
        if seat.number and (policy := self.accepted.handed_on()):  # as its fellows have it, whatever the file says now
            self.__dict__["policy"] = policy
        store, keys = self.settings.store, self.settings.keys
        session = self.receiving.sessions(told_in(log), known=self.connected, seat=seat)
        own = seat.client_id(self.settings.mqtt.client_id)
        ring, chain = self.ring(), self.chain()
        replay, left = self.replay(ring, chain), self._leftovers(ring, log, seat)
        if self.settings.ledger.elsewhere:
            require_current(self.keystore, self.custodian)
        else:
            with contextlib.suppress(Unreachable):  # housekeeping tries again, and says so
                self.operations.tend()
        self.accepted.note(self.policy)
        return Worker(
            session,
            ring,
            chain,
            self.store,
            self.clock,
            log,
            batch_points=store.batch_points,
            batch_ms=store.batch_ms,
            poll_ms=keys.poll_ms,
            request_s=REQUEST_WAITS * store.timeout_s,
            follows=seat.number > 0,  # else `claim` says that nobody else is this gateway
            housekeeping=self._housekeeping(replay, log, left) if seat.leads else _nothing,  # once, not by each worker
            budget=Budget(Limits(**self.settings.limits.model_dump())),
            on_adopted=replay.adopt,
            letters=self.letters,
            sealer=LetterSealer(ring, parse=self.topics.parse),
            spooling=self._spooling(ring, log, own) if self.settings.spool.max_bytes else None,
            leftovers=lambda: left.counted,
        )

    def _housekeeping(self, replay: Replay, log: Log, left: Leftovers) -> Callable[[], None]:
        def replayed() -> None:
            if stored := replay.of_resumed():
                log.event("replayed", letters=stored)

        if self.settings.ledger.elsewhere:
            return each_of(replayed, left.drain, self.forgetting.emptying.run, self.forgetting.custodian_at_hand)
        return each_of(
            self.erasures.resume,
            self.forgetting.controllers.resume,
            self.forgetting.finalise,
            self.operations.tend,
            replayed,
            left.drain,
            self._turning(log),
            self.forgetting.custodian_at_hand,
        )

    def _turning(self, log: Log) -> Callable[[], object]:
        """The daily turnover, which must not stop the reading: what stops it is logged, and tried again."""
        if not self.settings.keys.turnover_h:
            return lambda: None

        def told(fault: GlomskaError, whose: Controller | None) -> None:
            log.error("turnover", fault, level="warning", controller=whose)  # noqa: PLE1205 - our log

        def turned(by: rows.Turnover, finalised: int) -> None:
            counts = {"rewrapped": by.rewrapped, "ratcheted": by.ratcheted, "expired": by.expired}
            log.event("turned over", controller=by.controller, kek=by.e, counts=counts, finalised=finalised)

        self.turnovers.on_trouble, self.turnovers.on_turned = told, turned
        return self.turnovers.tick

    def _leftovers(self, ring: Ring, log: Log, seat: Seat) -> Leftovers:
        base = self.settings.mqtt.client_id
        return Leftovers(
            self.spools,
            base=base,
            seat=seat if self.settings.spool.max_bytes else None,
            spooling=lambda name: self._spooling(ring, log, name),
            log=log,
        )

    def _spooling(self, ring: Ring, log: Log, name: str) -> Spooling:
        return Spooling(
            self.hurried_store,
            lambda on_damage: self.spools.open(name, on_damage),
            log,
            gone=ring.gone,
            kept_since=ring.kept_since,
            generation=lambda: ring.generation,
            patience_s=self.settings.spool.patience_s,
            behind=self.store,
            refused=self.keep_points,
        )

    def keep_points(self, points: Sequence[SealedPoint], reason: Reason) -> None:
        """Among the dead letters, durably: the store will never take them. Raises Unreachable."""
        now = self.clock.wall()
        self.letters.add([DeadLetter.of_point(point, reason, arrived=now) for point in points])

    def queues_hold(self) -> bool:
        """Whether anything waits in this machine's spools or dead letters. Raises Unreachable."""
        return self.spools.holds_any() or (self.letters_file.exists() and self.letters.level().letters > 0)

    def ring(self) -> Ring:
        """A worker's keys, with a lease of their own."""
        deadline_s = REQUEST_WAITS * self.settings.store.timeout_s
        lease_s, name = self.settings.keys.lease_s, self.settings.mqtt.client_id
        lease = Lease(
            self.keystore, self.clock, lease_s=lease_s, deadline_s=deadline_s, name=name, queues=self.queues_hold
        )
        return Ring(self.keystore, self.custodian, self.policy, lease, self.clock, parse=self.topics.parse)

    def chain(self) -> Chain:
        """The way of a reading."""
        return Chain(self.policy, max_payload_bytes=self.settings.mqtt.max_payload_bytes, mappings=self.mappings)

    def replay(self, ring: Ring, chain: Chain) -> Replay:
        """Dead letters sent once more, under the keys of a ring."""
        return Replay(self.letters, ring, chain, self.store, self.clock)

    def close(self) -> None:
        """Let go of whatever was opened."""
        for name in ("installable_store", "hurried_store", "letters", "keystore"):
            if name in self.__dict__:
                self.__dict__[name].close()


@contextlib.contextmanager
def opened(settings: Settings, *, clock: Clock | None = None, create: bool = True) -> Iterator[House]:
    """A house that is closed at the end. No core dumps from here on: they would hold keys.

    Without `create`, a state directory that holds no key store is a fault, and is not made into one.
    """
    limits.setrlimit(limits.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    house = House(settings, clock or SystemClock(), create)
    if create:
        _make_state(settings.state)
    try:
        yield house
    finally:
        house.close()


def _make_state(directory: Path) -> None:
    """For this user alone. Raises Unreachable."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as fault:
        message = f"the state directory cannot be made: {fault.strerror}"
        raise Unreachable(message, hint="check owner and mode of the directory above it") from None


def _nothing() -> None:
    """Housekeeping of the workers that do not lead: one process does it, not each at once."""
