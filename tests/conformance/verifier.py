"""A verifier that somebody else could have written from docs/formats/certificates.md: nothing of ours is imported.

python verifier.py FILE PUB.pem     # a certificate or a ledger; prints what it says, or fails
"""

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def canonical(value: dict[str, Any]) -> bytes:
    """RFC 8785, for what stands in these files: text, whole numbers, lists, objects with ASCII names."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def unbase64(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text
    return data


def certificate(text: str, public: Ed25519PublicKey) -> dict[str, Any]:
    head, body, signature = text.strip().split(".")
    raw = public.public_bytes_raw()
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    thumbprint = hashlib.sha256(canonical({"crv": "Ed25519", "kty": "OKP", "x": x})).digest()
    header = json.loads(unbase64(head))
    assert (header["alg"], header["typ"]) == ("EdDSA", "glomska-erasure+jws")
    assert unbase64(header["kid"]) == thumbprint, "another key"
    public.verify(unbase64(signature), f"{head}.{body}".encode())
    claims: dict[str, Any] = json.loads(unbase64(body))
    return claims


def ledger(lines: list[bytes], public: Ed25519PublicKey) -> dict[str, Any]:
    prev, key, vouched, answered, claims = "0" * 64, "", False, False, dict[str, Any]()
    trusted = base64.urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"=").decode()
    for number, raw in enumerate(lines):
        line = json.loads(raw)
        assert raw == canonical(line) + b"\n", f"line {number + 1} is not canonical"
        claimed = line.pop("hash")
        assert hashlib.sha256(canonical(line)).hexdigest() == claimed, f"line {number + 1} was changed"
        assert (line["seq"], line["prev"]) == (number, prev), f"line {number + 1} does not follow"
        assert line["phase"] in {"intent", "outcome"}, f"line {number + 1} is neither"
        following = line.get("key") if line["phase"] == "outcome" and line.get("result", "done") == "done" else None
        lost = line["act"] == "ledger-key" and following and "lost" in line
        signer = following if not key or lost else key
        assert not (lost and vouched), "the owner lost the key that you have"
        assert signer or "signature" not in line, f"line {number + 1} is signed and may not be"
        if signer and (line["phase"] == "outcome" or "signature" in line):
            body = {name: value for name, value in line.items() if name != "signature"}
            signed = b"glomska/1|ledger" + hashlib.sha256(canonical(body)).digest()
            Ed25519PublicKey.from_public_bytes(unbase64(signer)).verify(unbase64(line["signature"]), signed)
            answered = answered or signer == trusted or (vouched and not lost)
        key = following or key
        vouched = vouched or key == trusted
        prev, claims = claimed, {"lines": number + 1, "head": claimed}
    assert answered, "not signed with this key"
    return claims


if __name__ == "__main__":
    file, pub = Path(sys.argv[1]).read_bytes(), load_pem_public_key(Path(sys.argv[2]).read_bytes())
    assert isinstance(pub, Ed25519PublicKey)
    said = ledger(file.splitlines(keepends=True), pub) if file[:1] == b"{" else certificate(file.decode(), pub)
    sys.stdout.write(json.dumps(said))
