"""Tables of the key store at its newest version. Formats are for ever: a change is a new numbered migration.

No column holds an identifier of a person: routes and fences are keyed hashes, everything else about a customer is a
record sealed under the customer's own key. Times are UTC ns since 1970; event times where the name says so.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.engine import Connection

metadata = MetaData()
_id = LargeBinary(16)
_hash = LargeBinary(32)


def _partial(name: str, *columns: str, where: str) -> Index:
    """Of some rows. In which words is said when it is made: to say it here loads every database's dialect, 2 MB."""
    return Index(name, *columns, info={"where": text(where)})


def _say_where(table: Table, connection: Connection, **_: object) -> None:
    for index in table.indexes:
        if "where" in index.info:
            index.dialect_kwargs[f"{connection.dialect.name}_where"] = index.info["where"]


state = Table(
    "state",  # one row: what every process of this key store must agree on
    metadata,
    Column("one", Integer, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("ledger", _id),  # the ledger that writes for this key store; set by its first act
    Column("token", BigInteger, nullable=False),  # fencing token of the control role
    Column("access_head", _hash, nullable=False),  # hash of the newest access log entry
)

controllers = Table(
    "controllers",
    metadata,
    Column("controller", Text, primary_key=True),
    Column("current_e", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
)

horizons = Table(
    "horizons",
    metadata,
    Column("controller", Text, ForeignKey("controllers.controller"), primary_key=True),
    Column("key_class", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("moved", BigInteger, nullable=False),
)

keks = Table(
    "keks",
    metadata,
    Column("controller", Text, ForeignKey("controllers.controller"), primary_key=True),
    Column("e", Integer, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
)

secrets = Table(
    "secrets",  # route, fence, purge and operations keys, wrapped under KEK_e
    metadata,
    Column("key_id", _id, primary_key=True),
    Column("controller", Text, ForeignKey("controllers.controller"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("e", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Index("secrets_by_kind", "controller", "kind", "version"),
    Index("secrets_by_e", "controller", "e"),
)

incarnations = Table(
    "incarnations",
    metadata,
    Column("incarnation", _id, primary_key=True),
    Column("controller", Text, ForeignKey("controllers.controller"), nullable=False),
    Column("created", BigInteger, nullable=False),
)

keys = Table(
    "keys",  # CSKs; `wrapped` is null once destroyed, the row stays so that a key id is never used again
    metadata,
    Column("key_id", _id, primary_key=True),
    Column("incarnation", _id, ForeignKey("incarnations.incarnation"), nullable=False),
    Column("controller", Text, nullable=False),
    Column("key_class", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("base", Integer, nullable=False),
    Column("e", Integer, nullable=False),
    Column("wrapped", LargeBinary),
    Column("commitment", _hash),
    Column("state", Text, nullable=False),
    Column("valid_from", BigInteger, nullable=False),  # event time from which this version seals
    UniqueConstraint("incarnation", "key_class", "version"),
    _partial("keys_by_e", "controller", "e", where="wrapped IS NOT NULL"),  # destroyed rows are never asked for
    _partial("keys_coming", "valid_from", where="state = 'pre-activation'"),
)
event.listen(keys, "before_create", _say_where)

transitions = Table(
    "transitions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key_id", _id, ForeignKey("keys.key_id"), nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

routes = Table(
    "routes",
    metadata,
    Column("route_id", _id, primary_key=True),
    Column("controller", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("hash", _hash, nullable=False, index=True),
    Column("e", Integer, nullable=False),  # of the route secret it was hashed under
    Column("incarnation", _id, ForeignKey("incarnations.incarnation"), nullable=False, index=True),
    Column("area", Text, nullable=False),
    Column("valid_from", BigInteger, nullable=False),  # event time
    Column("valid_to", BigInteger),  # event time, exclusive; null: open
    Index("routes_by_e", "controller", "e"),
)

records = Table(
    "records",
    metadata,
    Column("record_id", _id, primary_key=True),
    Column("incarnation", _id, ForeignKey("incarnations.incarnation"), nullable=False, index=True),
    Column("key_class", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

fences = Table(
    "fences",
    metadata,
    Column("fence_id", _id, primary_key=True),
    Column("controller", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("hash", _hash, nullable=False, index=True),
    Column("month", Integer, nullable=False),  # of the fence secret
    Column("erasure", _id, nullable=False),
    Column("starts", BigInteger, nullable=False),  # event time, device fences
    Column("ends", BigInteger),  # event time, exclusive; null: open
    Column("expires", BigInteger),  # null: not yet known
    Column("refused", BigInteger),  # when it last refused a message
)

acts = Table(
    "acts",  # the ledger sequences that this key store knows
    metadata,
    Column("seq", BigInteger, primary_key=True),
    Column("act", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("outcome", Text),  # JSON: what the ledger is to say of the newest
)

erasures = Table(
    "erasures",
    metadata,
    Column("erasure", _id, primary_key=True),
    Column("controller", Text, nullable=False),
    Column("incarnation", _id, nullable=False, index=True),  # a second one ends what a legal hold kept
    Column("seq", BigInteger, nullable=False),
    Column("step", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("requested", BigInteger, nullable=False),
    Column("effective", BigInteger),
    Column("final", BigInteger),
    Column("evidence", Text),  # what the certificates say, as it was found: JSON
    Column("certified", Text),  # hexadecimal SHA-256 of the first certificate
    Column("certified_final", Text),  # and of the second
    Column("purge_due", BigInteger),  # CLOCK_BOOTTIME ns of the second purge, on the boot named beside it
    Column("purge_boot", Text),
    Column("purge_key", _id),
    Column("capture", LargeBinary),
    Column("rows_first", BigInteger),
    Column("rows_second", BigInteger),
)

workers = Table(
    "workers",
    metadata,
    Column("worker", _id, primary_key=True),
    Column("boot", Text, nullable=False),  # the machine's boot id: boot times of another boot cannot be compared
    Column("generation", BigInteger, nullable=False),  # acknowledged
    Column("lease", BigInteger, nullable=False),  # ns
    Column("deadline", BigInteger, nullable=False),  # ns: the longest request to a store it may have under way
    Column("renewed", BigInteger, nullable=False),  # CLOCK_BOOTTIME ns, before the renewal was sent
    Column("name", Text, nullable=False, server_default=""),  # client id; who only reads has none
    Column("process", Text, nullable=False, server_default=""),  # see keys.process
)

queues = Table(
    "queues",  # machines on which something may wait that only they can purge: spools, dead letters
    metadata,
    Column("machine", Text, primary_key=True),
)

accounts = Table(
    "accounts",  # who may hold something of an erased customer, and how each was accounted for
    metadata,
    Column("erasure", _id, primary_key=True),
    Column("party", Text, primary_key=True),  # a worker, the queues of a machine, the broker
    Column("kind", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("boot", Text, nullable=False),
    Column("how", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

holds = Table(
    "holds",  # keys that a law keeps when all else of a customer is erased
    metadata,
    Column("key_id", _id, ForeignKey("keys.key_id"), primary_key=True),
    Column("erasure", _id, nullable=False, index=True),
    Column("controller", Text, nullable=False),
    Column("key_class", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("law", Text, nullable=False),
    Column("released", _id),  # the erasure that ended it, or the exit, by its account
)

accesses = Table(
    "accesses",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("controller", Text, nullable=False),
    Column("incarnation", _id, nullable=False),
    Column("starts", BigInteger, nullable=False),  # event time
    Column("ends", BigInteger, nullable=False),
    Column("readings", BigInteger, nullable=False),
    Column("hash", _hash, nullable=False),
)

turnovers = Table(
    "turnovers",  # one pass: from e - 1 to e
    metadata,
    Column("controller", Text, ForeignKey("controllers.controller"), primary_key=True),
    Column("e", Integer, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # of its intent
    Column("step", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),  # that workers must have acknowledged before the next step
    Column("started", BigInteger, nullable=False),
    Column("finished", BigInteger),
    Column("cursor", _id),  # the last incarnation whose expiring series are captured
    Column("purge_key", _id),
    Column("purge_due", BigInteger),  # CLOCK_BOOTTIME ns of the second purge, on the boot named beside it
    Column("purge_boot", Text),
    Column("expired", BigInteger, nullable=False),  # rows deleted from the stores
    Column("ratcheted", BigInteger, nullable=False),
    Column("rewrapped", BigInteger, nullable=False),
)

captures = Table(
    "captures",  # series that have expired and are still to be deleted from the stores, sealed under the purge key
    metadata,
    Column("capture", _id, primary_key=True),
    Column("controller", Text, nullable=False),
    Column("e", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

wrappings = Table(
    "wrappings",  # what the custodian reported of each destroyed W_e
    metadata,
    Column("controller", Text, ForeignKey("controllers.controller"), primary_key=True),
    Column("e", Integer, primary_key=True),
    Column("custodian", Text, nullable=False),
    Column("attested", Integer, nullable=False),  # 0 or 1: whether it speaks for every copy
    Column("residue", Text, nullable=False),
    Column("destroyed", BigInteger, nullable=False),
)

quarantine = Table(
    "quarantine",  # what did not open in a pass: a key, a route or a secret, by its id
    metadata,
    Column("item", _id, primary_key=True),
    Column("controller", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("found", BigInteger, nullable=False),
)

suspensions = Table(
    "suspensions",  # of a controller by its name, of everything by the empty name
    metadata,
    Column("scope", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
)

departures = Table(
    "departures",  # controllers whose lineage is destroyed, or on its way out
    metadata,
    Column("controller", Text, ForeignKey("controllers.controller"), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("step", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("requested", BigInteger, nullable=False),
    Column("effective", BigInteger),
    Column("keys", BigInteger, nullable=False),
)
