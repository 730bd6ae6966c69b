"""`gateway.toml` and the environment to one frozen tree, read once; every fault at once.

The file: `--config FILE`, else `GLOMSKA_CONFIG`, else `./config/gateway.toml`, else `/etc/glomska/gateway.toml`, else
the default that comes with the package. Any key by environment, which outweighs the file: see `environment`.

Relative paths to `state`, `policy`, `areas`, mappings and secrets are taken from where they are written: beside the
file, or from the working directory for a variable. URLs and paths in `store`, `keys` and `ledger` stay as they are
written and are relative to `state`. Secrets are never values here, only files; see `secret`.

    >>> load_settings(environ={"GLOMSKA_MQTT__URL": "mqtt://localhost:1884"}).mqtt.address
    ('localhost', 1884)
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import Field, field_validator

from gateway.errors import ConfigurationFault
from gateway.policy.document import Faults, Table, read_toml, shown
from gateway.runtime.environment import overlay
from gateway.runtime.keys import FILES as KEY_FILES
from gateway.runtime.keys import KeysSettings, judge_keys
from gateway.runtime.mqtt import FILES, MqttSettings, Text, is_loopback, judge_mqtt
from gateway.runtime.secret import trouble_with

SYSTEM_CONFIG = Path("/etc/glomska/gateway.toml")
SYSTEM_STATE = Path("/var/lib/glomska")
LARGEST_LETTERS = 8  # of the largest messages, as many as dead letters have room for at least
_SQLITE = re.compile(r"sqlite:///[^?#]*[^/?#]")
_SERVER = re.compile(
    r"(influxdb1\+https?://[^/@]+(/.*)?|influxdb2\+https?://[^/@]+(/[^/@]+){2}|victoriametrics\+https?://[^/@]+/?)"
)


class StoreSettings(Table):
    """Where sealed readings go."""

    url: str = Field(
        "sqlite:///readings.db",
        description="`sqlite:///FILE`, relative to `state`; `influxdb1+http://HOST:PORT/DATABASE`, "
        "`influxdb2+http://HOST:PORT/ORGANISATION/BUCKET`, or `victoriametrics+http://HOST:PORT`; also `+https://`.",
    )
    username: Text | None = Field(None, description="Login at an InfluxDB 1.x or VictoriaMetrics that asks for one.")
    password_file: Annotated[Path | None, Field(strict=False)] = Field(
        None, description="File with the password alone, mode 0600."
    )
    token_file: Annotated[Path | None, Field(strict=False)] = Field(
        None, description="File with the API token of an InfluxDB 2.x alone, mode 0600."
    )
    allow_plaintext: bool = Field(
        default=False,
        description="Whether password or token may leave this machine by `+http://`, unprotected.",
    )
    timeout_s: float = Field(10.0, ge=0.1, le=300, description="Deadline of one request, in seconds.")
    batch_points: int = Field(5_000, ge=1, le=100_000, description="Points that are written together at most.")
    batch_ms: int = Field(50, ge=1, le=10_000, description="How long a batch waits to be filled, in milliseconds.")

    @field_validator("url")
    @classmethod
    def _is_store(cls, url: str) -> str:
        if not (_SQLITE.fullmatch(url) or _SERVER.fullmatch(url)):
            raise ValueError(
                "sqlite:///FILE, influxdb1+http://HOST:PORT/DATABASE, influxdb2+http://HOST:PORT/ORGANISATION/BUCKET "
                "or victoriametrics+http://HOST:PORT, each also with +https://, without a login"
            )
        return url

    @property
    def crosses_network(self) -> bool:
        """Whether what is said to the store leaves this machine unencrypted."""
        parts = urllib.parse.urlsplit(self.url)
        return parts.scheme.endswith("+http") and not is_loopback(parts.hostname or "")


class SpoolSettings(Table):
    """Where sealed readings wait, on this disk, for a store that cannot take them."""

    max_bytes: int = Field(
        2**30,
        ge=0,
        le=2**50,
        description="How much may wait, for each worker: 1 GiB holds an hour and a half of 1,000 messages a second. "
        "0: no spool; then the broker holds what a store cannot take, and what waits already is drained all the same.",
    )
    patience_s: float = Field(
        2.0,
        ge=0.1,
        le=300,
        description="How long the store may take for a batch, in seconds, before batches go to the spool instead.",
    )


class DeadLettersSettings(Table):
    """What could not be stored, sealed and kept for a while."""

    path: Text = Field("letters.db", description="Their file, relative to `state`; at best on a disk of its own.")
    max_bytes: int = Field(
        2**30,
        ge=2**20,
        le=2**50,
        description="How large it may grow, at least 8 times `mqtt.max_payload_bytes`. When it is full, nothing more "
        "is acknowledged.",
    )
    keep_days: int = Field(
        30,
        ge=1,
        le=366,
        description="How long letters of known customers are kept, in days; those of the suspended wait that long.",
    )
    operations_days: int = Field(
        7,
        ge=1,
        le=7,
        description="How long letters that belong to nobody known are kept, in days: then the day's key is destroyed.",
    )


class LedgerSettings(Table):
    """The log of what was done to keys and data."""

    path: Text = Field("ledger", description="Its directory, relative to `state`. Back it up apart from the key store.")
    elsewhere: bool = Field(
        default=False,
        description="Whether another machine has it, together with all acts on keys; this one then only takes readings "
        "in, with the same PostgreSQL key store.",
    )
    signing_key: Text = Field(
        "signing.key",
        description="File with the key that ledger and certificates are signed with, mode 0600, made at first use; "
        "relative to `state`. Whoever has it can forge both: better on another medium.",
    )


class LimitsSettings(Table):
    """How many messages are taken, by each worker; what is over is `rate`, a dead letter. A rate of 0 is no limit."""

    device_rate: float = Field(50.0, ge=0, le=1e6, description="Of one device, a second, in the long run.")
    device_burst: int = Field(
        300_000, ge=1, le=10**9, description="Of one device at once: what it may have kept while it was offline."
    )
    controller_rate: float = Field(
        0.0, ge=0, le=1e6, description="Of all devices of one controller, a second, where several share a connection."
    )
    controller_burst: int = Field(1_000_000, ge=1, le=10**9, description="Of one controller at once.")
    stranger_rate: float = Field(
        1.0, ge=0, le=1e6, description="Of all devices together that are not enrolled, a second, in the long run."
    )
    stranger_burst: int = Field(100_000, ge=1, le=10**9, description="Of all of them at once.")


class LogSettings(Table):
    """What the gateway says on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is said.")
    format: Literal["json", "text"] = Field("json", description="`json`: one object a line; `text`: for people.")


