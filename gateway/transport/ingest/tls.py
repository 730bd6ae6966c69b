"""TLS to the broker: whom we trust and who we are, from files that may be replaced, and a socket that speaks it.

`Tls` holds the files. `refresh` takes up what was replaced and counts `version` up; files that do not fit each other,
as between two steps of a renewal, are refused and the old ones stay in use.

`TlsSocket` stands where a socket stands. Records are decrypted from memory: a broker writes one for each message, and
`ssl.SSLSocket` asks the kernel twice for each. One large read brings hundreds of them. It is also what lets one thread
read while another writes, which OpenSSL's own connection objects do not allow.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import ConfigurationFault

_RAW_BYTES = 256 * 1024
_RECORD_BYTES = 5 + 2**14 + 256  # the longest record; what is incomplete waits in OpenSSL. Source: RFC 8446, 5.2
_OTHERS = 0o077  # permission bits that give a file to other users
_REFUSED = ("certificate", "unknown ca", "decrypt error")  # in the alerts about ours. Source: RFC 8446, 6.2
_EXPIRED, _EARLY, _HOSTS = 10, 9, (62, 64)  # X509_V_ERR_…, openssl-verification-options(1)
_UNKNOWN = (7, 18, 19, 20, 21)  # 7: an authority of the same name with another key


class Tls:
    """Files, all PEM: authorities to trust (None: the system's), and our certificate with its key for mTLS."""

    def __init__(
        self, *, ca_file: Path | None = None, certificate_file: Path | None = None, key_file: Path | None = None
    ) -> None:
        """Raises ConfigurationFault, with the name of the file that is wrong."""
        self.version = 0
        self._ca, self._certificate, self._key = ca_file, certificate_file, key_file
        self._lock = threading.Lock()
        self._seen = self._look()
        self.context = self._load()

    def refresh(self) -> None:
        """Take up files that were replaced. Raises ConfigurationFault, once: then the old ones stay in use."""
        with self._lock:
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self.context = self._load()
                self.version += 1

    def _look(self) -> list[tuple[int, int, int]]:
        """What changes with the files, also where a link is turned to another one."""
        found = []
        for path in (self._ca, self._certificate, self._key):
            try:
                stat = path.stat() if path else None
            except OSError:
                stat = None
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns) if stat else (0, 0, 0))
        return found

    def _load(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._ca)
        except OSError as error:
            raise ConfigurationFault(f"ca_file {self._ca}: {_trouble(error)}") from None
        if self._certificate and self._key:
            self._identify(context, self._certificate, self._key)
        return context

    @staticmethod
    def _identify(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        asked: list[bool] = []

        def no_password() -> bytes:  # without this, OpenSSL would ask at the terminal
            asked.append(True)
            return b"-"

        try:
            if key.stat().st_mode & _OTHERS:
                raise ConfigurationFault(f"key_file {key}: others may use it", hint=f"chmod 600 {key}")
            context.load_cert_chain(certificate, key, no_password)
        except OSError as error:
            trouble = "the key is under a password, which nobody can type at a restart" if asked else _trouble(error)
            raise ConfigurationFault(f"certificate_file with key_file {key}: {trouble}") from None


class TlsSocket:
    """A connected socket with TLS on it. One thread reads; any may send. Made by `secure`."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._raw = memoryview(bytearray(_RAW_BYTES))
        self._engine = threading.Lock()  # never held while waiting
        self._wire = threading.Lock()  # keeps records in order; never needed to read
        self._ending = False

    def shake_hands(self, wake: int, deadline: float) -> None:
        """Agree with the broker, within a time of the monotonic clock. Raises OSError."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while not self._agreed():
            ready = poll.poll(max(deadline - time.monotonic(), 0) * 1000)
            if not any(number == self._sock.fileno() for number, _ in ready):
                raise TimeoutError
            size = 0
            with contextlib.suppress(ConnectionResetError):  # who speaks no TLS may answer so
                size = self._sock.recv_into(self._raw)
            if not size:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the broker ended the handshake")
            self._incoming.write(self._raw[:size])

    def recv_into(self, view: memoryview) -> int:
        """Bytes now in `view`; 0: the stream has ended. Raises BlockingIOError: no record is whole yet; OSError.

        Nothing that could be decrypted stays behind, so that a poll of the socket tells when there is more.
        """
        if self._ending:
            return self._sock.recv_into(view)
        size = self._sock.recv_into(self._raw[: len(view) - _RECORD_BYTES])
        if not size:
            return 0
        at, read = 0, self._tls.read
        with self._engine:
            self._incoming.write(self._raw[:size])
            try:
                while chunk := read(len(view) - at, view[at:]):  # one record at a time  # type: ignore[arg-type]
                    at += chunk  # type: ignore[operator]  # a number, since there is a buffer
            except ssl.SSLWantReadError:
                if not at:
                    raise BlockingIOError from None
            except ssl.SSLZeroReturnError:
                pass
        return at

    def sendall(self, data: bytes) -> None:
        """Send all of `data`, and what TLS itself has to say. Raises OSError."""
        with self._wire:
            with self._engine:
                self._tls.write(data)
                records = self._outgoing.read()
            self._sock.sendall(records)

    def shutdown(self, how: int) -> None:
        """As a socket's; SHUT_WR says goodbye, after which what is read is not decrypted. Raises OSError."""
        if how == socket.SHUT_WR:
            with self._wire, self._engine:
                self._ending = True
                with contextlib.suppress(ssl.SSLError):  # it waits for the broker's goodbye, and we do not
                    self._tls.unwrap()
                self._sock.sendall(self._outgoing.read())
        self._sock.shutdown(how)

    def fileno(self) -> int:
        """The socket's number."""
        return self._sock.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """As a socket's."""
        self._sock.settimeout(seconds)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """As a socket's."""
        self._sock.setsockopt(level, option, value)

    def close(self) -> None:
        """As a socket's."""
        self._sock.close()

    def _agreed(self) -> bool:
        """One step of the handshake; whether it was the last. An alert is sent too."""
        try:
            self._tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False
        finally:
            if self._outgoing.pending:
                self._sock.sendall(self._outgoing.read())


def explained(error: ssl.SSLError) -> tuple[str, str | None]:
    """What went wrong, in words, and the next step."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _verification(error)
    if isinstance(error, ssl.SSLEOFError):
        return "it ended the TLS handshake", "see the broker's log: it may want a certificate, or speak no TLS here"
    return told(error.reason)


def told(name: str) -> tuple[str, str | None]:
    """As `explained`, by the name that OpenSSL gives a reason."""
    reason = name.lower().replace("_", " ")
    if "alert" in reason and any(word in reason for word in _REFUSED):
        what = reason.partition("alert ")[2]
        hint = "give certificate_file and key_file that the broker's authority has signed and that have not expired"
        return f"the broker refuses our certificate: {what}", hint
    if reason in {"wrong version number", "record layer failure"}:
        return "it does not speak TLS at this port", "use the broker's TLS port in `mqtt.url`, usually 8883"
    return f"TLS fails: {reason}", "see the broker's log"


def _verification(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    code = error.verify_code
    told: Mapping[int, tuple[str, str]] = {
        _EXPIRED: ("its certificate has expired", "renew the broker's certificate, and see that this clock is right"),
        _EARLY: ("its certificate is not valid yet", "see that the clocks here and where it was issued are right"),
        **dict.fromkeys(
            _HOSTS, ("its certificate is for another host", "name the broker in `mqtt.url` as its certificate does")
        ),
        **dict.fromkeys(
            _UNKNOWN,
            ("its certificate is of an authority unknown here", "give that authority's certificate in `mqtt.ca_file`"),
        ),
    }
    return told.get(code, (f"its certificate does not hold: {error.verify_message.lower()}", "renew it"))


def _trouble(error: OSError) -> str:
    """Why a file cannot be used."""
    if not isinstance(error, ssl.SSLError):
        return f"cannot be read: {(error.strerror or 'unknown reason').lower()}"
    reason = (error.reason or "").lower().replace("_", " ")
    if "mismatch" in reason:
        return "this is not the key of this certificate"
    return f"no PEM that can be used ({reason or 'nothing in it'})"
