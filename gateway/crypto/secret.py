"""Key bytes that are held for longer than one use: shown as nothing, and overwritten when nobody holds them any more.

    >>> Secret(bytes(32))
    <Secret>

CPython gives an object's memory back as it is, and what stood in it stays until something else is put there: of the
keys of 300 devices that a worker had let go, most could still be read from its memory. What a derivation needs on its
way is plain `bytes`, and soon written over by the next one. Source: docs/adr/0041-keys-are-overwritten.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Never

# Where the bytes of a bytes object begin: they are the last thing in it, and an empty one has their closing zero alone.
# Source: CPython, Include/cpython/bytesobject.h, PyBytesObject.ob_sval.
_AT = bytes.__basicsize__ - 1


class Secret(bytes):
    """A copy of key bytes, to be kept."""

    __slots__ = ()

    def __del__(self, overwrite: Callable[[int, int, int], object] = ctypes.memset) -> None:
        """Nobody refers to it any more, so nobody sees it change."""
        overwrite(id(self) + _AT, 0, len(self))

    def __repr__(self) -> str:
        return "<Secret>"

    __str__ = __repr__

    def __reduce_ex__(self, _protocol: Any) -> Never:  # noqa: ANN401 - an integer, or whatever has an index
        message = "a Secret is key bytes of this process and is not written down"
        raise TypeError(message)
