"""Known answers, run before the first subscription: a broken primitive or build must not seal a single reading.

Vectors: RFC 5869 A.1 (HKDF-SHA-256), RFC 8452 C.2 (AES-256-GCM-SIV), RFC 4231 4.2 (HMAC-SHA-256).
"""

from __future__ import annotations

import hmac

from gateway.crypto import aead, derive
from gateway.errors import VerificationFailed


def run() -> None:
    """Raises VerificationFailed naming the primitive that gives a wrong answer."""
    for name, got, expected in _answers():
        if got.hex() != expected:
            message = f"self-test: {name} gives a wrong answer on this machine"
            raise VerificationFailed(message, hint="reinstall the cryptography package; do not run with this build")


def _answers() -> list[tuple[str, bytes, str]]:
    prk = derive.extract(bytes(range(13)), b"\x0b" * 22)
    siv = aead.cipher(b"\x01" + bytes(31))
    return [
        ("HKDF-Extract", prk, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"),
        (
            "HKDF-Expand",
            derive.expand(prk, bytes(range(0xF0, 0xFA))),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
        ),
        (
            "AES-256-GCM-SIV",
            siv.encrypt(b"\x03" + bytes(11), b"\x01" + bytes(7), b""),
            "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28",
        ),
        (
            "HMAC-SHA-256",
            hmac.digest(b"\x0b" * 20, b"Hi There", "sha256"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
    ]
