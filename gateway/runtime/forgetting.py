"""What ends keys and proves it, built from a house: erasures, turnovers, certificates, backups.

They lean on each other: a turnover carries on with erasures before it begins, and makes them final when it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

from gateway.control.backup import Backups
from gateway.control.certificate import Certificates
from gateway.control.controllers import Controllers
from gateway.control.emptying import Emptying
from gateway.control.erasure import Erasures, Queue
from gateway.control.final import Finality, date_fences
from gateway.control.ledger import Ledger
from gateway.control.recovery import Recovery
from gateway.control.role import Control, require_ledger
from gateway.control.turnover import Turnovers
from gateway.control.withdrawal import Withdrawal
from gateway.keys.recovery import require_medium
from gateway.keystore import lineages
from gateway.model.ids import Controller
from gateway.policy.rules import Policy
from gateway.runtime.duties import each_of

if TYPE_CHECKING:
    from gateway.runtime.wiring import House


class Forgetting:
    """One house's; what is not used is not opened."""

    def __init__(self, house: House) -> None:
        self._house = house

    def _policy(self) -> Policy:
        """The one that is in use, which a reload replaces: what is built here stays."""
        return self._house.policy

    @cached_property
    def erasures(self) -> Erasures:
        """The inventory is every store that this gateway writes to."""
        inventory = {self._house.settings.store.url: self._house.store}
        return Erasures(
            self._house.control,
            self._house.custodian,
            inventory,
            self._queues(),
            policy=self._policy,
            retained=self._house.settings.mqtt.retained(self._house.topics.topics_of),
            certificates=self.certificates,
        )

    @cached_property
    def turnovers(self) -> Turnovers:
        """Passes over every controller's keys. Raises what `control` raises."""
        return Turnovers(
            self._house.control,
            self._house.custodian,
            self._policy,
            {self._house.settings.store.url: self._house.store},
            store_time=lambda: self._house.store.health().time,
            before=self._before_turnover,
            backup=self._back_up,
            standbys=self._house.settings.keys.standbys,
            finalise=lambda: len(self.finalise()),
            every_h=self._house.settings.keys.turnover_h,
        )

    @cached_property
    def controllers(self) -> Controllers:
        """Who is added, and who leaves. Raises what `control` raises."""
        house = self._house
        return Controllers(house.control, house.custodian, self._policy, self.certificates, self._queues())

    def _queues(self) -> dict[str, Queue]:
        """What waits on this machine."""
        found: dict[str, Queue] = {"spool": self._house.spools}
        if self._house.create or self._house.letters_file.exists():
            found["dead letters"] = self._house.letters
        return found

    @cached_property
    def emptying(self) -> Emptying:
        """For a machine without the ledger. Raises ConfigurationFault, Unreachable."""
        house = self._house
        return Emptying(house.keystore, house.custodian, house.clock, self._queues())

    @cached_property
    def backups(self) -> Backups:
        """Raises what `control` raises."""
        house = self._house
        return Backups(house.control, house.custodian, house.settings.state / "backups")

    @cached_property
    def recovery(self) -> Recovery:
        """For a key store that was set back: of a ledger that it does not agree with. Raises as its parts."""
        house = self._house
        directory = house.settings.state / house.settings.ledger.path
        require_ledger(house.keystore, directory)
        ledger = Ledger(directory, house.clock, house.signing_key)
        control = Control(house.keystore, ledger, house.clock, house.custodian)
        return Recovery(control, house.custodian, Withdrawal(control, house.custodian, self._policy))

    @cached_property
    def certificates(self) -> Certificates:
        """Of erasures. Raises what `control` raises."""
        return Certificates(
            self._house.settings.state / "certificates", self._house.control.ledger, self._house.signing_key
        )

    @cached_property
    def finality(self) -> Finality:
        """Which erasures are final. Raises what `control` raises."""
        return Finality(self._house.control, self.certificates)

    def custodian_at_hand(self) -> None:
        """Keys that are open serve without it, so that nobody would notice. Raises CustodianFault, Unreachable."""
        with self._house.keystore.snapshot() as tx:
            require_medium(tx, self._house.custodian)

    def _before_turnover(self) -> None:
        """What a pass is to find: fences dated, holds whose date has come ended, erasures carried on with."""
        date_fences(self._house.control, self._house.policy)
        duties: list[Callable[[], object]] = [self.erasures.resume]
        if self.turnovers.verdict().plausible:
            releases = [partial(self.erasures.release, controller) for controller in self._controllers()]
            duties = [*releases, self.backups.expire, *duties]
        each_of(*duties)()

    def _back_up(self, _controller: Controller) -> None:
        """Step 5 of a turnover."""
        self.backups.take()

    def _controllers(self) -> list[Controller]:
        with self._house.keystore.snapshot() as tx:
            return lineages.all_controllers(tx)

    def finalise(self) -> list[bytes]:
        """Every erasure that is final now, of every controller. Raises what an erasure raises."""
        with self._house.keystore.snapshot() as tx:
            names = lineages.every_controller(tx)
        return [erasure for name in names for erasure in self.finality.finalise(name)]
