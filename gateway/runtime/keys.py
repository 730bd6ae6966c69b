"""The keys' part of the configuration: where they are, who can unlock them, and for how long a worker may use them.

keys = KeysSettings.model_validate({"url": "postgresql://glomska@localhost/keys", "password_file": "keys.password"})
judge_keys(faults, keys, store_url="sqlite:///readings.db")
"""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from gateway.policy.document import Faults, Table, shown
from gateway.runtime.mqtt import Text, is_loopback
from gateway.runtime.secret import trouble_with

FILES = ("password_file", "pin_file", "recovery_pin_file")
_SQLITE = re.compile(r"sqlite:///[^?#]*[^/?#]")
_SERVER = re.compile(r"postgresql://([^/@:]+@)?[^/@]*/[^/?#]+(\?[^#]*)?")
_CUSTODIANS = "file:DIRECTORY or pkcs11:token=LABEL;module=FILE"
_CUSTODIAN = re.compile(r"file:.+|pkcs11:token=[^;]+;module=[^;]+")
_VERIFIED = "verify-full"  # the only sslmode that knows whom it talks to


class KeysSettings(Table):
    """Where customers' keys are, and who can unlock them."""

    url: str = Field(
        "sqlite:///keys.db",
        description="The key store: `sqlite:///FILE`, relative to `state`, for one machine; "
        "`postgresql://USER@HOST:PORT/DATABASE` for several. PostgreSQL's own parameters may follow: "
        "`?sslmode=verify-full&sslrootcert=/etc/glomska/ca.crt`.",
    )
    password_file: Annotated[Path | None, Field(strict=False)] = Field(
        None, description="File with the PostgreSQL user's password alone, mode 0600."
    )
    allow_plaintext: bool = Field(
        default=False,
        description="Whether what is said to PostgreSQL may leave this machine without `sslmode=verify-full`.",
    )
    custodian: str = Field(
        "file:kek",
        description="Holder of the wrapping keys: `file:DIRECTORY`, relative to `state`, better on another medium; "
        "`pkcs11:token=LABEL;module=FILE`, a PKCS#11 token and the library that reaches it.",
    )
    pin_file: Annotated[Path | None, Field(strict=False)] = Field(
        None, description="File with the PIN of the custodian's token alone, mode 0600."
    )
    recovery: str | None = Field(
        None,
        description="A second custodian, written as the first, that holds every key too, for when the first is lost. "
        "An erasure is final when both have destroyed theirs.",
    )
    recovery_pin_file: Annotated[Path | None, Field(strict=False)] = Field(
        None, description="File with the PIN of the second custodian's token alone, mode 0600."
    )
    lease_s: int = Field(
        30,
        ge=1,
        le=3_600,
        description="How long a worker may use keys without hearing from the key store, in seconds. An erasure waits "
        "that long for a worker that does not answer.",
    )
    turnover_h: float = Field(
        24.0,
        ge=0,
        le=8_760,
        description="How often `run` turns every key over, in hours; 0: only by `glomska keys turnover`. Copies of the "
        "key store older than the last turnover open nothing.",
    )
    standbys: Annotated[tuple[Text, ...], Field(strict=False)] = Field(
        (),
        description="Standbys of the PostgreSQL key store, by their `application_name`: a turnover destroys the older "
        "wrapping keys only when all of them have replayed what it wrote.",
    )
    poll_ms: int = Field(
        250, ge=10, le=10_000, description="How often a worker asks whether keys were withdrawn, in milliseconds."
    )

    @field_validator("url")
    @classmethod
    def _is_key_store(cls, url: str) -> str:
        if not (_SQLITE.fullmatch(url) or _SERVER.fullmatch(url)):
            raise ValueError("sqlite:///FILE or postgresql://USER@HOST:PORT/DATABASE, without a password")
        return url

    @field_validator("custodian", "recovery")
    @classmethod
    def _is_custodian(cls, url: str | None) -> str | None:
        if url is not None and not _CUSTODIAN.fullmatch(url):
            raise ValueError(_CUSTODIANS)
        return url

    @property
    def crosses_network(self) -> bool:
        """Whether what is said to the key store leaves this machine, to a server that was not verified."""
        scheme, _, rest = self.url.partition("://")  # urlsplit knows no list of hosts, and may refuse one
        place, _, terms = rest.partition("?")
        said = urllib.parse.parse_qs(terms)
        if scheme != "postgresql" or said.get("sslmode") == [_VERIFIED]:
            return False
        named = place.partition("/")[0].rpartition("@")[2].split(",")
        hosts = [*named, *said.get("host", []), *said.get("hostaddr", [])]
        return not all(is_loopback(_name(host)) for host in hosts if host and not host.startswith("/"))


def judge_keys(faults: Faults, keys: KeysSettings, *, store_url: str) -> None:
    """What is wrong with the keys together, with the files they name, and beside the store."""
    if keys.poll_ms * 2 > keys.lease_s * 1000:
        allowed = f"at most half the lease of {keys.lease_s} s, so that one lost answer does not end it"
        faults.add("keys.poll_ms", found=str(keys.poll_ms), allowed=allowed)
    if keys.standbys and keys.url.startswith("sqlite:"):
        faults.add("keys.standbys", found="names", allowed="none, since a key store in a file has no standbys")
    if store_url == keys.url:
        faults.add("store.url", found="the database of keys.url", allowed="one of its own: keys are not kept with data")
    if keys.crosses_network and not keys.allow_plaintext:
        allowed = f"?sslmode={_VERIFIED}, a server on this machine, or allow_plaintext = true, since anyone between "
        faults.add("keys.url", found=shown(keys.url), allowed=allowed + "could read along and answer in its place")
    for name in FILES:
        path = getattr(keys, name)
        trouble = trouble_with(path) if path is not None else ""
        if trouble:
            faults.note(f"keys.{name}", trouble)
    for custodian, pin_file in (("custodian", "pin_file"), ("recovery", "recovery_pin_file")):
        if (getattr(keys, custodian) or "").startswith("pkcs11:") and getattr(keys, pin_file) is None:
            faults.add(f"keys.{custodian}", found="a token", allowed=f"a token whose PIN is in keys.{pin_file}")
    if keys.recovery is not None and keys.recovery == keys.custodian:
        faults.add("keys.recovery", found="the custodian itself", allowed="another one, kept elsewhere")


def _name(host: str) -> str:
    """Without the port, without the brackets of an IPv6 address."""
    found = re.fullmatch(r"\[(.*)\](:\d+)?|([^:]*)(:\d+)?", host)
    return host if found is None else found[1] or found[3] or ""
