"""Certificates for one test: an authority of its own, and what it signs, good or wrong on purpose.

authority = Authority(directory)
server = authority.issue("server", host="localhost")
client = authority.issue("glomska")
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key (mode 0600), PEM."""

    certificate: Path
    key: Path


class Authority:
    """Signs what is asked. `ca` is its own certificate."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        """`name` tells authorities in one directory apart."""
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(f"authority {name}")
        self.ca = directory / f"{name}.crt"
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self.ca.write_bytes(self._signed(self._name, self._key, 30, constraints))

    def issue(self, name: str, *, host: str = "", days: float = 30) -> Issued:
        """For a client called `name`, or a server of that file name at `host`; expired when `days` is negative."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName([_host(host or "client.invalid")])
        issued = Issued(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        _written(issued.key, _key_bytes(key))
        _written(issued.certificate, self._signed(_named(host or name), key, days, alternative))
        return issued

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, days: float, extension: x509.ExtensionType
    ) -> bytes:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + min(days, 0) * _DAY - _DAY)
            .not_valid_after(now + days * _DAY)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _written(path: Path, data: bytes) -> None:
    """Whole or not at all, as whoever renews certificates should do it."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.chmod(0o600)
    fresh.replace(path)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