class Paths(Table):
    """Keys at the top of the file."""

    state: Text | None = Field(
        None,
        description="Directory of key store, ledger and embedded store. Default: `/var/lib/glomska` where that exists, "
        "else `glomska` in the user's XDG state directory.",
    )
    policy: Text = Field("policy.toml", description="The privacy policy.")
    areas: Text | None = Field(
        None, description="Postal codes to price areas (CSV). Default: the table in the package."
    )


SECTIONS: dict[str, type[Table]] = {
    "mqtt": MqttSettings,
    "store": StoreSettings,
    "spool": SpoolSettings,
    "keys": KeysSettings,
    "dead_letters": DeadLettersSettings,
    "ledger": LedgerSettings,
    "limits": LimitsSettings,
    "log": LogSettings,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration. Paths here are absolute; `file` is what was read."""

    file: Path
    state: Path
    policy: Path
    areas: Path
    mqtt: MqttSettings
    store: StoreSettings
    spool: SpoolSettings
    keys: KeysSettings
    dead_letters: DeadLettersSettings
    ledger: LedgerSettings
    limits: LimitsSettings
    log: LogSettings


def load_settings(file: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Settings:
    """The configuration; `file` is the command line's. Raises ConfigurationFault with every fault found."""
    environ = os.environ if environ is None else environ
    path = find_config(file, environ)
    document = read_toml(path, ConfigurationFault)
    origins: dict[str, str] = {}
    faults = Faults(str(path), origin=lambda key: origins.get(".".join(key.split(".")[:2]), str(path)))
    overlay(document, environ, SECTIONS | {"": Paths}, origins, faults)
    for name in sorted(document.keys() - Paths.model_fields.keys() - SECTIONS.keys()):
        faults.add(name, found="an unknown key", allowed=", ".join([*Paths.model_fields, *SECTIONS]))

    def located(key: str, written: str | Path) -> Path:
        return (Path.cwd() if key in origins else path.parent) / written

    top = faults.salvage(Paths, (), {key: document[key] for key in Paths.model_fields if key in document})
    mqtt = faults.salvage(MqttSettings, ("mqtt",), document.get("mqtt", {}))
    store = faults.salvage(StoreSettings, ("store",), document.get("store", {}))
    spool = faults.salvage(SpoolSettings, ("spool",), document.get("spool", {}))
    keys = faults.salvage(KeysSettings, ("keys",), document.get("keys", {}))
    dead_letters = faults.salvage(DeadLettersSettings, ("dead_letters",), document.get("dead_letters", {}))
    ledger = faults.salvage(LedgerSettings, ("ledger",), document.get("ledger", {}))
    limits = faults.salvage(LimitsSettings, ("limits",), document.get("limits", {}))
    log = faults.salvage(LogSettings, ("log",), document.get("log", {}))
    files = {name: getattr(mqtt, name) for name in FILES if getattr(mqtt, name) is not None}
    mqtt = mqtt.model_copy(update={name: located(f"mqtt.{name}", written) for name, written in files.items()})
    mqtt = mqtt.model_copy(update={"mappings": tuple(located("mqtt.mappings", file) for file in mqtt.mappings)})
    judge_mqtt(faults, mqtt)
    secrets = {name: getattr(store, name) for name in ("password_file", "token_file")}
    store = store.model_copy(update={name: located(f"store.{name}", path) for name, path in secrets.items() if path})
    _judge_store(faults, store)
    named = {name: getattr(keys, name) for name in KEY_FILES if getattr(keys, name) is not None}
    keys = keys.model_copy(update={name: located(f"keys.{name}", path) for name, path in named.items()})
    judge_keys(faults, keys, store_url=store.url)
    _judge_letters(faults, dead_letters, mqtt)
    if ledger.elsewhere and keys.url.startswith("sqlite:"):
        allowed = "false, since the key store of keys.url is a file of this machine"
        faults.add("ledger.elsewhere", found="true", allowed=allowed)
    faults.settle(ConfigurationFault)
    return Settings(
        file=path,
        state=located("state", top.state) if top.state else default_state(),
        policy=located("policy", top.policy),
        areas=located("areas", top.areas) if top.areas else resource("areas.csv"),
        mqtt=mqtt,
        store=store,
        spool=spool,
        keys=keys,
        dead_letters=dead_letters,
        ledger=ledger,
        limits=limits,
        log=log,
    )


def find_config(file: Path | None, environ: Mapping[str, str]) -> Path:
    """The configuration file that counts, absolute. One that was named is never replaced by another."""
    named = file or (Path(environ["GLOMSKA_CONFIG"]) if environ.get("GLOMSKA_CONFIG") else None)
    if named is not None:
        return named.absolute()
    usual = (Path.cwd() / "config" / "gateway.toml", SYSTEM_CONFIG)
    return next((path for path in usual if path.exists()), None) or resource("gateway.toml")


def default_state() -> Path:
    """`/var/lib/glomska` where a package or an operator made it, else the user's own.

    Whether it exists decides, not whether this user may write there: otherwise an operator without the right to would
    silently look into another, empty key store.
    """
    return SYSTEM_STATE if SYSTEM_STATE.exists() else platformdirs.user_state_path("glomska", appauthor=False)


def resource(name: str) -> Path:
    """A file of `config/`: inside the installed package, or at the root of a checkout. Raises ConfigurationFault."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "config", package.parent / "config"):
        if (folder / name).is_file():
            return folder / name
    raise ConfigurationFault(f"the installation lacks its file {name}", hint="install glomska again")


def _judge_store(faults: Faults, store: StoreSettings) -> None:
    if store.url.startswith("influxdb2+") and store.token_file is None:
        faults.add("store.token_file", found="nothing", allowed="a file with an API token, which InfluxDB 2.x asks for")
    if (store.username is None) != (store.password_file is None):
        faults.add("store.username", found="one without the other", allowed="username and password_file together")
    for name in ("password_file", "token_file"):
        path = getattr(store, name)
        trouble = trouble_with(path) if path is not None else ""
        if trouble:
            faults.note(f"store.{name}", trouble)
    secret = store.username is not None or store.token_file is not None
    if secret and store.crosses_network and not store.allow_plaintext:
        allowed = "+https://, a server on this machine, or allow_plaintext = true, since the login is not encrypted"
        faults.add("store.url", found=shown(store.url), allowed=allowed)


def _judge_letters(faults: Faults, letters: DeadLettersSettings, mqtt: MqttSettings) -> None:
    least = LARGEST_LETTERS * mqtt.max_payload_bytes
    if letters.max_bytes < least:
        allowed = f"at least {LARGEST_LETTERS} times mqtt.max_payload_bytes, {least}: else one message may not fit"
        faults.add("dead_letters.max_bytes", found=str(letters.max_bytes), allowed=allowed)
