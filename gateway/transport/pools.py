"""Pooled connections to a store's server, whose answers take no more memory than they are worth, whatever it sends.

    pool = POOLS["http"](host, port=port, …)
    pool.urlopen("POST", path, body=…).data         # of a fault its first FAULT_BYTES, of anything else all or nothing
    pool.urlopen(…, preload_content=False)          # a long answer: `lines_of` gives it piece by piece

Nothing is unpacked: no request asks for an answer that is compressed, and a few kilobytes may unpack to gigabytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from gateway.transport.deadline import PlainConnection, TlsConnection

FAULT_BYTES = 64 << 10
"""What is read of any status but 200: more than what a server says about a fault, and a page of a proxy."""
ANSWER_BYTES = 8 << 20
"""What an answer may be that is read whole: VictoriaMetrics' `/metrics`, the longest, is a few hundred kilobytes."""
LINE_BYTES = 64 << 20
"""What a line of a long answer may be: 10,000 rows, see `influxql`, of six kilobytes each."""
_PART = 256 << 10
_OK, _NO_CONTENT = 200, 204


class AnswerTooLong(HTTPError):
    """No answer of a store is so long."""


class PlainPool(urllib3.HTTPConnectionPool):
    """HTTP that keeps deadlines and bounds."""

    ConnectionCls = PlainConnection

    def urlopen(self, *args: Any, preload_content: bool = True, **options: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401 - as it is in urllib3
        """As in urllib3; a whole answer within the bounds. Raises AnswerTooLong, and what urllib3 raises."""
        response = super().urlopen(*args, **options | {"preload_content": False})
        return whole(response) if preload_content else response


class TlsPool(urllib3.HTTPSConnectionPool):
    """HTTPS that keeps deadlines and bounds."""

    ConnectionCls = TlsConnection

    def urlopen(self, *args: Any, preload_content: bool = True, **options: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401 - as it is in urllib3
        """As in urllib3; a whole answer within the bounds. Raises AnswerTooLong, and what urllib3 raises."""
        response = super().urlopen(*args, **options | {"preload_content": False})
        return whole(response) if preload_content else response


POOLS = {"http": PlainPool, "https": TlsPool}
"""By scheme, as `urllib3.PoolManager` wants them."""


def whole(response: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
    """An answer of which the head has been read, with its `data`. Raises AnswerTooLong, and what urllib3 raises."""
    if response.status == _NO_CONTENT:  # it has no body, whatever it says
        response.read()
        return response
    fault = response.status != _OK
    try:
        data = _read(response, FAULT_BYTES if fault else ANSWER_BYTES, cut=fault)
    finally:
        response.close()  # after its end the connection is back in the pool already
    if fault:  # it is searched for a few words, and influxdb-client takes it for text
        data = data.decode(errors="replace").encode()
    return urllib3.HTTPResponse(
        io.BytesIO(data),
        headers=response.headers,
        status=response.status,
        reason=response.reason,
        decode_content=False,
        enforce_content_length=False,
    )


def lines_of(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Its lines as they come, without their ends. Raises AnswerTooLong, and what urllib3 raises."""
    begun: list[bytes] = []
    size = 0
    while part := response.read(_PART, decode_content=False):
        if b"\n" in part:
            first, *more, part = part.split(b"\n")
            yield b"".join([*begun, first])
            yield from more
            begun, size = [], 0
        begun.append(part)
        size += len(part)
        if size > LINE_BYTES:
            raise AnswerTooLong
    if size:
        yield b"".join(begun)


def _read(response: urllib3.BaseHTTPResponse, most: int, *, cut: bool) -> bytes:
    """At most so much; of more the beginning, where it may be `cut`."""
    parts, size = [], 0
    while size <= most and (part := response.read(min(_PART, most + 1 - size), decode_content=False)):
        parts.append(part)
        size += len(part)
    if size > most and not cut:
        raise AnswerTooLong
    return b"".join(parts)[:most]
