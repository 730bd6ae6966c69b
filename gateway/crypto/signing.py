"""Ed25519 (RFC 8032), and the compact JWS (RFC 7515, RFC 8037) that a certificate is.

    key       PKCS #8 in PEM, as other programs read it
    public    base64url, unpadded, of its 32 bytes; a PUB file holds the same key as SubjectPublicKeyInfo in PEM
    kid       base64url, unpadded, of SHA-256 of {"crv":"Ed25519","kty":"OKP","x":public}: RFC 7638
    JWS       base64url(header) "." base64url(payload) "." base64url(signature of what stands before the second dot)
    header    {"alg":"EdDSA","kid":kid,"typ":typ}, RFC 8785 form

Whoever verifies brings the public key: the header names one, and is never asked which to use.
"""

from __future__ import annotations

import base64
import binascii
import json
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import VerificationFailed

PUBLIC_CHARS = 43  # 32 bytes in base64url


def make_key() -> bytes:
    """A new private key, PEM."""
    pem = forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
    return Ed25519PrivateKey.generate().private_bytes(*pem)


def public_of(private: bytes) -> str:
    """The public half of a private key in PEM. Raises ValueError when it is none."""
    return encode(_private(private).public_key().public_bytes_raw())


def sign(private: bytes, data: bytes) -> str:
    """The signature, base64url, of a private key in PEM. Raises ValueError when it is none."""
    return encode(_private(private).sign(data))


def verify(public: str, signature: str, data: bytes) -> None:
    """Raises VerificationFailed unless the holder of `public` signed exactly `data`."""
    try:
        Ed25519PublicKey.from_public_bytes(decode(public)).verify(decode(signature), data)
    except (InvalidSignature, ValueError, TypeError):
        raise VerificationFailed("a signature does not hold", hint="what was signed was changed, or forged") from None


def to_pem(public: str) -> str:
    """A PUB file."""
    key = Ed25519PublicKey.from_public_bytes(decode(public))
    return key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo).decode()


def from_pem(pem: bytes) -> str:
    """The public key in a PUB file. Raises ValueError for anything else."""
    try:
        key = forms.load_pem_public_key(pem)
    except UnsupportedAlgorithm:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 public key in PEM")  # noqa: TRY004 - the file is wrong, not our type
    return encode(key.public_bytes_raw())


def key_id(public: str) -> str:
    """The name of a public key in a header."""
    return encode(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}'.encode()).digest())


def signed_part(payload: bytes, *, public: str, typ: str) -> str:
    """What the signature of a JWS is over; "." and the signature make it one."""
    header = f'{{"alg":"EdDSA","kid":"{key_id(public)}","typ":"{typ}"}}'
    return f"{encode(header.encode())}.{encode(payload)}"


def open_jws(text: str, *, public: str, typ: str) -> dict[str, Any]:
    """The claims of a JWS of this type. Raises VerificationFailed unless the holder of `public` signed it."""
    part, _, signature = text.rpartition(".")
    try:
        header, payload = (json.loads(decode(each)) for each in part.split("."))
        expected = {"alg": "EdDSA", "kid": key_id(public), "typ": typ}
    except (ValueError, TypeError, RecursionError):
        raise VerificationFailed("this is not a certificate", hint="give a file from `state/certificates`") from None
    if header != expected or not isinstance(payload, dict):
        hint = "give the key that was in use when it was signed; `glomska ledger public-key --all` shows them"
        raise VerificationFailed("the certificate names another key, type or algorithm", hint=hint)
    verify(public, signature, part.encode())
    return payload


def encode(data: bytes) -> str:
    """base64url, unpadded."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of `encode`, of its very text: no other spelling of them. Raises ValueError."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as fault:
        raise ValueError(str(fault)) from None
    if encode(data) != text:
        raise ValueError("not base64url as it is written")
    return data


def _private(pem: bytes) -> Ed25519PrivateKey:
    key = forms.load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")  # noqa: TRY004 - the file's content is wrong, not our type
    return key
