"""HTTP to a store's server: pooled connections, a deadline for every request, and faults in our words.

What a server says about a fault is never passed on, because it may quote the line or the query: a known fault is
recognised by a mark in the answer and named in our words, an unknown one by its status alone. Redirections are not
followed and nothing is tried again here: the caller knows what may be repeated. What an answer may take of memory is
bounded, see `pools`.

`timeout_s` bounds connecting, and each wait for bytes of an answer; `REQUEST_WAITS` times as much bounds a request as a
whole, but those that read a long answer. A request that was given up may still take effect.
"""

from __future__ import annotations

import contextlib
import email.utils
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import urllib3

from gateway.transport.deadline import Deadline
from gateway.transport.pools import POOLS, AnswerTooLong, lines_of, whole
from gateway.transport.store import REQUEST_WAITS, Login, StoreRefused, StoreUnreachable

CONNECTIONS = 4
OK, NO_CONTENT, BAD_REQUEST, NOT_FOUND, TOO_LARGE, UNPROCESSABLE = 200, 204, 400, 404, 413, 422
REFUSALS = frozenset({BAD_REQUEST, UNPROCESSABLE})
UNCERTAIN = frozenset({500, 502, 504})
"""Answers of a server, or of a proxy before it, that has only waited long enough: what it was asked may yet be done."""
Words = Mapping[bytes, tuple[str, str]]
"""What a server says in an answer → (our words, next step)."""
_LOGIN = "give store.username and store.password_file, or store.token_file, of a user who may do this"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How one kind of server is understood: `hints` by status, `refusals` in a 400 or 422, `faults` in any other."""

    hints: Mapping[int, str]
    refusals: Words
    faults: Words


class Server:
    """One server. Raises StoreUnreachable and StoreRefused, never what urllib3 raises."""

    def __init__(self, url: str, *, name: str, speech: Speech, timeout_s: float, login: Login | None = None) -> None:
        """`url` is scheme, host and port; `name` is what messages call it."""
        self.where = f"{name} at {url}"
        self._speech = speech
        self._deadline_s = REQUEST_WAITS * timeout_s
        parts = urllib3.util.parse_url(url)
        self._pool = POOLS[parts.scheme or "http"](
            parts.host or "",
            port=parts.port,
            maxsize=CONNECTIONS,
            timeout=urllib3.Timeout(total=timeout_s),
            retries=False,
            headers={} if login is None else {"Authorization": login.header()},
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """An answer of any status; with `stream` only its head has been read. Raises StoreUnreachable."""
        with self.guarded(), contextlib.nullcontext() if stream else self.deadline():
            response: urllib3.BaseHTTPResponse = self._pool.urlopen(
                method,
                path,
                body=body,
                headers={**self._pool.headers, **(headers or {})},
                redirect=False,
                preload_content=not stream,
            )
            return response

    def lines(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[bytes]:
        """The lines of a long answer as they come. Raises StoreUnreachable, StoreRefused."""
        response = self.request(method, path, body=body, headers=headers, stream=True)
        try:
            with self.guarded():
                if response.status != OK:
                    self.failed(whole(response))
                yield from lines_of(response)
        finally:
            response.close()  # a caller may leave in the middle; after the end it is back in the pool already

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Turns a connection that fails, or an answer without end, into StoreUnreachable; a library's, too."""
        try:
            yield
        except (AnswerTooLong, UnicodeDecodeError):
            self.foreign()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # Only the kind of error: its text may quote the request.
            raise StoreUnreachable(f"{self.where} does not answer: {type(error).__name__}") from None

    def deadline(self) -> Deadline:
        """For a whole request, also of a library that goes through `pools.POOLS`."""
        return Deadline(self._deadline_s)

    def foreign(self) -> NoReturn:
        """Raise StoreUnreachable for an answer that this kind of server never gives."""
        name = self.where.partition(" at ")[0]
        raise StoreUnreachable(
            f"{self.where}: its answer is not {name}'s", hint=f"see that store.url names an {name}", answered=True
        ) from None

    def unable(self, what: str, hint: str) -> NoReturn:
        """Raise StoreUnreachable for an answer that says so."""
        raise StoreUnreachable(f"{self.where}: it could not {what}", hint=hint)

    def came_back(self) -> NoReturn:
        """Raise StoreUnreachable for points that are there again after they were deleted."""
        raise StoreUnreachable(
            f"{self.where}: points came back while they were deleted",
            hint="see that nothing writes these series any more, then delete again",
        )

    def fail(self, status: int, said: bytes, *, retry_after: float | None = None) -> NoReturn:
        """Raise what a status other than success means, see the contract in `store`."""
        if status in REFUSALS:
            raise self.refusal(status, said)
        known = (words for mark, words in self._speech.faults.items() if mark in said)
        otherwise = self._speech.hints.get(status, _LOGIN if status in {401, 403} else StoreUnreachable.hint)
        what, hint = next(known, ("try later", otherwise))
        told = f"{self.where} answers {status}: {what}"
        raise StoreUnreachable(told, hint=hint, retry_after=retry_after, answered=status not in UNCERTAIN)

    def refusal(self, status: int, said: bytes) -> StoreRefused:
        """What a 400 or 422 says, in our words."""
        known = (words for mark, words in self._speech.refusals.items() if mark in said)
        what, hint = next(known, ("for a reason that its own log tells", StoreRefused.hint))
        return StoreRefused(f"{self.where} refuses the request ({status}): {what}", hint=hint, answered=True)

    def failed(self, response: urllib3.BaseHTTPResponse) -> NoReturn:
        """`fail` for an answer that was received here."""
        self.fail(response.status, response.data, retry_after=retry_after(response.headers))

    def close(self) -> None:
        """Close the pooled connections."""
        self._pool.close()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form of the header. Source: RFC 9110, section 10.2.3."""
    try:
        return urllib3.Retry().parse_retry_after(headers["Retry-After"])
    except (KeyError, ValueError, OverflowError, urllib3.exceptions.InvalidHeader):  # none, or none that could be meant
        return None


def time_of(headers: Mapping[str, str]) -> int | None:
    """The server's clock, ns since 1970, from its header `Date`. Source: RFC 9110, section 6.6.1."""
    try:
        return int(email.utils.parsedate_to_datetime(headers["Date"]).timestamp()) * 1_000_000_000
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
