"""How the fleet is let in at a broker: name and password, or a certificate; and whom it trusts, when there is TLS.

One login for all devices of a fleet: the controller's.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho

from firmware_sim.errors import UsageFault

_OTHERS = 0o077  # permission bits that give a file to other users


class _Closing(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho leaves to Python's collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Files are PEM, but for the password's, which holds it alone; without `ca_file`, the system's authorities."""

    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def give(self, client: paho.Client, *, tls: bool) -> None:
        """Tell the client. Raises UsageFault when a file cannot be used, or is for a TLS that is not there."""
        if self.username is not None:
            client.username_pw_set(self.username, self._password())
        elif self.password_file is not None:
            raise UsageFault("--password-file: there is no --username")
        files = (self.ca_file, self.certificate_file, self.key_file)
        if not tls:
            if any(files):
                raise UsageFault("--url: certificates are for mqtts://host:port")
            return
        if (self.certificate_file is None) != (self.key_file is None):
            raise UsageFault("--certificate-file and --key-file go together")
        try:
            client.tls_set_context(self._context())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else "no PEM"
            raise UsageFault(f"--ca-file, --certificate-file or --key-file: {str(reason).lower()}") from error

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        context.sslsocket_class = _Closing
        if self.certificate_file is not None:
            # A password that is wrong for sure: without any, OpenSSL would ask at the terminal.
            context.load_cert_chain(self.certificate_file, self.key_file, password="-")  # noqa: S106
        return context

    def _password(self) -> str | None:
        if self.password_file is None:
            return None
        try:
            if self.password_file.stat().st_mode & _OTHERS:
                raise UsageFault("--password-file: others may use this file; give it mode 0600")
            return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeError) as error:
            raise UsageFault("--password-file: it cannot be read") from error
